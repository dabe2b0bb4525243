from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from ropa.clock import parse_period
from ropa.config.models import Config, Location, Rule
from ropa.connector import Action, Anchor, AnchorPart, DatasetSpec, OutcomeWord, Parent
from ropa.register import Activity, DataUse, Register
from ropa.retention import compile_policy
from ropa.sweep.adherence import adherence
from ropa.sweep.history import runs
from ropa.sweep.standing import PATIENCE_DAYS, State, standings
from ropa.sweep.tables import BatchRow, PlanRow, RunRow, TargetRow

ZONE = ZoneInfo("Europe/Brussels")
DAY = date(2026, 11, 21)
AT = datetime(2026, 11, 21, 2, 30, tzinfo=UTC)


def dataset(name, *data, parent=None):
    return DatasetSpec(
        name=name,
        source=name,
        zone=ZONE,
        anchors={"created": Anchor("created", (AnchorPart("created_at"),))},
        data={category: (category,) for category in data},
        parent=parent,
    )


def rule(name, activity, full, data, period="6 months", action=Action.PURGE, **more):
    return Rule(name, activity, full, tuple(data), "created", parse_period(period), action, **more)


def config(rules, **places):
    """Each place: ``connector`` and its datasets."""
    locations = {
        name: Location(name, connector, datasets={spec.name: spec for spec in specs})
        for name, (connector, *specs) in places.items()
    }
    return Config(ZONE, "sha256:p", Path("/nowhere"), locations=locations, rules={r.name: r for r in rules})


def register(**activities):
    return Register(
        activities={
            key: Activity(title=key, data={category: DataUse() for category in data})
            for key, data in activities.items()
        }
    )


CRM = ("sql", dataset("people", "name", "email"))
SIMPLE = config([rule("r", "intake", "crm.people", ["name", "email"])], crm=CRM)
INTAKE = register(intake=["name", "email"])


@pytest.fixture
def session(run_state):
    with Session(run_state.engine()) as opened:
        yield opened


def plan(session, *, as_of=DAY, state="applied", is_forecast=False, at=AT, policy="sha256:p"):
    row = PlanRow(
        as_of=as_of,
        created_at=at,
        author="a",
        policy=policy,
        register_revision=4,
        tool="t",
        state=state,
        is_forecast=is_forecast,
    )
    session.add(row)
    session.flush()
    return row.id


def target(session, plan_id, compiled, *, dataset=None, late=1, as_of=DAY, **more):
    planned = more.pop("records", 0)
    held, blocked = more.pop("held", 0), more.pop("blocked", 0)
    name = dataset or compiled.dataset
    row = TargetRow(
        plan_id=plan_id,
        position=0,
        identity=compiled.identity if dataset is None else f"{compiled.identity}>{dataset}",
        location=compiled.location,
        dataset=name,
        scope=compiled.scope,
        data=list(compiled.data),
        action=str(compiled.action),
        rules=[r.name for r in compiled.rules],
        revisions=[],
        cutoffs={},
        due=planned + held + blocked,
        held=held,
        blocked=blocked,
        records=planned,
        oldest_due_on=as_of - timedelta(days=late),
        **more,
    )
    session.add(row)
    session.flush()
    return row


def run(session, plan_id, name="run", mode="apply", at=AT, **more):
    session.add(
        RunRow(id=name, mode=mode, plan_id=plan_id, started_at=at, policy="sha256:p", register_revision=4, **more)
    )
    session.flush()


def stand(session, policy=SIMPLE, **more):
    (found,) = standings(session, policy, compile_policy(policy), **more)
    return found


def one(session, state="applied", **more):
    """The standing of the only target, with one plan of these numbers."""
    (compiled,) = compile_policy(SIMPLE)
    target(session, plan(session, state=state), compiled, **more)
    return stand(session)


# --- targets ------------------------------------------------------------------------------------------------------


def test_a_target_that_no_plan_looked_at_is_never_scanned(session):
    found = stand(session)
    assert (found.state, found.plan, found.counts.due, found.population) == (State.NEVER_SCANNED, None, 0, None)


def test_what_was_due_and_went_is_enforced(session):
    found = one(session, records=5, outcomes={"purged": 3, "recoverable": 1, "absent": 1}, population=90)
    assert (found.state, found.worst_late_days, found.population) == (State.ENFORCED, 0, 90)
    assert (found.counts.due, found.counts.done, found.counts.recoverable, found.counts.absent) == (5, 5, 1, 1)


def test_nothing_due_is_enforced(session):
    assert one(session).state is State.ENFORCED


@pytest.mark.parametrize("outcome", ["failed", "unverified"])
def test_what_was_tried_and_fell_short_is_overdue_at_once(session, outcome):
    found = one(session, records=5, outcomes={"purged": 4, outcome: 1})
    assert (found.state, found.worst_late_days) == (State.OVERDUE, 1)


@pytest.mark.parametrize(("late", "state"), [(PATIENCE_DAYS, State.WAITING), (PATIENCE_DAYS + 1, State.OVERDUE)])
def test_what_waits_for_a_person_becomes_overdue_after_a_week(session, late, state):
    found = one(session, state="pending", records=5, late=late)
    assert (found.state, found.counts.waiting, found.worst_late_days) == (state, 5, late)


@pytest.mark.parametrize("state", ["rejected", "lapsed", "stale"])
def test_what_waits_in_a_plan_that_is_over_is_overdue(session, state):
    assert one(session, state=state, records=5).state is State.OVERDUE


def test_lateness_is_counted_to_today_where_today_is_said(session):
    (compiled,) = compile_policy(SIMPLE)
    target(session, plan(session, state="pending"), compiled, records=5, late=1)
    assert stand(session).state is State.WAITING
    later = stand(session, today=DAY + timedelta(days=30))
    assert (later.state, later.worst_late_days) == (State.OVERDUE, 31)


def test_what_changed_meanwhile_waits_for_the_next_plan(session):
    found = one(session, records=5, outcomes={"purged": 4, "changed": 1})
    assert (found.state, found.counts.changed) == (State.WAITING, 1)


def test_what_is_held_is_held_however_late(session):
    found = one(session, held=2, records=1, outcomes={"held": 1}, late=900)
    assert (found.state, found.counts.held, found.worst_late_days) == (State.HELD, 3, 900)


def test_what_is_blocked_is_blocked_and_says_by_what(session):
    found = one(session, blocked=2, records=1, outcomes={"blocked": 1}, blockers={"orders": 2})
    assert (found.state, found.counts.blocked, found.blockers) == (State.BLOCKED, 3, (("orders", 2),))


@pytest.mark.parametrize("found", [{"stopped_by": "unreachable"}, {"stopped_by": "cap-share", "records": 5}])
def test_what_a_safety_rule_stopped_is_stopped_even_where_nothing_is_known_to_be_due(session, found):
    assert one(session, **found).state is State.STOPPED


def test_what_a_run_refused_for_safety_is_stopped(session):
    found = one(session, records=5, refused_by="cap-7-days", outcomes={"refused": 5})
    assert (found.state, found.stopped_by, found.counts.refused) == (State.STOPPED, "cap-7-days", 5)


@pytest.mark.parametrize(("late", "state"), [(1, State.WAITING), (60, State.OVERDUE)])
def test_what_a_run_passed_over_for_want_of_approval_waits(session, late, state):
    found = one(session, records=5, refused_by="not-approved", outcomes={"refused": 5}, late=late)
    assert (found.state, found.stopped_by) == (state, None)


def test_what_was_flagged_before_is_still_due_and_waits_for_a_person(session):
    found = one(session, records=2, outcomes={"flagged": 2}, already_flagged=7)
    assert (found.state, found.counts.due, found.counts.flagged, found.counts.done) == (State.WAITING, 9, 9, 0)


def test_records_without_a_date_are_told_and_not_due(session):
    found = one(session, unanchored=3)
    assert (found.state, found.counts.unanchored, found.counts.due) == (State.ENFORCED, 3, 0)


def test_the_newest_plan_speaks_and_the_totals_add_up_all(session):
    (compiled,) = compile_policy(SIMPLE)
    old, new = plan(session, as_of=DAY - timedelta(days=1)), plan(session, state="pending")
    target(session, old, compiled, records=7, outcomes={"purged": 6, "changed": 1})
    target(session, new, compiled, records=2)
    run(session, old, "first", ended_at=AT)
    found = stand(session)
    assert (found.plan, found.counts.due, found.counts.done) == (new, 2, 0)
    assert (found.counts.done_total, found.counts.done_last, found.last_run, found.last_run_at) == (6, 6, "first", AT)


def test_a_plan_that_looked_back_does_not_hide_what_is_due_today(session):
    (compiled,) = compile_policy(SIMPLE)
    today, back = plan(session, state="pending"), plan(session, as_of=date(2020, 1, 1), state="pending")
    target(session, today, compiled, records=9, late=40)
    target(session, back, compiled)
    assert (stand(session).plan, stand(session).state) == (today, State.OVERDUE)


def test_forecasts_and_plans_being_written_do_not_count(session):
    (compiled,) = compile_policy(SIMPLE)
    target(session, plan(session, as_of=date(2030, 1, 1), is_forecast=True, state="pending"), compiled, records=9)
    target(session, plan(session, state="writing"), compiled, records=9)
    assert stand(session).state is State.NEVER_SCANNED


def test_a_plan_of_another_rule_does_not_speak_for_this_one(session):
    other = config([rule("other", "intake", "crm.people", ["name", "email"])], crm=CRM)
    (compiled,) = compile_policy(other)
    target(session, plan(session), compiled, records=5, outcomes={"purged": 5})
    assert stand(session).state is State.NEVER_SCANNED


def test_children_that_go_with_their_parent_stand_on_their_own(session):
    notes = dataset("notes", "correspondence", parent=Parent("people", ("person",), with_parent=True))
    lines = dataset("lines", "chat", parent=Parent("notes", ("note",), with_parent=True))
    policy = config([rule("r", "intake", "crm.people", ["name", "email"])], crm=(*CRM, notes, lines))
    (compiled,) = compile_policy(policy)
    target(session, plan(session), compiled, dataset="notes", records=4, outcomes={"purged": 4})
    found = standings(session, policy, (compiled,))
    assert [(s.dataset, s.state) for s in found] == [
        ("people", State.NEVER_SCANNED),
        ("notes", State.ENFORCED),
        ("lines", State.NEVER_SCANNED),
    ]
    cells = adherence(session, policy, (compiled,), register(intake=["correspondence", "chat"]))
    assert [(c.category, c.dataset, c.rules, c.goes_with, c.state) for c in cells[:2]] == [
        ("correspondence", "notes", ("r",), "crm.people", State.ENFORCED),
        ("chat", "lines", ("r",), "crm.people", State.NEVER_SCANNED),
    ]


def test_children_whose_parents_are_only_anonymised_never_go(session):
    notes = dataset("notes", "correspondence", parent=Parent("people", ("person",), with_parent=True))
    rules = [rule("r", "intake", "crm.people", ["name", "email"], action=Action.ANONYMISE)]
    policy = config(rules, crm=(*CRM, notes))
    (cell,) = adherence(session, policy, compile_policy(policy), register(intake=["correspondence"]))[:1]
    assert (cell.category, cell.state, cell.rules) == ("correspondence", State.NO_RULE, ())


@given(
    st.dictionaries(st.sampled_from([str(word) for word in OutcomeWord]), st.integers(1, 50)),
    *(st.integers(0, 50) for _ in range(4)),
)
def test_the_counts_always_add_up_to_what_was_due(outcomes, left, held, blocked, flagged):
    engine = create_engine("sqlite://")  # about sums alone
    PlanRow.metadata.create_all(engine)
    with Session(engine) as opened:
        records = sum(outcomes.values()) + left
        found = one(opened, records=records, held=held, blocked=blocked, already_flagged=flagged, outcomes=outcomes)
    engine.dispose()
    c = found.counts
    parts = (c.done, c.flagged, c.waiting, c.held, c.blocked, c.changed, c.refused, c.failed, c.unverified)
    assert c.due == sum(parts) == records + held + blocked + flagged
    assert c.outstanding == c.due - c.done


# --- cells --------------------------------------------------------------------------------------------------------


def cells(session, policy, activities, **more):
    return adherence(session, policy, compile_policy(policy), activities, **more)


def told(found):
    return [(c.activity, c.category, c.location, c.dataset, c.state) for c in found]


def test_each_category_has_a_row_for_each_place(session):
    policy = config(
        [rule("r", "intake", "crm.people", ["name", "email"]), rule("m", "intake", "mail.inbox", ["email"])],
        crm=CRM,
        mail=("sql", dataset("inbox", "email")),
    )
    assert told(cells(session, policy, INTAKE)) == [
        ("intake", "name", "crm", "people", State.NEVER_SCANNED),
        ("intake", "email", "crm", "people", State.NEVER_SCANNED),
        ("intake", "email", "mail", "inbox", State.NEVER_SCANNED),
    ]


def test_a_category_that_no_dataset_maps_has_no_place(session):
    assert told(cells(session, SIMPLE, register(chat=["chat"]))) == [("chat", "chat", None, None, State.NO_PLACE)]


def test_a_category_that_is_stored_without_a_rule_has_no_rule(session):
    policy = config([rule("r", "intake", "crm.people", ["name"])], crm=CRM)
    found = cells(session, policy, INTAKE)
    assert [(c.category, c.state, c.rules) for c in found] == [
        ("name", State.NEVER_SCANNED, ("r",)),
        ("email", State.NO_RULE, ()),
    ]


def test_a_purpose_without_a_rule_shows_which_others_keep_the_datum(session):
    (cell,) = cells(session, SIMPLE, register(news=["email"]))
    assert (cell.state, cell.dataset, cell.also_needed_by) == (State.NO_RULE, "people", ("r",))


def test_a_category_without_a_rule_is_not_shown_where_the_purpose_keeps_nothing(session):
    policy = config(
        [rule("r", "intake", "crm.people", ["name"]), rule("m", "post", "mail.inbox", ["email"])],
        crm=CRM,
        mail=("sql", dataset("inbox", "email")),
    )
    found = [cell for cell in cells(session, policy, INTAKE) if cell.category == "email"]
    assert told(found) == [("intake", "email", "crm", "people", State.NO_RULE)]


def test_a_category_that_only_a_rule_names_is_shown_too(session):
    assert told(cells(session, SIMPLE, register(intake=["name"])))[1][1] == "email"


def test_places_without_enforcement_are_documented_only_and_never_called_unscanned(session):
    policy = config(
        [rule("r", "intake", "shelf.people", ["name", "email"])], shelf=("manual", dataset("people", "name", "email"))
    )
    assert [c.state for c in cells(session, policy, INTAKE)] == [State.DOCUMENTED_ONLY] * 2
    assert standings(session, policy, compile_policy(policy)) == []


def test_which_places_are_documented_can_be_said(session):
    assert {c.state for c in cells(session, SIMPLE, INTAKE, documented=("crm",))} == {State.DOCUMENTED_ONLY}


@pytest.mark.parametrize(
    "kept",
    [
        rule("k", "intake", "crm.people", ["name"], period="PT30M", action=Action.KEEP, reason="x"),
        rule("k", "intake", "crm.people", ["name"], period="10 years", action=Action.KEEP, reason="x"),
    ],
)
def test_what_is_kept_is_documented_only(session, kept):
    policy = config([kept], crm=CRM)
    assert told(cells(session, policy, register(intake=["name"]))) == [
        ("intake", "name", "crm", "people", State.DOCUMENTED_ONLY)
    ]


def test_another_purposes_keep_leaves_nothing_to_enforce_and_is_named(session):
    keep = rule("k", "tax", "crm.people", ["name"], period="10 years", action=Action.KEEP, reason="law")
    policy = config([rule("r", "intake", "crm.people", ["name", "email"]), keep], crm=CRM)
    found = {c.category: c for c in cells(session, policy, INTAKE)}
    assert (found["name"].state, found["name"].also_needed_by) == (State.DOCUMENTED_ONLY, ("k",))
    assert (found["email"].state, found["email"].also_needed_by) == (State.NEVER_SCANNED, ())


def test_a_datum_that_two_purposes_need_names_the_other(session):
    policy = config(
        [
            rule("r", "intake", "crm.people", ["name", "email"]),
            rule("t", "tax", "crm.people", ["name"], period="10 years"),
        ],
        crm=CRM,
    )
    found = {
        (c.activity, c.category): c.also_needed_by
        for c in cells(session, policy, register(intake=["name", "email"], tax=["name"]))
    }
    assert found == {("intake", "name"): ("t",), ("intake", "email"): (), ("tax", "name"): ("r",)}


def test_a_cell_adds_up_its_targets_and_takes_the_worst_state(session):
    policy = config(
        [
            rule("r", "intake", "crm.people", ["name", "email"]),
            rule("t", "tax", "crm.people", ["name"], period="10 years"),
        ],
        crm=CRM,
    )
    compiled = {t.scope: t for t in compile_policy(policy)}
    first = plan(session, as_of=DAY - timedelta(days=2), at=AT - timedelta(days=2))
    second = plan(session)
    target(session, first, compiled["row"], records=2, outcomes={"purged": 2})
    target(session, second, compiled["field"], records=5, outcomes={"anonymised": 4, "failed": 1}, late=12)
    run(session, first, "one", ended_at=AT - timedelta(days=2))
    run(session, second, "two", ended_at=AT)
    found = {c.category: c for c in cells(session, policy, INTAKE)}
    email = found["email"]
    assert (email.state, email.counts.due, email.counts.done, email.worst_late_days) == (State.OVERDUE, 7, 6, 12)
    assert (email.plan, email.as_of, email.last_run) == (first, DAY - timedelta(days=2), "two")
    assert len(email.targets) == 2
    assert (found["name"].state, found["name"].counts.due) == (State.ENFORCED, 2)


def test_an_engine_does_as_well_as_a_session(session):
    session.commit()
    assert cells(session.get_bind(), SIMPLE, INTAKE) == cells(session, SIMPLE, INTAKE)


# --- runs ---------------------------------------------------------------------------------------------------------


def batch(session, plan_id, target_id, run_id, number, outcomes, *, settled_at=AT):
    session.add(
        BatchRow(
            plan_id=plan_id,
            target_id=target_id,
            unit=number,
            number=number,
            last_seq=number,
            root=f"{number:064x}",
            key=None,
            location="crm",
            dataset="people",
            leaves=sum(outcomes.values()),
            run_id=run_id,
            created_at=AT,
            settled_at=settled_at,
            outcomes=outcomes,
        )
    )
    session.flush()


def test_a_run_that_was_alone_tells_all_that_became_of_its_plan(session):
    (compiled,) = compile_policy(SIMPLE)
    number = plan(session)
    target(session, number, compiled, records=5, held=1, outcomes={"purged": 4, "refused": 1})
    run(session, number, state="partial", totals={"purged": 4, "refused": 1})
    (found,) = runs(session)
    assert (found.outcomes, found.done, found.state) == ((("purged", 4), ("refused", 1)), 4, "partial")
    assert (found.targets[0].due, found.targets[0].planned, found.targets[0].outcomes) == (6, 5, found.outcomes)


def test_two_runs_of_one_plan_tell_each_its_own_batches(session):
    (compiled,) = compile_policy(SIMPLE)
    number = plan(session)
    row = target(session, number, compiled, records=6, outcomes={"purged": 6})
    run(session, number, "first", state="aborted", at=AT, totals={"purged": 4})
    run(session, number, "again", state="complete", at=AT + timedelta(hours=1), totals={"purged": 2})
    batch(session, number, row.id, "first", 1, {"purged": 2})
    batch(session, number, row.id, "first", 2, {"purged": 2})
    batch(session, number, row.id, "again", 3, {"purged": 2})
    assert [(r.id, r.done, r.targets[0].outcomes) for r in runs(session)] == [
        ("first", 4, (("purged", 4),)),
        ("again", 2, (("purged", 2),)),
    ]


def test_a_batch_of_a_run_that_was_cut_off_counts_for_the_run_that_settled_it(session):
    (compiled,) = compile_policy(SIMPLE)
    number, later = plan(session), plan(session)
    row = target(session, number, compiled, records=4, outcomes={"purged": 2, "absent": 2})
    run(session, number, "cut off", state="aborted", at=AT, totals={"purged": 2}, code="cut-off")
    run(session, later, "next", state="complete", at=AT + timedelta(hours=1), totals={"absent": 2})
    batch(session, number, row.id, "cut off", 1, {"purged": 2}, settled_at=AT + timedelta(minutes=1))
    batch(session, number, row.id, "cut off", 2, {"absent": 2}, settled_at=AT + timedelta(hours=1, minutes=1))
    assert [(r.id, r.done, [t.outcomes for t in r.targets]) for r in runs(session)] == [
        ("cut off", 2, [(("purged", 2),)]),
        ("next", 2, [(("absent", 2),)]),
    ]
    assert standings(session, SIMPLE, (compiled,))[0].last_run == "next"


def test_a_run_that_only_planned_has_no_outcomes(session):
    (compiled,) = compile_policy(SIMPLE)
    number = plan(session)
    target(session, number, compiled, records=6, outcomes={"purged": 6})
    run(session, number, "planning", mode="plan")
    run(session, number, "applying", at=AT + timedelta(hours=1), totals={"purged": 6})
    assert [(r.id, r.done) for r in runs(session)] == [("planning", 0), ("applying", 6)]


def test_a_run_without_a_plan_is_told_too(session):
    session.add(
        RunRow(id="x", mode="sweep", started_at=AT, policy="p", register_revision=1, state="aborted", code="halt")
    )
    (found,) = runs(session)
    assert (found.plan, found.code, found.targets, found.outcomes) == (None, "halt", (), ())
