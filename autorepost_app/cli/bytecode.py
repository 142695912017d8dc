"""Where does Python keep what it has compiled, where it may not keep it beside the sources?

Dagster, Streamlit and SQLAlchemy are fifteen hundred modules. Half of a start's work would be compiling them anew in
each process, under PYTHONDONTWRITEBYTECODE or with packages in a folder that this user cannot write to.
"""

from __future__ import annotations

import os
import sys
from importlib.util import cache_from_source, find_spec
from pathlib import Path

_HOME = ".autorepost"
_LARGEST = "dagster"


def bytecode_settings() -> dict[str, str]:
    """What the processes that are started from here find in their environment."""
    if sys.pycache_prefix or not _is_lost():
        return {}
    cache = Path(os.environ.get("AUTOREPOST_HOME") or _HOME, "cache", "bytecode")
    return {"PYTHONPYCACHEPREFIX": str(cache.absolute()), "PYTHONDONTWRITEBYTECODE": ""}


def _is_lost() -> bool:
    found = find_spec(_LARGEST)
    if found is None or found.origin is None or Path(cache_from_source(found.origin)).exists():
        return False
    return sys.dont_write_bytecode or not os.access(Path(found.origin).parent, os.W_OK)
