"""What can be wrong with a lab."""


class LabError(Exception):
    """A lab cannot do what was asked; the text says why and what to do."""


class LayoutError(LabError):
    """A layout's file is wrong; the text names the file and the key, and says what is allowed."""


class BootError(LabError):
    """A host did not start; the text has what it said."""
