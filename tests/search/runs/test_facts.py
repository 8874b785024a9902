"""The objects of `--json`: the schema of the documentation is that of the code."""

import json
import re
from pathlib import Path

import pytest

from search.runs.facts import SCHEMA, event_facts, fact, progress_facts, trial_facts
from search.runs.journal import TrialRecord
from search.runs.progress import Watch

PAGE = Path(__file__).resolve().parents[3] / "docs" / "json-lines.md"


def test_the_page_has_every_kind_with_every_field_and_its_meaning():
    sections = re.split(r"^## `(\w+)`.*$", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    shown = dict(zip(sections[::2], sections[1::2], strict=True))
    assert list(shown) == list(SCHEMA)
    for kind, text in shown.items():
        rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", text, flags=re.MULTILINE)
        assert dict(rows) == SCHEMA[kind]


def test_an_object_has_all_fields_of_its_kind_in_order_and_no_number_that_json_lacks():
    record = TrialRecord(3, {"loss.margin": 2.0}, "running", 4, float("nan"), {"loss": float("inf")}, epochs=9)
    event = {"event": "start", "trial": 3, "time": "2026-01-01T00:00:00", "values": {}, "node": "10.0.0.1"}
    for kind, item in {
        "trial": trial_facts(record, "r", "search"),
        "event": event_facts(event, "r", "search"),
        "progress": progress_facts(Watch(4).look([record]), "r", "search"),
    }.items():
        assert list(item) == ["kind", *SCHEMA[kind]]
        assert item["kind"] == kind
        assert json.loads(json.dumps(item, allow_nan=False)) == item
    assert trial_facts(record, "r", "search")["objective"] is None


def test_a_field_that_the_schema_lacks_is_refused():
    with pytest.raises(AssertionError, match="colour"):
        fact("store", colour="red")
