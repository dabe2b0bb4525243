"""The shape of every JSON document: each command is run on the demonstration, and kinds take the place of values.

Used by tools/make_docs.py. Invariant: nothing here knows what a document holds; what is shown was printed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ASKED = """
demo --json
init --json
check --json
register list --json
register show invoicing --json
register history --json
register edit activity.invoicing --set owner=A --reason r --by A --json
register diff 1 2 --json
register import register.toml --by A --json
register export --json
location list --json
location check crm --json
location discover crm --json
plan --by A --json
plan list --json
plan show 1 --json
plan diff 1 2 --json
explain crm.customers 3 --json
hold add --dataset crm.prospects --reason other --review 2030-01-01 --by A --json
hold list --json
hold release 2 --reason r --by A --json
finding resolve 1 --reason r --by A --json
finding list --json
mandate add invoices-statutory --reason r --until 2026-12-01 --by A --json
mandate list --json
halt --by A --reason r --json
resume --by A --reason r --json
sweep --by A --json
status --json
ledger verify --json
ledger prove crm.customers KEY --json
ledger checkpoint --json
ledger export evidence --json
report --json
report --bundle bundle --json
register import nothing.toml --json
"""
"""Asked in the demonstration's folder, in this order; the last must fail."""

_COUNTS = dict.fromkeys(("outcomes", "blockers", "ages", "counts", "events", "unknown_types"), "integer") | {
    "cutoffs": "text",
    "values": "as in register.toml",
}
"""Tables whose keys are words or names, not keys of the document."""

_OR = " or "

_DRIVER = """
import contextlib, io, json, pathlib, sqlite3, sys
from ropa.cli.app import main

def ask(line, where):
    printed = io.StringIO()
    sys.argv = ["ropa", *where, *line.split()]
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    return printed.getvalue()

asked, answers, where = json.load(sys.stdin), [], []
for line in asked:
    if "mandate add" in line:
        rules = pathlib.Path("ropa-demo/config/retention.toml")
        rules.write_text(rules.read_text().replace('action = "purge"', 'action = "purge"\\napproval = "mandate"', 1))
        rule = rules.read_text().partition('approval = "mandate"')[0].rpartition("[rule.")[2].partition("]")[0]
        line = line.replace("invoices-statutory", rule)
    if "KEY" in line:
        with contextlib.closing(sqlite3.connect("ropa-demo/data/crm.sqlite")) as database:
            kept = {row[0] for row in database.execute("SELECT customer_id FROM customer")}
        line = line.replace("KEY", str(min(set(range(1, 1501)) - kept)))
    answers.append(ask(line, where))
    where = ["-C", "ropa-demo"]
json.dump(answers, sys.stdout)
"""


def documents(folder: Path, environment: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """Return each document's name with the call that printed it first and its shape. Raises RuntimeError for a call
    that printed none, or an error where none was meant."""
    asked = ASKED.strip().splitlines()
    ran = subprocess.run(
        [sys.executable, "-c", _DRIVER],
        input=json.dumps(asked),
        cwd=folder,
        env=dict(environment),
        text=True,
        capture_output=True,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(ran.stderr)
    seen: dict[str, tuple[str, Any]] = {}
    for line, text in zip(asked, json.loads(ran.stdout), strict=True):
        if not text.startswith("{") or ("ropa.error/" in text[:30]) != (line == asked[-1]):
            message = f"ropa {line}: {text[:300] or ran.stderr[-300:]}"
            raise RuntimeError(message)
        document = json.loads(text)
        seen.setdefault(document["schema"], (line, shape(document, is_whole=True)))
    return seen


def shape(value: Any, *, is_whole: bool = False) -> Any:
    """Return a document with the kind of each value in place of the value; a document within it only by its name."""
    if isinstance(value, dict) and "schema" in value and not is_whole:
        return {"schema": value["schema"], "…": "as below"}
    if isinstance(value, dict):
        return {key: _shape_of(key, inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_merged([shape(inner) for inner in value])] if value else []
    if isinstance(value, bool):
        return "true/false"
    return {int: "integer", float: "number", str: "text", type(None): "null"}[type(value)]


def _shape_of(key: str, value: Any) -> Any:
    if key == "schema":
        return value
    return {"…": _COUNTS[key]} if isinstance(value, dict) and key in _COUNTS else shape(value)


def _merged(shapes: list[Any]) -> Any:
    """Return one shape for the members of a list: the kinds side by side where they differ."""
    if all(isinstance(one, dict) for one in shapes):
        keys = dict.fromkeys(key for one in shapes for key in one)
        return {key: _merged([one[key] for one in shapes if key in one]) for key in keys}
    if all(isinstance(one, list) for one in shapes):
        inner = [member for one in shapes for member in one]
        return [_merged(inner)] if inner else []
    tables = [one for one in shapes if not isinstance(one, str)]
    if tables and all(one == "null" for one in shapes if isinstance(one, str)):
        return _merged(tables)
    words = sorted(
        {one if isinstance(one, str) else "table" for one in shapes}, key=lambda word: (word == "null", word)
    )
    return " or ".join(words)


def shown(document: Any) -> str:
    """Return a shape as text, short lists on one line."""
    text = json.dumps(document, indent=1, ensure_ascii=False)
    return re.sub(r"\[\n\s+(\"[^\"\n]*\")\n\s+\]", r"[\1]", text)
