"""From a path to what is asked. One parser instead of hundreds of routes: paths take dashes for underscores, a
``.json`` suffix, and slashes at the end."""

from collections.abc import Callable
from urllib.parse import unquote

from netloom.api.errors import HTTPMethodNotAllowed
from netloom.api.http import Answer, Request
from netloom.model.errors import HTTPNotFound


def segments_of(path: str) -> tuple[str, ...]:
    """The decoded segments of a path below ``/v2.0``. Raises ``HTTPNotFound``."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if any(not part or "/" in part or "\x00" in part for part in parts) or parts[0] != "v2.0":
        raise HTTPNotFound
    parts[-1] = parts[-1].removesuffix(".json")
    return tuple(parts[1:])


def collection_key(segment: str) -> str:
    """A collection's or action's name with dashes only, as it is looked up."""
    return segment.replace("_", "-")


def verbs(request: Request, **answers: Callable[[], Answer]) -> Answer:
    """The answer of the request's verb. Raises ``HTTPMethodNotAllowed`` when it is not among ``answers``."""
    if request.method not in answers:
        raise HTTPMethodNotAllowed
    return answers[request.method]()
