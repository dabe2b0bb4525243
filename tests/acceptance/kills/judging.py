"""One killed project judged: the places, the ledger and the run database agree, or the test says what does not."""

from __future__ import annotations

from pathlib import Path

from checker import SPENT, Case, Folder, Item, Table, bytes_below, look, read_state, verify, violations
from kill_project import Project
from ropa_runs import Ended, Server

TABLES = (
    Table("customers", "customer", ("id",)),
    Table("invoices", "invoice", ("id",)),
    Table("lines", "invoice_line", ("id",)),
    Table("prospects", "prospect", ("email",)),
    Table("visits", "visit", ("id",)),
    Table("notes", "note", ("id",)),
)
CLEARED = {"customers": ("birth_date",), "visits": ("ip",)}


def records(project: Project) -> dict[Item, object]:
    """Every record of the project's places as it stands now."""
    folders = (Folder("applications", project.cvs),) if project.cvs.exists() else ()
    return look(project.crm, TABLES, folders)


class Judge:
    """Knows a project as it was before it was applied."""

    def __init__(self, project: Project) -> None:
        self.project = project
        state = read_state(project.database)
        digest = project.digest.removeprefix("sha256:")
        self.case = Case(
            before=records(project),
            locations={**{table.dataset: "crm" for table in TABLES}, "applications": "cvs"},
            planned=frozenset(state.planned[digest]),
            digest=digest,
            held=frozenset(project.held),
            not_due=frozenset(project.not_due),
            cleared=CLEARED,
        )
        assert len(self.case.planned) > 20
        assert self.case.held.isdisjoint(self.case.planned)

    def check(self, what: str, *, is_finished: bool, is_all: bool = True) -> None:
        """Fail with every violation. After a kill the last line may be cut short; then only what is whole is read.
        ``is_all``: every planned record must be gone, or changed, in the end (I7)."""
        now = records(self.project)
        found = violations(
            self.case, now, self.project.ledger, read_state(self.project.database), is_finished=is_finished
        )
        assert not found, f"{what}: " + "\n".join(found)
        if is_finished:
            assert verify(self.project.ledger, self.project.state / "exports") == 0, what
            # A plan that still waits for its approval keeps its keys until it lapses.
            plans = read_state(self.project.database).plans.values()
            is_spent = all(plan["state"] in SPENT for plan in plans)
            left = [token for token in self.project.purged_tokens if is_spent and is_below(self.project.state, token)]
            assert not left, f"{what}: I9 {left} in the state folder"
            if not is_all:
                return
            left = self.case.planned.intersection(now) - {item for item in now if item[0] in {"notes", "visits"}}
            assert all(item[0] == "customers" for item in left), f"{what}: I7 {left}"

    def state(self) -> str:
        """The state of the plan."""
        return str(read_state(self.project.database).plans[self.case.digest]["state"])


def is_below(folder: Path, token: str) -> bool:
    """Whether a token stands in the bytes of a file below a folder."""
    return any(token.encode() in content for _, content in bytes_below(folder))


def finish(server: Server, judge: Judge, what: str, *, first: str = "sweep") -> Ended:
    """Run what a person or the night would run until the plan is spent: at most three times."""
    c = ("-C", judge.project.folder)
    commands = {"sweep": (*c, "sweep", "--json"), "apply": (*c, "apply", str(judge.project.plan), "--json")}
    ended = server.run(*commands[first])
    for _ in range(3):
        assert ended.code in {0, 4}, f"{what}: exit {ended.code} {ended.out} {ended.err}"
        if judge.state() in {"applied", "partly-applied"}:
            break
        ended = server.run(*commands["apply"])
    assert judge.state() == "applied", f"{what}: {judge.state()}"
    return ended
