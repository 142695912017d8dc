"""What does the fork server hold ready, so that no run has to load it again?

Imported before the first fork. It opens nothing: no connection, no file, no thread is carried over a fork.
"""

import os

import httpcore  # noqa: F401  # httpx imports it, and the next ones, only when a client is used
import psycopg
import psycopg.types.numpy  # noqa: F401
from PIL import Image
from sqlalchemy.orm import configure_mappers

from autorepost_app.bootstrap import settings_from
from autorepost_app.domain.errors import UserError
from autorepost_app.media.binaries import resolve_binaries
from autorepost_app.media.errors import ToolsMissing
from autorepost_app.platform_kit.http import tls

configure_mappers()
Image.preinit()
tls()
try:
    _settings = settings_from(os.environ)
    resolve_binaries(_settings.ffmpeg_bin, _settings.ffprobe_bin)
except (UserError, ToolsMissing):
    pass  # the first step says it to the operator, in a run where it can be read
