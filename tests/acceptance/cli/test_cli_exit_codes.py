"""Every row of the contract's table of exit codes, provoked."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from cli_kit import DUE, SCRIPT, Answer, Ropa, approved, call, ids, in_days, outside
from sqlalchemy import create_engine


def edit_config(ropa: Ropa, old: str, new: str) -> None:
    """Change the configuration as an editor would."""
    path = ropa.folder / "config" / "retention.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def change(ropa: Ropa, sql: str) -> None:
    """Change the source past ropa."""
    with contextlib.closing(sqlite3.connect(ropa.folder / "data" / "crm.sqlite")) as database:
        database.executescript(sql)
        database.commit()


def refused(ropa: Ropa, *arguments: str, code: str | None) -> Answer:
    """Insist on exit 4, on the reason, and that no record went and no line was written."""
    events = ropa.folder / "var" / "ledger" / "events.jsonl"
    before = ids(ropa.folder), events.read_bytes()
    answer = ropa(*arguments, "--json", code=4)
    assert answer.document["schema"] == "ropa.error/1"
    assert code is None or answer.document["code"] == code, answer.document
    assert (ids(ropa.folder), events.read_bytes()) == before
    return answer


# --- 4: refused by a safety rule ----------------------------------------------------------------------------------


def test_a_forecast_is_neither_approved_nor_applied(ropa: Ropa) -> None:
    plan = ropa.json("plan", "--as-of", "2031-01-01")
    assert plan["forecast"] is True
    refused(ropa, "approve", "1", "--by", "An", "--reason", "x", "--digest", plan["digest"], code="forecast")
    refused(ropa, "apply", "1", code="forecast")


def test_a_plan_as_of_the_past_is_no_forecast(ropa: Ropa) -> None:
    assert ropa.json("plan", "--as-of", "2020-01-01")["forecast"] is False


def test_an_unapproved_plan_is_not_applied(ropa: Ropa) -> None:
    ropa("plan", code=0)
    refused(ropa, "apply", "1", code="not-approved")


def test_a_spent_plan_is_not_applied_again(ropa: Ropa) -> None:
    plan = approved(ropa)
    ropa("apply", "1", code=0)
    assert ids(ropa.folder) == [DUE, *range(DUE + 1, DUE + 5)]
    refused(ropa, "apply", "1", code="spent")
    refused(ropa, "approve", "1", "--by", "Bo", "--reason", "x", "--digest", plan["digest"], code="spent")
    refused(ropa, "reject", "1", "--by", "Bo", "--reason", "x", code="spent")


def test_a_rejected_plan_is_not_applied(ropa: Ropa) -> None:
    ropa("plan", code=0)
    ropa("reject", "1", "--reason", "no", code=0)
    refused(ropa, "apply", "1", code="spent")


def test_a_lapsed_plan_is_not_applied(ropa: Ropa) -> None:
    plan = approved(ropa)
    with time_machine.travel(datetime.now(UTC) + timedelta(days=2)):
        refused(ropa, "apply", "1", code="spent")
        assert ropa.json("plan", "show", "1")["state"] == "lapsed"
        refused(ropa, "approve", "1", "--by", "Bo", "--reason", "x", "--digest", plan["digest"], code="spent")


def test_a_plan_of_another_policy_is_not_applied(ropa: Ropa) -> None:
    approved(ropa)
    edit_config(ropa, '"6 months"', '"7 months"')
    refused(ropa, "apply", "1", code="stale")


def test_a_plan_of_another_register_is_not_applied(ropa: Ropa) -> None:
    approved(ropa)
    ropa("register", "edit", "activity.intake", "--set", "owner=An", "--reason", "said", code=0)
    refused(ropa, "apply", "1", code="stale")


@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, "0" * 64, "sha256:", "", "x", "é" * 64, "sha256:" * 9])
def test_a_wrong_digest_is_refused(ropa: Ropa, digest: str) -> None:
    ropa("plan", code=0)
    refused(ropa, "approve", "1", "--by", "An", "--reason", "x", "--digest", digest, code="wrong-digest")


def test_a_digest_of_another_plan_is_refused(ropa: Ropa) -> None:
    first = ropa.json("plan")
    ropa("plan", code=0)
    refused(ropa, "approve", "2", "--by", "An", "--reason", "x", "--digest", first["digest"], code="wrong-digest")


def test_a_halted_site_runs_nothing(ropa: Ropa) -> None:
    approved(ropa)
    ropa("halt", "--by", "An", "--reason", "doubt", code=0)
    refused(ropa, "apply", "1", code=None)
    refused(ropa, "sweep", code=None)
    ropa("resume", "--by", "An", "--reason", "fine", code=0)
    ropa("apply", "1", code=0)
    refused(ropa, "resume", "--reason", "again", code="not-halted")


def test_a_clock_that_jumped_runs_nothing_until_a_person_accepts_the_gap(ropa: Ropa) -> None:
    ropa("plan", code=0)
    then = datetime.now(UTC) + timedelta(days=30)
    with time_machine.travel(then):
        refused(ropa, "plan", code=None)
        refused(ropa, "sweep", code=None)
        refused(ropa, "resume", "--accept-clock", "2020-01-01", "--reason", "x", code="clock")
        ropa("resume", "--accept-clock", in_days(0), "--by", "An", "--reason", "the machine was off", code=0)
        ropa("plan", code=0)
    with time_machine.travel(datetime.now(UTC) - timedelta(days=3000)):
        refused(ropa, "plan", code=None)


def test_over_a_cap_nothing_happens(ropa: Ropa) -> None:
    edit_config(ropa, "max_share = 1.0", "max_records = 2")
    plan = approved(ropa)
    contacts = next(target for target in plan["targets"] if target["dataset"] == "crm.contacts")
    assert contacts["stopped_by"]
    assert contacts["records"] == DUE - 1, "the records stay in the plan, to be looked at"
    before = ids(ropa.folder)
    assert ropa("apply", "1").code == 4
    assert ids(ropa.folder) == before


def test_a_mandate_is_bounded_in_time_and_by_the_rule(ropa: Ropa) -> None:
    refused(ropa, "mandate", "add", "prospects", "--reason", "x", "--until", in_days(91), code="too-long")
    refused(ropa, "mandate", "add", "invoices", "--reason", "x", "--until", in_days(9), code="not-allowed")


# --- 2: the call or the configuration is wrong --------------------------------------------------------------------


def test_a_digest_that_is_missing_off_a_terminal_is_a_wrong_call(ropa: Ropa) -> None:
    ropa("plan", code=0)
    assert "--digest" in ropa.refused("approve", "1", "--by", "An", "--reason", "x")["message"]


def test_two_approvals_need_two_names(ropa: Ropa) -> None:
    edit_config(ropa, "max_share = 1.0", "max_share = 1.0\napprovals = 2")
    plan = ropa.json("plan")
    assert "--by" in ropa.refused("approve", "1", "--reason", "x", "--digest", plan["digest"])["message"]
    first = ropa.json("approve", "1", "--by", "An", "--reason", "x", "--digest", plan["digest"])
    assert first["state"] == "pending"
    refused(ropa, "apply", "1", code="not-approved")
    refused(ropa, "approve", "1", "--by", " AN ", "--reason", "x", "--digest", plan["digest"], code="same-person")
    assert ropa.json("approve", "1", "--by", "Bo", "--reason", "x", "--digest", plan["digest"])["state"] == "approved"
    ropa("apply", "1", code=0)


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('source = "contacts"', 'source = "kontakten"', "kontakten"),
        ('"last_contact"', '"last_kontakt"', "last_kontakt"),
        ('["email"]\nanchor', '["mail"]\nanchor', "mail"),
        ('"first_name"', '"voornaam"', "voornaam"),
        ('data.email = ["email"]', 'key = ["nummer"]\ndata.email = ["email"]', "nummer"),
        (
            'action = "purge"\nlegal_ground = "own',
            'where = { land = "BE" }\naction = "purge"\nlegal_ground = "own',
            "land",
        ),
    ],
)
def test_a_table_or_column_that_is_not_there_is_a_wrong_configuration(
    ropa: Ropa, old: str, new: str, named: str
) -> None:
    edit_config(ropa, old, new)
    for command in ("plan", "sweep"):
        error = ropa.refused(command)
        assert any(named in problem["message"] for problem in error["problems"]), error
        assert all(problem["path"] for problem in error["problems"])
    assert named in ropa("check", code=1).out


def test_an_empty_configuration_is_wrong(ropa: Ropa) -> None:
    (ropa.folder / "config" / "retention.toml").write_text("")
    for command in ("plan", "check", "status", "sweep"):
        assert "empty" in str(ropa.refused(command)["problems"])


def test_a_rule_whose_activity_is_not_in_the_register_is_wrong(ropa: Ropa, bare: Ropa) -> None:
    edit_config(ropa, '"intake"', '"intaek"')
    error = ropa.refused("plan")
    assert [problem["path"] for problem in error["problems"]] == ["rule.prospects.activity"]
    assert {p["path"] for p in ropa.refused("sweep")["problems"]} == {"rule.prospects.activity"}
    for command in ("plan", "sweep"):
        assert len(bare.refused(command)["problems"]) == 2
    assert not (bare.folder / "var").exists()


# --- 5: a location ------------------------------------------------------------------------------------------------


def test_a_database_that_is_not_there_is_a_location_that_does_not_answer(ropa: Ropa) -> None:
    shutil.move(ropa.folder / "data" / "crm.sqlite", ropa.folder / "data" / "gone.sqlite")
    plan = ropa("plan", "--json", code=5).document
    assert plan["complete"] is False
    assert {target["stopped_by"] for target in plan["targets"]} == {"unreachable"}
    assert sum(target["due"] for target in plan["targets"]) == 0
    assert {target["population"] for target in plan["targets"]} == {None}
    assert ropa("sweep").code == 5
    for arguments in (("explain", "crm.contacts", "1"), ("location", "check", "crm"), ("location", "discover", "crm")):
        assert ropa(*arguments, "--json", code=5).document["schema"] == "ropa.error/1"
    check = ropa("check", "--json", code=1).document
    assert "location-unreachable" in {finding["code"] for finding in check["findings"]}
    assert not (ropa.folder / "data" / "crm.sqlite").exists()
    assert "not complete" in ropa("plan", code=5).out
    status = ropa("status", "--json", code=1).document
    assert any("could not be read" in reason for reason in status["reasons"])


@pytest.mark.parametrize(
    "url",
    ["postgresql+psycopg://127.0.0.1:1/crm", "mysql://127.0.0.1:1/x", "sqlite:///config", "sqlite:///register.toml"],
)
def test_a_database_that_cannot_be_reached_is_5(ropa: Ropa, url: str) -> None:
    edit_config(ropa, "sqlite:///data/crm.sqlite", url)
    assert ropa("plan").code == 5
    assert ropa("location", "check", "crm").code == 5
    assert ropa("check").code == 1


# --- 6: the ledger ------------------------------------------------------------------------------------------------


def garbage(folder: Path) -> None:
    (folder / "var" / "ropa.db").write_bytes(b"not a database at all" * 400)


def no_database(folder: Path) -> None:
    (folder / "var" / "ropa.db").unlink()


def empty_database(folder: Path) -> None:
    (folder / "var" / "ropa.db").write_bytes(b"")


def flipped(folder: Path) -> None:
    path = folder / "var" / "ledger" / "events.jsonl"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def no_ledger(folder: Path) -> None:
    shutil.rmtree(folder / "var" / "ledger")


def cut_short(folder: Path) -> None:
    path = folder / "var" / "ledger" / "events.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))


@pytest.mark.sqlite_state("its file")
@pytest.mark.parametrize("harm", [garbage, no_database, empty_database])
def test_a_file_of_the_run_database_that_is_broken_stops_everything(ropa: Ropa, harm: Callable[[Path], None]) -> None:
    stops_everything(ropa, lambda: harm(ropa.folder))


@pytest.mark.parametrize("harm", [flipped, no_ledger, cut_short])
def test_a_ledger_that_is_broken_stops_everything(ropa: Ropa, harm: Callable[[Path], None]) -> None:
    stops_everything(ropa, lambda: harm(ropa.folder))


@pytest.mark.parametrize("statement", ["DELETE FROM legal_hold", "DROP TABLE legal_hold", "DROP TABLE state"])
def test_a_run_database_that_is_not_what_was_written_stops_everything(ropa: Ropa, statement: str) -> None:
    def harm() -> None:
        engine = create_engine(ropa.url or f"sqlite:///{ropa.folder / 'var' / 'ropa.db'}")
        with engine.begin() as connection:
            connection.exec_driver_sql(statement)
        engine.dispose()

    stops_everything(ropa, harm)


def stops_everything(ropa: Ropa, harm: Callable[[], None]) -> None:
    ropa("hold", "add", "--record", "crm.contacts", "2", "--reason", "litigation", code=0)
    approved(ropa)
    harm()
    before = ids(ropa.folder)
    for arguments in (("apply", "1"), ("sweep",), ("plan",)):
        answer = ropa(*arguments, "--json", code=6)
        assert answer.document["exit_code"] == 6
    assert ids(ropa.folder) == before


@pytest.mark.sqlite_state("its file; on PostgreSQL tests/acceptance/hosts has a copy of yesterday")
def test_a_run_database_of_yesterday_is_behind_its_ledger(ropa: Ropa) -> None:
    kept = ropa.folder.parent / "yesterday.db"
    approved(ropa)
    shutil.copy(ropa.folder / "var" / "ropa.db", kept)
    ropa("apply", "1", code=0)
    shutil.copy(kept, ropa.folder / "var" / "ropa.db")
    ropa("apply", "1", code=6)
    ropa("sweep", code=6)


def test_a_broken_ledger_is_verified_as_broken(ropa: Ropa) -> None:
    assert ropa.json("ledger", "verify")["sound"] is True
    flipped(ropa.folder)
    answer = ropa("ledger", "verify", "--json", code=1)
    assert answer.document["sound"] is False
    assert answer.document["problems"]
    assert "BROKEN" in ropa("ledger", "verify", code=1).out


# --- 1, 75, 0 -----------------------------------------------------------------------------------------------------


def test_what_is_asked_about_and_not_there_is_1(ropa: Ropa, bare: Ropa) -> None:
    for arguments in (("explain", "crm.contacts", "77"), ("ledger", "prove", "crm.contacts", "77")):
        error = ropa(*arguments, "--json", code=1)
        assert error.document["exit_code"] == 1
    assert bare("ledger", "verify").code == 1
    assert bare("ledger", "show").code == 1
    assert ropa("status").code == 1, "no sweep has succeeded yet"
    for arguments in (("explain", "crm.nothing", "1"), ("explain", "nothing", "1"), ("ledger", "prove", "crm.x", "1")):
        ropa.refused(*arguments)


def test_another_run_under_way_is_75(ropa: Ropa) -> None:
    ropa("plan", code=0)
    with (ropa.folder / "var" / "run.lock").open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for arguments in (("plan",), ("apply", "1"), ("sweep",), ("ledger", "checkpoint")):
            assert ropa(*arguments, "--json", code=75).document["exit_code"] == 75
        for arguments in (("plan", "list"), ("hold", "list"), ("ledger", "verify"), ("explain", "crm.contacts", "1")):
            assert ropa(*arguments).code == 0
        assert ropa("hold", "add", "--record", "crm.contacts", "1", "--reason", "other").code == 0
        assert ropa("halt").code == 0


def test_a_record_held_since_the_approval_stays_and_that_is_success(ropa: Ropa) -> None:
    approved(ropa)
    ropa("hold", "add", "--subject", " P2@TEST.example", "--reason", "litigation", "--by", "An", code=0)
    run = ropa.json("apply", "1")
    assert run["outcomes"] == {"held": 1, "purged": DUE - 2}
    assert 2 in ids(ropa.folder)


def test_a_record_that_changed_since_the_approval_stays_and_the_answer_is_3(ropa: Ropa) -> None:
    approved(ropa)
    change(ropa, "UPDATE contacts SET last_name = 'Janssens' WHERE id = 3; DELETE FROM contacts WHERE id = 4;")
    run = ropa("apply", "1", "--json", code=3).document
    assert run["outcomes"] == {"absent": 1, "changed": 1, "purged": DUE - 3}
    assert 3 in ids(ropa.folder)


def test_an_unused_folder_gets_no_state_from_a_command_that_reads(bare: Ropa) -> None:
    before = bare.touched()
    for arguments in (
        ("plan", "list"), ("hold", "list"), ("mandate", "list"), ("finding", "list"), ("register", "list"),
        ("register", "history"), ("register", "export"), ("location", "list"), ("location", "check", "crm"),
        ("location", "discover", "crm"), ("explain", "crm.contacts", "1"), ("status",), ("check",),
        ("check", "--offline"), ("plan", "show", "1"), ("apply", "1"), ("approve", "1", "--reason", "x"),
        ("reject", "1", "--reason", "x"), ("hold", "release", "1", "--reason", "x"), ("mandate", "revoke", "1"),
        ("finding", "show", "1"), ("ledger", "verify"), ("ledger", "prove", "crm.contacts", "1"),
        ("resume", "--reason", "x"), ("resume", "--accept-clock", in_days(0)),
        ("register", "end", "intake", "--reason", "x"), ("register", "edit", "activity.intake", "--reason", "x"),
        ("mandate", "add", "prospects", "--reason", "x", "--until", in_days(0)),
        ("hold", "add", "--dataset", "crm.contacts", "--reason", "nonsense"), ("plan",), ("sweep",),
        ("report", "-o", "nowhere/at/all.html"),
    ):  # fmt: skip
        answer = bare(*arguments)
        assert answer.code in {0, 1, 2, 4}, (arguments, answer)
        assert bare.touched() == before, arguments


def test_every_command_works_in_the_folder_it_is_started_in(ready_world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ready_world)
    assert call("plan", "list", "--json").document == {"schema": "ropa.plans/1", "plans": []}
    monkeypatch.chdir(ready_world.parent)
    assert call("-C", ready_world.name, "hold", "list", "--json").code == 0
    assert call("-C", str(ready_world.parent), "-C", ready_world.name, "hold", "list").code == 0


@pytest.mark.parametrize(("arguments", "code"), [(["status"], 2), (["no-such-command"], 2), (["--help"], 1)])
def test_an_error_that_nobody_reads_has_its_exit_code_all_the_same(tmp_path, arguments, code):
    """As where the other end of a pipe has gone: ``ropa … --json | head``."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as nobody:
        command = [str(SCRIPT), "-C", str(tmp_path), *arguments, *(["--json"] if code == 2 else [])]
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, env=outside(), timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    assert done.returncode == code
