"""Lanes: several places at once, one error for all, and nothing that was begun is left alone."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ropa.connector import Outcome, Outcomes, OutcomeWord
from ropa.errors import BusyError, LedgerError, LocationError, RefusedError, RopaError
from ropa.sweep import crew
from ropa.sweep.crew import awaited, drive
from ropa.sweep.hand import Told
from ropa.sweep.helping import _spelled_error, read_error, read_told, spelled_told
from ropa.sweep.tables import BatchRow
from ropa.sweep.units import Portion


class Crew:
    """So many lanes; whoever asks is looked after by the test."""

    def __init__(self, lanes=2):
        self.lanes = lanes
        self.looks = 0

    def look(self):
        self.looks += 1


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as made:
        yield made


def run(lanes, *, at_once=2, tick=lambda: None):
    stopped = []
    try:
        return drive(lanes, Crew(at_once), stop=lambda: stopped.append(1), tick=tick), stopped
    except RopaError as error:
        return error, stopped


def test_results_stand_in_the_order_of_the_lanes_whichever_ends_first(pool):
    doors = [threading.Event() for _ in range(3)]

    def lane(number):
        def work():
            doors[number].wait(10)
            for door in doors[:number]:
                door.set()
            return number

        return (yield from awaited(pool.submit(work)))

    doors[2].set()
    assert run((lane(n) for n in range(3)), at_once=3) == ([0, 1, 2], [])


def test_no_more_lanes_are_begun_than_the_crew_has():
    begun, futures = [], []

    def lane(number):
        begun.append(number)
        futures.append(Future())
        if len(begun) == 2:
            futures[0].set_result("a")
        elif len(begun) > 2:
            for waiting in futures[1:]:
                waiting.set_result("b")
        return (yield from awaited(futures[-1]))

    found, _ = run(lane(n) for n in range(3))
    assert (begun, found) == ([0, 1, 2], ["a", "b", "b"])


def test_the_first_error_is_raised_once_what_is_in_hand_has_ended_and_nothing_new_is_begun():
    begun, ended, failing, slow = [], [], Future(), Future()

    def lane(number):
        begun.append(number)
        try:
            return (yield from awaited(failing if number == 0 else slow))
        finally:
            ended.append(number)

    def end_the_other():
        if ended == [0]:
            slow.set_exception(LocationError("second"))

    failing.set_exception(LocationError("first"))
    error, stopped = run((lane(n) for n in range(3)), tick=end_the_other)
    assert (error.message, stopped, begun, ended) == ("first", [1], [0], [0])

    begun.clear()
    ended.clear()
    failing = Future()
    ticks = []

    def fail_then_end():
        ticks.append(1)
        if len(ticks) == 1:
            failing.set_exception(LocationError("first"))
        elif not slow.done():
            slow.set_exception(LocationError("second"))

    crew_error, stopped = run((lane(n) for n in range(3)), tick=fail_then_end)
    assert (crew_error.message, stopped, begun, ended) == ("first", [1], [0, 1], [0, 1])


def test_an_error_of_the_tick_counts_as_one_of_a_lane():
    slow = Future()

    def lane():
        return (yield from awaited(slow))

    def lost():
        if slow.done():
            return
        slow.set_result(None)
        raise BusyError("another host took over the run", code="lease-lost")

    error, stopped = run([lane()], tick=lost)
    assert (error.code, stopped) == ("lease-lost", [1])


def test_ctrl_c_gives_up_what_is_in_hand(monkeypatch):
    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    def lane():
        return (yield from awaited(Future()))

    monkeypatch.setattr(crew, "wait", interrupted)
    stopped = []
    with pytest.raises(KeyboardInterrupt):
        drive([lane()], Crew(), stop=lambda: stopped.append(1), tick=lambda: None)
    assert stopped == [1]


# --- what workers tell ------------------------------------------------------------------------------------------------


@st.composite
def units(draw):
    """Portions of a unit, and what became of each."""
    portions, outcomes = [], []
    for number in range(draw(st.integers(1, 3))):
        keys = [(f"{number}-{n}", draw(st.text(max_size=3))) for n in range(draw(st.integers(1, 6)))]
        row = BatchRow(
            plan_id=1, target_id=number, unit=1, number=number, first_seq=0, last_seq=len(keys) - 1, root="",
            location="crm", dataset=f"d{number}", leaves=len(keys), run_id="r",
        )  # fmt: skip
        portions.append(Portion(row, None, type("C", (), {"keys": keys})(), {}, b""))
        outcomes.append(keys)
    told = []
    for portion, keys in zip(portions, outcomes, strict=True):
        odd = {
            pos: Outcome(
                keys[pos],
                draw(st.sampled_from(OutcomeWord)),
                draw(st.none() | st.sampled_from(["busy", "referenced"])),
                draw(st.none() | st.dates(date(2000, 1, 1), date(2100, 1, 1))),
                None if portion is portions[-1] else portion.row.dataset,
                draw(st.none() | st.text(max_size=4)),
            )
            for pos in draw(st.sets(st.integers(0, len(keys) - 1)))
        }
        versions = draw(st.just([]) | st.lists(st.text(max_size=3), min_size=len(keys), max_size=len(keys)))
        told.append(Outcomes(keys, draw(st.sampled_from(OutcomeWord)), odd, versions))
    return portions, Told(tuple(told), draw(st.sampled_from(["logical", "physical"])))


@given(units())
def test_what_a_worker_tells_is_read_as_it_was_told_and_has_no_key_in_it(made):
    portions, told = made
    document = spelled_told(told)
    found = read_told(document, portions)
    assert found.level == told.level
    for one, other in zip(found.outcomes, told.outcomes, strict=True):
        assert (list(one), list(one.versions)) == (list(other), list(other.versions))
    shown = repr({**document, "outcomes": [{**one, "versions": []} for one in document["outcomes"]]})
    assert not any(repr(key[0]) in shown for portion in portions for key in portion.keys)


def test_versions_that_do_not_account_for_every_record_are_refused():
    row = BatchRow(
        plan_id=1, target_id=1, unit=1, number=1, first_seq=0, last_seq=1, root="", location="crm", dataset="d",
        leaves=2, run_id="r",
    )  # fmt: skip
    portion = Portion(row, None, type("C", (), {"keys": [("1",), ("2",)]})(), {}, b"")
    told = Told((Outcomes(portion.keys, OutcomeWord.PURGED, {}, ["a", "b"]),), "logical")
    document = spelled_told(told)
    document["outcomes"][0]["versions"] = ["a"]
    with pytest.raises(LocationError, match="did not account"):
        read_told(document, [portion])


@pytest.mark.parametrize("kind", [LocationError, LedgerError, RefusedError, BusyError])
def test_an_error_of_a_worker_ends_the_run_as_one_of_its_own_would(kind):
    error = kind("nothing more", next_step="Look.", code="x")
    found = read_error(_spelled_error(error))
    assert (type(found), found.message, found.next_step, found.code) == (kind, "nothing more", "Look.", "x")
