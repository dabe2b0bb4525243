"""A simulated year of nights, judged from outside: a sample here, the whole year by `make year` (see year.py).

`ROPA_YEAR=365 ROPA_YEAR_SEED=7 pytest tests/acceptance/night` lives a year of one seed; what failed names its seed.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path

import pytest
from year import EVERYTHING, Year

NIGHTS = int(os.environ.get("ROPA_YEAR", "0"))
SEED = int(os.environ.get("ROPA_YEAR_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)


@contextmanager
def made(folder: Path, seed: int, start: date) -> Iterator[Year]:
    """A year to live, whose processes are gone in the end."""
    if shutil.which("cc") is None or shutil.which("setpriv") is None:
        missing = "cc and setpriv (Linux) move the clock of other processes"
        if os.environ.get("CI") == "true":
            pytest.fail(f"wall clock: {missing}")
        pytest.skip(f"wall clock: {missing}")
    print(f"seed {seed}, from {start}")
    year = Year(folder, seed, start)
    with closing(year.processes):
        yield year


@pytest.mark.parametrize("start", [date(2028, 3, 20), date(2027, 10, 25), date(2029, 2, 24)])
def test_nights_of_every_kind_are_lived_through_as_they_should_be(tmp_path: Path, start: date) -> None:
    """Around both changes of the clock, and the end of a February that some periods are clipped to."""
    with made(tmp_path, SEED, start) as year:
        kinds = list(EVERYTHING)
        year.random.shuffle(kinds)
        share = len(kinds) // 3 + 1
        part = {2028: 0, 2027: 1, 2029: 2}[start.year]
        order = random.Random(SEED).sample(sorted(EVERYTHING), len(EVERYTHING))
        year.live(8, order[part * share : (part + 1) * share])


@pytest.mark.campaign
@pytest.mark.skipif(not NIGHTS, reason="campaign: make year")
@pytest.mark.timeout(7200)
def test_a_year_of_nights_is_lived_through(tmp_path: Path) -> None:
    """As many nights as ``ROPA_YEAR`` says, from a day that the seed draws."""
    drawn = random.Random(SEED + 1)
    start = date(drawn.choice((2027, 2028, 2029, 2031)), drawn.randrange(1, 13), drawn.randrange(1, 28))
    with made(tmp_path, SEED, start) as year:
        year.live(NIGHTS)
        print(dict(year.seen))
