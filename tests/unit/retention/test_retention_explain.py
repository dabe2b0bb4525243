"""Why a datum is still there."""

from datetime import date

import pytest

from ropa.clock import Period
from ropa.connector import Action
from ropa.retention import Explanation, explain_record
from tests.unit.retention.retention_builders import dataset, equals, rule

TODAY = date(2026, 11, 21)
SPEC = dataset(data={"name": ("a",), "email": ("b",)}, anchors=("created", "last"))
SHORT = rule("short", "name", period=Period(months=6))
LONG = rule("long", "name", period=Period(years=10), anchor="last")
KEEP = rule("keep", "name", Action.KEEP, reason="law")


def explain(*rules, created=date(2020, 1, 31), last=date(2020, 1, 31), matches=None, spec=SPEC, **more):
    return explain_record(
        spec,
        rules,
        matches=matches or {},
        anchored={"created": created, "last": last},
        as_of=more.pop("as_of", TODAY),
        today=TODAY,
        **more,
    )


def name(*rules, **more):
    found = explain(*rules, **more)
    assert [e.category for e in found] == ["name", "email"]
    return found[0]


def test_a_category_that_no_rule_covers_says_so():
    assert explain(SHORT)[1] == Explanation("email", None, None, None, None, (), "no-rule")


def test_what_has_ended_is_due_and_says_since_when():
    expected = Explanation("name", date(2020, 7, 31), "short", "created", date(2020, 1, 31), (), "due")
    assert name(SHORT) == expected


def test_the_last_day_itself_is_kept():
    assert name(SHORT, created=date(2026, 5, 21)).state == "kept"
    assert name(SHORT, created=date(2026, 5, 20)).state == "due"
    assert name(SHORT, created=date(2026, 5, 20), as_of=date(2026, 11, 20)).state == "kept"


def test_the_longest_period_holds_it():
    expected = Explanation("name", date(2030, 1, 31), "long", "last", date(2020, 1, 31), (), "kept")
    assert name(SHORT, LONG) == name(LONG, SHORT) == expected


def test_a_missing_anchor_goes_before_any_date():
    found = name(SHORT, LONG, created=None)
    assert (found.state, found.rule, found.due_on, found.anchored_on) == ("no-anchor", "short", None, None)


def test_a_future_anchor_is_no_anchor_but_tells_its_day():
    found = name(SHORT, created=date(2099, 1, 1), as_of=date(2200, 1, 1))
    assert (found.state, found.due_on, found.anchored_on) == ("no-anchor", None, date(2099, 1, 1))
    assert name(SHORT, created=TODAY).state == "kept"


def test_a_rule_that_keeps_goes_before_everything():
    found = name(SHORT, KEEP, created=None)
    assert (found.state, found.rule, found.due_on) == ("kept", "keep", None)
    cookie = rule("cookie", "name", Action.KEEP, period=Period(minutes=30), reason="session")
    assert name(SHORT, cookie).rule == "cookie"


def test_a_period_that_ends_after_the_calendar_is_kept_for_ever():
    ages = rule("ages", "name", period=Period(years=9999))
    assert (name(SHORT, ages).state, name(SHORT, ages).rule, name(ages).due_on) == ("kept", "ages", None)
    assert name(ages, LONG, last=None).rule == "long", "a missing anchor is a finding and is named first"


def test_equal_dates_are_decided_by_an_explicit_where_and_then_by_order():
    special = rule("special", "name", where=(equals("s", 1),))
    twin = rule("twin", "name")
    assert name(SHORT, special, matches={"special": True}).rule == "special"
    assert name(SHORT, twin).rule == "short"
    assert name(twin, SHORT).rule == "twin"


def test_a_rule_whose_where_the_record_does_not_satisfy_says_nothing():
    special = rule("special", "name", period=Period(years=50), where=(equals("s", 1),))
    assert name(SHORT, special, matches={"special": False}).rule == "short"
    assert name(special, matches={"special": False}).state == "no-rule"
    with pytest.raises(KeyError):
        name(special)


@pytest.mark.parametrize("found", [(SHORT,), (LONG,), (KEEP,)])
def test_a_hold_goes_before_due_and_kept_and_leaves_the_date(found):
    held = name(*found, held_by=["h1", "h2"])
    assert (held.state, held.held_by, held.due_on) == ("held", ("h1", "h2"), name(*found).due_on)


def test_a_hold_does_not_hide_a_missing_anchor_or_rule():
    assert name(SHORT, created=None, held_by=["h1"]).state == "no-anchor"
    assert name(held_by=["h1"]).state == "no-rule"
    assert name(held_by=["h1"]).held_by == ("h1",)


def test_a_hold_on_an_activity_covers_what_its_rules_cover():
    mail = rule("mail", "email")
    first, second = explain(SHORT, mail, held_rules={"short": ("h1",)}, held_by=())
    assert (first.state, first.held_by, second.state, second.held_by) == ("held", ("h1",), "due", ())
    assert explain(SHORT, mail, held_rules={"short": ("h1",)}, held_by=("h1", "h2"))[0].held_by == ("h1", "h2")


def test_a_shared_column_is_held_by_the_rules_of_both_categories():
    spec = dataset(data={"name": ("x", "y"), "email": ("y",)})
    mail = rule("mail", "email", period=Period(years=10))
    assert [e.rule for e in explain(SHORT, mail, spec=spec)] == ["mail", "mail"]
    assert [e.state for e in explain(SHORT, spec=spec)] == ["no-rule", "no-rule"]
