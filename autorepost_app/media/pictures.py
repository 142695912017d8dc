"""How does a picture of any kind become a plain JPEG, whatever somebody put into it?"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from autorepost_app.media.errors import MediaFault

_FORMATS: Final = ("JPEG", "PNG", "WEBP")
_LONGEST_SIDE: Final = 1920
_MOST_PIXELS: Final = 40_000_000


def save_jpeg(source: Path, target: Path) -> None:
    """Writes `target` anew from the pixels of `source`, no larger than 1920 on a side. Raises MediaFault."""
    try:
        with Image.open(source, formats=_FORMATS) as picture:
            if picture.width * picture.height > _MOST_PIXELS:
                raise MediaFault(f"a picture of {picture.width} x {picture.height} is too large")
            # Cameras write which way is up beside the picture, and nothing beside it is kept.
            plain = ImageOps.exif_transpose(picture).convert("RGB")
            plain.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
            plain.save(target, "JPEG", quality=90)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise MediaFault(f"the picture cannot be read: {error}") from error
