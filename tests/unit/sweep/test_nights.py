"""Nights on which nothing was enforced: from the runs, for the whole and for each target."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from ropa.sweep.nights import Gap, Nights, gaps, missed, nights_swept
from ropa.sweep.tables import PlanRow, RunRow, TargetRow

ZONE = ZoneInfo("Europe/Brussels")
FIRST = date(2026, 3, 1)


def day(number):
    return FIRST + timedelta(days=number - 1)


@dataclass
class Run:
    swept_on: date | None
    mode: str = "sweep"
    state: str = "complete"
    started_at: datetime = datetime(2026, 3, 1, 1, 30, tzinfo=UTC)


def test_days_in_a_row_are_one_gap_and_the_newest_comes_first():
    assert gaps([day(9), day(2), day(3), day(4), day(3)]) == (
        Gap(from_on=day(9), to_on=day(9), nights=1),
        Gap(from_on=day(2), to_on=day(4), nights=3),
    )


def test_a_gap_goes_on_over_the_end_of_a_month_and_a_change_of_the_clock():
    (found,) = gaps([date(2026, 3, 28), date(2026, 3, 29), date(2026, 3, 30), date(2026, 3, 31), date(2026, 4, 1)])
    assert (found.to_on, found.nights) == (date(2026, 4, 1), 5)


def test_what_is_missed_lies_between_the_first_sweep_and_yesterday():
    assert missed({day(1), day(3)}, first=day(1), today=day(5)) == {day(2), day(4)}
    assert missed({day(1)}, first=day(1), today=day(1)) == frozenset()
    assert missed((), first=day(3), today=day(1)) == frozenset()  # a clock that was ahead


def test_where_no_sweep_ever_ran_no_night_is_missed():
    assert missed((), first=None, today=day(90)) == frozenset()


@pytest.mark.parametrize("state", ["partial", "aborted", "open"])
def test_only_a_sweep_that_is_complete_has_succeeded(state):
    runs = [Run(day(1)), Run(day(2), state=state), Run(day(3), mode="apply")]
    assert nights_swept(runs, ZONE) == {day(1)}
    assert nights_swept(runs, ZONE, succeeded=False) == {day(1), day(2)}


def test_a_sweep_without_a_night_of_its_own_belongs_to_the_controllers_day_on_which_it_began():
    late = datetime(2026, 2, 28, 23, 30, tzinfo=UTC)
    assert nights_swept([Run(None, started_at=late)], ZONE) == {FIRST}


# --- per target ---------------------------------------------------------------------------------------------------


@pytest.fixture
def session(run_state):
    with Session(run_state.engine()) as opened:
        yield opened


def swept(session, number, state="complete", targets=(), **more):
    at = datetime(2026, 3, number, 1, 30, tzinfo=UTC)
    plan = PlanRow(
        as_of=day(number),
        created_at=at,
        author="a",
        policy="p",
        register_revision=1,
        tool="t",
        state="applied",
        is_nightly=True,
    )
    session.add(plan)
    session.flush()
    run = RunRow(
        id=f"r{number}", mode="sweep", plan_id=plan.id, started_at=at, policy="p", register_revision=1, state=state
    )
    run.swept_on = day(number)
    session.add(run)
    for name, changes in dict(targets).items():
        values = {"approval": "none", "records": 0, "outcomes": {}} | changes
        session.add(
            TargetRow(
                plan_id=plan.id,
                position=0,
                identity=name,
                location="l",
                dataset="d",
                scope="row",
                data=["*"],
                action="purge",
                rules=["r"],
                revisions=[],
                cutoffs={},
                **values,
            )
        )
    session.flush()


def missed_by(session, name, today):
    return Nights.read(session, zone=ZONE, today=day(today)).missed(name)


def test_a_place_that_was_away_misses_the_night_and_the_others_do_not(session):
    swept(session, 1, targets={"crm": {}, "web": {}})
    swept(session, 2, "partial", {"crm": {}, "web": {"stopped_by": "unreachable"}})
    swept(session, 3, targets={"crm": {}, "web": {}})
    assert (missed_by(session, "web", 5), missed_by(session, "crm", 5)) == ({day(2), day(4)}, {day(4)})


@pytest.mark.parametrize(
    ("target", "is_missed"),
    [
        ({"stopped_by": "cap-share", "records": 5}, True),
        ({"refused_by": "cap-7-days", "records": 5, "outcomes": {"refused": 5}}, True),
        ({"records": 5, "outcomes": {"purged": 3}}, True),
        ({"records": 5, "outcomes": {"purged": 5}}, False),
        ({"records": 5, "outcomes": {"purged": 4, "failed": 1}}, False),
        ({"records": 5, "approval": "needed"}, False),
        ({"records": 5, "approval": "mandate", "refused_by": "not-approved", "outcomes": {"refused": 5}}, False),
    ],
)
def test_a_night_counts_where_all_was_done_that_the_sweep_was_allowed_to_do(session, target, is_missed):
    swept(session, 1, targets={"crm": {}})
    swept(session, 2, "partial", {"crm": target})
    assert missed_by(session, "crm", 3) == ({day(2)} if is_missed else set())


def test_a_sweep_that_broke_off_enforced_nothing(session):
    swept(session, 1, targets={"crm": {}})
    swept(session, 2, "aborted", {"crm": {"records": 1, "outcomes": {"purged": 1}}})
    assert missed_by(session, "crm", 3) == {day(2)}


def test_a_rule_misses_no_night_from_before_it_was_there(session):
    swept(session, 1, targets={"crm": {}})
    swept(session, 5, targets={"crm": {}, "new": {}})
    assert missed_by(session, "new", 7) == {day(6)}
    assert missed_by(session, "crm", 7) == {day(2), day(3), day(4), day(6)}
    assert missed_by(session, "never-planned", 7) == frozenset()
