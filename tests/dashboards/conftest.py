"""The app as one viewer runs it, on the house of the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from autorepost_app.bootstrap import close_house
from dashboards.house import this_house

APP = Path(__file__).parents[2] / "dashboards" / "app.py"


@pytest.fixture
def look(world, environ, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Runs the app; what is on the screen is in the value it returns."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    def look(timezone: str = "UTC") -> AppTest:
        app = AppTest.from_file(APP, default_timeout=30)
        app.context["timezone"] = timezone
        return app.run()

    yield look
    close_house(this_house())
    st.cache_resource.clear()
    st.cache_data.clear()
