"""How do X's answers look? Problems, OAuth errors and the old and new names of one thing."""

from typing import Any

from starlette.responses import JSONResponse, Response

from autorepost_app.sandbox.platform import Refusal

_PROBLEMS = "https://api.x.com/2/problems/"
SUSPENDED = "Your account is suspended and is not permitted to access this feature."


def problem_body(status: int, title: str, detail: str, kind: str = "about:blank", **more: Any) -> dict[str, Any]:
    where = kind if kind == "about:blank" else _PROBLEMS + kind
    return {"title": title, "detail": detail, "type": where, "status": status, **more}


def problem(status: int, title: str, detail: str, kind: str = "about:blank", **more: Any) -> Response:
    body = problem_body(status, title, detail, kind, **more)
    return JSONResponse(body, status, media_type="application/problem+json")


def invalid(message: str, **parameters: Any) -> Refusal:
    named = {key: value if isinstance(value, list) else [str(value)] for key, value in parameters.items()}
    return Refusal(
        problem(
            400,
            "Invalid Request",
            "One or more parameters to your request was invalid.",
            "invalid-request",
            errors=[{"parameters": named, "message": message}],
        )
    )


def forbidden(detail: str) -> Refusal:
    return Refusal(problem(403, "Forbidden", detail))


def unauthorized() -> Refusal:
    return Refusal(problem(401, "Unauthorized", "Unauthorized"))


def not_found(what: str, value: str) -> Refusal:
    text = f"Could not find {what} with id: [{value}]."
    return Refusal(problem(404, "Not Found Error", text, "resource-not-found"))


def refuse_oauth(status: int, error: str, description: str) -> Refusal:
    return Refusal(JSONResponse({"error": error, "error_description": description}, status))
