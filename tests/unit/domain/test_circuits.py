"""How long a platform that does not answer is left alone."""

from __future__ import annotations

import uuid

import pytest

from autorepost_app.domain.circuits import REST_SECONDS, rest_seconds
from autorepost_app.domain.waking import share


def test_each_opening_in_a_row_rests_longer_up_to_a_quarter_of_an_hour() -> None:
    rests = [rest_seconds(openings) for openings in range(1, 9)]

    assert rests[0] == 60.0
    assert rests == sorted(rests)
    assert rests[-1] == REST_SECONDS[-1] == 900.0


def test_those_that_wait_together_come_back_apart() -> None:
    shares = [share(str(uuid.UUID(int=number << 96))) for number in range(0, 2**32, 2**28)]

    assert shares == pytest.approx([number / 16 for number in range(16)])
    assert all(0 <= each < 1 for each in shares)
