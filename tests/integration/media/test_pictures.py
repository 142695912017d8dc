"""Whatever somebody calls a cover picture: a plain JPEG comes out of it, or words."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from autorepost_app.media.errors import MediaFault
from autorepost_app.media.pictures import save_jpeg


def picture(kind: str, size: tuple[int, int] = (40, 60), mode: str = "RGB", **more: object) -> bytes:
    held = io.BytesIO()
    Image.new(mode, size, "red").save(held, kind, **more)
    return held.getvalue()


def saved(tmp_path: Path, content: bytes) -> Path:
    source, target = tmp_path / "cover", tmp_path / "cover.jpg"
    source.write_bytes(content)
    save_jpeg(source, target)
    return target


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("PNG", "RGBA"), ("PNG", "P"), ("WEBP", "RGB")])
def test_every_kind_that_covers_come_in_becomes_a_jpeg(tmp_path: Path, kind: str, mode: str) -> None:
    with Image.open(saved(tmp_path, picture(kind, mode=mode))) as made:
        assert (made.format, made.mode, made.size) == ("JPEG", "RGB", (40, 60))


def test_a_large_picture_is_made_smaller_and_keeps_its_shape(tmp_path: Path) -> None:
    with Image.open(saved(tmp_path, picture("JPEG", (2160, 3840)))) as made:
        assert made.size == (1080, 1920)


def test_what_a_camera_wrote_beside_the_picture_is_left_behind(tmp_path: Path) -> None:
    notes = Image.Exif()
    notes[0x010E] = "where I live"
    assert b"where I live" not in saved(tmp_path, picture("JPEG", exif=notes.tobytes())).read_bytes()


def test_a_picture_that_a_camera_held_on_its_side_stands_upright(tmp_path: Path) -> None:
    lying = Image.new("RGB", (60, 40), "blue")
    lying.paste("red", (0, 0, 30, 40))
    held, turned = io.BytesIO(), Image.Exif()
    turned[0x0112] = 6  # to be shown a quarter turned clockwise
    lying.save(held, "JPEG", exif=turned.tobytes())

    with Image.open(saved(tmp_path, held.getvalue())) as made:
        assert made.size == (40, 60)
        above, below = (made.getpixel((20, y)) for y in (10, 50))
        assert (above[0] > 200, above[2] < 50) == (True, True), "red was on the left, so it is on top"
        assert (below[0] < 50, below[2] > 200) == (True, True)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>expired</html>",
        picture("JPEG")[:300],
        picture("GIF"),
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        picture("PNG", (9000, 9000)),
    ],
    ids=["nothing", "a page", "half a picture", "a GIF", "a program", "81 million pixels"],
)
def test_what_is_no_cover_is_refused_and_leaves_no_file(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(MediaFault):
        saved(tmp_path, content)
    assert not (tmp_path / "cover.jpg").exists()
