"""The same sums as other people's calendars: vectors recorded from two Temporal implementations."""

import json
import os
from datetime import date
from pathlib import Path

import pytest

from ropa.clock import Period, parse_period
from ropa.retention.periods import cutoff, due_on

BEDS = Path(os.environ.get("ROPA_BEDS") or Path(__file__).resolve().parents[4] / "shared" / "beds")
FIELDS = ("years", "months", "weeks", "days", "hours", "minutes", "seconds")
FRACTIONS = ("milliseconds", "microseconds", "nanoseconds")


def _vectors(name):
    path = BEDS / "vectors" / name
    if not path.is_file():
        pytest.skip(f"beds absent: {path}")
    return json.loads(path.read_text(encoding="utf-8"))


def _sums(name, result):
    """The additions in ``name`` whose duration is a whole positive number of days or more."""
    for vector in _vectors(name)["vectors"]:
        if vector["op"] != "add" or result not in vector or vector["duration"].startswith("-"):
            continue
        if "T" in vector["duration"] or vector.get("overflow") == "reject":
            continue
        yield date.fromisoformat(vector["start"][:10]), parse_period(vector["duration"]), vector[result]


@pytest.mark.parametrize(
    ("name", "result", "at_least"),
    [("temporal_plaindate.json", "result", 60), ("brussels_zoned.json", "plain_date_result", 500)],
)
def test_the_last_day_is_the_one_that_temporal_computes(name, result, at_least):
    count = 0
    for start, period, expected in _sums(name, result):
        last = due_on(start, period, "anchor")
        assert last == date.fromisoformat(expected), (start, period)
        assert cutoff(last, period, "anchor") <= start, (start, period)
        count += 1
    assert count >= at_least


def test_durations_that_temporal_refuses_are_refused():
    candidates = _vectors("duration_parse.json")["invalid_candidates"]
    assert len(candidates) >= 40
    for text in candidates:
        with pytest.raises(ValueError):
            parse_period(text)


def test_whole_positive_durations_are_read_as_temporal_reads_them_and_others_are_refused():
    read = 0
    for vector in _vectors("duration_parse.json")["valid"]:
        numbers = [vector["fields"][name] for name in FIELDS]
        fractions = [vector["fields"][name] for name in FRACTIONS]
        is_whole = not any(fractions) and not any(mark in vector["text"] for mark in ".,")
        if is_whole and min(numbers) >= 0:
            assert parse_period(vector["text"]) == Period(*numbers), vector["text"]
            read += 1
        else:
            with pytest.raises(ValueError):
                parse_period(vector["text"])
    assert read >= 4
