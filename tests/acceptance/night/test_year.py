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


def starts() -> list[date]:
    """Both changes of the clock, and the end of a February that some periods are clipped to; of a whole year the day that
    the seed draws."""
    if not NIGHTS:
        return [date(2028, 3, 26), date(2027, 10, 31), date(2028, 2, 27)]
    drawn = random.Random(SEED)
    return [date(drawn.choice((2027, 2028, 2029, 2031)), drawn.randrange(1, 13), drawn.randrange(1, 28))]


@pytest.mark.parametrize("start", starts())
@pytest.mark.timeout(7200 if NIGHTS else 300)
def test_nights_of_every_kind_are_lived_through_as_they_should_be(tmp_path: Path, start: date) -> None:
    """Each start of the sample has a share of what can happen."""
    shares = starts()
    kinds = random.Random(SEED).sample(EVERYTHING, len(EVERYTHING))[shares.index(start) :: len(shares)]
    with made(tmp_path, SEED, start) as year:
        year.live(NIGHTS or 5, kinds)
        print(dict(year.seen))
