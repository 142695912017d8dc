"""How do Google's answers look? API errors by reason, OAuth errors, resources with a kind."""

from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from autorepost_app.sandbox.platform import Ask, Refusal

_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND"}


def error_body(status: int, reason: str, message: str, domain: str) -> dict[str, Any]:
    inner = {"message": message, "domain": domain, "reason": reason}
    named = {"status": _STATUS[status]} if status in _STATUS else {}
    return {"error": {"code": status, "message": message, "errors": [inner], **named}}


def api_error(status: int, reason: str, message: str, domain: str = "youtube.video") -> Response:
    return JSONResponse(error_body(status, reason, message, domain), status)


def refuse(status: int, reason: str, message: str, domain: str = "youtube.video") -> Refusal:
    return Refusal(api_error(status, reason, message, domain))


def quota_exceeded() -> Response:
    where = '<a href="/youtube/v3/getting-started#quota">quota</a>'
    text = f"The request cannot be completed because you have exceeded your {where}."
    return api_error(403, "quotaExceeded", text, "youtube.quota")


def refuse_oauth(status: int, error: str, description: str) -> Refusal:
    return Refusal(JSONResponse({"error": error, "error_description": description}, status))


def listing(kind: str, items: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A list of resources, `kind` being that of one of them."""
    info = {"totalResults": len(items), "resultsPerPage": len(items)}
    return {"kind": f"{kind}ListResponse", "etag": "sandbox", "items": items, "pageInfo": info, **more}


def paged(kind: str, items: list[dict[str, Any]], ask: Ask) -> dict[str, Any]:
    """One page of a list, as `maxResults` and `pageToken` ask for it."""
    size, start = min(number(ask, "maxResults", 5), 50), number(ask, "pageToken", 0)
    more = {"nextPageToken": str(start + size)} if start + size < len(items) else {}
    return listing(kind, items[start : start + size], **more)


def number(ask: Ask, name: str, default: int) -> int:
    text = ask.query_params.get(name, str(default))
    if not text.isdigit():
        raise refuse(400, "invalidParameter", f"Invalid value for {name}.", "youtube.parameter")
    return int(text)


def iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
