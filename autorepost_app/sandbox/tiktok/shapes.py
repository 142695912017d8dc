"""How do TikTok's answers look? The envelope, its errors, the flat OAuth error, and what its pages carry."""

import json
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


def rehydration(page: str, detail: dict[str, Any]) -> str:
    """What a page carries for programs: `page` is `video-detail` or `user-detail`."""
    return script("__UNIVERSAL_DATA_FOR_REHYDRATION__", {"__DEFAULT_SCOPE__": {f"webapp.{page}": detail}})


def script(element: str, content: dict[str, Any]) -> str:
    text = json.dumps(content).replace("</", "<\\/")
    return f'<script id="{element}" type="application/json">{text}</script>'
