"""``ropa reapply`` from outside: what it says, and with which exit code."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

from cli_kit import CONFIG, DUE, Ropa, approved, ids


def purged(ropa: Ropa) -> Path:
    """Purge what is due; return a backup of the database from before."""
    backup = ropa.folder / "backup.sqlite"
    shutil.copy(ropa.folder / "data" / "crm.sqlite", backup)
    approved(ropa)
    ropa("apply", "1", code=0)
    return backup


def restore(ropa: Ropa, backup: Path) -> None:
    shutil.copy(backup, ropa.folder / "data" / "crm.sqlite")


def test_what_a_restored_copy_of_the_database_brought_back_is_found_planned_and_purged(ropa: Ropa) -> None:
    backup = purged(ropa)
    after = ids(ropa.folder)
    assert ropa.json("reapply", "crm")["plan"] is None
    restore(ropa, backup)
    assert ids(ropa.folder) != after
    document = ropa.json("reapply", "crm", "--by", "Mia")
    assert document["schema"] == "ropa.reapply/1"
    (found,) = document["datasets"]
    assert (found["dataset"], found["came_back"], found["planned"], found["left"]) == (
        "crm.contacts",
        DUE - 1,
        DUE - 1,
        {},
    )
    codes = [f["code"] for f in ropa.json("finding", "list")["findings"]]
    assert "restored" in codes
    plan = str(document["plan"])
    ropa("apply", plan, code=4)
    ropa("approve", plan, "--by", "An", "--reason", "restored", "--digest", document["digest"], code=0)
    assert ropa.json("apply", plan)["outcomes"] == {"purged": DUE - 1}
    assert ids(ropa.folder) == after
    assert "nothing to plan" in ropa("reapply", "crm", code=0).out
    assert "restored" not in [f["code"] for f in ropa.json("finding", "list")["findings"]]


def test_for_people_it_says_what_came_back_and_what_to_do_next(ropa: Ropa) -> None:
    backup = purged(ropa)
    restore(ropa, backup)
    said = ropa("reapply", "crm", code=0).out
    assert "came back" in said
    assert "next: ropa plan show 2" in said
    assert "is not known here" in said


def test_a_location_without_purges_has_nothing_that_could_have_come_back(ropa: Ropa) -> None:
    assert "nothing has been erased at crm yet" in ropa("reapply", "crm", code=0).out


def test_a_location_that_is_unknown_or_keeps_no_tombstones_is_2(ropa: Ropa) -> None:
    assert "crm" in ropa.refused("reapply", "crn")["next_step"]
    path = ropa.folder / "config" / "retention.toml"
    path.write_text(CONFIG.replace('connector = "sql"', 'connector = "sql"\nbackups_kept = "none"'))
    assert "backups_kept" in ropa.refused("reapply", "crm")["message"]
    for wrong in ('"PT5H"', "0", '"never"', '""'):
        path.write_text(CONFIG.replace('connector = "sql"', f'connector = "sql"\nbackups_kept = {wrong}'))
        (problem,) = ropa.refused("reapply", "crm")["problems"]
        assert problem["path"] == "location.crm.backups_kept"


def test_a_location_that_does_not_answer_is_5_and_leaves_no_plan(ropa: Ropa) -> None:
    purged(ropa)
    (ropa.folder / "data" / "crm.sqlite").unlink()
    assert ropa("reapply", "crm", "--json", code=5).document["schema"] == "ropa.error/1"
    assert [plan["plan"] for plan in ropa.json("plan", "list")["plans"]] == [1]


def test_another_run_under_way_is_75(ropa: Ropa) -> None:
    purged(ropa)
    with (ropa.folder / "var" / "run.lock").open("rb+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert ropa("reapply", "crm", "--json", code=75).document["exit_code"] == 75


def test_a_lost_key_is_1_and_says_that_it_cannot_know(ropa: Ropa) -> None:
    purged(ropa)
    (key,) = (ropa.folder / "var" / "keys" / "tombstones").iterdir()
    key.unlink()
    error = ropa("reapply", "crm", "--json", code=1).document
    assert error["code"] == "tombstones-gone"
    assert "cannot be recognised" in error["message"]
    assert "ropa plan" in error["next_step"]


def test_a_key_that_others_can_read_is_2(ropa: Ropa) -> None:
    purged(ropa)
    (key,) = (ropa.folder / "var" / "keys" / "tombstones").iterdir()
    key.chmod(0o644)
    assert ropa.refused("reapply", "crm")["code"] == "key-permissions"
    events = ropa.folder / "var" / "ledger" / "events.jsonl"
    before = events.read_bytes()
    assert ropa("sweep", "--json", code=2).document["code"] == "key-permissions"
    assert events.read_bytes() == before
