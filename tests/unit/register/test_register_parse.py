"""A register text is read strictly: everything wrong is told at once, and nothing of its content."""

from __future__ import annotations

import pytest
from register_builders import SOUND

from ropa.errors import RegisterError
from ropa.register import from_json, from_toml
from ropa.register.parse import LONGEST_TEXT

CANARY = "K4N4R1E"


def problems(text: str) -> dict[str, str]:
    with pytest.raises(RegisterError) as caught:
        from_toml(text)
    assert caught.value.exit_code == 2
    return {problem.path: str(problem) for problem in caught.value.problems}


def test_every_problem_is_told_at_once_with_its_path_and_a_suggestion():
    found = problems(
        """
        organisatie = 1
        [organisation]
        nam = "x"
        country = "UK"
        rights = ["acess"]
        request_promise = "soon"
        [activity.Intake]
        titel = "x"
        legal_basis = "6.1.g"
        data = ["name", "Email"]
        review_on = 2027-01-01T00:00:00
        recipients = "host"
        [recipient.a]
        name = "A"
        transfer = { safeguard = "adequacy:2023/1975" }
        [cookie._ga]
        lifetime = "for ever"
        consent = "yes"
        """
    )
    assert set(found) == {
        "organisatie", "organisation.nam", "organisation.country", "organisation.rights[0]",
        "organisation.request_promise", "activity.Intake", "activity.Intake.titel", "activity.Intake.title",
        "activity.Intake.legal_basis", "activity.Intake.data[1]", "activity.Intake.review_on",
        "activity.Intake.recipients", "recipient.a.transfer.safeguard", "cookie._ga.lifetime", "cookie._ga.consent",
    }  # fmt: skip
    assert "did you mean 'organisation'?" in found["organisatie"]
    assert "did you mean 'name'?" in found["organisation.nam"]
    assert "did you mean 'GB'?" in found["organisation.country"]
    assert "did you mean 'access'?" in found["organisation.rights[0]"]
    assert "did you mean 'adequacy:2023/1795'?" in found["recipient.a.transfer.safeguard"]


@pytest.mark.parametrize(
    "line",
    [
        f'note = "{CANARY}\\u0007"',
        f'owner = ["{CANARY}"]',
        f'status = "{CANARY}"',
        f'ended_on = "{CANARY}"',
        f'automated_decisions = "{CANARY}"',
        f'stated_period = "{CANARY}"',
        f'replaced_by = "{CANARY} x"',
        f'subjects = ["{CANARY}"]',
        f'note = "{CANARY * 400}"',
        f'purposes = ["{CANARY}", "{CANARY}"]',
        f'data = {{ name = "{CANARY}" }}',
        f"note = '''{CANARY}",
    ],
)
def test_a_problem_never_tells_the_value(line):
    text = f'[activity.x]\ntitle = "X"\n{line}\n'
    with pytest.raises(RegisterError) as caught:
        from_toml(text)
    told = [str(caught.value), *map(str, caught.value.problems), str(caught.value.next_step)]
    assert CANARY not in "".join(told)
    assert caught.value.problems


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "[organisation", "x = " + "[" * 40, "\x00"])
def test_what_is_no_register_is_refused_with_its_name(text):
    with pytest.raises(RegisterError) as caught:
        from_toml(text, "my.toml")
    assert caught.value.problems[0].path == "my.toml"


def test_bounds_are_checked_before_anything_is_parsed():
    assert "larger" in problems("# " + "x" * (1024 * 1024) + "\n")["register.toml"]
    assert "longer" in problems("x = '" + "x" * 5000 + "'")["register.toml"]
    deep = "x = " + "[" * 30 + "]" * 30
    assert "nested" in problems(deep)["register.toml"]


def test_bytes_that_are_not_utf_8_are_refused():
    with pytest.raises(RegisterError, match="UTF-8"):
        from_toml(b"[organisation]\nname = '\xff'\n")


def test_the_longest_text_can_be_written_and_read():
    text = SOUND.replace("Zaakvoerder", '\\"' * LONGEST_TEXT)
    register = from_toml(text)
    from ropa.register import to_toml

    assert from_toml(to_toml(register)) == register
    assert "longer" in problems(SOUND.replace("Zaakvoerder", "x" * (LONGEST_TEXT + 1)))["activity.intake.owner"]


def test_words_with_a_meaning_cannot_be_a_recipients_key():
    for word in ("none", "own", "unknown"):
        assert f"recipient.{word}" in problems(f'[recipient.{word}]\nname = "X"\n')


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        "null",
        '{"schema": "ropa.register/1"}',
        '{"schema": "ropa.plan/1", "organisation": {}}',
        '{"schema": "ropa.register/1", "organisation": {"name": "a", "name": "b"}}',
        '{"schema": "ropa.register/1", "organisation": {"name": "\\ud800"}}',
        '{"schema": "ropa.register/1", "organisation": {"name": 1e999}}',
        "[" * 100_000,
        "{",
    ],
)
def test_json_that_is_no_register_is_refused(text):
    with pytest.raises(RegisterError) as caught:
        from_json(text)
    assert caught.value.problems


def test_unknown_is_a_value():
    register = from_toml(
        '[recipient.a]\nname = "A"\nrole = "unknown"\ncountry = "unknown"\ncontract = "unknown"\n'
        'transfer = { country = "unknown", safeguard = "unknown" }\n[cookie.c]\nlifetime = "unknown"\n'
        '[activity.x]\ntitle = "X"\nlegal_basis = "unknown"\ncondition = "unknown"\nrecipients = ["unknown"]\n'
    )
    assert register.recipients["a"].transfer.safeguard == "unknown"
    assert register.cookies["c"].period is None
