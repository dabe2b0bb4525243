"""Rules become targets: what they look like, what they are called, and what is refused."""

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from ropa.clock import Period, start_of_day
from ropa.config.models import Location, Safety
from ropa.connector import (
    Action,
    Anchor,
    AnchorPart,
    Before,
    FieldChange,
    Mask,
    Parent,
    Spare,
)
from ropa.errors import ConfigurationError
from ropa.retention import (
    compile_policy,
    conflicts,
    cutoffs,
    due_on_record,
    partly_covered,
    rule_revision,
    rules_of,
    select,
    uncovered,
)
from tests.unit.retention.retention_builders import (
    AS_OF,
    BRUSSELS,
    NOW,
    config,
    dataset,
    differs,
    equals,
    hits,
    rule,
)

BOTH = ("name", "email")


def only(targets):
    (target,) = targets
    return target


def shape(targets):
    return [(t.scope, t.data, t.action, tuple(r.name for r in t.rules)) for t in targets]


def test_one_rule_over_everything_is_one_row_target():
    target = only(compile_policy(config(rule("r", BOTH))))
    assert shape([target]) == [("row", ("*",), Action.PURGE, ("r",))]
    assert (target.full_dataset, target.location, target.dataset) == ("crm.contacts", "crm", "contacts")
    assert (target.match, target.exclude, target.fields) == ((), (), ())
    assert target.identity == "crm.contacts/row/*/purge/r"


def test_a_birth_date_goes_from_the_row_whose_name_stays():
    spec = dataset(data={"name": ("a",), "birth-date": ("b",), "bank-account": ("c", "d")})
    rules = (
        rule("card", "birth-date", period=Period(months=6)),
        rule("tax", ("name", "bank-account"), period=Period(years=10), start="next-year"),
    )
    row, card, tax = compile_policy(config(*rules, datasets=[spec]))
    assert shape([row, card, tax]) == [
        ("row", ("*",), Action.PURGE, ("card", "tax")),
        ("field", ("name", "bank-account"), Action.PURGE, ("tax",)),
        ("field", ("birth-date",), Action.PURGE, ("card",)),
    ]
    assert tax.fields == (FieldChange("b"),)
    assert card.fields == (FieldChange("a"), FieldChange("c"), FieldChange("d"))


def test_a_datum_that_no_rule_covers_keeps_the_row():
    assert shape(compile_policy(config(rule("r", "name")))) == [("field", ("name",), Action.PURGE, ("r",))]


def test_a_kept_datum_keeps_the_row_but_not_the_rest():
    rules = (rule("r", BOTH), rule("k", "email", Action.KEEP, reason="law"))
    assert shape(compile_policy(config(*rules))) == [("field", ("name",), Action.PURGE, ("r",))]
    assert compile_policy(config(rule("r", BOTH), rule("k", BOTH, Action.KEEP, reason="law"))) == ()


def test_a_rule_of_half_an_hour_is_documented_and_never_enforced():
    cookie = rule("cookie", "name", Action.KEEP, period=Period(minutes=30), reason="session")
    assert shape(compile_policy(config(rule("r", "email"), cookie))) == [("field", ("email",), Action.PURGE, ("r",))]
    assert compile_policy(config(replace(cookie, action=Action.PURGE))) == ()


def test_a_dataset_without_mapped_data_has_no_target():
    assert compile_policy(config(rule("r", ()), datasets=[dataset(data={})])) == ()
    assert compile_policy(config(rule("r", "cv"))) == ()


@pytest.mark.parametrize("actions", list(itertools.product((Action.FLAG, Action.ANONYMISE, Action.PURGE), repeat=2)))
def test_the_mildest_action_decides_about_the_row(actions):
    targets = compile_policy(config(rule("r1", BOTH, actions[0]), rule("r2", BOTH, actions[1])))
    order = (Action.FLAG, Action.ANONYMISE, Action.PURGE)
    target = only(targets)
    assert target.action is min(actions, key=order.index)
    assert target.connector_action is target.action
    assert bool(target.fields) == (target.action is Action.ANONYMISE)


def test_a_flagged_row_still_has_its_other_fields_cleared():
    row, field, flag = compile_policy(config(rule("p", "name"), rule("f", "email", Action.FLAG)))
    assert shape([row, field, flag]) == [
        ("row", ("*",), Action.FLAG, ("p", "f")),
        ("field", ("name",), Action.PURGE, ("p",)),
        ("field", ("email",), Action.FLAG, ("f",)),
    ]
    assert (field.fields, flag.fields) == ((FieldChange("a"),), ()), "a flag changes nothing"


def test_purging_fields_never_tells_a_connector_to_purge():
    field = only(compile_policy(config(rule("r", "name"))))
    assert (field.action, field.connector_action) == (Action.PURGE, Action.ANONYMISE)
    assert only(compile_policy(config(rule("r", BOTH)))).connector_action is Action.PURGE


def test_masks_follow_the_rules_and_a_where_goes_before_none():
    general = rule("general", "name", Action.ANONYMISE, mask={"name": Mask.REDACT})
    special = rule("special", "name", Action.ANONYMISE, mask={"name": Mask.YEAR}, where=(equals("s", 1),))
    alone, both = compile_policy(config(general, special))
    assert (both.fields, both.match) == ((FieldChange("a", Mask.YEAR),), (equals("s", 1),))
    assert (alone.fields, alone.exclude) == ((FieldChange("a", Mask.REDACT),), ((equals("s", 1),),))


def test_anonymising_a_row_clears_what_has_no_mask():
    rules = (rule("y", "name", Action.ANONYMISE, mask={"name": Mask.YEAR}), rule("p", "email"))
    row = compile_policy(config(*rules))[0]
    assert row.action is Action.ANONYMISE
    assert row.fields == (FieldChange("a", Mask.YEAR), FieldChange("b", Mask.CLEAR))


def test_a_shared_column_takes_the_mask_of_the_category_that_has_one():
    spec = dataset(data={"name": ("x", "y"), "email": ("Y", "z"), "cv": ("w",)})
    rules = (rule("r", "name"), rule("m", "email", Action.ANONYMISE, mask={"email": Mask.REDACT}))
    target = only(compile_policy(config(*rules, datasets=[spec])))
    assert (target.data, target.action, len(target.rules)) == (BOTH, Action.ANONYMISE, 2)
    assert target.fields == (FieldChange("x"), FieldChange("y", Mask.REDACT), FieldChange("z", Mask.REDACT))


def test_a_column_shared_with_a_category_that_no_rule_covers_stays():
    spec = dataset(data={"name": ("x", "y"), "email": ("y",), "cv": ("w",)})
    assert shape(compile_policy(config(rule("r", ("name", "cv")), datasets=[spec]))) == [
        ("field", ("cv",), Action.PURGE, ("r",))
    ]


def test_each_record_has_one_row_target_where_rules_have_a_where():
    rules = (
        rule("all", BOTH, period=Period(days=30)),
        rule("won", BOTH, where=(equals("s", 1),), period=Period(years=7)),
        rule("open", BOTH, Action.KEEP, where=(equals("s", 2),), reason="runs"),
    )
    targets = compile_policy(config(*rules))
    assert shape(targets) == [
        ("row", ("*",), Action.PURGE, ("all", "won")),
        ("row", ("*",), Action.PURGE, ("all",)),
    ]
    won, other = targets
    assert (won.match, won.exclude) == ((equals("s", 1),), ()), "what cannot hold beside the match is not asked"
    assert (other.match, other.exclude) == ((), ((equals("s", 1),), (equals("s", 2),)))
    old = {"created": AS_OF - timedelta(days=5000)}
    found = {s: [t.rules[-1].name for t in hits(targets, {"id": "1", "s": s}, old)] for s in (0, 1, 2, None)}
    assert found == {0: ["all"], 1: ["won"], 2: [], None: ["all"]}


def test_a_source_that_ignores_case_does_not_lose_a_keep_rule():
    rules = (
        rule("drop", BOTH, where=(equals("s", "open"),)),
        rule("keep", BOTH, Action.KEEP, where=(equals("s", "OPEN"),), reason="runs"),
    )
    targets = compile_policy(config(*rules))
    record = {"id": "1", "s": "Open"}
    old = {"created": AS_OF - timedelta(days=5000)}
    assert hits(targets, record, old, same=lambda one, other: one.casefold() == other.casefold()) == []
    assert len(hits(targets, {"id": "1", "s": "open"}, old)) == 1


def test_a_field_target_does_not_multiply_with_wheres_that_do_not_concern_it():
    rules = (rule("r", "name"), *(rule(f"w{i}", "email", where=(equals("s", i),)) for i in range(5)))
    spec = dataset(data={"name": ("a",), "email": ("b",), "cv": ("c",)})
    fields = [t for t in compile_policy(config(*rules, datasets=[spec])) if t.data == ("name",)]
    assert len(fields) == 1
    assert (fields[0].match, fields[0].exclude) == ((), ())


def test_the_where_of_a_rule_that_comes_first_does_not_split_the_fields_of_another():
    rules = (rule("w", "email", where=(equals("t", 1),)), rule("r", "name", where=(equals("s", 1),)))
    spec = dataset(data={"name": ("a",), "email": ("b",), "cv": ("c",)})
    name, email = compile_policy(config(*rules, datasets=[spec]))
    assert (name.match, name.exclude) == ((equals("s", 1),), ())
    assert (email.match, email.exclude) == ((equals("t", 1),), ())


def test_targets_with_the_same_rules_and_other_conditions_have_other_identities():
    # Where neither clause holds the row goes by `r` alone; `name` by itself is asked for in the cases that are left.
    rules = (
        rule("r", BOTH),
        rule("w", "email", where=(equals("s", 1),)),
        rule("v", "email", where=(equals("t", 1),)),
    )
    targets = compile_policy(config(*rules))
    names = [t for t in targets if t.data == ("name",)]
    assert len(names) == 2
    assert len({t.identity for t in targets}) == len(targets)
    for s, t in itertools.product((0, 1), repeat=2):
        record = {"id": "1", "s": s, "t": t, "a": "x", "b": "y"}
        found = [x for x in hits(targets, record, {"created": date(2000, 1, 1)}) if x.data == ("name",)]
        assert len(found) == (1 if s or t else 0)


def test_identities_and_order_do_not_change_between_runs():
    rules = (rule("r", BOTH), rule("w", "email", where=(equals("s", 1, 2), differs("t", None))))
    first, second = (compile_policy(config(*rules)) for _ in range(2))
    assert [t.identity for t in first] == [t.identity for t in second]
    assert first[0].identity == "crm.contacts/row/*/purge/r+w/db586c22b9a1"


def test_targets_stand_in_the_order_of_the_configuration():
    contacts, orders = dataset("contacts"), dataset("orders", data={"invoice": ("i",)})
    rules = (rule("o", "invoice", dataset="crm.orders"), rule("c", BOTH))
    names = [t.full_dataset for t in compile_policy(config(*rules, datasets=[contacts, orders]))]
    assert names == ["crm.contacts", "crm.orders"]


def test_the_smallest_cap_counts_and_a_rule_may_have_its_own():
    safety = Safety(max_records=100, max_share=0.25)

    def caps(*rules):
        target = only(compile_policy(config(*rules, safety=safety)))
        return target.max_records, target.max_share

    assert caps(rule("r", BOTH)) == (100, 0.25)
    assert caps(rule("r", BOTH, max_records=5000, max_share=0.9)) == (5000, 0.9)
    assert caps(rule("r", BOTH, max_records=5000), rule("q", BOTH)) == (100, 0.25)
    assert caps(rule("r", BOTH, max_records=0), rule("q", BOTH, max_records=7)) == (0, 0.25)


def test_a_mandate_is_enough_only_where_every_rule_says_so():
    assert only(compile_policy(config(rule("r", BOTH, approval="mandate")))).approval == "mandate"
    mixed = config(rule("r", BOTH, approval="mandate"), rule("q", BOTH))
    assert only(compile_policy(mixed)).approval == "plan"


def test_too_many_overlapping_wheres_are_refused_with_the_rule():
    rules = [rule(f"r{i}", BOTH, where=(equals(f"c{i}", 1),)) for i in range(13)]
    with pytest.raises(ConfigurationError) as caught:
        compile_policy(config(*rules))
    assert [p.path for p in caught.value.problems] == ["rule.r12.where"]
    assert "crm.contacts" in caught.value.problems[0].message


# --- conflicts


def paths(policy):
    return [p.path for p in conflicts(policy)]


@pytest.mark.parametrize(
    "spec",
    [
        dataset(data={"name": ("id",), "cv": ("c",)}),
        dataset(data={"name": ("ID",), "cv": ("c",)}),
        dataset(data={"name": ("created_at",), "cv": ("c",)}),
        dataset(data={"name": ("s",), "cv": ("c",)}),
        dataset(data={"name": ("owner",), "cv": ("c",)}, parent=Parent("crm.accounts", ("owner",))),
    ],
)
def test_a_field_target_over_a_column_that_decides_about_the_record_is_refused(spec):
    policy = config(rule("r", "name", where=(equals("s", 1),)), datasets=[spec])
    assert paths(policy) == ["rule.r.data"]
    with pytest.raises(ConfigurationError) as caught:
        compile_policy(policy)
    assert caught.value.exit_code == 2
    assert "crm.contacts" in str(caught.value.problems[0])


def test_an_anchor_of_another_dataset_protects_the_column_it_reads():
    parts = (AnchorPart("created_at"), AnchorPart("day", dataset="crm.orders"))
    contacts = replace(dataset(), anchors={"last": Anchor("last", parts)})
    orders = dataset("orders", data={"invoice": ("day",), "cv": ("c",)})
    assert paths(config(rule("r", "invoice", dataset="crm.orders"), datasets=[contacts, orders])) == ["rule.r.data"]


def test_anonymising_a_whole_row_may_not_touch_its_anchor_but_purging_or_flagging_may():
    spec = dataset(data={"name": ("created_at",)})
    assert paths(config(rule("r", "name", Action.ANONYMISE), datasets=[spec])) == ["rule.r.data"]
    assert paths(config(rule("r", "name"), datasets=[spec])) == []
    assert paths(config(rule("r", "name", Action.FLAG), datasets=[spec])) == []
    more = dataset(data={"name": ("created_at",), "cv": ("c",)})
    assert paths(config(rule("r", "name", Action.FLAG), datasets=[more])) == []


def test_two_masks_for_one_column_are_refused_unless_a_where_decides():
    year = rule("year", BOTH, Action.ANONYMISE, mask={"name": Mask.YEAR})
    redact = rule("redact", BOTH, Action.ANONYMISE, mask={"name": Mask.REDACT})
    assert paths(config(year, redact)) == ["rule.redact.mask"]
    assert paths(config(year, replace(redact, where=(equals("s", 1),)))) == []
    apart = replace(redact, where=(equals("s", 1),)), replace(year, where=(equals("s", 2),))
    assert paths(config(*apart)) == []
    meeting = replace(redact, where=(equals("s", 1),)), replace(year, where=(equals("t", 1),))
    assert paths(config(*meeting)) == ["rule.year.mask"]


def test_a_problem_is_told_once_and_all_are_told():
    spec = dataset(data={"name": ("id",), "email": ("created_at",), "cv": ("c",)})
    rules = (rule("r", "name"), rule("q", "email"), *(rule(f"w{i}", "cv", where=(equals("s", i),)) for i in (1, 2)))
    assert sorted(paths(config(*rules, datasets=[spec]))) == sorted(["rule.r.data", "rule.q.data"])


# --- asking


def test_a_selection_asks_the_earliest_cutoff_of_each_anchor():
    spec = dataset(anchors=("created", "last"))
    rules = (
        rule("r1", BOTH, period=Period(months=6)),
        rule("r2", BOTH, period=Period(years=1)),
        rule("r3", BOTH, anchor="last", period=Period(days=30)),
    )
    target = only(compile_policy(config(*rules, datasets=[spec])))
    spare = Spare({"contacts": frozenset({("1",)})})
    selection = select(target, as_of=AS_OF, now=NOW, zone=BRUSSELS, spare=spare)
    assert selection.before == (
        Before("created", date(2025, 11, 21), datetime(2025, 11, 20, 23, tzinfo=UTC)),
        Before("last", date(2026, 10, 22), datetime(2026, 10, 21, 22, tzinfo=UTC)),
    )
    assert selection.anchors == target.anchors == ("created", "last")
    assert (selection.dataset, selection.zone, selection.now) == ("contacts", BRUSSELS, NOW)
    assert selection.spare is spare
    assert cutoffs(target, AS_OF, BRUSSELS) == {b.anchor: b.instant for b in selection.before}


def test_the_contract_s_example_of_a_cutoff():
    target = only(compile_policy(config(rule("prospects", BOTH, anchor="created"))))
    assert cutoffs(target, AS_OF, BRUSSELS) == {"created": datetime(2026, 5, 20, 22, tzinfo=UTC)}


def test_conditions_and_fields_travel_with_the_selection():
    target = only(compile_policy(config(rule("r", "name", where=(equals("s", 1),)))))
    selection = select(target, as_of=AS_OF, now=NOW, zone=BRUSSELS)
    assert (selection.match, selection.exclude, selection.fields) == ((equals("s", 1),), (), (FieldChange("a"),))
    assert not selection.spare


def test_a_record_is_due_when_its_longest_period_ends():
    spec = dataset(anchors=("created", "last"))
    rules = (rule("r1", BOTH, period=Period(years=1)), rule("r2", BOTH, anchor="last", period=Period(months=1)))
    target = only(compile_policy(config(*rules, datasets=[spec])))
    assert due_on_record(target, (date(2025, 1, 31), date(2025, 1, 31))) == date(2026, 1, 31)
    assert due_on_record(target, (date(2024, 1, 31), date(2025, 1, 31))) == date(2025, 2, 28)
    assert due_on_record(target, (date(2024, 1, 31), None)) is None
    assert due_on_record(target, (None, None)) is None
    assert due_on_record(target, (date(9999, 1, 31), date(2025, 1, 1))) is None
    with pytest.raises(ValueError):
        due_on_record(target, (date(2024, 1, 31),))


def test_selecting_by_cutoffs_is_selecting_by_the_day_of_each_record():
    spec = dataset(anchors=("created", "last"))
    rules = (
        rule("r1", BOTH, period=Period(months=1)),
        rule("r2", BOTH, period=Period(days=30)),
        rule("r3", BOTH, anchor="last", period=Period(years=1), start="next-year"),
    )
    target = only(compile_policy(config(*rules, datasets=[spec])))
    selection = select(target, as_of=date(2025, 3, 31), now=NOW, zone=BRUSSELS)
    selected = 0
    for one, other in itertools.product(range(70), (date(2022, 12, 31), date(2023, 12, 31), date(2024, 1, 1))):
        day = date(2025, 1, 20) + timedelta(days=one)
        last = due_on_record(target, (day, other))
        is_selected = day < selection.before[0].day and other < selection.before[1].day
        assert is_selected == (last < date(2025, 3, 31))
        selected += is_selected
    assert 0 < selected < 210
    assert all(b.instant == start_of_day(b.day, BRUSSELS) for b in selection.before)


# --- what is left out, and knowing a rule again


def test_a_category_without_a_rule_is_named_and_one_with_wheres_only_apart():
    policy = config(rule("r", "name", where=(equals("s", 1),)))
    assert uncovered(policy) == [("crm.contacts", "email")]
    assert partly_covered(policy) == [("crm.contacts", "name")]


def test_wheres_that_leave_no_record_out_cover_wholly():
    rules = (rule("r", BOTH, where=(equals("s", 1),)), rule("q", BOTH, where=(differs("s", 1),)))
    assert uncovered(config(*rules)) == partly_covered(config(*rules)) == []
    assert partly_covered(config(rule("r", BOTH))) == []


def test_rules_of_a_dataset_are_those_that_cover_something_there():
    there = Location("web", "memory", datasets={"contacts": dataset()})
    here = Location("crm", "memory", datasets={"contacts": dataset()})
    rules = (rule("b", "name"), rule("a", "cv"), rule("c", "email", dataset="web.contacts"))
    policy = config(*rules, locations={"crm": here, "web": there})
    assert [r.name for r in rules_of(policy, "crm.contacts")] == ["b"]
    assert [r.name for r in rules_of(policy, "web.contacts")] == ["c"]


RULE = rule("r", BOTH, where=(equals("s", 1),), mask={"name": Mask.YEAR}, legal_ground="policy")
SPEC = dataset(options={"pattern": "*.pdf"})


@pytest.mark.parametrize(
    "changed",
    [
        replace(RULE, period=Period(months=7)),
        replace(RULE, period=Period(days=180)),
        replace(RULE, action=Action.ANONYMISE),
        replace(RULE, data=("name",)),
        replace(RULE, start="next-year"),
        replace(RULE, anchor="other"),
        replace(RULE, where=()),
        replace(RULE, where=(equals("s", "1"),)),
        replace(RULE, where=(differs("s", 1),)),
        replace(RULE, mask={}),
        replace(RULE, activity="other"),
        replace(RULE, max_records=5),
        replace(RULE, legal_ground="law"),
    ],
)
def test_a_changed_rule_has_another_revision(changed):
    assert rule_revision(changed, SPEC) != rule_revision(RULE, SPEC)


@pytest.mark.parametrize(
    "changed",
    [
        replace(SPEC, source="other"),
        replace(SPEC, key=("id", "line")),
        replace(SPEC, zone=type(BRUSSELS)("UTC")),
        replace(SPEC, subject=("email",)),
        replace(SPEC, data={"name": ("a", "c"), "email": ("b",)}),
        replace(SPEC, data={"name": ("a",), "email": ("b",), "cv": ("c",)}),
        replace(SPEC, parent=Parent("crm.accounts", ("owner",))),
        replace(SPEC, anchors={"created": Anchor("created", (AnchorPart("created_at", form="epoch"),))}),
        replace(SPEC, anchors={"created": Anchor("created", (AnchorPart("x"),))}),
        replace(SPEC, options={"pattern": "*"}),
    ],
)
def test_a_changed_mapping_gives_its_rules_another_revision(changed):
    assert rule_revision(RULE, changed) != rule_revision(RULE, SPEC)


def test_a_title_or_another_order_of_keys_changes_nothing():
    turned = replace(SPEC, title="Klanten", data=dict(reversed(SPEC.data.items())))
    assert rule_revision(RULE, turned) == rule_revision(RULE, SPEC)
    assert rule_revision(RULE, SPEC) == "d0cc35cd519ae00761827328d0856e1949d5c1656c9e2b3fd11dafac904de3f8"


def test_values_that_json_has_no_word_for_are_told_from_their_text():
    one, other = (rule_revision(replace(RULE, where=(equals("s", v),)), SPEC) for v in (date(2026, 1, 1), "2026-01-01"))
    assert one != other
    odd = replace(SPEC, options={"folders": {"b", "a"}, "list": ["x", {"y": None}]})
    assert len(rule_revision(RULE, odd)) == 64
