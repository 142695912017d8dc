"""Does `autorepost migrate --check` notice when tables and models part?"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from autorepost_app.cli import main
from autorepost_app.persistence.schema import create_database
from autorepost_app.persistence.server import EmbeddedPostgres


@pytest.fixture
def owner(postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty database of its own, and the settings that lead there."""
    name = f"check_{tmp_path.name}"
    create_database(postgres.admin_url(), name)
    monkeypatch.setenv("AUTOREPOST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AUTOREPOST_DATABASE_URL", postgres.admin_url(name))
    return postgres.address(name).url(None)


def test_migrations_make_exactly_what_the_models_say(owner: str) -> None:
    done = CliRunner().invoke(main, ["migrate", "--check"])
    assert done.exit_code == 0, done.output


def test_a_column_that_no_model_knows_fails_the_check(owner: str) -> None:
    assert CliRunner().invoke(main, ["migrate"]).exit_code == 0
    with psycopg.connect(owner) as connection:
        connection.execute("alter table tenants add column shoe_size integer")
    done = CliRunner().invoke(main, ["migrate", "--check"])
    assert done.exit_code == 1
    assert "shoe_size" in done.output
