"""Options that our speed and privacy stand on, one of them hidden: does this Streamlit still know and read them?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXPECTED = {
    "runner.postScriptGC": False,
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "server.fileWatcherType": "none",
}
ASK = (
    "import json, streamlit as st; from streamlit import config; st.App('dashboards/app.py');"
    f"print(json.dumps({{name: config.get_option(name) for name in {list(EXPECTED)}}}))"
)


def test_the_settings_in_the_project_are_read_as_the_web_process_starts():
    ended = subprocess.run([sys.executable, "-c", ASK], cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout.splitlines()[-1]) == EXPECTED
