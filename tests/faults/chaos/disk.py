"""Where do the product's files lie, so that the disk can be full for a while and nothing else is hurt?

A small file system in memory that is mounted below the run's folder. Only root may mount; without it there is no full
disk, and the run says so.
"""

from __future__ import annotations

import errno
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

_MEGABYTES: Final = 160


class Disk:
    """Holds the store and the work folder of the product, if it could be mounted; else `why_not` says why."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.why_not = self._mount()
        self._ballast = folder / "ballast"

    def _mount(self) -> str:
        self.folder.mkdir(mode=0o700)
        if os.geteuid() != 0:
            return "only root may mount the small disk that would be filled"
        command = ["mount", "-t", "tmpfs", "-o", f"size={_MEGABYTES}m,mode=0700", "tmpfs", str(self.folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            return f"no disk can be mounted here: {error.strerror}"
        return "" if done.returncode == 0 else f"no disk can be mounted here: {done.stderr.strip()}"

    def take_in(self, home: Path) -> dict[str, str]:
        """Puts the product's files here; the settings that say so."""
        if self.why_not:
            return {}
        (self.folder / "work").mkdir(mode=0o700)
        (home / "work").symlink_to(self.folder / "work")
        return {"AUTOREPOST_STORE_URL": f"file://{self.folder / 'store'}"}

    def fill(self) -> None:
        """To the last block."""
        with self._ballast.open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(bytes(1 << 16))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        if not self.why_not:
            with suppress(OSError):
                subprocess.run(["umount", "--lazy", str(self.folder)], capture_output=True, check=False)
