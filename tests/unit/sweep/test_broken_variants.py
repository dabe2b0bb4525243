"""A test that cannot fail proves nothing: deliberately broken variants of the deciding code, each of which is caught.

Each variant does what a plausible slip would make of the code; beside it stands the scenario that has to notice. Each
scenario passes on the code as it is.
"""

from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import delete
from sqlmodel import col
from sweep_kit import CAPS, CONTACTS, OLD, PROSPECTS, SIMPLE, contacts, person

from connectors.evaluate import Judge
from connectors.memory import MemoryConnector
from ropa.connector import DatasetSpec, Selection
from ropa.errors import IncompleteListingError, LedgerError, RefusedError, RopaError
from ropa.retention import compile as compiling
from ropa.retention import covering, targets
from ropa.sweep import apply, blocks, hand, holds, mandates, review, safety, turns, units
from ropa.sweep.acting import Actor
from ropa.sweep.hand import Hand
from ropa.sweep.place import PlaceWriter
from ropa.sweep.plan import Planner
from ropa.sweep.tables import PlannedBlock, RuleRecord, TargetRow

LETTERS = """
[location.crm.dataset.letters]
source = "letters"
key = ["id"]
parent = { dataset = "crm.contacts", via = ["contact_id"], with_parent = true }
"""


def attempt(call, *args):
    """Return what a call came to, or its error."""
    try:
        return call(*args)
    except RopaError as error:
        return error


# --- scenarios: each asserts what must be true ---------------------------------------------------------------------


def intent_precedes_deletion(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    assert attempt(world.purge).document["outcomes"] == {"purged": 3}


def hold_after_approval_spares(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    plan = world.plan()
    world.approve(plan)
    world.hold(key=2)
    attempt(world.apply, plan)
    assert world.ids() == [2, 101]


def hold_in_mid_run_spares(make):
    world = make(SIMPLE, {"contacts": contacts(6)})
    plan = world.plan()
    world.approve(plan)
    world.crm.after_act = lambda *_: world.hold("location", "crm") if len(world.crm.acts) == 1 else None
    attempt(world.apply, plan)
    assert world.ids() == [3, 4, 5, 6, 101]


def unreadable_holds_stop(make):
    world = make(SIMPLE, {"contacts": contacts(2)})
    world.hold(key=1)
    world.execute("UPDATE legal_hold SET kind = 'x'")
    assert isinstance(attempt(world.purge), LedgerError)
    assert world.ids() == [1, 2, 101]


def over_the_cap_is_zero(make):
    world = make(SIMPLE.replace("[safety]\n", "[safety]\nmax_records = 3\n"), {"contacts": contacts(4)})
    attempt(world.purge)
    assert world.ids() == [1, 2, 3, 4, 101]


def caps_roll_over_seven_days(make):
    world = make(SIMPLE.replace("[safety]\n", "[safety]\nmax_records_7_days = 4\n"), {"contacts": contacts(3)})
    attempt(world.purge)
    for key in (1, 2):
        world.insert(**person(key))
    attempt(world.purge)
    assert world.ids() == [1, 2, 101]


def undatable_stays(make):
    world = make(SIMPLE, {"contacts": [person(1, None), person(2, ""), person(3, "0000-00-00"), person(4)]})
    attempt(world.purge)
    assert world.ids() == [1, 2, 3]


def never_on_the_last_day(make):
    world = make(SIMPLE, {"contacts": [person(1, "2026-05-20"), person(2, "2026-05-21"), person(3, "2026-05-22")]})
    attempt(world.purge)
    assert world.ids() == [2, 3]


def only_the_approved_records(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    plan = world.plan()
    world.approve(plan)
    world.update(101, created=OLD)
    version = next(iter(world.crm.inner.find(_every("contacts", world)))).records[0].version
    world.rewrite(1, key=("101",), version=version)
    attempt(world.apply, plan)
    assert 101 in world.ids()
    assert world.crm.acts == []


def _every(name, world):
    return Selection(name, world.loaded.timezone, world.clock(), keys=(("101",),))


def two_are_two_persons(make):
    world = make(SIMPLE.replace("[safety]\n", "[safety]\napprovals = 2\n"), {"contacts": contacts(1)})
    plan = world.plan(by="An Auteur")
    world.approve(plan, by="an  auteur")
    assert world.state(plan) == "pending"
    assert isinstance(attempt(world.apply, plan), RefusedError)
    assert world.ids() == [1, 101]


def a_changed_policy_is_stale(make):
    world = make(SIMPLE, {"contacts": contacts(2)})
    plan = world.plan()
    world.approve(plan)
    world.configure(SIMPLE.replace("6 months", "7 months"))
    attempt(world.apply, plan)
    assert world.ids() == [1, 2, 101]


def purged_is_read_back(make):
    world = make(SIMPLE, {"contacts": contacts(3)})
    world.crm.lies = {("2",)}
    assert attempt(world.purge).document["outcomes"] == {"purged": 2, "unverified": 1}


def another_purpose_keeps_the_field(make):
    long = PROSPECTS.replace("prospects", "tax").replace("6 months", "10 years").replace('"*"', '["email"]')
    world = make(SIMPLE + long, {"contacts": [person(1)]})
    attempt(world.purge)
    assert world.row(1) == person(1) | {"name": None}


def a_family_goes_whole(make):
    tables = {"contacts": contacts(2), "letters": [{"id": 7, "contact_id": 1}, {"id": 8, "contact_id": 2}]}
    world = make(SIMPLE + LETTERS, tables)
    result = attempt(world.purge)
    assert (world.ids(), world.ids("letters")) == ([101], [])
    assert result.document["outcomes"] == {"purged": 4}


def a_block_spreads(make):
    rows = [person(1, boss=None), person(2, boss=1), person(3, "2026-11-01", boss=2)]
    world = make(SIMPLE, {"contacts": rows}, relations=[("contacts", "boss", "contacts")])
    plan = world.plan()
    assert world.target(plan).blocked == 2
    world.approve(plan)
    attempt(world.apply, plan)
    assert world.ids() == [1, 2, 3]


def what_refers_both_ways_goes_at_once(make):
    """Every other one is of the other rule; each refers to the next."""
    rows = [person(key, kind="xy"[key % 2], boss=key + 1 if key < 6 else None) for key in range(1, 7)]
    second = PROSPECTS.replace("rule.prospects", "rule.others")
    config = CAPS + CONTACTS + PROSPECTS + 'where = { kind = "x" }\n' + second + 'where = { kind = "y" }\n'
    world = make(config, {"contacts": rows}, relations=[("contacts", "boss", "contacts")])
    attempt(world.purge)
    assert world.ids() == []


def a_child_goes_with_its_parent_alone(make):
    """The letter is to 2, who stays, and speaks of 1."""
    letters = CONTACTS[CONTACTS.index("[location.crm.dataset") :].replace("dataset.contacts", "dataset.letters")
    letters = letters.replace('source = "contacts"', 'source = "letters"')
    letters += 'parent = { dataset = "crm.contacts", via = ["to"], with_parent = true }\n'
    tables = {"contacts": [person(1), person(2, "2026-11-01")], "letters": [person(10, to=2, about=1)]}
    links = [("letters", "to", "contacts"), ("letters", "about", "contacts")]
    world = make(CAPS + CONTACTS + letters + PROSPECTS, tables, relations=links)
    attempt(world.purge)
    assert (world.ids(), world.ids("letters")) == ([1, 2], [10])


def an_incomplete_listing_is_not_nothing_due(make):
    world = make(SIMPLE, {"contacts": contacts(5)})
    world.crm.inner.incomplete = True
    plan = world.plan()
    assert world.target(plan).stopped_by is not None
    world.approve(plan)
    attempt(world.apply, plan)
    assert len(world.ids()) == 6


def a_gap_of_the_clock_stops(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    plan = world.plan()
    world.approve(plan)
    world.clock.forward(hours=73)
    assert isinstance(attempt(world.apply, plan), RefusedError)
    assert world.ids() == [1, 101]


def a_clock_that_jumps_stops(make):
    world = make(SIMPLE, {"contacts": contacts(4)})
    plan = world.plan()
    world.approve(plan)
    world.crm.after_act = lambda *_: world.clock.forward(hours=1)
    attempt(world.apply, plan)
    assert world.ids() == [3, 4, 101]


def a_halt_stops_within_a_batch(make):
    world = make(SIMPLE, {"contacts": contacts(6)})
    plan = world.plan()
    world.approve(plan)
    world.crm.after_act = lambda *_: world.halt()
    attempt(world.apply, plan)
    assert world.ids() == [3, 4, 5, 6, 101]


def the_first_time_needs_a_person(make):
    world = make(CAPS + CONTACTS + PROSPECTS + 'approval = "mandate"\n', {"contacts": contacts(2)})
    world.mandate()
    attempt(world.sweep)
    assert world.ids() == [1, 2, 101]


def a_mandate_is_not_exceeded(make):
    world = make(CAPS + CONTACTS + PROSPECTS + 'approval = "mandate"\n', {"contacts": contacts(2)})
    world.purge()
    world.mandate(max_records=2)
    for key in (11, 12, 13):
        world.insert(**person(key))
    attempt(world.sweep)
    assert world.ids() == [11, 12, 13, 101]


def a_lapsed_approval_is_none(make):
    world = make(SIMPLE.replace("[safety]\n", "[safety]\napprovals = 2\n"), {"contacts": contacts(1)})
    plan = world.plan()
    world.approve(plan, by="Eerste")
    world.clock.forward(days=3)
    world.approve(plan, by="Tweede")
    world.clock.forward(days=4, hours=2)
    world.resume(world.site.today())
    assert getattr(attempt(world.apply, plan), "code", None) == "not-approved"


SCENARIOS = [
    intent_precedes_deletion,
    hold_after_approval_spares,
    hold_in_mid_run_spares,
    unreadable_holds_stop,
    over_the_cap_is_zero,
    caps_roll_over_seven_days,
    undatable_stays,
    never_on_the_last_day,
    only_the_approved_records,
    two_are_two_persons,
    a_changed_policy_is_stale,
    purged_is_read_back,
    another_purpose_keeps_the_field,
    a_family_goes_whole,
    a_block_spreads,
    what_refers_both_ways_goes_at_once,
    a_child_goes_with_its_parent_alone,
    an_incomplete_listing_is_not_nothing_due,
    a_gap_of_the_clock_stops,
    a_clock_that_jumps_stops,
    a_halt_stops_within_a_batch,
    the_first_time_needs_a_person,
    a_mandate_is_not_exceeded,
    a_lapsed_approval_is_none,
]


# --- variants: each breaks one thing -------------------------------------------------------------------------------


def intent_after_the_deletion(patch):
    append, act = Actor.append_intent, Hand._act
    late = []
    patch.setattr(Actor, "append_intent", lambda self, portion: late.append((self, portion)))

    def act_first(self, connector, selection, portions):
        results = act(self, connector, selection, portions)
        while late:
            append(*late.pop(0))
        return results

    patch.setattr(Hand, "_act", act_first)


def no_hold_check_before_acting(patch):
    nothing = SimpleNamespace(
        active_holds=lambda _site: [], coverage=lambda site, _location, held: covering(held, site.config, {})
    )
    patch.setattr(hand, "holds", nothing)


def holds_read_once_for_the_run(patch):
    read, known = holds.active_holds, []

    def remembered(site):
        known[:] = known or [read(site)]
        return known[0]

    patch.setattr(hand, "holds", SimpleNamespace(active_holds=remembered, coverage=holds.coverage))


def unreadable_holds_are_no_holds(patch):
    read = holds.active_holds

    def lenient(site):
        try:
            return read(site)
        except LedgerError:
            return []

    patch.setattr(holds, "active_holds", lenient)


def cap_as_a_limit(patch):
    total = Planner._total

    def cut(self, session):
        for row in session.query(TargetRow).filter_by(plan_id=self.plan_id):
            bound = self.site.config.safety.max_records
            last = col(PlannedBlock.first_seq) + col(PlannedBlock.count)
            session.execute(delete(PlannedBlock).where(col(PlannedBlock.target_id) == row.id, last > bound))
            row.due = row.records = blocks.count(session, row.id)
        return total(self, session)

    patch.setattr(Planner, "_total", cut)


def caps_look_at_one_run_only(patch):
    patch.setattr(safety, "disposed_in_7_days", lambda _site, _now: 0)


def no_date_means_long_ago(patch):
    in_time = Judge._is_in_time

    def lenient(self, item):
        is_dated = any(item.moments(anchor) for anchor in self._asked)
        return in_time(self, item) if is_dated or self.selection.undated else True

    patch.setattr(Judge, "_is_in_time", lenient)


def due_on_the_last_day_itself(patch):
    cutoff = targets.cutoff
    patch.setattr(targets, "cutoff", lambda *given: cutoff(*given) + timedelta(days=1))


def digest_not_compared(patch):
    patch.setattr(apply, "_digest_differs", lambda *_: False)


def any_approval_will_do(patch):
    patch.setattr(review, "is_approved", lambda site, plan: bool(review.approvals(site, plan.id)))


def lapsed_approvals_count(patch):
    def counted(site, plan):
        return len({a.actor_id for a in review.approvals(site, plan.id)}) >= plan.approvals_needed

    patch.setattr(review, "is_approved", counted)


def never_stale(patch):
    patch.setattr(review, "staleness", lambda *_: None)


def no_read_back(patch):
    patch.setattr(Hand, "_read_back", lambda _self, _connector, _selection, _portion, outcomes, **_: outcomes)


def fields_ask_one_rule_only(patch):
    deciding = compiling.deciding_rules

    def shortest(spec, category, rules):
        found = deciding(spec, category, rules)
        return found and tuple(sorted(found, key=lambda rule: rule.period.years)[:1])

    patch.setattr(compiling, "deciding_rules", shortest)


def riders_not_planned(patch):
    patch.setattr(PlaceWriter, "_plan_riders", lambda *_: None)


def riders_left_behind(patch):
    patch.setattr(units, "_companions", lambda *_: [])


def blocking_not_spread(patch):
    changed = turns.changed

    def once(session, statement, values):
        return min(changed(session, statement, values), 0)

    patch.setattr(turns, "changed", once)


def targets_gone_through_once(patch):
    patch.setattr(turns, "arrange", lambda *_: set())


def every_reference_is_to_a_parent(patch):
    patch.setattr(DatasetSpec, "belongs_by", lambda *_: True)


def a_broken_listing_is_a_short_one(patch):
    def cut(connector, selection):
        try:
            yield from _find(connector, selection)
        except IncompleteListingError:
            return

    _find = MemoryConnector.find
    patch.setattr(MemoryConnector, "find", cut)


def clock_not_looked_at(patch):
    facts = {"synced": True, "skew_s": 0, "gap_s": 0}
    patch.setattr(safety, "check_clock", lambda *_: facts)
    patch.setattr("ropa.sweep.journal.check_clock", lambda *_: facts)


def jumps_not_looked_at(patch):
    patch.setattr(safety.FrozenNow, "check", lambda _self: None)


def halt_seen_at_the_start_only(patch):
    check, seen = safety.check_halt, []

    def first(site):
        if not seen:
            seen.append(check(site))

    patch.setattr(safety, "check_halt", first)


def mandates_cover_the_first_time(patch):
    candidates = mandates._candidates

    def eager(session, site, row):
        if session.get(RuleRecord, (row.rules[0], row.revisions[0])) is None:
            session.add(RuleRecord(rule=row.rules[0], revision=row.revisions[0], plan_id=row.plan_id))
            session.flush()
        return candidates(session, site, row)

    patch.setattr(mandates, "_candidates", eager)


def mandates_without_a_number(patch):
    patch.setattr(mandates, "_covers", lambda *_: True)


VARIANTS = {
    intent_after_the_deletion: intent_precedes_deletion,
    no_hold_check_before_acting: hold_after_approval_spares,
    holds_read_once_for_the_run: hold_in_mid_run_spares,
    unreadable_holds_are_no_holds: unreadable_holds_stop,
    cap_as_a_limit: over_the_cap_is_zero,
    caps_look_at_one_run_only: caps_roll_over_seven_days,
    no_date_means_long_ago: undatable_stays,
    due_on_the_last_day_itself: never_on_the_last_day,
    digest_not_compared: only_the_approved_records,
    any_approval_will_do: two_are_two_persons,
    lapsed_approvals_count: a_lapsed_approval_is_none,
    never_stale: a_changed_policy_is_stale,
    no_read_back: purged_is_read_back,
    fields_ask_one_rule_only: another_purpose_keeps_the_field,
    riders_not_planned: a_family_goes_whole,
    riders_left_behind: a_family_goes_whole,
    blocking_not_spread: a_block_spreads,
    targets_gone_through_once: what_refers_both_ways_goes_at_once,
    every_reference_is_to_a_parent: a_child_goes_with_its_parent_alone,
    a_broken_listing_is_a_short_one: an_incomplete_listing_is_not_nothing_due,
    clock_not_looked_at: a_gap_of_the_clock_stops,
    jumps_not_looked_at: a_clock_that_jumps_stops,
    halt_seen_at_the_start_only: a_halt_stops_within_a_batch,
    mandates_cover_the_first_time: the_first_time_needs_a_person,
    mandates_without_a_number: a_mandate_is_not_exceeded,
}


def test_every_scenario_has_a_variant_that_it_catches():
    assert set(VARIANTS.values()) == set(SCENARIOS)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_the_code_as_it_is_passes_the_scenario(make, scenario):
    scenario(make)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.__name__)
def test_the_broken_variant_is_caught(make, monkeypatch, variant):
    def unsound(*given, **more):
        world = make(*given, **more)
        world.is_sound = False  # a broken program need not leave sound evidence
        return world

    variant(monkeypatch)
    with pytest.raises(AssertionError):
        VARIANTS[variant](unsound)
