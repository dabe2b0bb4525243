"""A plan of very many targets: one ledger line, and the plan before found without going through all of them."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest
from sqlalchemy.orm import Session

from ropa.config import Safety
from ropa.database import migrate, open_database
from ropa.ledger.canonical import MAX_LINE, canonical
from ropa.ledger.events import TYPES
from ropa.sweep.digest import ledger_fields
from ropa.sweep.previous import previous_records
from ropa.sweep.tables import PlanRow, TargetRow

SITE = SimpleNamespace(config=SimpleNamespace(safety=Safety()))
SUMMED = ("due", "held", "blocked", "unanchored", "records")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


def plan_row(**more):
    given = {"as_of": date(2026, 11, 22), "created_at": NOW, "author": "a1", "policy": "p", "register_revision": 1}
    return PlanRow(**({**given, "tool": "t", "digest": "0" * 64, "state": "pending"} | more))


def target_row(number, **more):
    given = {"plan_id": 1, "position": number, "identity": f"t{number}", "location": "crm", "dataset": f"d{number:05}"}
    given |= {"scope": "row", "data": ["*"], "action": "purge", "rules": [f"rule-{number}"], "revisions": []}
    return TargetRow(**(given | {"cutoffs": {}, "population": 9} | more))


def told(rows):
    event = ledger_fields(SITE, plan_row(), rows, 0)
    assert all(check(event[name]) for name, check in TYPES["plan"].required.items())
    assert len(canonical(event)) < MAX_LINE - 250, "what every line has needs room too"
    for name in SUMMED:
        assert sum(target[name] for target in event["targets"]) == sum(getattr(row, name) for row in rows)
    assert all(t["due"] == t["held"] + t["blocked"] + t["records"] for t in event["targets"])
    return event["targets"]


def test_each_target_is_told_where_they_fit_in_one_line():
    assert [target["dataset"] for target in told([target_row(n) for n in range(300)])] == [
        f"crm.d{number:05}" for number in range(300)
    ]


def test_of_more_those_that_have_something_to_tell_are_told_and_the_others_summed_up():
    rows = [target_row(n) for n in range(9_998)]
    rows += [target_row(9_998, due=3, held=1, records=2), target_row(9_999, unanchored=4, action="flag")]
    targets = told(rows)
    assert [target["dataset"] for target in targets] == ["crm.d09998", "crm.d09999", "*"]
    assert targets[2]["rules"] == ["*"]


def test_where_too_many_have_something_to_tell_all_are_summed_up_by_scope_and_action():
    kinds = [("row", "purge"), ("field", "anonymise"), ("row", "flag")]
    rows = [target_row(n, due=2, blocked=1, records=1, scope=s, action=a) for n in range(3_000) for s, a in kinds]
    targets = told(rows)
    assert [(target["dataset"], target["scope"], target["action"]) for target in targets] == [
        ("*", scope, action) for scope, action in kinds
    ]


@pytest.fixture
def session(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path / 'ropa.db'}")
    migrate(engine)
    with Session(engine) as opened:
        yield opened
    engine.dispose()


def plans(session, *made):
    """Write plans, each with the records of its targets by number; None: not read."""
    for more, records in made:
        plan = plan_row(**more)
        session.add(plan)
        session.flush()
        session.add_all(
            target_row(n, plan_id=plan.id, records=found or 0, population=None if found is None else 9)
            for n, found in records.items()
        )
        session.flush()


def test_the_plan_before_is_the_newest_that_read_the_target_wholly(session):
    plans(
        session,
        ({}, {1: 10, 2: 20, 3: 30}),
        ({}, {1: 11, 2: None}),
        ({"is_forecast": True}, {1: 98, 2: 98, 3: 98}),
        ({"reapplies": "crm"}, {1: 97}),
        ({"digest": ""}, {1: 96}),
        ({}, {1: 95}),
    )
    assert previous_records(session, 6, ["t1", "t2", "t3", "t4"]) == {"t1": 11, "t2": 20, "t3": 30, "t4": None}
    assert previous_records(session, 1, ["t1"]) == {"t1": None}
    assert previous_records(session, 6, []) == {}


def test_many_targets_are_looked_up_as_few_are(session):
    plans(session, ({}, dict.fromkeys(range(700), 5)), ({}, dict.fromkeys(range(100, 700), 0)), ({}, {}))
    found = previous_records(session, 3, [f"t{n}" for n in range(701)])
    assert [found[f"t{n}"] for n in (0, 99, 100, 699, 700)] == [5, 5, 0, 0, None]
