"""Under which name is a file kept? The name of the content, so that putting twice is putting once."""

import re
from uuid import UUID, uuid4

TEMPORARY = "tmp/"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]*")


def original_key(tenant_id: UUID, sha256: str, suffix: str = "mp4") -> str:
    return f"tenants/{tenant_id}/originals/{_sha256(sha256)}.{_name(suffix)}"


def rendition_key(tenant_id: UUID, original_sha256: str, fingerprint: str) -> str:
    return f"tenants/{tenant_id}/renditions/{_sha256(original_sha256)}-{_name(fingerprint)}.mp4"


def thumbnail_key(tenant_id: UUID, original_sha256: str) -> str:
    return f"tenants/{tenant_id}/thumbnails/{_sha256(original_sha256)}.jpg"


def temporary_key(suffix: str = "part") -> str:
    """Swept after a while, whatever became of its maker."""
    return f"{TEMPORARY}{uuid4()}.{_name(suffix)}"


def check_key(key: str) -> str:
    """The key itself if every part of it is a plain name: nothing absolute, hidden or upward."""
    for part in key.split("/"):
        _name(part)
    return key


def _sha256(text: str) -> str:
    if not _SHA256.fullmatch(text):
        raise ValueError("a content hash has 64 lower-case hexadecimal digits")
    return text


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text!r} cannot be part of a key")
    return text
