"""How the drivers say that an element could not be brought to its planned state."""

from netloom.state import Element, Failure


def failure(element: Element, error: Exception) -> Failure:
    """The failure of one element, in the words of the error; a file it names is named."""
    words = str(error)
    if isinstance(error, OSError) and error.strerror:
        words = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return Failure(element.origin, str(element), words)
