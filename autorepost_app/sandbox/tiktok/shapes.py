"""How do TikTok's answers look? The envelope, its errors, and the flat OAuth error."""

import secrets
from typing import Any

from starlette.responses import JSONResponse, Response

from autorepost_app.sandbox.platform import Refusal


def log_id() -> str:
    return "2026" + secrets.token_hex(13).upper()


def envelope(content: dict[str, Any]) -> Response:
    mark = log_id()
    body = {"data": content, "error": {"code": "ok", "message": "", "log_id": mark}}
    return JSONResponse(body, headers={"x-tt-logid": mark})


def error(code: str, message: str, status: int) -> Response:
    mark = log_id()
    body = {"data": {}, "error": {"code": code, "message": message, "log_id": mark}}
    return JSONResponse(body, status, {"x-tt-logid": mark})


def refuse(code: str, message: str, status: int) -> Refusal:
    return Refusal(error(code, message, status))


def refuse_oauth(code: str, description: str, status: int) -> Refusal:
    mark = log_id()
    body = {"error": code, "error_description": description, "log_id": mark}
    return Refusal(JSONResponse(body, status, {"x-tt-logid": mark}))
