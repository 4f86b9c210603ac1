"""Azure's error answers, word for word where a recording or a thread has them."""

from typing import Any, Self

from ..errors import TokenweirError

__all__ = ["Refused", "error_body", "error_for"]

_BUSY = "The service is temporarily unable to process your request. Please try again later."
_SORRY = "The server had an error while processing your request. Sorry about that!"
_FILTERED = (
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. "
    "Please modify your prompt and retry. To learn more about our content filtering policies please "
    "read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766"
)
_RATE_LIMIT = (
    "Requests to the {operation} Operation under Azure OpenAI API version {version} have exceeded token "
    "rate limit of your current OpenAI S0 pricing tier. Please retry after {seconds} seconds. Please go "
    "here: https://aka.ms/oai/quotaincrease if you would like to further increase the default rate limit."
)
_WRONG_KEY = (
    "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid "
    "key for an active subscription and use a correct regional API endpoint for your resource."
)
_NO_DEPLOYMENT = (
    "The API deployment for this resource does not exist. If you created the deployment within the last "
    "5 minutes, please wait a moment and try again."
)

_BLOCKED: dict[str, Any] = {
    "hate": {"filtered": False, "severity": "safe"},
    "jailbreak": {"filtered": False, "detected": False},
    "self_harm": {"filtered": False, "severity": "safe"},
    "sexual": {"filtered": False, "severity": "safe"},
    "violence": {"filtered": True, "severity": "medium"},
}

_ERRORS: dict[int, dict[str, Any]] = {
    401: {"code": "401", "message": _WRONG_KEY},
    403: {"code": "403", "message": "Access denied due to Virtual Network/Firewall rules."},
    404: {"type": "invalid_request_error", "code": "DeploymentNotFound", "message": _NO_DEPLOYMENT},
    408: {"code": "Timeout", "message": "The operation was timeout."},
    500: {"message": _SORRY, "type": "server_error", "param": None, "code": None},
    503: {"code": "ServiceUnavailable", "message": _BUSY},
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class Refused(TokenweirError):
    """A request that ends with an error answer. ``error`` is the member of that name in the body."""

    def __init__(self, status: int, error: dict[str, Any]) -> None:
        super().__init__(error.get("message"))
        self.status = status
        self.error = error

    @classmethod
    def bad_request(cls, message: str, param: str | None = None, code: str | None = None) -> Self:
        kind = "invalid_request_error"
        return cls(400, {"message": message, "type": kind, "param": param, "code": code})

    @classmethod
    def not_found(cls) -> Self:
        """A path or an api-version that Azure does not know."""
        return cls(404, {"code": "404", "message": "Resource not found"})

    @classmethod
    def no_such_object(cls, kind: str, id: str) -> Self:
        message = f"No {kind} with id '{id}' was found here."
        return cls(404, {"message": message, "type": "invalid_request_error", "param": None, "code": None})

    @classmethod
    def missing(cls, member: str) -> Self:
        return cls.bad_request(f"Missing required parameter: '{member}'.", member, "missing_required_parameter")

    @classmethod
    def wrong_key(cls) -> Self:
        return cls(401, _ERRORS[401])

    @classmethod
    def prompt_filtered(cls) -> Self:
        """Documented as billed for the prompt, although the answer says nothing about usage."""
        inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": _BLOCKED}
        return cls(
            400,
            {
                "message": _FILTERED,
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": inner,
            },
        )


def error_for(status: int, operation: str, api_version: str | None, retry_after: int) -> dict[str, Any]:
    """The error that Azure answers with this status; ``retry_after`` in whole seconds."""
    if status == 429:
        message = _RATE_LIMIT.format(operation=operation, version=api_version or "preview", seconds=retry_after)
        return {"code": "429", "message": message}
    return _ERRORS.get(status) or {"code": str(status), "message": f"The simulator was told to say {status}."}


def error_body(error: Refused, request_id: str, *, anthropic: bool = False) -> dict[str, Any]:
    """The body of an error answer, as Azure or as Anthropic words it."""
    if not anthropic:
        return {"error": error.error}
    kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
    told = "Overloaded" if error.status == 529 else str(error)
    return {"type": "error", "error": {"type": kind, "message": told}, "request_id": f"req_{request_id}"}
