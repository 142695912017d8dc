"""How do Google's answers look? API errors by reason, OAuth errors, resources with a kind."""

from starlette.responses import JSONResponse, Response

from autorepost_app.sandbox.platform import Refusal

_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


def api_error(status: int, reason: str, message: str, domain: str = "youtube.video") -> Response:
    inner = {"message": message, "domain": domain, "reason": reason}
    error = {"code": status, "message": message, "errors": [inner]}
    if status in _STATUS:
        error["status"] = _STATUS[status]
    return JSONResponse({"error": error}, status)


def refuse(status: int, reason: str, message: str, domain: str = "youtube.video") -> Refusal:
    return Refusal(api_error(status, reason, message, domain))


def quota_exceeded() -> Response:
    where = '<a href="/youtube/v3/getting-started#quota">quota</a>'
    text = f"The request cannot be completed because you have exceeded your {where}."
    return api_error(403, "quotaExceeded", text, "youtube.quota")


def refuse_oauth(status: int, error: str, description: str) -> Refusal:
    return Refusal(JSONResponse({"error": error, "error_description": description}, status))
