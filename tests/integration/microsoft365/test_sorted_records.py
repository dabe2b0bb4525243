"""What the sorter makes of records that are passed over, come again, or go while they are listed."""

from __future__ import annotations

from datetime import date

import pytest

from connectors.microsoft365.records import Sorter
from ropa.connector import Note

DAY = (date(2020, 1, 1),)


@pytest.mark.parametrize("run", [1, 2, 100])
def test_of_one_key_the_last_word_counts_and_each_is_counted_once(run):
    sorter = Sorter("items", run=run)
    sorter.add(("c",), "1", DAY)
    sorter.add(("b",), "1", DAY, Note(is_spared=True))
    sorter.pass_over(("a",))
    sorter.pass_over(("d",), is_undated=True)
    sorter.add(("e",), "1", DAY)
    sorter.add(("f",), "1", DAY, Note(is_spared=True))
    # Once more, in another state.
    sorter.pass_over(("c",))
    sorter.add(("a",), "2", DAY)
    sorter.forget(("e",))
    sorter.add(("f",), "2", DAY)
    batches = list(sorter.batches(2))
    assert [(found.key, found.version, found.is_spared) for batch in batches for found in batch.records] == [
        (("a",), "2", False), (("b",), "1", True), (("f",), "2", False),
    ]  # fmt: skip
    assert (sorter.population, sorter.undated) == (5, 1)
