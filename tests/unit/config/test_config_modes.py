"""Files that decide about deletion or prove it: closed to others, or refused with the mode to set."""

import pytest

from ropa.config import check_secret_modes, check_state_modes

CRM = 'timezone = "UTC"\n[location.crm]\nconnector = "sql"\nurl = "sqlite:///x"\n'


@pytest.fixture
def state(tmp_path):
    for name in ("keys", "ledger"):
        (tmp_path / name).mkdir(0o700)
    for name in ("ropa.db", "ropa.db-wal", "keys/signing.pem", "keys/holds.key", "ledger/events.jsonl"):
        (tmp_path / name).touch(0o600)
    return tmp_path


def test_a_state_folder_as_it_is_made_is_sound_and_so_is_none(state, tmp_path):
    assert check_state_modes(state) == []
    assert check_state_modes(tmp_path / "nowhere") == []


@pytest.mark.parametrize(
    ("name", "mode", "wanted"),
    [
        ("ropa.db", 0o644, "600"),
        ("ropa.db", 0o604, "600"),
        ("ropa.db", 0o660, "600"),
        ("ropa.db-wal", 0o606, "600"),
        ("ledger", 0o755, "700"),
        ("ledger/events.jsonl", 0o644, "600"),
        ("keys", 0o755, "700"),
        ("keys/signing.pem", 0o640, "600"),
        ("keys/holds.key", 0o604, "600"),
    ],
)
def test_what_is_open_to_others_is_named_with_the_mode_to_set(state, name, mode, wanted):
    (state / name).chmod(mode)
    (problem,) = check_state_modes(state)
    assert problem.path == str(state / name)
    assert problem.message == f"is open to others (mode {mode:04o}); chmod {wanted} it"


@pytest.mark.parametrize("name", ["ropa.db", "ledger/events.jsonl"])
def test_a_group_may_read_the_evidence_but_never_a_key(state, name):
    (state / name).chmod(0o640)
    assert check_state_modes(state) == []


@pytest.mark.parametrize(
    ("lines", "path"),
    [
        ('password = "file:secret"', "location.crm.password"),
        ('password = "credential:secret"', "location.crm.password"),
        ('apply = { password = "file:secret" }', "location.crm.apply.password"),
        ('[state]\ndatabase = "file:secret"', "state.database"),
    ],
)
def test_a_secret_file_that_is_open_to_others_is_found_before_it_is_needed(read, tmp_path, lines, path):
    (tmp_path / "secret").write_text("x")
    config, environ = read(CRM + lines + "\n"), {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    (tmp_path / "secret").chmod(0o400)
    assert check_secret_modes(config, environ) == []
    (tmp_path / "secret").chmod(0o644)
    (problem,) = check_secret_modes(config, environ)
    assert problem.path == path
    assert "make it 0400" in problem.message


def test_a_secret_file_of_another_machine_is_not_missed(read):
    assert check_secret_modes(read(CRM + 'apply = { password = "file:elsewhere" }\n'), {}) == []
