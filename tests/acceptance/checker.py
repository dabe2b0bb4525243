"""An independent judge of what was done: it reads the places themselves, the ledger's files and the run database.

Nothing of ropa is imported. The content of a place before and after says what went; the ledger's lines, read as plain
JSON, and the batch keys, read by plain sqlite3, say what was accounted for. What does not agree is a violation, named
by its invariant (I1 intent before deletion, I2 purged means absent, I3 nothing outside the approved plan, I4 nothing
held, I5 nothing that is not due, SUM outcomes add up, ONE a receipt per intent and a record in one intent of its plan,
I10 the ledger is sound, KEYS a spent plan's keys have left). I8, that another run changes nothing, is for the caller,
who compares two ``look`` results.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

Item = tuple[str, str]
"""(dataset, key as a JSON array of text, as the run database spells it)."""

SPENT = {"rejected", "applied", "partly-applied", "lapsed", "stale"}
HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Table:
    """A table of a database that is a dataset."""

    dataset: str
    name: str
    key: tuple[str, ...]
    location: str = "crm"


@dataclass(frozen=True)
class Folder:
    """A folder of files that is a dataset; the key is the path below it."""

    dataset: str
    path: Path
    location: str = "cvs"


def look(database: Path | None, tables: Iterable[Table], folders: Iterable[Folder] = ()) -> dict[Item, Any]:
    """Return every record that is there now with its content, read without changing a byte."""
    found: dict[Item, Any] = {}
    if database is not None:
        with _copied(database) as copy:
            copy.row_factory = sqlite3.Row
            for table in tables:
                for row in copy.execute(f'SELECT * FROM "{table.name}"'):
                    key = spell([str(row[part]) for part in table.key])
                    found[table.dataset, key] = {name: row[name] for name in row.keys()}  # noqa: SIM118
    for folder in folders:
        for at, _, names in os.walk(folder.path):
            for name in names:
                path = Path(at, name)
                if not name.startswith("."):
                    key = spell([path.relative_to(folder.path).as_posix()])
                    found[folder.dataset, key] = path.read_bytes()
    return found


def spell(key: Iterable[str]) -> str:
    """Return a key as one text."""
    return json.dumps(list(key), ensure_ascii=False, separators=(",", ":"))


class _copied:  # noqa: N801 - used as a function is
    """A SQLite database as a reader would see it after a crash, opened from a copy of all its files."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> sqlite3.Connection:
        self.folder = tempfile.TemporaryDirectory()
        for suffix in ("", "-wal", "-journal"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                shutil.copy(part, Path(self.folder.name, "copy" + suffix))
        self.connection = sqlite3.connect(Path(self.folder.name, "copy"))
        return self.connection

    def __exit__(self, *_error: object) -> None:
        self.connection.close()
        self.folder.cleanup()


@dataclass
class State:
    """What the run database holds that the judgement needs."""

    plans: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Digest to row."""
    batches: list[dict[str, Any]] = field(default_factory=list)
    planned: dict[str, set[Item]] = field(default_factory=dict)
    """Digest to the records it would act on, while they are there."""
    held: dict[str, set[Item]] = field(default_factory=dict)
    keyed: dict[str, int] = field(default_factory=dict)
    """Digest to rows beside the planned records that hold a key."""
    integrity: str = ""


def read_state(database: Path) -> State:
    """Read the run database as a stranger would."""
    state = State()
    with _copied(database) as copy:
        copy.row_factory = sqlite3.Row
        state.integrity = copy.execute("PRAGMA integrity_check").fetchone()[0]
        by_id = {row["id"]: dict(row) for row in copy.execute("SELECT * FROM plan")}
        state.plans = {row["digest"]: row for row in by_id.values() if row["digest"]}
        state.batches = [dict(row) for row in copy.execute("SELECT * FROM batch")]
        stays = {
            (row["target_id"], row["seq"]): row["disposition"] for row in copy.execute("SELECT * FROM planned_stay")
        }
        for row in copy.execute(
            "SELECT t.plan_id, t.dataset, b.* FROM planned_block b JOIN plan_target t ON t.id = b.target_id"
        ):
            digest = by_id[row["plan_id"]]["digest"]
            for pos, key in enumerate(zip(*json.loads(row["keys"]), strict=True)):
                disposition = stays.get((row["target_id"], row["first_seq"] + pos), "planned")
                where = {"planned": state.planned, "held": state.held}.get(disposition)
                if where is not None:
                    where.setdefault(digest, set()).add((row["dataset"], spell(key)))
        beside = " UNION ALL ".join(
            f"SELECT t.plan_id FROM {name} k JOIN plan_target t ON t.id = k.target_id"
            for name in ("planned_key", "planned_reference")
        )
        for (plan,) in copy.execute(f"{beside} UNION ALL SELECT plan_id FROM planned_version"):
            digest = by_id[plan]["digest"]
            state.keyed[digest] = state.keyed.get(digest, 0) + 1
    return state


def leaf(batch_key: bytes, location: str, dataset: str, key: str) -> str:
    """Return a record's leaf (faults.md section 5), from its key's JSON array."""
    text = json.dumps([location, dataset, json.loads(key)], ensure_ascii=False, separators=(",", ":"))
    return hmac.new(batch_key, text.encode(), hashlib.sha256).hexdigest()


def read_events(ledger: Path) -> list[dict[str, Any]]:
    """Return the events of the whole lines of a ledger; a line cut short by a crash is not there yet."""
    lines = (ledger / "events.jsonl").read_bytes().split(b"\n")
    return [json.loads(line) for line in lines[:-1]]


def _verifier(repository: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "verify_ledger", repository / "ropa" / "ledger" / "verifier" / "verify_ledger.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


VERIFIER = _verifier(Path(__file__).parents[2])


def verify(ledger: Path, exports: Path | None = None) -> int:
    """Run the stranger's verifier (ropa/ledger/verifier), also against the checkpoints that were exported."""
    outside = sorted(exports.glob("[0-9]" * 12)) if exports is not None and exports.is_dir() else []
    code: int = VERIFIER.main([str(ledger), *(word for path in outside[-1:] for word in ("--checkpoint", str(path)))])
    return code


@dataclass
class Case:
    """What is judged: the records before anything ran, what was approved, and what must never go."""

    before: Mapping[Item, Any]
    locations: Mapping[str, str]
    """Dataset to location."""
    planned: frozenset[Item]
    """The records of the approved plan, read from the run database before it was applied."""
    digest: str
    """64 hex digits, without a prefix."""
    held: frozenset[Item]
    not_due: frozenset[Item]
    cleared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Dataset to the columns that a field target may change."""


def violations(case: Case, now: Mapping[Item, Any], ledger: Path, state: State, *, is_finished: bool) -> list[str]:
    """Return what does not agree; empty: everything does. ``is_finished``: the plan is spent and nothing is open."""
    events = read_events(ledger)
    found: list[str] = [] if state.integrity == "ok" else [f"DB {state.integrity}"]
    intents = {e["root"]: e for e in events if e["type"] == "intent"}
    leaves = {root: (ledger / "batches" / root).read_text().split() for root in intents}
    batches = {row["root"]: row for row in state.batches}
    if unknown := set(intents) - set(batches):
        found.append(f"DB {len(unknown)} intents are not in the run database")

    gone = {item for item in case.before if item not in now}
    touched = {item for item in case.before if item in now and case.before[item] != now[item]}
    found += [f"NEW {item}" for item in now if item not in case.before]
    for item in gone:
        if not _is_intended(item, "row", case, intents, leaves, batches):
            found.append(f"I1 {item} is gone and no intent holds it")
    for item in touched:
        if not _is_intended(item, None, case, intents, leaves, batches):
            found.append(f"I1 {item} was changed and no intent holds it")
        allowed = case.cleared.get(item[0], ())
        changed = {name for name, value in case.before[item].items() if now[item][name] != value}
        if not changed <= set(allowed):
            found.append(f"I3 {item}: {sorted(changed - set(allowed))} changed")
    for item in gone | touched:
        if item not in case.planned:
            found.append(f"I3 {item} was not in the approved plan")
        if item in case.held:
            found.append(f"I4 {item} is held")
        if item in case.not_due:
            found.append(f"I5 {item} is not due")
    found += _approved_before(events)
    found += _receipts(case, events, intents, leaves, batches, now, ledger)
    if is_finished:
        found += _sums(case, events, intents)
        row = state.plans[case.digest]
        if row["state"] not in SPENT:
            found.append(f"SUM the plan is {row['state']}")
        if state.planned.get(case.digest) or state.held.get(case.digest) or state.keyed.get(case.digest):
            found.append("KEYS the keys of the spent plan are still in the run database")
    return found


def _is_intended(
    item: Item,
    scope: str | None,
    case: Case,
    intents: Mapping[str, Any],
    leaves: Mapping[str, list[str]],
    batches: Mapping[str, Any],
) -> bool:
    dataset, key = item
    location = case.locations[dataset]
    for root, intent in intents.items():
        if (intent["location"], intent["dataset"]) != (location, dataset) or root not in batches:
            continue
        if scope is not None and (intent["scope"] != scope or intent["action"] != "purge"):
            continue
        if intent["plan"] == case.digest and leaf(batches[root]["key"], location, dataset, key) in leaves[root]:
            return True
    return False


def _approved_before(events: list[dict[str, Any]]) -> list[str]:
    approved: set[str] = set()
    found = []
    for event in events:
        if event["type"] == "approval":
            approved.add(event["plan"])
        if event["type"] == "intent" and event["action"] != "flag" and event["plan"] not in approved:
            found.append(f"I3 intent {event['seq']} has no approval before it")
    return found


def _receipts(
    case: Case,
    events: list[dict[str, Any]],
    intents: Mapping[str, Any],
    leaves: Mapping[str, list[str]],
    batches: Mapping[str, Any],
    now: Mapping[Item, Any],
    ledger: Path,
) -> list[str]:
    found = []
    receipts = [event for event in events if event["type"] == "receipt"]
    for root, count in Counter(event["root"] for event in receipts).items():
        if count != 1 or root not in intents:
            found.append(f"ONE batch {root[:8]} has {count} receipts and {'an' if root in intents else 'no'} intent")
    by_leaf: dict[str, str] = {}
    for event in receipts:
        if event["root"] not in intents:
            continue
        said = event["outcomes"]
        told = [said] * len(leaves[event["root"]])
        if HASH.fullmatch(said):
            told = (ledger / "batches" / f"{event['root']}.outcomes").read_text().split()
        by_leaf |= dict(zip(leaves[event["root"]], told, strict=True))
    opened = Counter[tuple[str, str, str, str]]()
    for root, intent in intents.items():
        if root not in batches:
            continue
        known = 0
        for item in case.before:
            if item[0] != intent["dataset"] or case.locations[item[0]] != intent["location"]:
                continue
            one = leaf(batches[root]["key"], intent["location"], *item)
            if one not in leaves[root]:
                continue
            known += 1
            opened[intent["plan"], intent["scope"], *item] += 1
            outcome = by_leaf.get(one, "open")
            if intent["scope"] == "row" and outcome in {"purged", "absent"} and item in now:
                found.append(f"I2 {item} is said to be {outcome} and is there")
            if outcome == "anonymised" and now.get(item) == case.before[item]:
                found.append(f"I2 {item} is said to be anonymised and is as it was")
        if known != len(leaves[root]):
            found.append(f"I3 batch {root[:8]} holds {len(leaves[root]) - known} leaves of no record")
    found += [f"ONE {what} is in {count} intents" for what, count in opened.items() if count > 1]
    return found


def _sums(case: Case, events: list[dict[str, Any]], intents: Mapping[str, Any]) -> list[str]:
    plan = next(event for event in events if event["type"] == "plan" and event["plan"] == case.digest)
    told = Counter[str]()
    for event in events:
        if event["type"] == "receipt" and event["plan"] == case.digest:
            told.update(event["counts"])
    if sum(told.values()) != plan["records"]:
        return [f"SUM {sum(told.values())} outcomes of {plan['records']} planned records"]
    closed = {event["root"] for event in events if event["type"] == "receipt"}
    return [f"SUM intent {event['seq']} is open" for root, event in intents.items() if root not in closed]


def bytes_below(folder: Path) -> Iterable[tuple[Path, bytes]]:
    """Yield every file below a folder with its bytes."""
    for at, _, names in os.walk(folder):
        for name in names:
            path = Path(at, name)
            if path.is_file() and not path.is_symlink():
                yield path, path.read_bytes()


def dump(database: Path) -> list[str]:
    """Return the whole content of a SQLite database as SQL text."""
    with _copied(database) as copy, closing(copy.cursor()):
        return list(copy.iterdump())
