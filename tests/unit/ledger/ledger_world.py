"""A small but complete ledger for tests: plans, approvals, mandates, holds, receipts, a crash, a rotation."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import Any

from ropa.ledger import leaf as leaves_of
from ropa.ledger.batches import count_outcomes
from ropa.ledger.canonical import canonical
from ropa.ledger.keys import SigningKey, encode_base64, load_signing_keys
from ropa.ledger.merkle import Tree
from ropa.ledger.note import format_checkpoint
from ropa.ledger.rules import approval_text, mandate_hash
from ropa.ledger.store import Ledger

TOOL = Path(__file__).parents[3] / "ropa" / "ledger" / "verifier" / "verify_ledger.py"
START = datetime(2026, 11, 21, 1, 30, tzinfo=UTC)
ORIGIN = "ropa.example/webassur"
FAR = "2099-12-31T23:59:59Z"


def load_tool() -> ModuleType:
    """The independent verifier as a module, for speed."""
    spec = importlib.util.spec_from_file_location("verify_ledger_under_test", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_TOOL = load_tool()


def judge(folder: Path, *, key: Path | None = None, checkpoints: tuple[Path, ...] = ()) -> int:
    """The exit code of the independent verifier."""
    arguments = [str(folder)] + (["--key", str(key)] if key else [])
    for path in checkpoints:
        arguments += ["--checkpoint", str(path)]
    with contextlib.redirect_stdout(io.StringIO()):
        return int(_TOOL.main(arguments))


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@dataclass
class World:
    """A ledger being written, batch by batch, with a clock that ticks a second per line."""

    home: Path
    ledger: Ledger
    at: datetime = START
    batch_keys: dict[str, bytes] = field(default_factory=dict)
    records: dict[str, list[tuple[str, ...]]] = field(default_factory=dict)
    runs: int = 0
    approver: SigningKey | None = None

    @property
    def folder(self) -> Path:
        return self.home / "ledger"

    @property
    def keys(self) -> Path:
        return self.home / "keys"

    def append(self, kind: str, run: str = "r-outside", **fields: Any) -> int:
        self.at += timedelta(seconds=1)
        return self.ledger.append(kind, run=run, at=self.at, **fields)

    def start(self, mode: str) -> str:
        self.runs += 1
        run = f"run{self.runs}"
        self.append(
            "run_start",
            run,
            mode=mode,
            tool="ropa 0.1.0",
            config=digest("config"),
            register=7,
            host="host-1",
            clock={"synced": True, "skew_s": 0, "gap_s": 3},
        )
        return run

    def end(self, run: str, totals: dict[str, int], rules: dict[str, dict[str, int]], state: str = "complete") -> None:
        self.append("run_end", run, state=state, code=0, totals=totals, rules=rules)

    def plan(self, name: str, records: int, *, approvals: int = 1, author: str = "a1", run: str | None = None) -> str:
        mine = run or self.start("plan")
        target = {
            "dataset": "crm.contacts",
            "scope": "row",
            "action": "purge",
            "rules": ["prospects"],
            "due": records + 3,
            "held": 1,
            "blocked": 2,
            "unanchored": 4,
            "records": records,
        }
        self.append(
            "plan",
            mine,
            plan=digest(name),
            author=author,
            approvals=approvals,
            records=records,
            targets=[target],
            caps={"max_records": 10_000, "share_pct": 25},
            growth_pct=-3,
            holds=1,
        )
        if run is None:
            self.end(mine, {}, {})
        return digest(name)

    def approve(self, plan: str, actor: str, *, expires: str = FAR, is_signed: bool = False) -> None:
        extra = {}
        if is_signed:
            assert self.approver is not None
            signature = self.approver.sign(approval_text(ORIGIN, plan, actor, expires))
            extra = {"signature": encode_base64(signature), "actor_key": encode_base64(self.approver.public)}
        self.append("approval", plan=plan, actor=actor, role="privacy-officer", expires=expires, **extra)

    def mandate(self, *, rules: list[str], max_records: int, expires: str = FAR) -> str:
        name = mandate_hash(rules, "crm", max_records, 50, expires)
        fields = {"rules": rules, "location": "crm", "max_records": max_records, "growth_pct": 50}
        self.append("mandate", mandate=name, actor="a1", role="privacy-officer", expires=expires, **fields)
        return name

    def intent(self, run: str, plan: str, batch: int, people: list[str], *, action: str = "purge", **extra: Any) -> str:
        key = sha256(f"key of {plan} {batch}".encode()).digest()
        records = [(person,) for person in people]
        root = self.ledger.write_batch(leaves_of.leaves(key, "crm", "contacts", records))
        self.batch_keys[root], self.records[root] = key, records
        self.append(
            "intent",
            run,
            plan=plan,
            batch=batch,
            rules=["prospects"],
            location="crm",
            dataset="contacts",
            action=action,
            root=root,
            leaves=len(people),
            **{"scope": "row", **extra},
        )
        return root

    def receipt(self, run: str, plan: str, batch: int, root: str, outcomes: list[str], **extra: Any) -> None:
        said = self.ledger.write_outcomes(root, outcomes)
        self.append(
            "receipt",
            run,
            plan=plan,
            batch=batch,
            root=root,
            outcomes=said,
            counts=count_outcomes(outcomes),
            level="logical",
            proof="re-read",
            **extra,
        )

    def done(self, run: str, plan: str, batch: int, people: list[str], outcomes: list[str], **extra: Any) -> str:
        root = self.intent(run, plan, batch, people, **extra)
        self.receipt(run, plan, batch, root, outcomes)
        return root


def found(home: Path) -> World:
    """A ledger with nothing but its genesis."""
    ledger = Ledger.create(home / "ledger", home / "keys", origin=ORIGIN, at=START, run="r1", tool="ropa 0.1.0")
    return World(home, ledger)


def hold(world: World, name: str, active: int, kind: str = "hold") -> None:
    world.append(kind, leaf=digest(name), actors=["a1"], reason="litigation", active=active)


def populate(world: World, *, has_rotation: bool = True, has_open_intent: bool = False) -> World:
    """A few nights: every type of event, batches of two, one crash. Each checkpoint is quoted by a run, or the last."""
    ledger = world.ledger
    world.append("config", config=digest("config"), register=7)
    hold(world, "hold-1", 1)
    hold(world, "hold-2", 2)
    ledger.checkpoint()

    plan = world.plan("plan one", 7, approvals=2)
    world.approve(plan, "a1")
    world.approve(plan, "a2", is_signed=world.approver is not None)
    ledger.checkpoint()
    run = world.start("apply")
    world.done(run, plan, 0, ["ann@example.org", "bob@example.org"], ["purged", "purged"])
    world.done(run, plan, 1, ["cas@example.org", "dee@example.org"], ["purged", "failed:423"])
    world.done(
        run,
        plan,
        2,
        ["eva@example.org", "fay@example.org"],
        ["anonymised", "recoverable:2026-12-12"],
        action="anonymise",
        scope="field",
        data=["birth-date"],
    )
    totals = {"purged": 3, "failed": 1, "anonymised": 1, "recoverable": 1, "refused": 1}
    world.end(run, totals, {"prospects": totals})
    ledger.checkpoint()

    if has_rotation:
        world.at += timedelta(seconds=1)
        ledger.rotate_key(run="r-rotate", at=world.at, actor="a1")
    mandate = world.mandate(rules=["prospects", "leads"], max_records=4)
    world.append("halt", actor="a2")
    world.append("resume", actor="a2")
    ledger.checkpoint()
    run = world.start("sweep")
    plan = world.plan("plan two", 4, run=run)
    world.done(run, plan, 0, ["gus@example.org", "hal@example.org"], ["purged", "held"], mandate=mandate)
    lost = world.intent(run, plan, 1, ["ida@example.org", "jan@example.org"], mandate=mandate)
    ledger.checkpoint()  # and here the machine went down

    later = world.start("reconcile")
    world.receipt(later, plan, 1, lost, ["absent", "absent"], reconciled=True)
    world.end(later, {"absent": 2}, {"prospects": {"absent": 2}})
    world.append("mandate_revoked", mandate=mandate, actor="a1")
    ledger.checkpoint()

    flagged = world.plan("plan three", 2)
    rejected = world.plan("plan four", 2)
    world.append("plan_rejected", plan=rejected, actor="a2")
    run = world.start("apply")
    first = world.done(run, flagged, 0, ["kim@example.org", "leo@example.org"], ["flagged"] * 2, action="flag")
    world.end(run, {"flagged": 2}, {"prospects": {"flagged": 2}})
    hold(world, "hold-1", 1, "hold_release")
    world.append("key_destroyed", roots=[first], actor="a1")
    world.append("key_destroyed", through=ledger.size - 2, actor="a1")
    world.append("clock_accept", actor="a1", gap_s=300_000)
    world.append("recovered", bytes=12)
    for kind in ("reapply", "restore", "attested"):
        world.append(kind, actor="a1", location="crm", count=2, finding="f-1")
    ledger.checkpoint()
    if has_open_intent:
        plan = world.plan("plan five", 2)
        world.approve(plan, "a1")
        run = world.start("apply")
        world.intent(run, plan, 0, ["mia@example.org", "ned@example.org"])
        ledger.checkpoint()
    return world


def forge(world: World, events: list[dict[str, Any]]) -> None:
    """Write these events as one who holds the signing key would: chained, quoted and signed anew."""
    [key] = load_signing_keys(world.keys).values()
    for path in (world.folder / "checkpoints").iterdir():
        path.unlink()
    tree, prev, lines = Tree(), "0" * 64, []

    def sign() -> None:
        note = format_checkpoint(ORIGIN, tree.size, tree.root(), key)
        (world.folder / "checkpoints" / f"{tree.size:012}").write_bytes(note)

    for seq, event in enumerate(events):
        event |= {"seq": seq, "prev": prev}
        if event["type"] == "run_start":
            sign()
            event["checkpoint"] = {"size": seq, "root": tree.root().hex()}
        line = canonical(event)
        tree.append(line)
        prev = sha256(line).hexdigest()
        lines.append(line + b"\n")
    sign()
    (world.folder / "events.jsonl").write_bytes(b"".join(lines))


def read_events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "events.jsonl").read_bytes().splitlines()]
