"""Which refusals is X known to give, and how does each look on the wire?

The sandbox gives many of them by itself when a request deserves them; the rest need circumstances that a sandbox has
none of (no credits, an app that was never enrolled). `GET /_sandbox/x/refusals` hands all of them out by name as
parameters of the fault `error`, so that any call can be refused in any known way.
"""

from dataclasses import dataclass, field
from typing import Any

from autorepost_app.sandbox.x import shapes
from autorepost_app.sandbox.x.posts import DUPLICATE

_APP = 1501987213
_CONSOLE = "https://developer.x.com/en/docs/projects/overview"
_INVALID = "One or more parameters to your request was invalid."
_FORBIDDEN = "You are not permitted to perform this action."
_NOT_ENROLLED = "When authenticating requests, you must use keys and tokens from a developer app attached to a project."


@dataclass(frozen=True)
class Documented:
    status: int
    title: str
    detail: str
    kind: str = "about:blank"
    more: dict[str, Any] = field(default_factory=dict)

    def as_fault(self) -> dict[str, Any]:
        body = shapes.problem_body(self.status, self.title, self.detail, self.kind, **self.more)
        return {"status": self.status, "body": body}


@dataclass(frozen=True)
class DocumentedOAuth:
    status: int
    error: str
    description: str

    def as_fault(self) -> dict[str, Any]:
        return {"status": self.status, "body": {"error": self.error, "error_description": self.description}}


@dataclass(frozen=True)
class Edge:
    """What stands before X refuses with a page, or with nothing at all."""

    status: int
    body: str = ""

    def as_fault(self) -> dict[str, Any]:
        return {"status": self.status, "body": self.body}


def _inner(message: str, **parameters: Any) -> dict[str, Any]:
    return {"errors": [{"parameters": parameters, "message": message}]}


REFUSALS: dict[str, Documented | DocumentedOAuth | Edge] = {
    "duplicate": Documented(403, "Forbidden", DUPLICATE),
    "credits_depleted": Documented(
        402,
        "CreditsDepleted",
        f"Your enrolled account [{_APP}] does not have any credits to fulfill this request.",
        "credits",
        {"account_id": _APP},
    ),
    "usage_capped": Documented(
        429,
        "UsageCapExceeded",
        "Usage cap exceeded: Monthly product cap",
        "usage-capped",
        {"period": "Monthly", "scope": "Product", "account_id": _APP},
    ),
    "too_many_requests": Documented(429, "Too Many Requests", "Too Many Requests"),
    "rate_limit_exceeded": Documented(429, "Rate limit exceeded", "Rate limit exceeded", "rate-limit-exceeded"),
    "unauthorized": Documented(401, "Unauthorized", "Unauthorized"),
    "client_not_enrolled": Documented(
        403,
        "Client Forbidden",
        _NOT_ENROLLED,
        "client-forbidden",
        {"reason": "client-not-enrolled", "registration_url": _CONSOLE, "required_enrollment": "Standard Basic"},
    ),
    "official_client_forbidden": Documented(
        403, "Client Forbidden", "Forbidden client", "client-forbidden", {"reason": "official-client-forbidden"}
    ),
    "unsupported_authentication": Documented(
        403,
        "Unsupported Authentication",
        "Authenticating with OAuth 2.0 Application-Only is forbidden for this endpoint.",
        "unsupported-authentication",
    ),
    "video_too_long": Documented(403, "Forbidden", "This user is not allowed to post a video longer than 2 minutes"),
    "not_permitted": Documented(403, "Forbidden", _FORBIDDEN),
    "suspended": Documented(403, "Forbidden", shapes.SUSPENDED),
    "feature_not_permitted": Documented(403, "Forbidden", "Your account is not permitted to access this feature."),
    "media_ids_invalid": Documented(
        400,
        "Invalid Request",
        _INVALID,
        "invalid-request",
        _inner("Your media IDs are invalid.", **{"media.media_ids": ["1"]}),
    ),
    "invalid_request": Documented(400, "Invalid Request", _INVALID, "invalid-request", _inner("text", text=["x"])),
    "invalid_url": Documented(400, "Invalid Request", "The Tweet contains an invalid URL."),
    "resource_not_found": Documented(404, "Not Found Error", "Could not find user with id: [1].", "resource-not-found"),
    "dead_token": DocumentedOAuth(400, "invalid_request", "Value passed for the token was invalid."),
    "dead_code": DocumentedOAuth(400, "invalid_request", "Value passed for the authorization code was invalid."),
    "foreign_code": DocumentedOAuth(400, "invalid_request", "Value passed for the code verifier was invalid."),
    "redirect_uri": DocumentedOAuth(400, "invalid_request", "Value passed for the redirect uri was invalid."),
    "unknown_app": DocumentedOAuth(401, "unauthorized_client", "Missing valid authorization header"),
    "segment_too_large": Edge(413),
    "headers_too_large": Edge(431),
    "edge_page": Edge(403, "<html><title>Attention Required!</title></html>"),
    "internal_error": Documented(500, "Internal Server Error", "Internal Server Error"),
    "bad_gateway": Edge(502, "<html>502 Bad Gateway</html>"),
    "unavailable": Documented(503, "Service Unavailable", "Service Unavailable"),
    "gateway_timeout": Edge(504),
}
