"""Rule sets that contradict themselves are refused when they are read."""

import pytest

PLACES = """
timezone = "UTC"
[location.crm]
connector = "sql"
url = "sqlite:///x"
[location.crm.dataset.contacts]
source = "contacts"
anchor.created = "created_at"
anchor.closed = "closed_at"
data.name = ["name"]
data.email = ["email"]
[location.cv]
connector = "files"
root = "cv"
[location.cv.dataset.all]
source = "."
anchor.created = "mtime"
data.name = ["name"]
data.email = ["content"]
"""


def rules(*changes: dict[str, str]) -> str:
    """Rules a, b, c … alike but for these changes."""
    alike = {
        "activity": '"intake"',
        "dataset": '"crm.contacts"',
        "data": '["name", "email"]',
        "anchor": '"created"',
        "period": '"6 months"',
        "action": '"purge"',
    }
    written = (
        f"[rule.{name}]\n" + "\n".join(f"{key} = {value}" for key, value in {**alike, **change}.items())
        for name, change in zip("abcdef", changes, strict=False)
    )
    return PLACES + "\n".join(written)


@pytest.mark.parametrize("action", ["flag", "anonymise"])
def test_two_actions_for_the_same_datum_on_the_same_day_contradict(problems, action):
    found = problems(rules({"data": '["name"]'}, {"action": f'"{action}"'}))
    assert list(found) == ["rule.b.action"]
    assert "rule.a" in found["rule.b.action"].message


def test_two_masks_for_the_same_datum_on_the_same_day_contradict(problems):
    found = problems(
        rules(
            {"action": '"anonymise"', "mask": '{ email = "redact" }'},
            {"action": '"anonymise"', "data": '["email"]', "mask": '{ email = "random" }'},
        )
    )
    assert list(found) == ["rule.b.mask"]
    assert "rule.a" in found["rule.b.mask"].message
    assert "email" in found["rule.b.mask"].message


def test_clear_by_default_and_clear_by_name_are_the_same_mask(read):
    text = rules(
        {"action": '"anonymise"', "activity": '"other"'}, {"action": '"anonymise"', "mask": '{ email = "clear" }'}
    )
    assert len(read(text).rules) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"period": '"7 months"'},
        {"anchor": '"closed"'},
        {"start": '"next-year"'},
        {"where": "{ status = 1 }"},
        {"data": '["email"]'},
        {"action": '"purge"', "activity": '"other"'},
    ],
)
def test_rules_that_differ_in_time_scope_or_data_do_not_contradict(read, change):
    assert len(read(rules({"data": '["name"]'}, {"action": '"flag"', **change})).rules) == 2


def test_where_is_the_same_in_whatever_order_it_is_written(problems):
    found = problems(
        rules(
            {"where": '{ a = [1, 2], b = { not = "x" } }'},
            {"where": '{ b = { not = ["x"] }, a = [2, 1] }', "action": '"flag"'},
        )
    )
    assert list(found) == ["rule.b.action"]


@pytest.mark.parametrize("order", [1, -1])
def test_a_rule_that_a_keep_makes_void_is_refused(problems, order):
    keep = {"action": '"keep"', "reason": '"archive"', "period": '"10 years"'}
    changes = [keep, {"data": '"*"'}][::order]
    found = problems(rules(*changes))
    name = "b" if order == 1 else "a"
    assert list(found) == [f"rule.{name}.action"]
    assert ("rule.a" if name == "b" else "rule.b") in found[f"rule.{name}.action"].message


def test_a_keep_of_fewer_records_or_data_stands_beside_a_purge(read):
    keep = {"action": '"keep"', "reason": '"archive"'}
    assert len(read(rules({}, {**keep, "where": "{ vip = true }"}, {**keep, "data": '["name"]'})).rules) == 3


def test_two_keeps_of_two_activities_do_not_contradict(read):
    keep = {"action": '"keep"', "reason": '"archive"'}
    assert len(read(rules(keep, {**keep, "activity": '"other"'})).rules) == 2


@pytest.mark.parametrize("change", [{}, {"data": '["email", "name"]'}, {"data": '"*"'}])
def test_a_rule_that_says_the_same_under_another_name_is_refused(problems, change):
    found = problems(rules({}, change))
    assert list(found) == ["rule.b"]
    assert "rule.a" in found["rule.b"].message


def test_a_part_of_a_record_that_can_only_go_whole_is_refused(problems):
    found = problems(rules({"dataset": '"cv.all"', "data": '["name"]'}))
    assert list(found) == ["rule.a.data"]
    assert "email" in found["rule.a.data"].message


def test_rules_that_together_cover_a_whole_record_stand(read):
    parts = {"dataset": '"cv.all"'}
    text = rules({**parts, "data": '["name"]'}, {**parts, "data": '["email"]', "period": '"1 year"'})
    assert len(read(text).rules) == 2


def test_rules_for_other_records_do_not_cover_the_rest_of_a_record(problems):
    cv = {"dataset": '"cv.all"'}
    found = problems(
        rules(
            {**cv, "data": '["name"]', "where": "{ a = 1 }"},
            {**cv, "data": '["email"]', "where": "{ a = { not = [1, 2] } }"},
        )
    )
    assert list(found) == ["rule.a.data", "rule.b.data"]


def test_a_purge_of_records_of_which_a_part_is_kept_for_good_can_never_happen(problems):
    keep = {"dataset": '"cv.all"', "action": '"keep"', "reason": '"archive"', "data": '["email"]'}
    found = problems(rules({"dataset": '"cv.all"'}, keep))
    assert list(found) == ["rule.a.action"]
    assert "rule.b" in found["rule.a.action"].message


def test_a_part_kept_for_some_records_leaves_the_purge_of_the_others(read):
    keep = {"dataset": '"cv.all"', "action": '"keep"', "reason": '"archive"', "data": '["email"]', "where": "{ a = 1 }"}
    assert len(read(rules({"dataset": '"cv.all"'}, keep)).rules) == 2


def test_contradictions_are_reported_beside_other_mistakes(problems):
    found = problems(rules({}, {"action": '"flag"'}, {"period": "0"}))
    assert list(found) == ["rule.b.action", "rule.c.period"]
