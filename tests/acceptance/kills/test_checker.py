"""The checker itself: whoever goes past ropa, or lies in its name, is found out by it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from checker import read_state, violations
from judging import Judge, records
from kill_project import Project, expect
from ropa_runs import Server


@pytest.fixture(scope="module")
def done(server: Server, approved: Project, tmp_path_factory: pytest.TempPathFactory) -> Judge:
    project = approved.copy(tmp_path_factory.mktemp("done") / "p")
    judge = Judge(project)
    expect(server.run("-C", project.folder, "apply", str(project.plan)))
    judge.check("done", is_finished=True)
    return judge


def sql(project: Project, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(project.crm)) as source:
        assert source.execute(statement, values).rowcount >= 1
        source.commit()


def lines(project: Project, change: Callable[[list[str]], list[str]]) -> None:
    path = project.ledger / "events.jsonl"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def delete_held(project: Project) -> None:
    key = next(key for dataset, key in project.held if dataset == "prospects")
    sql(project, "DELETE FROM prospect WHERE email = ?", *json.loads(key))


def delete_young(project: Project) -> None:
    key = next(key for dataset, key in project.not_due if dataset == "prospects")
    sql(project, "DELETE FROM prospect WHERE email = ?", *json.loads(key))


def change_other_column(project: Project) -> None:
    sql(project, "UPDATE customer SET iban = '' WHERE id = 5000")


def put_back(project: Project) -> None:
    # Under the key of a prospect that went: one of the planned keys, as the batches of the run database prove.
    email = next(token for token in project.purged_tokens if token.startswith("ma"))
    gone = [token for token in project.purged_tokens if token.startswith("ma")]
    for one in (*gone, email):
        with closing(sqlite3.connect(project.crm)) as source:
            source.execute("INSERT OR REPLACE INTO prospect VALUES (?, 'again', '2000-01-01')", (one,))
            source.commit()


def put_field_back(project: Project) -> None:
    sql(project, "UPDATE customer SET birth_date = '1980-02-29' WHERE id = 5000")


def drop_intent(project: Project) -> None:
    lines(
        project, lambda found: [line for line in found if '"dataset":"prospects"' not in line or "intent" not in line]
    )


def drop_receipt(project: Project) -> None:
    at = {"left": 1}

    def keep(line: str) -> bool:
        at["left"] -= '"type":"receipt"' in line
        return '"type":"receipt"' not in line or at["left"] < 0

    lines(project, lambda found: [line for line in found if keep(line)])


def double_receipt(project: Project) -> None:
    lines(project, lambda found: [part for line in found for part in [line] * (2 if '"type":"receipt"' in line else 1)])


def drop_approval(project: Project) -> None:
    lines(project, lambda found: [line for line in found if '"type":"approval"' not in line])


def empty_batches(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as database:
        database.execute("UPDATE batch SET key = zeroblob(32)")
        database.commit()


@pytest.mark.parametrize(
    ("deed", "names"),
    [
        (delete_held, {"I1", "I3", "I4"}),
        (delete_young, {"I1", "I3", "I5"}),
        (change_other_column, {"I3"}),
        (put_back, {"I2"}),
        (put_field_back, {"I2"}),
        (drop_intent, {"I1"}),
        (drop_receipt, {"SUM"}),
        (double_receipt, {"ONE"}),
        (drop_approval, {"I3"}),
        (empty_batches, {"I1", "I3"}),
    ],
)
def test_the_checker_finds_what_was_done_past_the_evidence(
    done: Judge, tmp_path: Path, deed: Callable[[Project], None], names: set[str]
) -> None:
    project = done.project.copy(tmp_path / "p")
    deed(project)
    found = violations(done.case, records(project), project.ledger, read_state(project.database), is_finished=True)
    assert names <= {violation.split(" ")[0] for violation in found}
