"""Holds: what they cover, how persons and records are recognised, and that nothing but a release ends one."""

import random
import unicodedata
from dataclasses import replace
from datetime import UTC, date, datetime
from types import MappingProxyType

import pytest

from ropa.config.models import Location
from ropa.connector import KeyedSubjects, Parent, Spare, digest_identifier, normalise_identifier
from ropa.retention import REASON_CODES, Hold, compile_policy, covering, is_overdue_for_review
from tests.unit.retention.retention_builders import config, dataset, rule

SINCE = datetime(2026, 1, 1, tzinfo=UTC)
GUID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


def hold(kind, target, identity="h1", **more):
    return Hold(
        identity, kind, more.pop("reason", "litigation"), "An", SINCE, more.pop("review_on", None), target, **more
    )


def policy():
    contacts = dataset("contacts")
    orders = dataset("orders", parent=Parent("crm.contacts", ("owner",)))
    lines = dataset("lines")
    files = dataset("cv")
    return config(
        rule("name", "name", activity="intake"),
        rule("mail", "email", activity="newsletter"),
        rule("orders", ("name", "email"), dataset="crm.orders", activity="sales"),
        rule("lines", ("name", "email"), dataset="crm.lines", activity="sales"),
        rule("files", ("name", "email"), dataset="disk.cv", activity="hiring"),
        locations={
            "crm": Location("crm", "memory", datasets={d.name: d for d in (contacts, orders, lines)}),
            "disk": Location("disk", "files", datasets={"cv": files}),
        },
    )


REFERENCES = {"crm.lines": {"crm.orders"}}


def cover(*found):
    return covering(found, policy(), REFERENCES)


def by_data(coverage):
    return {(t.full_dataset, t.data): coverage.holders(t) for t in compile_policy(policy())}


def test_without_holds_nothing_is_held():
    coverage = cover()
    assert coverage.datasets == coverage.rules == coverage.touched == {}
    assert coverage.unresolved == ()
    assert coverage.spares == {"crm": Spare(), "disk": Spare()}
    assert not any(by_data(coverage).values())


def test_a_released_hold_holds_nothing():
    assert cover(hold("location", "crm", is_active=False)) == cover()


def test_a_dataset_on_hold_holds_its_children_and_their_children():
    coverage = cover(hold("dataset", "crm.contacts"))
    assert coverage.datasets == dict.fromkeys(("crm.contacts", "crm.lines", "crm.orders"), ("h1",))
    assert cover(hold("dataset", "crm.orders")).datasets == {"crm.lines": ("h1",), "crm.orders": ("h1",)}
    assert all(who == ("h1",) for (name, _), who in by_data(coverage).items() if name.startswith("crm."))
    assert by_data(coverage)["disk.cv", ("*",)] == ()


def test_a_location_on_hold_holds_all_of_it_and_nothing_elsewhere():
    assert set(cover(hold("location", "crm")).datasets) == {"crm.contacts", "crm.orders", "crm.lines"}
    assert set(cover(hold("location", "disk")).datasets) == {"disk.cv"}


def test_records_that_refer_to_each_other_in_a_circle_are_all_held():
    circle = {"crm.lines": {"crm.orders"}, "crm.orders": {"crm.lines"}, "crm.contacts": {"crm.contacts"}}
    held = covering([hold("dataset", "crm.lines")], policy(), circle).datasets
    assert set(held) == {"crm.lines", "crm.orders"}


def test_an_activity_on_hold_holds_the_targets_of_its_rules_and_all_their_children():
    coverage = cover(hold("activity", "newsletter"))
    assert by_data(coverage) == {
        ("crm.contacts", ("*",)): ("h1",),
        ("crm.contacts", ("name",)): (),
        ("crm.contacts", ("email",)): ("h1",),
        ("crm.orders", ("*",)): ("h1",),
        ("crm.lines", ("*",)): ("h1",),
        ("disk.cv", ("*",)): (),
    }
    assert coverage.datasets == {"crm.lines": ("h1",), "crm.orders": ("h1",)}


def test_a_record_of_a_held_activity_does_not_go_along_with_its_parent():
    coverage = cover(hold("activity", "sales"))
    assert coverage.companion_holders("crm.orders") == ("h1",)
    assert coverage.companion_holders("crm.contacts") == coverage.companion_holders("disk.cv") == ()
    assert cover(hold("dataset", "crm.contacts")).companion_holders("crm.orders") == ("h1",)


def test_a_record_on_hold_is_spared_by_its_key():
    coverage = cover(hold("record", "crm.contacts", key=("17",)), hold("record", "crm.contacts", "h2", key=("18",)))
    assert coverage.spare("crm").keys == {"contacts": frozenset({("17",), ("18",)})}
    assert not coverage.spare("disk")
    assert coverage.datasets == {}
    assert not any(by_data(coverage).values())


@pytest.mark.parametrize("typed", [GUID, GUID.upper(), f"{{{GUID.upper()}}}", GUID.replace("-", ""), f"  {GUID} "])
def test_a_guid_is_recognised_in_any_spelling(typed):
    spared = cover(hold("record", "crm.contacts", key=(typed,))).spare("crm").keys["contacts"]
    assert (GUID,) in spared
    assert (typed,) in spared


def test_a_key_is_recognised_with_zeros_spaces_and_in_both_unicode_forms():
    spared = cover(hold("record", "crm.contacts", key=("007", " Ren\u00e9 "))).spare("crm").keys["contacts"]
    assert ("7", "Ren\u00e9") in spared
    assert ("007", "Rene\u0301") in spared
    assert cover(hold("record", "crm.contacts", key=("000",))).spare("crm").keys["contacts"] >= {("0",), ("000",)}
    odd = "g" * 32
    assert (odd,) in cover(hold("record", "crm.contacts", key=(odd,))).spare("crm").keys["contacts"]


def test_a_person_on_hold_is_spared_everywhere():
    coverage = cover(hold("subject", " An.Peeters@Example.BE "))
    assert coverage.spare("crm").subjects == coverage.spare("disk").subjects == {"an.peeters@example.be"}


def test_holds_are_named_in_their_order_and_once():
    coverage = cover(
        hold("location", "crm", "b"), hold("dataset", "crm.contacts", "a"), hold("activity", "intake", "b")
    )
    assert coverage.datasets["crm.contacts"] == ("b", "a")
    row = next(t for t in compile_policy(policy()) if t.full_dataset == "crm.contacts" and t.scope == "row")
    assert coverage.holders(row) == ("b", "a")


def test_a_hold_on_a_dataset_that_was_renamed_holds_its_location_until_someone_looks():
    for lost in (hold("dataset", "crm.clients"), hold("record", "crm.clients", key=("1",))):
        coverage = cover(lost)
        assert set(coverage.datasets) == {"crm.contacts", "crm.orders", "crm.lines"}
        assert coverage.unresolved == ("h1",)


@pytest.mark.parametrize(
    "lost", [hold("location", "gone"), hold("dataset", "gone.contacts"), hold("activity", "gone"), hold("dataset", "x")]
)
def test_a_hold_on_something_unknown_is_reported(lost):
    coverage = cover(lost)
    assert coverage.unresolved == ("h1",)
    assert coverage.datasets == coverage.rules == {}


def test_a_parent_may_be_written_with_or_without_its_location():
    short = policy()
    crm = short.locations["crm"]
    orders = replace(crm.datasets["orders"], parent=Parent("contacts", ("owner",)))
    datasets = MappingProxyType({**crm.datasets, "orders": orders})
    renamed = replace(short, locations={**short.locations, "crm": replace(crm, datasets=datasets)})
    assert covering([hold("dataset", "crm.contacts")], renamed, REFERENCES) == cover(hold("dataset", "crm.contacts"))


def test_a_hold_past_its_review_date_stays_in_force_and_is_overdue():
    old = hold("dataset", "crm.contacts", review_on=date(2026, 11, 20))
    assert is_overdue_for_review(old, date(2026, 11, 21))
    assert not is_overdue_for_review(old, date(2026, 11, 20))
    assert not is_overdue_for_review(replace(old, review_on=None), date(2026, 11, 21))
    assert not is_overdue_for_review(replace(old, is_active=False), date(2026, 11, 21))
    assert cover(old).datasets["crm.contacts"] == ("h1",)


@pytest.mark.parametrize("reason", REASON_CODES)
def test_every_reason_code_makes_a_hold(reason):
    assert hold("location", "crm", reason=reason).reason == reason


@pytest.mark.parametrize(
    "broken",
    [
        {"kind": "record", "target": "crm.contacts"},
        {"kind": "record", "target": "crm.contacts", "key": ()},
        {"kind": "dataset", "target": "crm.contacts", "key": ("1",)},
        {"kind": "subject", "target": " \u200b "},
        {"kind": "location", "target": ""},
        {"kind": "person", "target": "x"},
        {"kind": "location", "target": "crm", "reason": "because"},
    ],
)
def test_a_hold_that_does_not_say_what_it_holds_is_refused(broken):
    with pytest.raises(ValueError, match="hold h1"):
        hold(**broken)


# --- recognising a person (fault 33)

NAMES = (
    "Renée Dûpont", "Jérôme van den Eynde", "Łukasz Żółć", "Yıldız Şahin", "İbrahim Çelik", "Ægir Ångström",
    "Straße Groß", "Σίσυφος Ὀδυσσεύς", "Đặng Thị Ngọc", "an.peeters+test@example.be", "BE71 0961 2345 6769",
    "{6F9619FF-8B86-D011-B42D-00C04FC964FF}", "+32 456 15 44 87", "ﬁnn o'brien", "Ａｎ Ｐｅｅｔｅｒｓ",
)  # fmt: skip
FORMS = ("NFC", "NFD", "NFKC", "NFKD")
BLANKS = (" ", "  ", "\u00a0", "\u2009", "\u200b", "\t", "\ufeff", "\u00ad", "\n")


def variant(rng, name):
    text = unicodedata.normalize(rng.choice(FORMS), name)
    text = rng.choice((str, str.upper, str.lower, str.title, str.swapcase, str.casefold))(text)
    text = "".join(c if c != " " else rng.choice((*BLANKS, "")) for c in text)
    spot = rng.randrange(len(text) + 1)
    while spot < len(text) and unicodedata.combining(text[spot]):
        spot += 1
    text = text[:spot] + rng.choice(("", "", *BLANKS)) + text[spot:]
    text = unicodedata.normalize(rng.choice(FORMS), text)
    if name.startswith("{") and rng.random() < 0.5:
        text = text.replace("{", "").replace("}", "")
    elif rng.random() < 0.3:
        text = "{" + text + "}"
    return rng.choice(("", *BLANKS)) + text + rng.choice(("", *BLANKS))


def test_ten_thousand_spellings_of_a_person_are_all_recognised():
    seed = random.SystemRandom().randrange(2**32)
    rng = random.Random(seed)
    spared = cover(*(hold("subject", name, f"h{i}") for i, name in enumerate(NAMES))).spare("crm").subjects
    assert len(spared) == len(NAMES), "different persons stay different"
    for number in range(10_000):
        name = rng.choice(NAMES)
        spelled = variant(rng, name)
        assert normalise_identifier(spelled) == normalise_identifier(name), (f"seed {seed} case {number}", spelled)
        assert normalise_identifier(spelled) in spared


def test_every_letter_is_recognised_in_either_case_and_form_and_its_form_is_final():
    for code in [*range(0xD800), *range(0xE000, 0x20000)]:
        text = f"a{chr(code)}b"
        form = normalise_identifier(text)
        spellings = {
            text.upper(),
            text.lower(),
            unicodedata.normalize("NFD", text),
            unicodedata.normalize("NFKC", text),
        }
        assert {normalise_identifier(s) for s in spellings} == {form}, hex(code)
        assert normalise_identifier(form) == form, hex(code)


def test_other_persons_are_other_identifiers():
    assert normalise_identifier("An Peeters") != normalise_identifier("Jan Peeters")
    assert normalise_identifier("Rene") != normalise_identifier("René")
    assert normalise_identifier("a{b}") == "a{b}"
    assert normalise_identifier("{{x}}") == normalise_identifier("{x}") == "x"


def test_an_address_is_compared_however_it_is_spelled():
    for spelled in ("2001:db8::1", "2001:DB8:0:0:0:0:0:1", "2001:0db8::0001", " 2001:db8:0::1 "):
        assert normalise_identifier(spelled) == "2001:db8::1"
    assert normalise_identifier("::FFFF:192.0.2.7") == normalise_identifier("192.0.2.7") == "192.0.2.7"
    assert normalise_identifier("a:b:c") == "a:b:c"


def test_a_hold_of_the_time_when_spellings_counted_still_protects():
    for kept, asked in (
        ("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1"),
        ("2001:db8:0:0:0:0:0:1", "2001:db8::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::ffff:c000:207", "192.0.2.7"),
        ("2001:db8::1", "2001:DB8:0::1"),
    ):
        subjects = KeyedSubjects(b"secret", [digest_identifier(b"secret", kept)])
        assert normalise_identifier(asked) in subjects, kept
        assert "2001:db8::2" not in subjects
        assert "192.0.2.8" not in subjects
