"""A person's yes: to one digest, of these very records, for a while (faults, B)."""

import pytest
from sweep_kit import CONTACTS, PROSPECTS, REGISTER, SIMPLE, contacts, day, judge, person

from ropa.errors import CallError, LedgerError, RefusedError
from ropa.sweep import night, show
from ropa.sweep.site import Site

TWO = SIMPLE.replace("[safety]\n", "[safety]\napprovals = 2\n")


def refused(call, *args, code=None, **kwargs):
    with pytest.raises(RefusedError) as caught:
        call(*args, **kwargs)
    assert caught.value.exit_code == 4
    if code is not None:
        assert caught.value.code == code
    return caught.value


@pytest.fixture
def world(make):
    return make(SIMPLE, {"contacts": contacts(3)})


def test_a_plan_that_nobody_approved_is_refused_and_nothing_is_done(world):
    refused(world.apply, world.plan(), code="not-approved")
    assert world.crm.acts == []
    assert world.ids() == [1, 2, 3, 101]


def test_planning_changes_nothing_at_the_place(world):
    before = world.rows()
    world.crm.away_for = {"act", "settle", "remaining"}
    plan = world.plan()
    assert world.target(plan).records == 3
    assert world.rows() == before


def test_a_forecast_is_neither_approved_nor_applied(world):
    plan = world.plan(as_of=day("2027-01-01"))
    assert world.target(plan).records == 3
    refused(world.approve, plan, code="forecast")
    refused(world.apply, plan, code="forecast")


def test_a_wrong_digest_is_refused_and_the_right_one_may_be_written_with_its_prefix(world):
    plan = world.plan()
    refused(world.approve, plan, digest="sha256:" + "0" * 64, code="wrong-digest")
    digest = show.plan_document(world.site, plan)["digest"]
    world.approve(plan, digest=f" {digest.upper().replace('SHA256', 'sha256')} ")
    assert world.state(plan) == "approved"


def test_an_approval_of_one_plan_is_none_of_another(world):
    first, second = world.plan(), world.plan()
    world.approve(first)
    refused(world.approve, second, digest=show.plan_document(world.site, first)["digest"], code="wrong-digest")
    refused(world.apply, second, code="not-approved")


def test_records_that_became_due_after_the_approval_are_not_touched(make, kind):
    world = make(SIMPLE, {"contacts": contacts(3)}, kind=kind)
    plan = world.plan()
    world.approve(plan)
    world.insert(**person(4))
    world.update(101, created="2020-01-01")
    assert world.apply(plan).document["outcomes"] == {"purged": 3}
    assert world.ids() == [4, 101]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"created": "2026-11-20"}, "changed"),
        ({"name": "Andere Naam"}, "changed"),
        ({"created": None}, "changed"),
        ({"email": None}, "changed"),
    ],
)
def test_a_record_that_changed_since_the_plan_stays_and_the_others_go(make, kind, change, word):
    world = make(SIMPLE, {"contacts": contacts(3)}, kind=kind)
    plan = world.plan()
    world.approve(plan)
    world.update(2, **change)
    result = world.apply(plan)
    assert result.document["outcomes"] == {word: 1, "purged": 2}
    assert result.exit_code == 3
    assert world.ids() == [2, 101]
    assert world.state(plan) == "applied"


def test_a_record_that_was_gone_already_is_absent_and_not_purged(make, kind):
    world = make(SIMPLE, {"contacts": contacts(3)}, kind=kind)
    plan = world.plan()
    world.approve(plan)
    world.remove(2)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"absent": 1, "purged": 2}
    assert result.exit_code == 0


def test_a_plan_is_applied_once_and_the_second_time_says_so(world):
    plan = world.plan()
    world.approve(plan)
    world.apply(plan)
    receipts = len(world.events("receipt"))
    world.insert(**person(1))
    refused(world.apply, plan, code="spent")
    refused(world.approve, plan, code="spent")
    assert len(world.events("receipt")) == receipts
    assert world.ids() == [1, 101]


# --- the plan is what was approved ---------------------------------------------------------------------------------

BLOCK_MORE = (
    "INSERT INTO planned_block (target_id, first_seq, count, keys, versions, due_on) "
    "SELECT target_id, {}, 1, '[[\"101\"]]', '\"\"', substr(due_on, 1, 4) FROM planned_block WHERE first_seq = 0 LIMIT 1"
)
FLIPS = {
    "a record's key": lambda world: world.rewrite(1, key=("101",)),
    "a record's version": lambda world: world.rewrite(1, version=""),
    "a record's day": lambda world: world.rewrite(1, due_on=day("2020-07-16")),
    "a held record's fate": "DELETE FROM planned_stay WHERE disposition = 'held'",
    "a held record's reason": "UPDATE planned_stay SET reason = 'x'",
    "a held record's place": "UPDATE planned_stay SET seq = seq - 1",
    "a record that stays": "INSERT INTO planned_stay SELECT target_id, 0, disposition, reason FROM planned_stay",
    "a block's place": "UPDATE planned_block SET first_seq = 77 WHERE first_seq = 0",
    "a block less": "DELETE FROM planned_block WHERE first_seq = 0",
    "a block more": BLOCK_MORE.format(99),
    "a block more within another": BLOCK_MORE.format(1),
    "a block more before the first": BLOCK_MORE.format(-1),
    "the target's location": "UPDATE plan_target SET location = 'crn'",
    "the target's dataset": "UPDATE plan_target SET dataset = 'others'",
    "the target's identity": "UPDATE plan_target SET identity = 'crm.others/row/*/purge/others'",
    "the target's scope": "UPDATE plan_target SET scope = 'field'",
    "the target's data": "UPDATE plan_target SET data = '[\"name\"]'",
    "the target's action": "UPDATE plan_target SET action = 'flag'",
    "the target's rules": "UPDATE plan_target SET rules = '[\"others\"]'",
    "the target's revisions": "UPDATE plan_target SET revisions = '[\"0\"]'",
    "the target's cut-offs": "UPDATE plan_target SET cutoffs = '{}'",
    "the target's records": "UPDATE plan_target SET records = 1",
    "the target's due": "UPDATE plan_target SET due = 1",
    "the target's population": "UPDATE plan_target SET population = 1000000",
    "the target's growth": "UPDATE plan_target SET previous_records = 1000000",
    "the target's approval": "UPDATE plan_target SET approval = 'none'",
    "the target's mandate": "UPDATE plan_target SET mandate_id = 1",
    "the target's stop": "UPDATE plan_target SET stopped_by = 'cap-records' WHERE dataset = 'contacts'",
    "a stopped target's stop": "UPDATE plan_target SET stopped_by = NULL WHERE dataset = 'others'",
    "the target's parent": "UPDATE plan_target SET rides_with = 1",
    "the target's order": "UPDATE plan_target SET position = 1 - position",
    "the plan's day": "UPDATE plan SET as_of = '2026-11-22'",
    "the plan's instant": "UPDATE plan SET created_at = '2026-11-20 00:00:00'",
    "the plan's author": "UPDATE plan SET author = 'x'",
    "the plan's approvals": "UPDATE plan SET approvals_needed = 0",
    "the plan's digest": f"UPDATE plan SET digest = '{'0' * 64}'",
    "the plan's policy": "UPDATE plan SET policy = 'sha256:0'",
    "the plan's register": "UPDATE plan SET register_revision = 0",
    "the plan's tool": "UPDATE plan SET tool = 'ropa 9'",
}
TWO_PLACES = (
    SIMPLE
    + CONTACTS.replace('[location.crm]\nconnector = "memory"\nbatch_size = 2\n', "").replace("contacts", "others")
    + (PROSPECTS.replace("prospects", "others").replace("contacts", "others") + "max_records = 1\n")
)


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize("what", FLIPS)
def test_one_byte_of_an_approved_plan_flipped_and_nothing_is_done(make, what):
    world = make(TWO_PLACES, {"contacts": contacts(3), "others": contacts(2)})
    world.hold(key=3)
    plan = world.plan()
    world.approve(plan)
    flip = FLIPS[what]
    flip(world) if callable(flip) else world.execute(flip)
    world.is_sound = False  # sums that were tampered with need not add up
    refused(world.apply, plan)
    assert judge(world.site.ledger_folder) == 0
    assert world.crm.acts == []
    assert world.events("intent") == []
    assert (world.ids(), world.ids("others")) == ([1, 2, 3, 101], [1, 2, 101])


def test_the_plan_that_is_flipped_above_goes_when_nothing_is_flipped(make):
    world = make(TWO_PLACES, {"contacts": contacts(3), "others": contacts(2)})
    world.hold(key=3)
    plan = world.plan()
    world.approve(plan)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"purged": 2, "refused": 2}
    assert (world.ids(), world.ids("others")) == ([3, 101], [1, 2, 101])


def test_a_record_swapped_while_its_intent_is_open_stops_everything(world):
    """After a crash the batch in hand is not carried on with other records than its intent says."""
    plan = world.plan()
    world.approve(plan)
    world.crm.away_for = {"remaining"}
    world.apply(plan)
    assert len(world.events("intent")) == 1
    world.crm.away_for = set()
    world.rewrite(0, key=("101",), version="")
    world.data["contacts"].append(person(1))
    world.update(101, created="2020-01-01")
    with pytest.raises(LedgerError):
        world.apply(plan)
    assert 101 in world.ids()
    world.is_sound = False


def test_a_plan_that_was_tampered_with_while_its_intent_is_open_is_only_looked_at(make, kind):
    """A record whose version was taken away would be erased though it changed since."""
    world = make(SIMPLE, {"contacts": contacts(3)}, kind=kind)
    plan = world.plan()
    world.approve(plan)
    world.crm.away_for = {"act"}
    world.apply(plan)
    world.crm.away_for = set()
    world.rewrite(0, version="")
    world.update(1, name="Iemand Anders")
    refused(world.apply, plan, code="digest")
    assert world.target(plan).outcomes == {"failed": 2}
    assert world.ids() == [1, 2, 3, 101]


# --- stale ---------------------------------------------------------------------------------------------------------


def test_a_changed_configuration_makes_a_plan_stale_also_by_one_byte(world):
    plan = world.plan()
    world.approve(plan)
    world.configure(SIMPLE + "# \n")
    refused(world.apply, plan, code="stale")
    assert world.state(plan) == "stale"
    assert world.crm.acts == []


def test_a_changed_register_makes_a_plan_stale(world):
    plan = world.plan()
    world.approve(plan)
    world.keep_register(REGISTER.replace("Voorbeeld", "Ander"))
    refused(world.apply, plan, code="stale")
    assert world.crm.acts == []


def test_another_version_of_the_tool_makes_a_plan_stale(world, monkeypatch):
    plan = world.plan()
    world.approve(plan)
    monkeypatch.setattr("ropa.sweep.review.TOOL", "ropa 99")
    refused(world.apply, plan, code="stale")
    assert world.crm.acts == []


def test_a_stale_plan_is_not_approved_either(world):
    plan = world.plan()
    world.configure(SIMPLE + "# \n")
    refused(world.approve, plan, code="stale")


def test_a_rule_edited_from_years_to_days_shows_its_growth_in_the_plan_and_its_diff(make):
    long = SIMPLE.replace("6 months", "5 years")
    rows = [person(1, "2020-01-01"), *(person(i, "2025-01-01") for i in range(2, 12))]
    world = make(long, {"contacts": rows})
    before = world.plan()
    world.configure(SIMPLE.replace("6 months", "5 days"))
    after = world.plan()
    assert (world.target(after).records, world.target(after).previous_records) == (11, 1)
    change = show.plan_diff(world.site, before, after)["targets"][0]
    assert (change["records_before"], change["records_after"], change["came"], change["went"]) == (1, 11, 10, 0)
    assert world.events("plan")[-1]["growth_pct"] == 1000


def test_a_half_written_plan_and_a_night_without_the_place_do_not_hide_growth(world):
    world.plan()
    world.crm.away_for = {"*"}
    world.plan()
    world.crm.away_for = set()
    assert world.target(world.plan()).previous_records == 3


# --- persons -------------------------------------------------------------------------------------------------------


def test_where_two_are_asked_the_same_person_counts_once_under_any_spelling(make):
    world = make(TWO, {"contacts": contacts(2)})
    plan = world.plan(by="An Auteur")
    world.approve(plan, by="Éva Peeters")
    for spelling in ("éva peeters", " ÉVA  PEETERS ", "E\u0301va Peeters", "Éva\u00a0Peeters", "évapeeters"):
        refused(world.approve, plan, by=spelling, code="same-person")
    refused(world.apply, plan, code="not-approved")
    world.approve(plan, by="Tweede Mens")
    assert world.apply(plan).document["outcomes"] == {"purged": 2}


def test_where_two_are_asked_the_author_alone_is_not_enough(make):
    world = make(TWO, {"contacts": contacts(2)})
    plan = world.plan(by="An Auteur")
    world.approve(plan, by="an auteur")
    refused(world.apply, plan, code="not-approved")
    assert world.state(plan) == "pending"
    world.approve(plan, by="Tweede Mens")
    assert world.state(plan) == "approved"


def test_an_approval_that_the_ledger_does_not_know_is_no_approval(world):
    """A row smuggled into the run database is not a person's word."""
    plan = world.plan()
    world.execute("INSERT INTO actor (id, name, normalised) VALUES ('ff', 'X', 'x')")
    world.execute(
        "INSERT INTO approval (plan_id, actor_id, digest, reason, at, expires_at) "
        "SELECT id, 'ff', digest, 'x', created_at, '2099-01-01 00:00:00' FROM plan"
    )
    world.execute("UPDATE plan SET state = 'approved'")
    refused(world.apply, plan)
    assert world.crm.acts == []
    assert world.ids() == [1, 2, 3, 101]


@pytest.mark.parametrize(("seconds", "is_valid"), [(0, True), (1, False)])
def test_an_approval_lapses_a_second_after_its_seven_days(world, seconds, is_valid):
    plan = world.plan()
    world.approve(plan)
    world.clock.forward(days=7, seconds=seconds)
    world.resume(world.site.today())
    if is_valid:
        assert world.apply(plan).document["outcomes"] == {"purged": 3}
        return
    refused(world.apply, plan)
    assert world.state(plan) == "lapsed"
    assert world.crm.acts == []


def test_of_two_approvals_the_older_lapses_first_and_one_is_not_enough(make):
    world = make(TWO, {"contacts": contacts(2)})
    plan = world.plan()
    world.approve(plan, by="Eerste")
    world.clock.forward(days=2)
    world.approve(plan, by="Tweede")
    world.clock.forward(days=5, seconds=1)
    world.resume(world.site.today())
    refused(world.apply, plan, code="not-approved")
    world.approve(plan, by="Eerste")
    assert world.apply(plan).document["outcomes"] == {"purged": 2}


def test_a_plan_that_nobody_looks_at_lapses_and_its_keys_leave(world):
    plan = world.plan()
    for _ in range(3):
        world.clock.forward(days=2, hours=12)
        world.plan()
    assert world.state(plan) == "lapsed"
    assert list(show.records(world.site, plan)) == []


def test_a_rejected_plan_never_returns(world):
    plan = world.plan()
    world.approve(plan, by="Eerste")
    world.reject(plan)
    assert world.state(plan) == "rejected"
    refused(world.approve, plan, code="spent")
    refused(world.apply, plan, code="spent")
    refused(world.reject, plan, code="spent")
    assert world.ids() == [1, 2, 3, 101]


def test_a_yes_without_a_name_or_a_reason_is_none(world):
    plan = world.plan()
    with pytest.raises(CallError):
        world.approve(plan, by="  ")
    assert isinstance(world.site, Site)
    with pytest.raises(CallError):
        world.approve(99)
    with pytest.raises(CallError):
        night.apply_plan(world.site, 99)
    refused(world.apply, plan, code="not-approved")


def test_a_halt_in_mid_run_stops_within_one_batch_and_the_plan_goes_on_after_it(make):
    world = make(SIMPLE, {"contacts": contacts(7)})
    plan = world.plan()
    world.approve(plan)
    world.crm.after_act = lambda _selection, _batch: world.halt() if len(world.crm.acts) == 2 else None
    refused(world.apply, plan, code="halt")
    assert world.ids() == [5, 6, 7, 101]
    assert [event["type"] for event in world.events()].count("halt") == 1
    world.crm.after_act = None
    refused(world.apply, plan, code="halt")
    refused(world.sweep, code="halt")
    world.resume()
    result = world.apply(plan)
    assert result.document["outcomes"] == {"purged": 3}
    assert result.exit_code == 0
    assert world.state(plan) == "applied"
    assert world.target(plan).outcomes == {"purged": 7}
    assert world.ids() == [101]


def test_a_lapse_in_mid_plan_leaves_the_rest_and_says_so(make):
    world = make(SIMPLE, {"contacts": contacts(4)})
    plan = world.plan()
    world.approve(plan)
    world.crm.after_act = lambda *_: world.halt()
    refused(world.apply, plan, code="halt")
    world.crm.after_act = None
    world.clock.forward(days=7, seconds=1)
    world.resume(world.site.today())
    refused(world.apply, plan)
    assert world.state(plan) == "partly-applied"
    assert world.ids() == [3, 4, 101]
