"""Holds: they win, at planning and in each batch; what cannot be read stops everything (faults, C)."""

import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweep_kit import PROSPECTS, SIMPLE, contacts, day, person

from connectors.sql.acting import Actor
from connectors.sql.alteration import Alteration
from connectors.sql.removal import Removal
from ropa.errors import CallError, LedgerError
from ropa.sweep import hand, holds
from ropa.sweep.explain import explain

LETTERS = """
[location.crm.dataset.letters]
source = "letters"
key = ["id"]
anchor.sent = "sent"
data.correspondence = ["text"]
parent = { dataset = "crm.contacts", via = ["contact_id"] }
[rule.letters]
activity = "intake"
dataset = "crm.letters"
data = "*"
anchor = "sent"
period = "6 months"
action = "purge"
"""
FAMILY = SIMPLE + LETTERS
LINKS = [("letters", "contact_id", "contacts")]


def letter(key, contact, sent="2020-01-15"):
    return {"id": key, "contact_id": contact, "sent": sent, "text": "tekst"}


def test_a_hold_placed_after_the_approval_spares_its_record_and_is_no_failure(make, kind):
    world = make(SIMPLE, {"contacts": contacts(3)}, kind=kind)
    plan = world.plan()
    world.approve(plan)
    world.hold(key=2)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"held": 1, "purged": 2}
    assert result.exit_code == 0
    assert world.ids() == [2, 101]


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_a_hold_placed_in_mid_run_covers_everything_after_the_batch_in_hand(make, kind, batch):
    """All is held when the k-th batch is acted on: at most that batch still goes (case 31), and where it can be undone,
    it does not."""
    world = make(SIMPLE, {"contacts": contacts(8)}, kind=kind)
    plan = world.plan()
    world.approve(plan)

    def place(_selection, _batch):
        if len(world.crm.acts) == batch - 1:
            world.crm.before_act = None
            world.hold("dataset", "crm.contacts")

    world.crm.before_act = place
    result = world.apply(plan)
    gone = batch if kind == "memory" else batch - 1
    counts = {"purged": 2 * gone, "held": 8 - 2 * gone}
    assert result.document["outcomes"] == {word: count for word, count in counts.items() if count}
    assert len(world.crm.acts) == gone
    assert [event["type"] for event in world.events()].count("hold") == 1


def test_a_hold_on_one_record_in_mid_run_spares_it_in_its_batch(make, kind):
    world = make(SIMPLE, {"contacts": contacts(6)}, kind=kind)
    plan = world.plan()
    world.approve(plan)

    def place(_selection, _batch):
        world.crm.before_act = None
        world.hold(key=5)

    world.crm.before_act = place
    assert world.apply(plan).document["outcomes"] == {"held": 1, "purged": 5}
    assert world.ids() == [5, 101]


WAYS = {"all at once": (Removal, "carry_out"), "one by one": (Actor, "_attempt")}


@pytest.mark.parametrize("way", WAYS)
def test_a_hold_placed_while_a_batch_waits_for_a_lock_is_heeded_before_the_batch_is_made_to_last(
    make, monkeypatch, way
):
    config, relations = (FAMILY, LINKS) if way == "one by one" else (SIMPLE, ())
    tables = {"contacts": contacts(3)} | ({"letters": []} if relations else {})
    world = make(config, tables, kind="sqlite", relations=relations)
    plan = world.plan(dataset="crm.contacts")
    world.approve(plan)
    owner, name = WAYS[way]
    inner, placed = getattr(owner, name), []

    def late(self, *arguments):
        found = inner(self, *arguments)  # everything is gone, and nothing lasts yet
        if not placed:
            placed.append(world.hold(key=2))
        return found

    monkeypatch.setattr(owner, name, late)
    result = world.apply(plan)
    assert placed
    assert result.document["outcomes"] == {"held": 1, "purged": 2}
    assert result.exit_code == 0
    assert world.ids() == [2, 101]


def test_a_field_that_is_held_before_its_change_is_made_to_last_keeps_what_it_holds(make, monkeypatch):
    config = SIMPLE.replace('action = "purge"', 'action = "anonymise"')
    world = make(config, {"contacts": contacts(3)}, kind="sqlite")
    plan = world.plan()
    world.approve(plan)
    inner, placed = Alteration.carry_out, []

    def late(self, connection):
        inner(self, connection)
        if not placed:
            placed.append(world.hold(key=2))
        return True

    monkeypatch.setattr(Alteration, "carry_out", late)
    assert world.apply(plan).document["outcomes"] == {"anonymised": 2, "held": 1}
    assert [row["name"] for row in world.rows("contacts")] == [None, "Naam 2", None, "Naam 101"]


def test_holds_that_change_again_and_again_let_nothing_go_and_end(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(2)}, kind="sqlite")
    plan = world.plan()
    world.approve(plan)
    monkeypatch.setattr(hand, "_ATTEMPTS", 3)
    world.crm.before_act = lambda *_: world.hold(key=101)
    result = world.apply(plan)
    assert result.document["outcomes"] == {"failed": 2}
    assert result.exit_code == 3
    assert world.ids() == [1, 2, 101]


SPELLINGS = [
    "renée.müller@example.org",
    "RENÉE.MÜLLER@EXAMPLE.ORG",
    unicodedata.normalize("NFD", "Renée.Müller@example.org"),
    "  renée.müller@example.org\u00a0",
    "{renée.müller@example.org}",
    "ＲＥＮÉＥ.müller@example.org",
    "renée.müller @ example.org",
    "ren\u200bée.müller@example.org",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_person_is_held_under_any_spelling_of_case_form_and_space(make, kind, spelling):
    rows = [person(1) | {"email": "Renée.Müller@Example.org"}, person(2)]
    world = make(SIMPLE, {"contacts": rows}, kind=kind)
    world.hold("subject", spelling)
    plan = world.plan()
    assert world.planned(plan, "held") == [("crm.contacts", "1")]
    assert world.planned(plan) == [("crm.contacts", "2")]


ALPHABET = "éEéÉ ßẞıIiİΣςσåÅ-'Øø1"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    name=st.text(st.sampled_from(ALPHABET), min_size=3, max_size=12).filter(str.strip),
)
def test_other_spellings_of_any_name_are_the_same_person(data, name):
    from ropa.connector import normalise_identifier

    form = data.draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"]))
    variant = unicodedata.normalize(
        form, data.draw(st.sampled_from([name, name.lower(), name.casefold(), f" {name}\t"]))
    )
    assert normalise_identifier(variant) == normalise_identifier(name)


def test_a_guid_is_held_with_or_without_braces_and_hyphens_in_any_case(make):
    guid = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"
    config = SIMPLE
    for number, spelling in enumerate((guid, guid.upper(), "{" + guid + "}", guid.replace("-", ""))):
        world = make(config, {"contacts": [person(guid), person("x")]})
        world.hold(key=spelling)
        assert world.planned(world.plan(), "held") == [("crm.contacts", guid)], number


@pytest.mark.parametrize(
    ("hold", "held"),
    [
        (("dataset", "crm.contacts"), {"contacts": 2, "letters": 2}),
        (("dataset", "crm.letters"), {"contacts": 0, "letters": 2}),
        (("location", "crm"), {"contacts": 2, "letters": 2}),
        (("activity", "intake"), {"contacts": 2, "letters": 2}),
        (("record", "crm.contacts", 1), {"contacts": 1, "letters": 1}),
        (("record", "crm.letters", 7), {"contacts": 0, "letters": 1}),
        (("subject", "P1@example.org"), {"contacts": 1, "letters": 1}),
    ],
)
def test_a_hold_covers_what_it_names_and_all_that_descends_from_it(make, kind, hold, held):
    """A held child blocks its parent, too: half a family never goes."""
    tables = {"contacts": contacts(2), "letters": [letter(7, 1), letter(8, 2)]}
    world = make(FAMILY, tables, kind=kind, relations=LINKS)
    world.hold(hold[0], hold[1], *hold[2:])
    plan = world.plan()
    assert {row.dataset: row.held for row in world.targets(plan)} == held
    blocked = {"contacts": held["letters"] - held["contacts"], "letters": 0}
    assert {row.dataset: row.blocked for row in world.targets(plan)} == blocked
    world.approve(plan)
    world.apply(plan)
    assert len(world.ids()) - 1 == held["contacts"] + blocked["contacts"]
    assert len(world.ids("letters")) == held["letters"]


BEHIND = [
    ("cases", "contact_id", "contacts"),  # not declared
    ("papers", "case_id", "cases"),  # nor is this
    ("letters", "paper_id", "papers"),
]


@pytest.mark.parametrize("hold", [("dataset", "crm.contacts"), ("activity", "intake"), ("record", "crm.contacts", 1)])
@pytest.mark.parametrize("when", ["before", "approved"])
def test_a_hold_reaches_what_descends_by_way_of_tables_that_are_not_declared(make, kind, hold, when):
    config = SIMPLE + LETTERS.replace('activity = "intake"', 'activity = "cards"')
    config = "\n".join(line for line in config.splitlines() if not line.startswith("parent"))
    tables = {
        "contacts": contacts(2),
        "cases": [{"id": 1, "contact_id": 1}],
        "papers": [{"id": 1, "case_id": 1}],
        "letters": [{"id": 7, "paper_id": 1, "sent": "2020-01-15", "text": "tekst"}],
    }
    world = make(config, tables, kind=kind, relations=BEHIND)
    if when == "before":
        world.hold(hold[0], hold[1], *hold[2:])
    plan = world.plan()
    world.approve(plan)
    if when == "approved":
        world.hold(hold[0], hold[1], *hold[2:])
    world.apply(plan)
    assert world.ids("letters") == [7]


@pytest.mark.parametrize("when", ["before", "approved"])
def test_where_a_place_cannot_tell_what_descends_from_what_is_held_nothing_goes(make, kind, when):
    """What refers to a held record is known from the catalogue alone, and that is away for a moment."""
    config = "\n".join(line for line in (SIMPLE + LETTERS).splitlines() if not line.startswith("parent"))
    world = make(config, {"contacts": contacts(2), "letters": [letter(7, 1)]}, kind=kind, relations=LINKS)
    if when == "before":
        world.hold("dataset", "crm.contacts")
        world.crm.away_for = {"datasets"}
    plan = world.plan()
    if when == "before":
        assert {row.stopped_by for row in world.targets(plan)} == {"unreachable"}
        assert world.planned(plan) == []
        return
    world.approve(plan)
    world.hold("dataset", "crm.contacts")
    world.reopen()
    world.crm.away_for = {"datasets"}
    assert world.apply(plan).exit_code == 5
    world.crm.away_for = set()
    world.apply(plan)
    assert world.ids("letters") == [7]
    assert world.ids() == [1, 2, 101]


def test_a_hold_on_a_dataset_covers_its_records_under_another_name_too(make, kind):
    again = SIMPLE.partition("[location.crm.dataset.contacts]")[2].replace("crm.contacts", "crm.prospects")
    config = SIMPLE.partition("[rule.prospects]")[0] + "[location.crm.dataset.prospects]" + again
    world = make(config, {"contacts": contacts(2)}, kind=kind)
    world.hold("dataset", "crm.contacts")
    plan = world.plan()
    assert [(row.dataset, row.due, row.held) for row in world.targets(plan)] == [("prospects", 2, 2)]


def test_a_hold_on_an_activity_spares_every_target_that_rests_on_it(make):
    other = PROSPECTS.replace("prospects", "cards").replace("intake", "cards").replace("6 months", "3 months")
    world = make(SIMPLE + other, {"contacts": contacts(2)})
    world.hold("activity", "cards")
    plan = world.plan()
    assert world.target(plan).held == 2
    world.release(1)
    plan = world.plan()
    world.approve(plan)
    world.hold("activity", "intake")
    assert world.apply(plan).document["outcomes"] == {"held": 2}


def test_a_released_hold_lets_nothing_go_by_the_old_plan(make, kind):
    world = make(SIMPLE, {"contacts": contacts(2)}, kind=kind)
    hold = world.hold(key=1)
    plan = world.plan()
    world.approve(plan)
    world.release(hold)
    assert world.apply(plan).document["outcomes"] == {"purged": 1}
    assert world.ids() == [1, 101]
    assert world.purge().document["outcomes"] == {"purged": 1}


def test_a_hold_past_its_review_date_stays_in_force_and_is_a_finding(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    world.hold(key=1, review_on=day("2026-11-22"))
    world.clock.forward(days=2)
    assert world.planned(world.plan(), "held") == [("crm.contacts", "1")]
    assert "hold-review-overdue" in world.findings()
    assert holds.listing(world.site)[0]["state"] == "review-overdue"


def test_a_hold_on_what_the_configuration_no_longer_knows_is_a_finding(make):
    world = make(FAMILY, {"contacts": contacts(1), "letters": []})
    world.hold("dataset", "crm.letters")
    world.configure(SIMPLE)
    plan = world.plan()
    assert "hold-unresolved" in world.findings()
    assert world.target(plan).held == 1, "in doubt all of the location is held"


# --- holds that cannot be read -------------------------------------------------------------------------------------

DAMAGES = {
    "emptied": "DELETE FROM legal_hold",
    "one lost": "DELETE FROM legal_hold WHERE id = 1",
    "dropped": "DROP TABLE legal_hold",
    "another table": "ALTER TABLE legal_hold RENAME TO holds",
    "kind": "UPDATE legal_hold SET kind = 'x'",
    "reason": "UPDATE legal_hold SET reason = 'x'",
    "another record": "UPDATE legal_hold SET key = '[\"101\"]' WHERE kind = 'record'",
    "no record": "UPDATE legal_hold SET key = NULL WHERE kind = 'record'",
    "garbage for a key": "UPDATE legal_hold SET key = '[\"' WHERE kind = 'record'",
    "another dataset": "UPDATE legal_hold SET target = 'crm.letters'",
    "another person": "UPDATE legal_hold SET target = '0' WHERE kind = 'subject'",
    "another kind": "UPDATE legal_hold SET kind = 'dataset', key = NULL",
    "an unreadable date": "UPDATE legal_hold SET since = 'gisteren'",
    "released by nobody": "UPDATE legal_hold SET released_at = '2026-11-20 00:00:00'",
    "released and told": "UPDATE legal_hold SET released_at = '2026-11-20 00:00:00', released_by = 'x', is_release_recorded = true",
    "another leaf": "UPDATE legal_hold SET leaf = '00'",
    "another secret": "UPDATE legal_hold SET leaf_key = x'00'",
    "replaced": "UPDATE legal_hold SET id = id + 10, leaf = 'ff' || substr(leaf, 3)",
}

ON_POSTGRESQL = {
    "an unreadable date": "ALTER TABLE legal_hold DROP COLUMN since",
    "another secret": "UPDATE legal_hold SET leaf_key = '\\x00'",
}
"""The same where the columns have types."""


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("damage", DAMAGES)
def test_holds_that_were_lost_or_changed_stop_everything_and_nothing_is_done(make, damage):
    world = make(FAMILY, {"contacts": contacts(3), "letters": []})
    plan = world.plan()
    world.approve(plan)
    world.hold(key=2)
    world.hold("subject", "p3@example.org")
    words = DAMAGES | (ON_POSTGRESQL if world.url else {})
    world.execute(words[damage])
    for command in (lambda: world.apply(plan), world.plan, world.sweep, lambda: world.apply(plan)):
        with pytest.raises(LedgerError) as caught:
            command()
        assert caught.value.exit_code == 6
    assert world.crm.acts == []
    assert world.ids() == [1, 2, 3, 101]


def test_holds_damaged_in_mid_run_stop_it_before_the_next_batch(make):
    world = make(SIMPLE, {"contacts": contacts(6)})
    plan = world.plan()
    world.approve(plan)
    world.hold(key=5)
    world.crm.after_act = lambda *_: world.execute("UPDATE legal_hold SET key = '[\"101\"]'")
    with pytest.raises(LedgerError):
        world.apply(plan)
    assert world.ids() == [3, 4, 5, 6, 101]


@pytest.mark.parametrize("damage", ["gone", "other", "short", "empty"])
def test_without_the_key_of_the_persons_on_hold_nothing_is_disposed_of(make, damage):
    world = make(SIMPLE, {"contacts": contacts(2)})
    world.hold("subject", "p1@example.org")
    path = world.site.keys_folder / "holds.key"
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes({"other": bytes(32), "short": content[:31], "empty": b""}[damage])
    with pytest.raises(LedgerError):
        world.purge()
    with pytest.raises(LedgerError):
        world.hold("subject", "p2@example.org")
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(0o600)
    assert world.purge().document["outcomes"] == {"purged": 1}
    assert world.ids() == [1, 101]


# --- placing and releasing -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind_", "target", "key"),
    [
        ("record", "crm.nothing", 1),
        ("record", "crm.contacts", None),
        ("record", "crm.contacts", ("1", "2")),
        ("dataset", "crm", None),
        ("location", "shop", None),
        ("activity", "nobody", None),
        ("subject", " \u200b", None),
    ],
)
def test_a_hold_that_would_hold_nothing_is_refused(make, kind_, target, key):
    world = make(SIMPLE, {"contacts": contacts(1)})
    with pytest.raises(CallError):
        world.hold(kind_, target, key)
    assert holds.listing(world.site) == []


def test_a_hold_is_released_once_and_what_it_named_leaves_the_database(make):
    world = make(SIMPLE, {"contacts": [person("canary-9f3a")]})
    first = world.hold(key="canary-9f3a")
    second = world.hold("subject", "canary-7b1f@example.org")
    assert b"canary-9f3a" in world.bytes_on_disk()
    assert b"canary-7b1f" not in world.bytes_on_disk()
    for hold in (first, second):
        world.release(hold)
        with pytest.raises(CallError):
            world.release(hold)
    world.reopen()
    assert b"canary-9f3a" not in world.bytes_on_disk()
    assert [line["state"] for line in holds.listing(world.site)] == ["released", "released"]
    assert [event["type"] for event in world.events() if "hold" in event["type"]] == ["hold"] * 2 + ["hold_release"] * 2
    assert world.purge().document["outcomes"] == {"purged": 1}


def test_who_is_held_is_not_told_by_a_list_and_the_explanation_names_the_hold(make, kind):
    world = make(SIMPLE, {"contacts": contacts(2)}, kind=kind)
    hold = world.hold("subject", "p1@example.org")
    assert "p1@example.org" not in repr(holds.listing(world.site))
    said = explain(world.site, "crm.contacts", ("1",), world.site.today())["data"]
    assert {(entry["state"], tuple(entry["held_by"])) for entry in said} == {("held", (str(hold),))}
    said = explain(world.site, "crm.contacts", ("2",), world.site.today())["data"]
    assert {(entry["state"], tuple(entry["held_by"])) for entry in said} == {("due", ())}


def test_a_hold_can_be_placed_while_a_plan_is_being_written(make):
    world = make(SIMPLE, {"contacts": contacts(5)})
    from ropa.sweep import night
    from ropa.sweep.scope import Scope

    placed = []

    def place(_what, count):
        if count == 2 and not placed:
            placed.append(world.hold(key=4))

    plan = night.make_plan(world.site, Scope(world.site.today()), by="Mia", progress=place)
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == {"held": 1, "purged": 4}
