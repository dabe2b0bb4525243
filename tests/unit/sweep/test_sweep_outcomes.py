"""Outcomes of a portion without an object for each record: the same as one by one."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropa.connector import Outcome, Outcomes, OutcomeWord
from ropa.sweep import outcomes

WORDS = st.sampled_from(list(OutcomeWord))


@st.composite
def told(draw):
    size = draw(st.integers(1, 6))
    keys = [(str(number),) for number in range(size)]
    odd = {
        pos: Outcome(
            keys[pos], draw(WORDS), draw(st.sampled_from([None, "423"])), version=draw(st.sampled_from([None, "v"]))
        )
        for pos in draw(st.sets(st.integers(0, size - 1)))
    }
    versions = draw(st.sampled_from([(), [f"v{number}" for number in range(size)]]))
    return Outcomes(keys, draw(WORDS), odd, versions)


@given(told(), st.sets(WORDS), st.data())
def test_what_is_said_of_columns_is_what_is_said_one_by_one(found, words, data):
    rows = list(found)
    assert list(outcomes.positions(found, words)) == [pos for pos, one in enumerate(rows) if one.word in words]
    assert outcomes.counts(found) == {
        str(word): count for word in OutcomeWord if (count := sum(one.word is word for one in rows))
    }
    assert outcomes.versions(found) == {pos: one.version for pos, one in enumerate(rows) if one.version is not None}
    start, stop = sorted(data.draw(st.tuples(st.integers(0, len(rows)), st.integers(0, len(rows)))))
    assert list(outcomes.part(found, start, stop)) == rows[start:stop]
    other = {start: Outcome(("x",), OutcomeWord.HELD)} if start < len(rows) else {}
    assert list(outcomes.changed(found, other)) == [other.get(pos, one) for pos, one in enumerate(rows)]
    spelled = outcomes.spelled(found)
    assert [text.partition(":")[0] for text in spelled] == [str(one.word) for one in rows]
    assert outcomes.accounts_for(found, list(found.keys))


def test_outcomes_are_spelled_as_the_ledger_has_them():
    keys = [("1",), ("2",), ("3",), ("4",)]
    odd = {
        1: Outcome(keys[1], OutcomeWord.FAILED, "423"),
        2: Outcome(keys[2], OutcomeWord.FAILED),
        3: Outcome(keys[3], OutcomeWord.RECOVERABLE, until=date(2026, 12, 1)),
    }
    found = Outcomes(keys, OutcomeWord.PURGED, odd)
    assert outcomes.spelled(found) == ["purged", "failed:423", "failed:unknown", "recoverable:2026-12-01"]


@pytest.mark.parametrize(
    "wrong",
    [
        Outcomes([("1",)], OutcomeWord.PURGED),
        Outcomes([("2",), ("1",)], OutcomeWord.PURGED),
        Outcomes([("1",), ("2",), ("3",)], OutcomeWord.PURGED),
        Outcomes([("1",), ("2",)], OutcomeWord.PURGED, {1: Outcome(("1",), OutcomeWord.HELD)}),
        Outcomes([("1",), ("2",)], OutcomeWord.PURGED, {2: Outcome(("2",), OutcomeWord.HELD)}),
        Outcomes([("1",), ("2",)], OutcomeWord.ANONYMISED, versions=["v"]),
    ],
)
def test_outcomes_of_other_records_or_in_another_order_account_for_nothing(wrong):
    assert not outcomes.accounts_for(wrong, [("1",), ("2",)])
