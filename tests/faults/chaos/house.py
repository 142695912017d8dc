"""`python house.py RELAY UPSTREAM`: the whole product as `autorepost up` runs it, its database behind a relay.

The addresses that the product writes down for its processes lead to the relay's socket in the folder RELAY; where the
server itself listens is written to the file UPSTREAM, at each start of it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from autorepost_app.cli.product import Product, current_settings
from autorepost_app.cli.terminal import errors_in_words
from autorepost_app.persistence.access import AccessFile
from autorepost_app.processes import ProcessSpec

_PATIENCE_SECONDS: Final = 240.0
"""A part that comes up on a machine on which everything else comes up as well takes longer than the usual minute."""


@dataclass
class RelayedProduct(Product):
    """Everything as it is, but for the way to the database."""

    relay: Path = Path()
    upstream: Path = Path()

    def _start_database(self) -> None:
        super()._start_database()
        access = AccessFile.of(self.settings.home).path
        direct = json.loads(access.read_text())
        _replace(self.upstream, str(make_url(direct["system"]).query["host"]))
        relayed = {role: _with_host(url, self.relay) for role, url in direct.items()}
        _replace(access, json.dumps(relayed))

    def _code_server(self) -> ProcessSpec:
        return replace(super()._code_server(), ready_timeout_seconds=_PATIENCE_SECONDS)

    def _web(self) -> ProcessSpec:
        return replace(super()._web(), ready_timeout_seconds=_PATIENCE_SECONDS)


def _with_host(url: str, folder: Path) -> str:
    return make_url(url).update_query_dict({"host": str(folder)}).render_as_string(hide_password=False)


def _replace(path: Path, content: str) -> None:
    """Whole or not at all, and as private as what was there: it holds passwords."""
    draft = path.with_name(f".{path.name}.relayed")
    draft.touch(mode=0o600)
    draft.write_text(content)
    draft.replace(path)


def main(relay: str, upstream: str) -> int:
    with errors_in_words():
        product = RelayedProduct(current_settings(), relay=Path(relay), upstream=Path(upstream))
        return product.run(lambda: None)


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
