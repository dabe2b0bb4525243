"""A simulated year of nights, judged from outside: a sample here, the whole year by `make year` (see year.py).

`ROPA_YEAR=365 ROPA_YEAR_SEED=7 pytest tests/acceptance/night` lives a year of one seed; what failed names its seed.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from pathlib import Path

import pytest
from clockwork import Service
from year import EVERYTHING, Year, at

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


ALSO = date(2028, 2, 27)
"""The start that is left to the campaigns."""


def starts() -> list[date]:
    """Both changes of the clock, and the end of a February that some periods are clipped to; of a whole year the day that
    the seed draws."""
    if not NIGHTS:
        return [date(2028, 3, 26), date(2027, 10, 31), ALSO]
    drawn = random.Random(SEED)
    return [date(drawn.choice((2027, 2028, 2029, 2031)), drawn.randrange(1, 13), drawn.randrange(1, 28))]


def marked() -> list[object]:
    """Return the starts as the test takes them: in a whole year none is left out."""
    return [pytest.param(day, marks=[pytest.mark.whole] if day == ALSO and not NIGHTS else []) for day in starts()]


@pytest.mark.parametrize("start", marked())
@pytest.mark.timeout(7200 if NIGHTS else 900)
def test_nights_of_every_kind_are_lived_through_as_they_should_be(tmp_path: Path, start: date) -> None:
    """Each start of the sample has a share of what can happen."""
    shares = starts()
    kinds = random.Random(SEED).sample(EVERYTHING, len(EVERYTHING))[shares.index(start) :: len(shares)]
    with made(tmp_path, SEED, start) as year:
        year.live(NIGHTS or 5, kinds)
        print(dict(year.seen))


IMPATIENT = "import ropa.schedule as s; s.LOOK_SECONDS = 1; s.PAUSES = (1, 1, 1)"


def test_a_service_that_nobody_asks_wakes_whatever_the_clock_does(tmp_path: Path) -> None:
    """Ten years ahead it does not count all the looks that it missed; set back, it does not sleep for ten years."""
    night = date(2027, 6, 1)
    with made(tmp_path, SEED, night) as year:
        year.set_up()
        year.sweep(night)
        year.stop(signal.SIGTERM)
        year.clock.set(at(night + timedelta(days=1), 1))
        year.service = Service(year.processes, before=IMPATIENT)
        before = year.judge.there()
        for wrong in (timedelta(days=3652), timedelta(days=-9000)):
            year.clock.set(at(night + timedelta(days=1), 2, 31) + wrong)
            code = "clock-forward" if wrong > timedelta() else "clock-behind"
            assert year.service.wait_for("failed", seconds=20)[-1]["code"] == code
        assert year.judge.there() == before
        year.clock.set(at(night + timedelta(days=1), 2, 31))
        year.service.wait_for("sweep", seconds=20)
        year.was_swept(night + timedelta(days=1))
        year.stop(signal.SIGTERM)
