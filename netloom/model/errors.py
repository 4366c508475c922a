"""The API's errors. The class name is the ``type`` that clients see; the status belongs to the class.

Families declare theirs beside their resource; here are the bases and what all share.
"""


class ApiError(Exception):
    """An answer other than success. ``str(error)`` is the message for the client."""

    status = 500
    message = "An unknown error occurred."

    def __init__(self, message: str | None = None, **values: object) -> None:
        """Take a ready message, or values for the class's ``message`` template."""
        super().__init__(message if message is not None else self.message.format(**values))

    @property
    def type(self) -> str:
        """The ``type`` member of the error body."""
        return type(self).__name__


class BadRequest(ApiError):
    """The request itself is wrong."""

    status = 400
    message = "Bad {resource} request: {msg}."


class NotAuthorized(ApiError):
    """The caller may not do this."""

    status = 403
    message = "Not authorized."


class NotFound(ApiError):
    """The thing is not there, or the caller may not know that it is."""

    status = 404
    message = "An unknown exception occurred."


class Conflict(ApiError):
    """The request does not fit the present state."""

    status = 409
    message = "Conflict."


class PreconditionFailed(ApiError):
    """An ``If-Match`` constraint does not hold."""

    status = 412


class ServiceUnavailable(ApiError):
    """Try later."""

    status = 503
    message = "The service is unavailable."


class NotImplementedYet(ApiError):
    """The API has this call, but it is not offered."""

    status = 501


class HTTPBadRequest(BadRequest):
    """A request that does not fit its declaration (unknown, missing, malformed attributes, bad filters)."""


class HTTPNotFound(NotFound):
    """No such path, or an object hidden by policy."""

    message = "The resource could not be found."


class InvalidInput(BadRequest):
    """A value that is of the right form but makes no sense here."""

    message = "Invalid input for operation: {error_message}."


class PolicyNotAuthorized(NotAuthorized):
    """A policy rule refused."""

    message = "{action} is disallowed by policy"


class OverQuota(Conflict):
    """A quota does not allow more."""

    message = "Quota exceeded for resources: {overs}."


class RevisionNumberConstraintFailed(PreconditionFailed):
    """``If-Match: revision_number=N`` names a revision that is not the current one."""

    message = "Constrained to {expected}, but current revision is {current}"
