"""All rules of the shared table come out of the sandbox over HTTP: is there a test for each platform that says so?"""

from __future__ import annotations

import ast
import json
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
HELD_BY = {
    "tiktok": (23, ["test_refusals.py::test_no_rule_of_the_table_is_without_an_origin"]),
    "instagram": (39, ["test_refusals.py::test_the_sandbox_can_give_every_documented_refusal_and_no_other"]),
    "x": (
        17,
        [
            "test_refusals.py::test_the_sandbox_can_give_every_refusal_of_the_taxonomy",
            "test_destination.py::test_a_video_x_cannot_read_is_refused_in_words_a_creator_understands",
        ],
    ),
    "youtube": (15, ["test_errors_over_http.py::test_no_rule_of_the_reference_is_left_out"]),
}
"""How many rules a platform has, and the tests that fail where one of them has no origin in the sandbox."""


def test_each_of_the_94_rules_is_held_by_a_test_of_its_platform() -> None:
    rules = json.loads((HERE / "errors.json").read_text())["rules"]
    counted = Counter(rule["platform"] for rule in rules)
    assert counted == {platform: count for platform, (count, _) in HELD_BY.items()}
    assert counted.total() == 94
    for platform, (_, tests) in HELD_BY.items():
        for file, _, test in (each.partition("::") for each in tests):
            module = ast.parse((HERE / platform / file).read_text())
            assert test in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}, (platform, test)
