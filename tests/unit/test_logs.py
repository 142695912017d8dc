"""One line an event, in the format that was chosen, and never with a secret in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from autorepost_app import logs


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level


def test_a_program_reads_one_json_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("json")
    logging.getLogger("autorepost_app.web").warning("the store is %s", "slow")
    said = json.loads(capsys.readouterr().err)
    assert (said["event"], said["level"], said["logger"]) == ("the store is slow", "warning", "autorepost_app.web")
    assert said["timestamp"].endswith("Z")


def test_a_person_reads_words(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("pretty")
    logging.getLogger("autorepost_app.web").warning("the store is slow")
    line = capsys.readouterr().err
    assert "the store is slow" in line
    assert not line.startswith("{")


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_no_token_reaches_a_log_even_inside_a_traceback(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(log_format)
    try:
        raise RuntimeError("GET /me?access_token=very-secret failed")
    except RuntimeError:
        logging.getLogger("x").exception("Authorization: Bearer very-secret was refused")
    written = capsys.readouterr().err
    assert "very-secret" not in written
    assert "RuntimeError" in written
