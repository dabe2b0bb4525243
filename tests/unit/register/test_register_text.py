"""What is written can be read back, and comes back the same."""

from __future__ import annotations

import json
import tomllib

from hypothesis import HealthCheck, given, settings
from register_builders import SOUND, registers, sound

from ropa.register import Register, digest, from_json, from_toml, reference, to_json, to_toml
from ropa.register.specs import specs

CHECKED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


@CHECKED
@given(registers)
def test_a_register_comes_back_from_its_toml_and_is_written_the_same_again(register):
    text = to_toml(register)
    again = from_toml(text)
    assert again == register
    assert list(again.activities) == list(register.activities)
    assert to_toml(again) == text


@CHECKED
@given(registers)
def test_a_register_comes_back_from_its_json(register):
    assert from_json(to_json(register)) == register
    assert digest(from_json(to_json(register, indent=None))) == digest(register)


def test_the_empty_register_can_be_written_and_read():
    assert from_toml(to_toml(Register())) == Register()


def test_a_gap_in_the_legal_basis_is_written_out():
    register = from_toml('[activity.x]\ntitle = "X"\n')
    assert 'legal_basis = "unknown"' in to_toml(register)
    processor = from_toml('[activity.x]\ntitle = "X"\nrole = "processor"\n')
    assert "legal_basis" not in to_toml(processor)
    assert from_toml(to_toml(processor)) == processor


def test_a_list_of_categories_stays_a_list_and_tables_stay_tables():
    assert tomllib.loads(to_toml(sound()))["activity"]["intake"]["data"] == ["name", "email"]
    text = SOUND.replace('data = ["name", "email"]', 'data.name = {}\ndata.birth-date = { source = "data subject" }')
    data = tomllib.loads(to_toml(from_toml(text)))["activity"]["intake"]["data"]
    assert data == {"name": {}, "birth-date": {"source": "data subject"}}


def test_controllers_are_names_or_tables():
    register = from_toml(
        '[activity.x]\ntitle = "X"\nrole = "processor"\ncontrollers = ["A", { name = "B", email = "b@example.org" }]\n'
    )
    assert [one.name for one in register.activities["x"].controllers] == ["A", "B"]
    assert from_toml(to_toml(register)) == register
    short = from_toml('[activity.x]\ntitle = "X"\nrole = "processor"\ncontrollers = ["A", "B"]\n')
    assert 'controllers = ["A", "B"]' in to_toml(short)


def test_the_digest_does_not_depend_on_the_order_of_entries_but_on_what_they_say():
    one = from_toml('[activity.a]\ntitle = "A"\n[activity.b]\ntitle = "B"\n')
    two = from_toml('[activity.b]\ntitle = "B"\n[activity.a]\ntitle = "A"\n')
    three = from_toml('[activity.b]\ntitle = "B"\n[activity.a]\ntitle = "C"\n')
    assert digest(one) == digest(two)
    assert digest(one) != digest(three)


def test_json_names_its_schema():
    assert json.loads(to_json(sound()))["schema"] == "ropa.register/1"


def test_the_reference_names_every_key_of_every_table():
    text = reference()

    def walk(table):
        for written, (_, spec) in specs(table).items():
            yield written
            if spec.table:
                yield from walk(spec.table)

    sections = [line for line in text.splitlines() if line.startswith("## ")]
    assert "## `[activity.KEY.data.CATEGORY]`" in sections
    assert "## `[[organisation.joint_controller]]`" in sections
    for written in walk(Register):
        assert f"`{written}`" in text or f"[{written}" in text, written
