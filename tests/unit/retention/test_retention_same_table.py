"""Two datasets over one table: what goes by the rules of one is what would go if all stood in one dataset."""

import itertools
from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from retention_builders import AS_OF, BRUSSELS, NOW, config, dataset, differs, equals, rule, selects
from test_retention_precedence import decide

from ropa.clock import Period
from ropa.config.models import Location
from ropa.connector import Action, Anchor, AnchorPart, Mask, Parent
from ropa.errors import ConfigurationError
from ropa.retention import compile_policy, conflicts, select

LEADS = "crm.leads"
NAME, BOTH = {"name": ("a",)}, {"name": ("a",), "email": ("b",)}
COLUMNS = {"name": "a", "email": "b"}
TEN_YEARS = Period(years=10)


def leads(data=None, **more):
    """A second dataset over the table of contacts."""
    made = dataset("leads", NAME if data is None else data, **more)
    return replace(made, source="Contacts")


def problems(*rules, other=None, own=None):
    return list(conflicts(config(*rules, datasets=[own or dataset(data=BOTH), other or leads()])))


def of_leads(name="leads", data="name", action=Action.PURGE, **more):
    return rule(name, data, action, dataset=LEADS, **more)


SHORT = rule("short", ["name", "email"])


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (of_leads(period=TEN_YEARS), "'leads' may keep them longer"),
        (of_leads(period=Period(months=6, days=1)), "'leads' may keep them longer"),
        (of_leads(start="next-year"), "'leads' may keep them longer"),
        (of_leads(action=Action.KEEP), "'leads' asks for `keep`"),
        (of_leads(action=Action.FLAG), "'leads' asks for `flag`"),
        (of_leads(action=Action.ANONYMISE), "'leads' asks for `anonymise`"),
        (of_leads(period=Period(hours=1)), "'leads' is never due"),
    ],
)
def test_what_a_rule_of_another_dataset_over_the_table_keeps_is_not_taken(other, why):
    (found, *_) = problems(SHORT, other)
    assert found.path == "rule.short.dataset"
    assert why in found.message
    assert "crm.leads" in found.message
    assert "crm.contacts" in found.message
    with pytest.raises(ConfigurationError):
        compile_policy(config(SHORT, other, datasets=[dataset(data=BOTH), leads()]))


@pytest.mark.parametrize(
    "datasets",
    [
        [dataset(data=BOTH), replace(leads(), source="leads")],
        [replace(dataset(data=BOTH), options={"pattern": "*.pdf"}), replace(leads(), options={"pattern": "*.log"})],
    ],
    ids=["another table", "other names"],
)
def test_of_records_that_are_told_apart_each_goes_by_its_own_rules(datasets):
    assert conflicts(config(SHORT, of_leads(period=TEN_YEARS), datasets=datasets)) == []


def test_where_people_do_it_by_hand_they_tell_records_apart():
    made = {spec.name: spec for spec in (dataset(data=BOTH), leads())}
    for connector, count in (("memory", 1), ("manual", 0)):
        policy = config(
            SHORT, of_leads(start="next-year"), locations={"crm": Location("crm", connector, datasets=made)}
        )
        assert len(conflicts(policy)) == count


def test_the_same_period_from_another_date_or_in_another_zone_is_not_the_same():
    assert problems(SHORT, of_leads()) == []
    assert problems(SHORT, of_leads(anchor="changed"), other=leads(anchors=("changed",)))
    moved = replace(leads(), zone=ZoneInfo("America/New_York"))
    assert moved.zone != BRUSSELS
    assert problems(SHORT, of_leads(), other=moved)


def test_a_period_from_the_latest_of_several_dates_ends_no_sooner_than_from_one_of_them():
    both = Anchor("last", (AnchorPart("created_at"), AnchorPart("seen_at")))
    own = replace(dataset(data=BOTH), anchors={"last": both})
    from_last = rule("short", ["name", "email"], anchor="last")
    assert [p.path for p in problems(from_last, of_leads(), own=own)] == ["rule.leads.dataset"]


def test_records_of_which_no_rule_covers_what_the_other_dataset_maps_stay():
    more = leads({"iban": ("c",)})
    (found,) = problems(SHORT, other=more)
    assert "no rule covers 'iban'" in found.message
    assert problems(SHORT, of_leads(data="iban"), other=more) == []
    (partly,) = problems(SHORT, of_leads(data="iban", where=(equals("s", 1),)), other=more)
    assert partly.path == "rule.short.dataset"


def test_rules_that_no_record_can_match_together_do_not_contradict_each_other():
    apart = rule("short", "name", where=(equals("s", 0),)), of_leads(period=TEN_YEARS, where=(equals("s", 1),))
    assert problems(*apart, own=dataset(data=NAME)) == []
    meeting = apart[0], replace(apart[1], where=(equals("t", 1),))
    assert "'leads' may keep them longer" in problems(*meeting, own=dataset(data=NAME))[0].message


def test_of_fields_only_those_are_disputed_that_both_datasets_map():
    field = rule("short", "name", Action.ANONYMISE)
    keeps = of_leads("leads", ["email"], Action.KEEP)
    assert problems(field, keeps, other=leads({"email": ("b",)})) == []
    (found,) = problems(field, replace(keeps, data=("name",)), other=leads({"name": ("A",)}))[:1]
    assert found.path == "rule.short.dataset"


def test_a_flag_disposes_of_nothing():
    flag = rule("short", ["name", "email"], Action.FLAG)
    assert [p.path for p in problems(flag, of_leads(period=TEN_YEARS))] == ["rule.leads.dataset"]


def test_a_column_that_decides_about_the_others_records_is_not_changed():
    spec = leads(anchors=("a",), key=("b",), parent=Parent("accounts", ("c",)))
    spec = replace(spec, data={"cv": ("d",)}, anchors={"a": Anchor("a", (AnchorPart("a"),))})
    asks = of_leads("cv", "cv", where=(equals("e", 1),), anchor="a")
    for category, column in zip(("name", "email", "iban", "phone"), "abce", strict=True):
        own = dataset(data={category: (column,)})
        found = problems(rule("r", category, Action.ANONYMISE, mask={category: Mask.REDACT}), asks, own=own, other=spec)
        assert "rule.r.data" in [p.path for p in found], column


# --- all of it, against what one dataset would do

WHERES = ((), (equals("s", 0),), (differs("s", 0),))
ACTIONS = (Action.FLAG, Action.ANONYMISE, Action.PURGE, Action.KEEP)
RECORDS = [
    ({"id": f"{s}/{age}", "s": s, "a": "x", "b": "y"}, AS_OF - timedelta(days=age))
    for s in (0, 1)
    for age in (10, 31, 366)
]


def does(targets, record, day):
    """What is done by the targets of both datasets: whether the row goes, and columns that are changed."""
    goes, changed = False, set()
    for target in targets:
        asked = select(target, as_of=AS_OF, now=NOW, zone=BRUSSELS)
        if target.action is not Action.FLAG and selects(asked, record, dict.fromkeys(target.anchors, day)):
            goes |= not target.fields
            changed |= {change.column for change in target.fields}
    return goes, changed


def may(rules, record, day):
    """What one dataset with all the rules would do, as the exhaustive tables of precedence have it."""
    row, fields, _ = decide(rules, record, day, ("name", "email"))
    changed = {COLUMNS[name] for name, action in fields.items() if action is not Action.FLAG}
    if row is not None and row is not Action.FLAG:
        changed = set(COLUMNS.values())
    return row is Action.PURGE, changed


def test_where_nothing_is_refused_nothing_goes_that_would_not_go_by_the_rules_of_one_dataset():
    refused = checked = 0
    days = (Period(days=30), Period(days=365))
    choices = [
        (data, action, where, period)
        for data in (("name",), ("name", "email"))
        for action in ACTIONS
        for where in WHERES
        for period in days
    ]
    for one, two in itertools.product(choices, choices):
        first = rule("one", one[0], one[1], where=one[2], period=one[3])
        second = of_leads("two", two[0], two[1], where=two[2], period=two[3])
        mapped = leads({name: BOTH[name] for name in two[0]})
        policy = config(first, second, datasets=[dataset(data=BOTH), mapped])
        is_refused = bool(conflicts(policy))
        refused += is_refused
        targets = [] if is_refused else compile_policy(policy)
        for record, day in RECORDS:
            goes, changed = does(targets, record, day)
            may_go, may_change = may([first, second], record, day)
            assert not goes or may_go, (one, two, record)
            assert goes or changed <= may_change, (one, two, record)
            checked += goes or bool(changed)
    assert refused > 100
    assert checked > 100


def test_every_refusal_has_a_record_that_would_have_gone_too_early():
    ages = [date.fromordinal(AS_OF.toordinal() - age) for age in (10, 31, 366)]
    for action, days in itertools.product(ACTIONS, (30, 365)):
        second = of_leads("two", "name", action, period=Period(days=days))
        first = rule("one", ["name", "email"], period=Period(days=30))
        policy = config(first, second, datasets=[dataset(data=BOTH), leads()])
        alone = compile_policy(config(first, datasets=[dataset(data=BOTH)]))
        record = RECORDS[0][0]
        early = [day for day in ages if does(alone, record, day)[0] and not may([first, second], record, day)[0]]
        assert bool(early) == bool(conflicts(policy)), (action, days)
