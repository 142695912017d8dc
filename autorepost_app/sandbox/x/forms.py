"""What does a multipart body hold? Bytes for every part, since some clients name no file for theirs."""

import re
from email.message import Message

_NAME = re.compile(rb'^content-disposition:.*?[; ]name="?([^";\r\n]+)', re.IGNORECASE | re.MULTILINE)


def parts_of(content_type: str, body: bytes) -> dict[str, bytes]:
    """Every part by its name. Raises ValueError when it is no multipart body (RFC 2046)."""
    head = Message()
    head["content-type"] = content_type
    boundary = head.get_boundary()
    if not boundary:
        raise ValueError("the content type has no boundary")
    before, *parts, end = b"\r\n".join((b"", body)).split(b"\r\n--" + boundary.encode("latin-1"))
    if before or not end.startswith(b"--"):
        raise ValueError("the body does not end with its boundary")
    return dict(map(_named, parts))


def _named(part: bytes) -> tuple[str, bytes]:
    head, gap, content = part.partition(b"\r\n\r\n")
    name = _NAME.search(head)
    if not gap or name is None:
        raise ValueError("a part has no name")
    return name[1].decode("latin-1"), content
