"""Every number of the report is the one that plain SQL and the ledger's lines give (``independent.py``)."""

from collections import Counter
from datetime import timedelta

import pytest
from independent import GONE, Independent
from sweep_kit import CAPS, CONTACTS, OLD, PROSPECTS, REGISTER, contacts

from ropa.report import gather
from ropa.report.model import Verdict
from ropa.sweep.standing import State

CARDS = """
[rule.cards]
activity = "cards"
dataset = "crm.contacts"
data = ["birth-date"]
anchor = "created"
period = "3 months"
action = "anonymise"
where = { kind = "customer" }
"""
TICKETS = """
[location.desk]
connector = "memory"
[location.desk.dataset.tickets]
source = "tickets"
key = ["id"]
anchor.created = "created"
data.correspondence = ["text"]
[rule.tickets]
activity = "desk"
dataset = "desk.tickets"
data = ["correspondence"]
anchor = "created"
period = "1 month"
action = "flag"
"""
LOGS = """
[location.web]
connector = "memory"
[location.web.dataset.visits]
source = "visits"
key = ["id"]
anchor.created = "created"
data.ip-address = ["ip"]
[rule.visits]
activity = "web"
dataset = "web.visits"
data = "*"
anchor = "created"
period = "30 days"
action = "purge"
[location.paper]
connector = "memory"
[location.paper.dataset.files]
source = "files"
key = ["id"]
anchor.created = "created"
data.name = ["name"]
[rule.paper]
activity = "paper"
dataset = "paper.files"
data = ["name"]
anchor = "created"
period = "7 years"
action = "purge"
"""
MORE = """
[activity.desk]
title = "Vragen"
purposes = ["Antwoorden"]
legal_basis = "6.1.f"
data = ["correspondence", "chat"]
[activity.web]
title = "Website"
purposes = ["Beveiliging"]
legal_basis = "6.1.f"
data = ["ip-address"]
status = "ended"
ended_on = 2026-01-01
[activity.paper]
title = "Papier"
purposes = ["Bewaren"]
legal_basis = "6.1.c"
data = ["name"]
[activity.empty]
title = "Leeg"
purposes = ["Niets"]
legal_basis = "6.1.f"
"""
MANDATED = PROSPECTS + 'approval = "mandate"\nwhere = { kind = "prospect" }\n'
CONFIG = CAPS + CONTACTS + 'data.birth-date = ["birth"]\n' + MANDATED + CARDS + TICKETS + LOGS

TARGETS = {
    ("intake", "name"): ("crm.contacts", "row", ["prospects"]),
    ("cards", "birth-date"): ("crm.contacts", "field", ["cards"]),
    ("desk", "correspondence"): ("desk.tickets", "row", ["tickets"]),
    ("web", "ip-address"): ("web.visits", "row", ["visits"]),
}


def tables():
    people = contacts(6, kept=4, kind="prospect", birth=None)
    people += [
        {**row, "id": 200 + i, "birth": "1990-02-03", "kind": "customer"} for i, row in enumerate(contacts(4, kept=0))
    ]
    people += [{**people[0], "id": 300, "created": "geen datum"}]
    return {
        "contacts": people,
        "notes": [{"id": 1, "contact_id": 6}],
        "tickets": [{"id": i, "text": "vraag", "created": OLD} for i in (1, 2, 3)],
        "visits": [{"id": i, "ip": "192.0.2.1", "created": OLD} for i in (1, 2, 3, 4, 5)],
        "files": [{"id": 1, "name": "map", "created": OLD}],
    }


class CutOffError(BaseException):
    """The process is gone."""


def night(world, days=1):
    world.clock.forward(days=days)
    world.reopen()


@pytest.fixture
def lived(make):
    """A month of a project: approvals, holds, an obstacle, a lie, a place away, a cut-off run, nights without one."""
    world = make(CONFIG, tables(), relations=[("notes", "contact_id", "contacts")], register=REGISTER + MORE)
    document_only(world)
    world.hold(key=2)
    world.hold(kind="record", target="crm.contacts", key=201)
    world.sweep()
    world.crm.lies = {("3",)}
    world.purge(dataset="crm.contacts")
    world.crm.lies = set()
    night(world)
    document_only(world)
    world.mandate()
    world.insert(id=400, name="Nieuw", email="n@example.org", created=OLD, kind="prospect", birth=None)
    world.sweep()
    night(world, days=3)
    document_only(world)
    world.site.connector("web")
    world.places["web"].away_for = {"*"}
    world.insert(id=401, name="Nieuw", email="o@example.org", created=OLD, kind="prospect", birth=None)
    world.insert(id=402, name="Nieuw", email="q@example.org", created=OLD, kind="prospect", birth=None)
    world.sweep()
    night(world)
    document_only(world)
    world.places["web"].away_for = set()
    for key in (410, 411, 412, 413):
        world.insert(id=key, name="Nieuw", email=f"r{key}@example.org", created=OLD, kind="prospect", birth=None)
    cut_off(world)
    night(world)
    document_only(world)
    world.insert(id=420, name="Nieuw", email="s@example.org", created=OLD, kind="prospect", birth=None)
    world.crm.lies = {("420",)}
    world.sweep()
    world.insert(id=421, name="Nieuw", email="t@example.org", created=OLD, kind="customer", birth="1980-01-01")
    world.plan(rule="cards")
    night(world)
    document_only(world)
    visits = world.plan(dataset="web.visits")
    world.approve(visits)
    world.update(4, table="visits", created="2026-11-20")
    world.apply(visits)
    world.clock.forward(days=2, hours=5)
    yield world
    world.is_sound = True


def document_only(world):
    """Nothing enforces the paper."""
    world.site.enforcing = frozenset(world.site.enforcing) - {"paper"}


def cut_off(world):
    """A sweep whose process is gone between the act and its receipt."""
    seen = []

    def gone(_selection, batch):
        seen.append(batch)
        if len(seen) == 2:
            raise CutOffError

    world.crm.after_act = gone
    with pytest.raises(CutOffError):
        world.sweep()
    world.places["crm"].after_act = None


def cells(document):
    return {(activity.key, row.category): row.adherence for activity in document.activities for row in activity.rows}


SENTENCES = []


def sentence(check):
    """A sentence about the report of the month, of the document and the second opinion."""
    SENTENCES.append(check)
    return check


@sentence
def what_was_lived_through_has_everything_that_can_be_counted(document, _found):
    total = Counter()
    for stand in document.standings:
        for name in ("done_total", "held", "blocked", "unverified", "changed", "flagged", "unanchored", "waiting"):
            total[name] += getattr(stand.counts, name)
    assert [name for name, count in total.items() if not count] == []
    assert {run.state for run in document.runs} >= {"complete", "partial", "aborted"}
    assert document.missed_nights > 2


@sentence
def each_number_of_each_cell_is_that_of_the_database_and_the_ledger(document, found):
    for place, target in TARGETS.items():
        cell, row = cells(document)[place], found.newest(*target)
        wanted = found.counts(*target)
        assert {name: getattr(cell.counts, name) for name in wanted} == wanted, place
        assert cell.worst_late_days == found.worst_late(*target), place
        assert (cell.plan, str(cell.as_of), cell.register_revision) == (
            row["plan_id"],
            str(row["as_of"]),
            row["register_revision"],
        )
        assert cell.scanned_by == found.maker_of(row["plan_id"])


@sentence
def the_summary_counts_each_record_of_a_target_once(document, found):
    every = [found.counts(*target) for target in TARGETS.values()]
    summary = document.summary
    for name in ("due", "done", "done_total", "waiting", "held", "blocked", "flagged"):
        assert getattr(summary, name) == sum(counts[name] for counts in every), name
    words = ("refused", "failed", "unverified", "changed")
    assert summary.fell_short == sum(counts[word] for counts in every for word in words)
    receipts = Counter()
    for event in found.of("receipt"):
        receipts.update(event["counts"])
    assert summary.done_total == sum(count for word, count in receipts.items() if word in GONE)


@sentence
def each_run_did_what_its_receipts_say_and_months_are_their_sums(document, found):
    assert {run.id: Counter(dict(run.outcomes)) for run in document.runs} == found.runs()
    for run in document.runs:
        if run.plan is not None and run.mode != "apply":
            assert run.plan == found.plan_of(run.id)
    told = {month.month: [month.runs, month.done, month.fell_short] for month in document.months}
    assert told == found.months()
    for run in document.runs:
        if run.targets:
            per_target = sum((Counter(dict(target.outcomes)) for target in run.targets), Counter())
            assert per_target - found.runs()[run.id] == Counter()
            assert set(found.runs()[run.id] - per_target) <= {"refused"}


@sentence
def the_last_run_of_a_cell_is_the_last_that_wrote_a_receipt_about_it(document, found):
    for place, (dataset, scope, rules) in TARGETS.items():
        roots = {
            event["root"]
            for event in found.of("intent")
            if (f"{event['location']}.{event['dataset']}", event["scope"]) == (dataset, scope)
            and set(event["rules"]) == set(rules)
        }
        last = [event["run"] for event in found.of("receipt") if event["root"] in roots]
        assert cells(document)[place].last_run == (last[-1] if last else None), place


@sentence
def missed_nights_are_those_without_a_whole_sweep_in_the_ledger(document, found):
    days = [gap.from_on + timedelta(days=n) for gap in document.gaps for n in range(gap.nights)]
    assert sorted(days) == found.nights_missed()
    assert document.missed_nights == len(days)
    assert all((gap.to_on - gap.from_on).days + 1 == gap.nights for gap in document.gaps)
    away = cells(document)["web", "ip-address"]
    assert away.missed_nights == len(days)
    assert cells(document)["intake", "name"].missed_nights == len(days) - 1  # the night on which only web was away


@sentence
def findings_shown_are_the_open_ones_and_holds_those_in_force(document, found):
    shown = {(finding.code, finding.entry) for finding in document.findings}
    assert found.open_findings <= shown
    assert document.summary.findings == len(document.findings) == len(shown)
    assert {hold.reason: hold.count for hold in document.holds} == found.holds
    assert document.evidence.size == len(found.events)


@sentence
def each_activity_says_what_it_can_show(document, _found):
    told = {a.key: (a.verdict, {reason.code for reason in a.reasons}) for a in document.activities}
    assert told["paper"] == (Verdict.NOT_SHOWN, {"documented-only"})
    assert told["empty"] == (Verdict.INCOMPLETE, {"no-data"})
    assert "no-place" in told["desk"][1]
    assert "ended-with-rules" in told["web"][1]
    assert "outdated" in told["intake"][1]
    assert cells(document)["paper", "name"].state is State.DOCUMENTED_ONLY


def test_what_was_lived_through_is_told_in_numbers(lived, subtests):
    """Each of the sentences above, of one month: to live through it takes longer than to read about it."""
    document, found = gather(lived.site), Independent(lived.home / "var", lived.site.today(), lived.url)
    for check in SENTENCES:
        with subtests.test(check.__name__):
            check(document, found)


def test_what_is_not_yet_known_is_told_where_it_belongs(make):
    world = make(CONFIG, tables(), relations=[("notes", "contact_id", "contacts")], register=REGISTER + MORE)
    document_only(world)
    world.purge(dataset="crm.contacts")
    world.mandate()
    for key in (410, 411, 412):
        world.insert(id=key, name="Nieuw", email=f"r{key}@example.org", created=OLD, kind="prospect", birth=None)
    night(world)
    document_only(world)
    cut_off(world)
    document, found = gather(world.site), Independent(world.home / "var", world.site.today(), world.url)
    settled = {event["root"] for event in found.of("receipt")}
    open_in = Counter(
        f"{event['location']}.{event['dataset']}" for event in found.of("intent") if event["root"] not in settled
    )
    assert document.evidence.open_in == tuple(open_in.items()) == (("crm.contacts", 1),)
    told = {a.key: {reason.code for reason in a.reasons} for a in document.activities}
    assert {key for key, codes in told.items() if "open-intents" in codes} == {"intake", "cards"}
    world.sweep()
    assert gather(world.site).evidence.open_intents == 0
