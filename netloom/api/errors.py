"""Errors of the HTTP layer, and how every error looks on the wire."""

from netloom.api.http import Answer, answer_json
from netloom.model.errors import ApiError, HTTPBadRequest


class Unauthorized(ApiError):
    """No token, or one that is not valid."""

    status = 401
    message = "The request you have made requires authentication."


class HTTPMethodNotAllowed(ApiError):
    """The path exists, but not with this verb."""

    status = 405
    message = "The method is not allowed for this resource."


class HTTPNotAcceptable(ApiError):
    """The client does not accept JSON."""

    status = 406
    message = "Only application/json is available."


class HTTPRequestEntityTooLarge(ApiError):
    """The body is longer than we read."""

    status = 413
    message = "Request is too large."


class HTTPNotImplemented(ApiError):
    """The reference has the path, but nothing behind it."""

    status = 501


class HTTPInternalServerError(ApiError):
    """A fault of ours; details are in the log only."""

    message = "Request Failed: internal server error while processing your request."


def invalid(name: str, reason: object) -> HTTPBadRequest:
    """The error for an attribute whose value does not fit."""
    return HTTPBadRequest(f"Invalid input for {name}. Reason: {reason}.")


def error_answer(error: ApiError) -> Answer:
    """The answer that tells a client of ``error``."""
    if isinstance(error, Unauthorized):
        return Answer(401, str(error).encode(), "text/plain; charset=utf-8", {"WWW-Authenticate": "Keystone"})
    return answer_json(error.status, {"NeutronError": {"type": error.type, "message": str(error), "detail": ""}})
