"""Changes are functions from one register to the next, and are checked like a text."""

from __future__ import annotations

from datetime import date

import pytest
from register_builders import sound

from ropa.errors import RegisterError
from ropa.register import Change, add, differences, edit, end, from_toml, read_value, remove


def test_an_edit_sets_keys_by_path_and_leaves_the_first_register_alone():
    before = sound()
    after = edit(
        before, "activity.intake", {"legal_basis": "6.1.f", "data.email.source": "data subject", "owner": None}
    )
    activity = after.activities["intake"]
    assert (activity.legal_basis, activity.data["email"].source, activity.owner) == ("6.1.f", "data subject", None)
    assert list(activity.data) == ["name", "email"]
    assert before == sound()


def test_an_edit_of_the_organisation_reaches_into_its_tables():
    after = edit(
        sound(), "organisation", {"policy.dated_on": date(2022, 12, 28), "dpo.telephone": "1", "dpo.email": None}
    )
    assert after.organisation.policy.dated_on == date(2022, 12, 28)
    assert after.organisation.dpo.telephone == "1"
    assert after.organisation.dpo.email is None


def test_a_cookie_with_dots_in_its_name_can_be_edited():
    register = add(sound(), "cookie._pk_id.103138.71da", {"lifetime": "1 year 27 days"})
    assert edit(register, "cookie._pk_id.103138.71da", {"consent": True}).cookies["_pk_id.103138.71da"].consent is True


@pytest.mark.parametrize(
    ("entry", "values", "path"),
    [
        ("activity.intak", {"owner": "x"}, "activity.intak"),
        ("activity", {"owner": "x"}, "activity"),
        ("nonsense.x", {"owner": "x"}, "nonsense.x"),
        ("activity.intake", {"ownr": "x"}, "activity.intake.ownr"),
        ("activity.intake", {"owner.name": "x"}, "activity.intake.owner.name"),
        ("activity.intake", {"legal_basis": "6.1.z"}, "activity.intake.legal_basis"),
        ("activity.intake", {"title": None}, "activity.intake.title"),
        ("activity.intake", {"data.email": "x"}, "activity.intake.data.email"),
        ("recipient.host", {"country": "UK"}, "recipient.host.country"),
    ],
)
def test_an_edit_that_is_not_sound_is_refused_with_its_path(entry, values, path):
    with pytest.raises(RegisterError) as caught:
        edit(sound(), entry, values)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_an_absent_entry_is_suggested():
    with pytest.raises(RegisterError) as caught:
        edit(sound(), "activity.intak", {"owner": "x"})
    assert caught.value.problems[0].suggestion == "activity.intake"


def test_an_entry_is_added_once():
    register = add(sound(), "recipient.bank", {"name": "Bank", "role": "controller", "country": "BE"})
    assert list(register.recipients) == ["host", "bank"]
    with pytest.raises(RegisterError, match="is there already"):
        add(register, "recipient.bank", {"name": "Bank"})
    with pytest.raises(RegisterError) as caught:
        add(sound(), "recipient.bank", {})
    assert caught.value.problems[0].path == "recipient.bank.name"


def test_the_first_entry_of_its_kind_can_be_added():
    assert add(sound(), "category.pets", {"title": "Huisdieren"}).categories["pets"].title == "Huisdieren"


def test_an_activity_ends_and_stays_in_the_record():
    register = add(sound(), "activity.new", {"title": "Nieuw"})
    after = end(register, "intake", date(2026, 11, 1), "new")
    activity = after.activities["intake"]
    assert (activity.status, activity.ended_on, activity.replaced_by) == ("ended", date(2026, 11, 1), "new")
    with pytest.raises(RegisterError, match="ended already"):
        end(after, "intake", date(2026, 11, 2))


@pytest.mark.parametrize("replaced_by", ["intake", "absent"])
def test_an_activity_is_not_replaced_by_itself_or_by_nothing(replaced_by):
    with pytest.raises(RegisterError):
        end(sound(), "intake", date(2026, 11, 1), replaced_by)


def test_an_absent_activity_cannot_end():
    with pytest.raises(RegisterError, match="is not in the register"):
        end(sound(), "absent", date(2026, 11, 1))


def test_only_a_draft_activity_can_be_removed():
    with pytest.raises(RegisterError, match="ended, not removed"):
        remove(sound(), "activity.intake")
    draft = add(sound(), "activity.new", {"title": "Nieuw", "status": "draft"})
    assert remove(draft, "activity.new") == sound()
    assert remove(sound(), "recipient.host").recipients == {}
    with pytest.raises(RegisterError):
        remove(sound(), "organisation")


def test_typed_text_becomes_the_value_its_key_takes():
    assert read_value("activity.x", "purposes", "a; b") == ["a", "b"]
    assert read_value("activity.x", "automated_decisions", "true") is True
    assert read_value("activity.x", "data", "name;email") == {"name": {}, "email": {}}
    assert read_value("activity.x", "data.name.purposes", "a") == ["a"]
    assert read_value("activity.x", "title", "a; b") == "a; b"
    assert read_value("organisation", "policy.minimum_age", "13") == 13
    assert read_value("activity.x", "review_on", "2027-01-01") == "2027-01-01"
    with pytest.raises(RegisterError) as caught:
        read_value("activity.x", "purpose", "a")
    assert caught.value.problems[0].suggestion == "purposes"
    for path in ("data.name", "nonsense.x"):
        with pytest.raises(RegisterError):
            read_value("activity.x", path, "a")
    with pytest.raises(RegisterError):
        read_value("organisation", "dpo", "a")
    edited = edit(sound(), "activity.intake", {"review_on": read_value("activity.intake", "review_on", "2028-02-29")})
    assert edited.activities["intake"].review_on == date(2028, 2, 29)


def test_differences_name_each_path_with_both_values():
    before = sound()
    after = edit(before, "activity.intake", {"legal_basis": "6.1.f", "interest": "Service", "owner": None})
    after = add(after, "recipient.bank", {"name": "Bank"})
    assert differences(before, after) == [
        Change("recipient.bank", None, {"name": "Bank", "role": "unknown"}),
        Change("activity.intake.legal_basis", "6.1.b", "6.1.f"),
        Change("activity.intake.owner", "Zaakvoerder", None),
        Change("activity.intake.interest", None, "Service"),
    ]
    assert differences(after, after) == []
    swapped = {(change.path, str(change.before), str(change.after)) for change in differences(after, before)}
    assert swapped == {(c.path, str(c.after), str(c.before)) for c in differences(before, after)}


def test_a_changed_date_is_a_difference_in_json_spelling():
    later = edit(sound(), "activity.intake", {"review_on": date(2028, 1, 1)})
    assert differences(sound(), later) == [Change("activity.intake.review_on", "2027-01-01", "2028-01-01")]
    assert from_toml("[organisation]\n") == from_toml("[organisation]\n")
