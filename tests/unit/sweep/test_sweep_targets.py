"""Rows and fields, flags and keeps: what a plan takes, and that it takes each datum once (design 4.4)."""

import calendar
from dataclasses import replace
from datetime import date

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from sweep_kit import CAPS, CONTACTS, SIMPLE, contacts, person

from connectors.memory import MemoryConnector
from ropa.connector import Action, Outcome, OutcomeWord
from ropa.errors import ConfigurationError
from ropa.sweep import show

OVERLAP = (
    CAPS
    + CONTACTS.replace("data.name", 'data.birth-date = ["born"]\ndata.name')
    + """
[rule.cards]
activity = "cards"
dataset = "crm.contacts"
data = ["birth-date"]
anchor = "created"
period = "6 months"
action = "purge"
[rule.tax]
activity = "intake"
dataset = "crm.contacts"
data = ["name", "email"]
anchor = "created"
period = "10 years"
action = "purge"
"""
)
CLIENTS = [
    person(1, "2026-01-15", born="1980-01-01"),
    person(2, "2026-11-01", born="1981-01-01"),
    person(3, "2010-01-15", born="1982-01-01"),
    person(4, "2026-01-15", born=None),
    person(5, "2010-01-15", born=None),
]


def clients():
    return {"contacts": [dict(row) for row in CLIENTS]}


def test_a_birth_date_goes_after_six_months_from_the_row_whose_name_the_tax_office_needs(make, kind):
    world = make(OVERLAP, clients(), kind=kind)
    plan = world.plan()
    rows, fields = world.target(plan), world.target(plan, scope="field", data=["birth-date"])
    assert (rows.due, fields.due) == (2, 1)
    world.approve(plan)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"anonymised": 1, "purged": 2}
    assert result.exit_code == 0
    assert world.ids() == [1, 2, 4]
    assert world.row(1) == CLIENTS[0] | {"born": None}
    assert world.row(2) == CLIENTS[1]


def test_a_record_in_a_row_target_is_not_also_in_a_field_target(make, kind):
    world = make(OVERLAP, clients(), kind=kind)
    keys = [key for _, key in world.planned(world.plan())]
    assert sorted(keys) == ["1", "3", "5"]


def test_a_second_plan_of_the_same_night_finds_nothing_and_changes_nothing(make, kind):
    world = make(OVERLAP, clients(), kind=kind)
    world.purge()
    before = world.rows()
    again = world.plan()
    assert {(row.due, row.records) for row in world.targets(again)} == {(0, 0)}
    world.approve(again)
    assert world.apply(again).document["outcomes"] == {}
    assert world.sweep().document["outcomes"] == {}
    assert world.rows() == before


def test_a_held_record_is_left_wholly_alone_also_its_fields(make, kind):
    world = make(OVERLAP, clients(), kind=kind)
    world.hold(key=3)
    world.hold(key=1)
    plan = world.plan()
    rows, fields = world.target(plan), world.target(plan, scope="field", data=["birth-date"])
    assert (rows.due, rows.held, rows.records) == (2, 1, 1)
    assert (fields.due, fields.held, fields.records) == (1, 1, 0)
    assert world.planned(plan, "held") == [("crm.contacts", "1"), ("crm.contacts", "3")]
    world.approve(plan)
    world.apply(plan)
    assert world.row(1) == CLIENTS[0]
    assert world.row(3) == CLIENTS[2]


def test_a_blocked_record_is_left_wholly_alone_also_its_fields(make, kind):
    tables = clients() | {"letters": [{"id": 7, "contact_id": 3}]}
    world = make(OVERLAP, tables, kind=kind, relations=[("letters", "contact_id", "contacts")])
    plan = world.plan()
    assert world.disposition(plan)["crm.contacts", "3"] == ("blocked", "referred-to-by:letters")
    assert world.target(plan).blockers == {"referred-to-by:letters": 1}
    assert "blocked" in world.findings()
    world.approve(plan)
    world.apply(plan)
    assert world.row(3) == CLIENTS[2]
    assert world.ids("letters") == [7]


@pytest.mark.parametrize(("mask", "left"), [("clear", None), ("year", "1980-01-01")])
def test_a_mask_is_applied_once_and_what_is_masked_is_not_planned_again(make, kind, mask, left):
    config = OVERLAP.replace('action = "purge"', f'action = "anonymise"\nmask = {{ birth-date = "{mask}" }}', 1)
    rows = [person(1, "2026-01-15", born="1980-07-31")]
    world = make(config, {"contacts": rows}, kind=kind)
    assert world.purge().document["outcomes"] == {"anonymised": 1}
    assert (world.row(1)["born"] or "")[:4] == (left or "")[:4]
    assert world.row(1)["born"] != "1980-07-31"
    assert world.target(world.plan(), scope="field", data=["birth-date"]).due == 0


FLAG = SIMPLE.replace('action = "purge"', 'action = "flag"')


def test_a_flag_needs_no_approval_is_set_once_and_changes_nothing_at_the_place(make, kind):
    tables = {"contacts": contacts(3)}
    world = make(FLAG, tables, kind=kind)
    before = world.rows()
    first = world.sweep()
    assert first.document["outcomes"] == {"flagged": 3}
    assert first.exit_code == 0
    assert world.target(first.document["plan"]).approval == "none"
    second = world.sweep()
    assert second.document["outcomes"] == {}
    assert world.target(second.document["plan"]).already_flagged == 3
    world.insert(**person(9))
    assert world.sweep().document["outcomes"] == {"flagged": 1}
    assert sorted(world.rows(), key=lambda row: row["id"]) == sorted([*before, person(9)], key=lambda row: row["id"])
    assert world.crm.acts == []


def test_a_place_that_can_mark_its_records_is_told_to_and_says_what_became_of_each(make, monkeypatch):
    marked = []

    def mark(_self, selection, batch, action):
        assert [before.anchor for before in selection.before] == ["created"]
        marked.extend((action, *key) for key in batch.keys)
        return [
            Outcome(key, OutcomeWord.CHANGED if key == ("2",) else OutcomeWord.FLAGGED, version=f"{key} marked")
            for key in batch.keys
        ]

    can = MemoryConnector.capabilities
    monkeypatch.setattr(MemoryConnector, "capabilities", replace(can, actions=can.actions | {Action.FLAG}))
    monkeypatch.setattr(MemoryConnector, "act", mark)
    world = make(FLAG, {"contacts": contacts(3)})
    assert world.sweep().document["outcomes"] == {"changed": 1, "flagged": 2}
    assert marked == [(Action.FLAG, "1"), (Action.FLAG, "2"), (Action.FLAG, "3")]
    assert world.sweep().document["outcomes"] == {"changed": 1}


def test_a_flag_among_the_rules_of_a_row_makes_it_a_flag(make):
    config = OVERLAP.replace('action = "purge"', 'action = "flag"', 1)
    world = make(config, clients())
    plan = world.plan()
    assert world.target(plan).action == "flag"
    assert world.target(plan).due == 2


def test_what_is_flagged_while_held_is_not_flagged(make):
    world = make(FLAG, {"contacts": contacts(2)})
    world.hold(key=1)
    assert world.sweep().document["outcomes"] == {"flagged": 1}
    assert world.target(1).held == 1


def test_what_a_rule_keeps_never_goes_and_neither_does_its_row(make, kind):
    config = (
        OVERLAP
        + """
[rule.archive]
activity = "intake"
dataset = "crm.contacts"
data = ["name"]
anchor = "created"
period = "1 month"
action = "keep"
reason = "archief"
"""
    )
    world = make(config, clients(), kind=kind)
    plan = world.plan()
    assert {(row.scope, tuple(row.data)) for row in world.targets(plan)} == {
        ("field", ("birth-date",)),
        ("field", ("email",)),
    }
    world.approve(plan)
    world.apply(plan)
    assert world.ids() == [1, 2, 3, 4, 5]
    assert all(row["name"] for row in world.rows())
    assert world.row(3)["email"] is None
    assert world.row(3)["born"] is None


def test_a_datum_that_no_rule_covers_stays_and_holds_its_row(make, kind):
    config = OVERLAP.replace('data = ["name", "email"]', 'data = ["name"]')
    world = make(config, clients(), kind=kind)
    assert world.purge().document["outcomes"] == {"anonymised": 4}
    assert all(row["email"] for row in world.rows())
    assert world.ids() == [1, 2, 3, 4, 5]


WHERE = (
    SIMPLE
    + """
[rule.customers]
activity = "intake"
dataset = "crm.contacts"
data = "*"
where = { kind = "customer" }
anchor = "created"
period = "10 years"
action = "purge"
[rule.lost]
activity = "intake"
dataset = "crm.contacts"
data = "*"
where = { status = { null = true } }
anchor = "created"
period = "3 years"
action = "purge"
"""
)


def test_rules_with_conditions_make_cells_and_each_record_lies_in_one(make, kind):
    rows = [
        person(1, "2026-01-01", kind="prospect", status="open"),
        person(2, "2026-01-01", kind="customer", status="open"),
        person(3, "2026-01-01", kind="prospect", status=None),
        person(4, "2020-01-01", kind="customer", status=None),
        person(5, "2010-01-01", kind="customer", status=None),
        person(6, "2022-01-01", kind=None, status=None),
        person(7, "2010-01-01", kind="customer", status="open"),
    ]
    world = make(WHERE, {"contacts": rows}, kind=kind)
    plan = world.plan()
    assert world.planned(plan) == [("crm.contacts", key) for key in ("1", "5", "6", "7")]
    assert {tuple(row.rules) for row in world.targets(plan)} == {
        ("prospects",),
        ("prospects", "customers"),
        ("prospects", "lost"),
        ("prospects", "customers", "lost"),
    }
    assert [row.due for row in world.targets(plan)].count(1) == 4


def test_a_plan_of_one_rule_or_one_dataset_looks_at_nothing_else(make):
    config = OVERLAP + CONTACTS.replace("crm", "shop").replace("contacts]", "buyers]").replace('"contacts"', '"buyers"')
    config += """
[rule.buyers]
activity = "intake"
dataset = "shop.buyers"
data = "*"
anchor = "created"
period = "6 months"
action = "purge"
"""
    world = make(config, clients() | {"buyers": contacts(2)})
    assert {row.location for row in world.targets(world.plan(rule="buyers"))} == {"shop"}
    assert {row.location for row in world.targets(world.plan(dataset="crm.contacts"))} == {"crm"}
    assert {row.scope for row in world.targets(world.plan(rule="tax"))} == {"row", "field"}
    assert len(world.targets(world.plan())) == 4


# --- every plan against a second opinion ---------------------------------------------------------------------------

CATEGORIES = {"name": "name", "email": "email", "birth-date": "born"}
COLUMNS = list(CATEGORIES.values())
PERIODS = {"1 month": 1, "6 months": 6, "2 years": 24}
DAYS = [
    None,
    "2026-11-01",
    "2026-10-20",
    "2026-05-21",
    "2026-05-20",
    "2025-12-31",
    "2024-11-20",
    "2024-11-21",
    "2099-01-01",
    "",
]
SHAPE = CAPS + CONTACTS.replace("data.name", 'anchor.seen = "seen"\ndata.birth-date = ["born"]\ndata.name')


def after(start, months):
    """Add months, clipped to the end of the month; written from the text of the rule."""
    month = start.month - 1 + months
    year, month = start.year + month // 12, month % 12 + 1
    return date(year, month, min(start.day, calendar.monthrange(year, month)[1]))


@st.composite
def policies(draw):
    rules = []
    for number in range(draw(st.integers(1, 4))):
        where = draw(st.sampled_from([None, None, ("kind", "a"), ("kind", "b"), ("kind", None)]))
        data = draw(st.lists(st.sampled_from(list(CATEGORIES)), min_size=1, max_size=3, unique=True))
        rules.append(
            {
                "name": f"r{number}",
                "data": sorted(data, key=list(CATEGORIES).index),
                "anchor": draw(st.sampled_from(["created", "seen"])),
                "period": draw(st.sampled_from(list(PERIODS))),
                "action": draw(st.sampled_from(["purge", "purge", "anonymise", "flag", "keep"])),
                "where": where,
            }
        )
    return rules


@st.composite
def records(draw):
    return [
        {
            "id": key,
            "name": draw(st.sampled_from(["Naam", None])),
            "email": draw(st.sampled_from([f"p{key}@example.org", None])),
            "born": draw(st.sampled_from(["1980-01-01", None])),
            "kind": draw(st.sampled_from(["a", "b", None])),
            "created": draw(st.sampled_from(DAYS)),
            "seen": draw(st.sampled_from(DAYS)),
        }
        for key in range(1, draw(st.integers(1, 6)) + 1)
    ]


def written(rules):
    text = SHAPE
    for rule in rules:
        text += f'[rule.{rule["name"]}]\nactivity = "intake"\ndataset = "crm.contacts"\ndata = {rule["data"]}\n'
        text += f'anchor = "{rule["anchor"]}"\nperiod = "{rule["period"]}"\naction = "{rule["action"]}"\n'
        if rule["action"] == "keep":
            text += 'reason = "nodig"\n'
        if rule["where"]:
            column, value = rule["where"]
            text += f"where = {{ {column} = " + ("{ null = true }" if value is None else f'"{value}"') + " }\n"
    return text


def expected(rules, row, today):
    """Return {(scope, action, data): due_on} for one record, by design 4.4 and nothing else."""

    def ends(rule):
        try:
            start = date.fromisoformat(row[rule["anchor"]] or "")
        except ValueError:
            return None
        return None if start > today or rule["action"] == "keep" else after(start, PERIODS[rule["period"]])

    def is_due(rule):
        last = ends(rule)
        return last is not None and today > last

    def mildest(some):
        return next(a for a in ("flag", "anonymise", "purge") if a in {rule["action"] for rule in some})

    present = [rule for rule in rules if rule["where"] is None or row[rule["where"][0]] == rule["where"][1]]
    covering = {name: [rule for rule in present if name in rule["data"]] for name in CATEGORIES}
    due = {name: some for name, some in covering.items() if some and all(is_due(rule) for rule in some)}
    found, taken = {}, []
    if len(due) == len(CATEGORIES):
        action = mildest(present)
        if action != "anonymise" or any(row[column] is not None for column in COLUMNS):
            found["row", action, ("*",)] = max(ends(rule) for rule in present)
        if action != "flag":
            return found
        taken = [rule["name"] for rule in present]
    groups = {}
    for name, some in due.items():
        names = tuple(rule["name"] for rule in some)
        if list(names) != taken:
            groups.setdefault((names, mildest(some)), []).append(name)
    for (_, action), names in groups.items():
        if action == "flag" or any(row[CATEGORIES[name]] is not None for name in names):
            order = tuple(sorted(names, key=["birth-date", "name", "email"].index))
            found["field", action, order] = max(ends(rule) for name in names for rule in due[name])
    return found


HELD = (2, 5)


@pytest.fixture
def crowd(make):
    """One world for all examples, in which two records are held."""
    world = make(SHAPE, {"contacts": []})
    for key in HELD:
        world.hold(key=key)
    return world


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(rules=policies(), rows=records())
def test_a_plan_is_what_a_second_opinion_on_the_rules_says_record_by_record(crowd, rules, rows):
    world = crowd
    world.data["contacts"][:] = rows
    try:
        world.configure(written(rules))
    except ConfigurationError:
        return  # rules that contradict each other are refused when they are read
    plan = world.plan()
    note(written(rules))
    today = world.site.today()
    second = {}
    for row in rows:
        for (scope, action, data), due_on in expected(rules, row, today).items():
            word = "held" if row["id"] in HELD else "planned"
            second[row["id"], scope, action, data] = (due_on.isoformat(), word)
    first = {}
    for target in world.targets(plan):
        assert target.due == target.held + target.blocked + target.records
        assert target.blocked == 0
    for record in show.records(world.site, plan):
        scope = "row" if record["data"] == ["*"] else "field"
        key = (int(record["key"][0]), scope, record["action"], tuple(record["data"]))
        assert key not in first, "one record in two targets that do the same"
        first[key] = (record["due_on"], record["disposition"])
    assert first == second


@pytest.mark.parametrize("method", ["problems", "check", "find", "count"])
def test_why_a_place_could_not_be_read_is_said_and_not_only_that(make, caplog, method):
    world = make(SIMPLE, {"contacts": contacts(2)})
    world.crm.away_for.add(method)
    assert world.target(world.plan()).stopped_by == "unreachable"
    assert "crm is away" in caplog.text
