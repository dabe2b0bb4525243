"""What is told of plans: findings, status, explanations, lists and comparisons. Telling never hides and never repairs."""

import pytest
from sweep_kit import CONTACTS, PROSPECTS, SIMPLE, contacts, day, person

from ropa.errors import CallError, CheckError, LocationError
from ropa.sweep import findings, show
from ropa.sweep.explain import explain
from ropa.sweep.status import status


@pytest.fixture
def world(make):
    return make(SIMPLE, {"contacts": contacts(3)})


def test_status_is_unhealthy_until_a_sweep_succeeded_and_nothing_is_overdue(world):
    said = status(world.site)
    assert (said["healthy"], said["overdue"], said["last_sweep_at"]) == (False, 0, None)
    world.sweep()
    said = status(world.site)
    assert (said["overdue"], said["plans_waiting"], said["healthy"]) == (3, 1, False)
    world.approve(1)
    world.apply(1)
    assert status(world.site)["overdue"] == 0
    world.sweep()
    said = status(world.site)
    assert (said["healthy"], said["reasons"], said["overdue"]) == (True, [], 0)


def test_status_is_a_dead_mans_switch_of_twenty_six_hours(world):
    world.purge()
    world.sweep()
    world.clock.forward(hours=26)
    assert status(world.site)["healthy"] is True
    world.clock.forward(seconds=1)
    assert status(world.site)["healthy"] is False


def test_a_halt_is_unhealthy(world):
    world.purge()
    world.sweep()
    world.halt()
    assert any("halt" in reason for reason in status(world.site)["reasons"])
    world.resume()
    assert status(world.site)["healthy"] is True


def test_a_look_into_the_past_or_the_future_changes_neither_status_nor_findings(make):
    config = SIMPLE.replace("max_share = 1.0", "max_share = 1.0\nmax_records = 2")
    world = make(config, {"contacts": contacts(3)})
    world.sweep()
    before, open_before = status(world.site), world.findings()
    assert before["overdue"] == 3
    assert "stopped-cap-records" in open_before
    for as_of in ("2020-01-01", "2030-01-01"):
        world.plan(as_of=day(as_of))
        now = status(world.site)
        assert (now["overdue"], now["findings"], world.findings()) == (3, before["findings"], open_before)


def test_a_rejected_plan_leaves_its_records_overdue(world):
    plan = world.plan()
    world.reject(plan)
    assert status(world.site)["overdue"] == 3


def test_a_finding_stands_until_it_is_gone_and_counts_its_nights(world):
    world.insert(**person(7, "gisteren"))
    world.plan()
    for _ in range(2):
        world.clock.forward(days=1)
        world.plan()
    row = next(row for row in findings.open_findings(world.site) if row.code == "no-anchor")
    assert row.nights == 3
    world.plan(rule="prospects")
    assert findings.get(world.site, row.id).nights == 3
    world.remove(7)
    world.plan(rule="prospects")
    assert "no-anchor" in world.findings(), "only a look at everything tells that a matter is over"
    world.plan()
    assert "no-anchor" not in world.findings()
    assert findings.get(world.site, row.id).resolution == "no longer found"


def test_a_person_closes_a_finding_once_and_it_opens_again_when_it_is_found_again(world):
    world.insert(**person(7, "gisteren"))
    world.plan()
    row = next(row for row in findings.open_findings(world.site) if row.code == "no-anchor")
    assert findings.document(findings.resolve(world.site, row.id, by="An", reason="bekeken"))["resolved_by"] == "An"
    with pytest.raises(CallError):
        findings.resolve(world.site, row.id, by="An", reason="bekeken")
    with pytest.raises(CallError):
        findings.resolve(world.site, 999, by="An", reason="bekeken")
    with pytest.raises(CallError):
        findings.get(world.site, 999)
    assert "no-anchor" not in world.findings()
    world.plan()
    assert "no-anchor" in world.findings()


OVERLAP = (
    SIMPLE.replace("data.name", 'data.birth-date = ["born"]\ndata.telephone = ["tel"]\ndata.name').replace(
        'data = "*"', 'data = ["name", "email"]'
    )
    + """
[rule.cards]
activity = "cards"
dataset = "crm.contacts"
data = ["birth-date", "name"]
where = { kind = "customer" }
anchor = "created"
period = "10 years"
action = "purge"
"""
)


def test_an_explanation_names_for_each_datum_the_rule_that_keeps_it_longest(make, kind):
    rows = [
        person(1, "2020-01-15", born="1980-01-01", tel="1", kind="customer"),
        person(2, "2020-01-15", born="1980-01-01", tel="2", kind=None),
        person(3, None, born=None, tel=None, kind="customer"),
    ]
    world = make(OVERLAP, {"contacts": rows}, kind=kind)

    def told(key):
        said = explain(world.site, "crm.contacts", (key,), world.site.today())
        assert (said["schema"], said["key"]) == ("ropa.explain/1", [key])
        return {entry["category"]: (entry["state"], entry["rule"], entry["due_on"]) for entry in said["data"]}

    assert told("1") == {
        "name": ("kept", "cards", "2030-01-15"),
        "email": ("due", "prospects", "2020-07-15"),
        "birth-date": ("kept", "cards", "2030-01-15"),
        "telephone": ("no-rule", None, None),
    }
    assert told("2") == {
        "name": ("due", "prospects", "2020-07-15"),
        "email": ("due", "prospects", "2020-07-15"),
        "birth-date": ("no-rule", None, None),
        "telephone": ("no-rule", None, None),
    }
    assert {state for state, _, _ in told("3").values()} == {"no-anchor", "no-rule"}
    with pytest.raises(CheckError):
        told("4")
    with pytest.raises(CallError):
        explain(world.site, "crm.nothing", ("1",), world.site.today())
    world.crm.away_for = {"find"}
    with pytest.raises(LocationError):
        told("1")


@pytest.mark.parametrize("kind_", ["record", "dataset", "location", "activity"])
def test_an_explanation_names_every_hold_that_covers_the_record(make, kind_):
    world = make(SIMPLE, {"contacts": contacts(2)})
    target = {"record": "crm.contacts", "dataset": "crm.contacts", "location": "crm", "activity": "intake"}[kind_]
    hold = world.hold(kind_, target, 1 if kind_ == "record" else None)
    said = explain(world.site, "crm.contacts", ("1",), world.site.today())["data"]
    assert {(entry["state"], tuple(entry["held_by"])) for entry in said} == {("held", (str(hold),))}


def test_what_an_explanation_calls_due_is_what_a_plan_takes(make):
    rows = [person(key, f"2026-05-{key:02d}") for key in range(15, 27)]
    world = make(SIMPLE, {"contacts": rows})
    planned = {key for _, key in world.planned(world.plan())}
    due = {
        str(row["id"])
        for row in rows
        if {e["state"] for e in explain(world.site, "crm.contacts", (str(row["id"]),), world.site.today())["data"]}
        == {"due"}
    }
    assert planned == due
    assert 0 < len(due) < len(rows)


def test_plans_are_listed_with_their_sums_the_newest_first(world):
    world.purge()
    world.plan()
    listed = show.plan_list(world.site)
    assert [(line["plan"], line["state"], line["records"]) for line in listed] == [(2, "pending", 0), (1, "applied", 3)]
    assert all(line["digest"].startswith("sha256:") for line in listed)


def test_a_comparison_tells_what_came_and_went_while_both_have_their_keys(world):
    first = world.plan()
    world.remove(1)
    world.insert(**person(8))
    world.insert(**person(9))
    second = world.plan()
    change = show.plan_diff(world.site, first, second)["targets"][0]
    assert (change["came"], change["went"], change["due_before"], change["due_after"]) == (2, 1, 3, 4)
    world.reject(first)
    change = show.plan_diff(world.site, first, second)["targets"][0]
    assert (change["came"], change["went"], change["records_before"]) == (None, None, 3)
    with pytest.raises(CallError):
        show.plan_diff(world.site, first, 99)


def test_a_comparison_of_other_policies_shows_targets_that_only_one_of_them_has(world):
    first = world.plan()
    world.configure(SIMPLE.replace("prospects", "leads"))
    second = world.plan()
    changes = {tuple(line["rules"]): line for line in show.plan_diff(world.site, first, second)["targets"]}
    assert (changes["prospects",]["records_before"], changes["prospects",]["records_after"]) == (3, 0)
    assert (changes["leads",]["records_before"], changes["leads",]["came"]) == (0, 3)


def test_a_plan_shows_what_the_contract_says(world):
    world.hold(key=1)
    world.insert(**person(7, None))
    plan = world.plan(by="Mia Maker")
    document = show.plan_document(world.site, plan)
    target = document["targets"][0]
    assert document["schema"] == "ropa.plan/1"
    assert (document["as_of"], document["complete"], document["forecast"]) == ("2026-11-21", True, False)
    wanted = {"due": 3, "held": 1, "blocked": 0, "unanchored": 1, "records": 2, "population": 5, "share": 0.4}
    assert {name: target[name] for name in wanted} == wanted
    assert target["cutoffs"] == {"created": "2026-05-20T22:00:00Z"}
    assert target["ages"] == {"<=30": 0, "<=365": 0, ">365": 3}
    lines = list(show.records(world.site, plan))
    assert lines[0] == {
        "dataset": "crm.contacts",
        "key": ["1"],
        "due_on": "2020-07-15",
        "action": "purge",
        "data": ["*"],
        "disposition": "held",
        "reason": "hold",
    }
    world.approve(plan)
    approvals = show.plan_document(world.site, plan)["approvals"]
    assert [(line["by"], line["reason"]) for line in approvals] == [("Piet Privacy", "gelezen")]


def test_a_rule_or_dataset_that_is_not_there_is_a_wrong_call(world):
    size = len(world.events())
    with pytest.raises(CallError):
        world.plan(rule="nobodys")
    with pytest.raises(CallError):
        world.plan(dataset="crm.nothing")
    assert len(world.events()) == size


def test_data_that_no_rule_covers_any_more_is_a_finding_of_the_night(make):
    """A rule was taken out while its data remain (case 14)."""
    extra = CONTACTS.replace('[location.crm]\nconnector = "memory"\nbatch_size = 2\n', "").replace("contacts", "others")
    rule = PROSPECTS.replace("prospects", "others").replace("contacts", "others")
    world = make(SIMPLE + extra + rule, {"contacts": contacts(1), "others": contacts(1)})
    world.sweep()
    assert "category-without-rule" not in world.findings()
    world.configure(SIMPLE + extra)
    world.clock.forward(days=1)
    world.sweep()
    assert "category-without-rule" in world.findings()
