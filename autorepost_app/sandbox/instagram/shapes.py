"""How do Instagram's answers look? Graph errors, the login host's own errors, usage headers, ids."""

import json
import secrets
from typing import Any

from starlette.responses import JSONResponse, Response

from autorepost_app.sandbox.platform import Refusal

# code, subcode, message, transient
SPAM = (4, 2207051, "Application request limit reached", False)
QUOTA = (9, 2207042, "Application request limit reached", False)
NO_MEDIA = (24, 2207006, "The requested resource does not exist", False)
NO_CONTAINER = (24, 2207008, "The requested resource does not exist", False)
NOT_READY = (9007, 2207027, "Media ID is not available", False)
UNFETCHABLE = (9004, 2207052, "Only photo or video can be accepted as media type.", False)
CAPTION_LONG = (36004, 2207010, "The caption was too long", False)
TOO_MANY_TAGS = (100, 2207040, "Invalid parameter", False)
MEDIA_TYPE = (100, 2207023, "Invalid parameter", False)
NO_OBJECT = (100, 33, "Unsupported get request. Object does not exist or cannot be loaded", False)
CONTAINER_LIMIT = (80002, None, "There have been too many calls to this Instagram account.", False)

# What a container's failure is about: the code a publish of it is refused with.
CODE_OF_SUBCODE = {
    2207003: -2,
    2207020: -2,
    2207001: -1,
    2207032: -1,
    2207053: -1,
    2207057: 1,
    2207026: 352,
    2207009: 36003,
    2207052: 9004,
    2207004: 36000,
    2207005: 36001,
}


def graph_error(
    code: int, subcode: int | None, message: str, transient: bool = False, *, status: int = 400, kind: str = ""
) -> Response:
    return JSONResponse(error_body(code, subcode, message, transient, kind), status)


def error_body(code: int, subcode: int | None, message: str, transient: bool = False, kind: str = "") -> dict[str, Any]:
    return {
        "error": {
            "message": f"(#{code}) {message}" if code > 0 and code != 190 else message,
            "type": kind or ("GraphMethodException" if subcode == 33 else "OAuthException"),
            "code": code,
            **({"error_subcode": subcode} if subcode is not None else {}),
            "is_transient": transient,
            "fbtrace_id": "A" + secrets.token_urlsafe(16),
        }
    }


def refuse(known: tuple[int, int | None, str, bool], *, status: int = 400) -> Refusal:
    return Refusal(graph_error(*known, status=status))


def refuse_token(subcode: int, message: str) -> Refusal:
    return Refusal(graph_error(190, subcode, message, status=401 if subcode == 467 else 400))


def refuse_login(message: str) -> Refusal:
    """The shape of api.instagram.com, which is not the Graph's."""
    return Refusal(JSONResponse({"error_type": "OAuthException", "code": 400, "error_message": message}, 400))


def usage_headers(account_id: str, *, percent: int, minutes: int = 0) -> dict[str, str]:
    app = {"call_count": percent, "total_time": percent, "total_cputime": percent}
    mine = {"type": "instagram", **app, "estimated_time_to_regain_access": minutes}
    return {
        "X-App-Usage": json.dumps(app),
        "X-Business-Use-Case-Usage": json.dumps({account_id: [mine]}),
    }


def listed(value: Any) -> list[Any] | None:
    """A list as forms carry it, in JSON; None where it is none."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return found if isinstance(found, list) else [] if found is None else None
