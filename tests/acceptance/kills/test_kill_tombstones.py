"""SIGKILL around the tombstones of a batch: whenever a run dies, all that was purged is recognised after a restore."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from judging import Judge, finish
from kill_project import Project, expect
from ropa_runs import Server, dying


@pytest.mark.sampled(one_in=5)
@pytest.mark.parametrize(
    "where",
    [
        "ropa.sweep.tombstones:_new_key",
        "ropa.sweep.tombstones:Mason.make",
        "ropa.sweep.acting:Actor.note_settled",
        "ropa.sweep.tombstones:Mason.write",
        "ropa.sweep.acting:Actor._forget_flags",
    ],
)
def test_a_run_that_was_killed_loses_no_tombstone(
    server: Server, approved: Project, tmp_path: Path, where: str
) -> None:
    project = approved.copy(tmp_path / "p")
    backup = tmp_path / "backup.sqlite"
    shutil.copy(project.crm, backup)
    judge = Judge(project)
    server.run_until(dying(where), "-C", project.folder, "apply", str(project.plan))
    judge.check("killed", is_finished=False)
    finish(server, judge, where)
    judge.check(where, is_finished=True)
    before = expect(server.run("-C", project.folder, "reapply", "crm", "--json")).document
    assert {found["dataset"]: found["came_back"] for found in before["datasets"]} == {
        found["dataset"]: 0 for found in before["datasets"]
    }
    for beside in ("-wal", "-shm"):
        project.crm.with_name(project.crm.name + beside).unlink(missing_ok=True)
    shutil.copy(backup, project.crm)
    found = expect(server.run("-C", project.folder, "reapply", "crm", "--json")).document
    by_dataset = {one["dataset"]: one for one in found["datasets"]}
    assert {name: one["came_back"] for name, one in by_dataset.items()} == {
        name: one["tombstones"] for name, one in by_dataset.items()
    }
    assert set(by_dataset) == {"crm.customers", "crm.invoices", "crm.lines", "crm.prospects"}
    assert all(one["planned"] == one["came_back"] for one in by_dataset.values())
