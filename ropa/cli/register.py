"""``ropa register``: the record of processing activities; every change is a revision."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ropa.cli.inputs import LARGEST, By, Json, Reason, in_folder, read_date
from ropa.cli.output import echo, escaped, person, result, say, site, table, use_json
from ropa.errors import CallError

if TYPE_CHECKING:
    from ropa.register import Change, Register, RegisterStore

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The register (Article 30): list, change, compare, import and export it.",
)

Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A key of the entry; lists are separated by ';'. Repeat as needed."
    ),
]
Revision = Annotated[
    int | None,
    typer.Option(
        "--revision", metavar="N", min=0, max=LARGEST, help="As it was at this revision; default: as it is now."
    ),
]


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="A register as `export` writes it, or one of another tool (see the docs)."),
    ],
    reason: Reason = "imported",
    by: By = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show the difference and write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Take a register over from a file, as one revision; or nothing, when anything in it is wrong."""
    use_json(as_json)
    from ropa.register import RegisterStore, differences
    from ropa.register.exchange import merged, read_incoming

    incoming = read_incoming(in_folder(file))
    with site(makes_state=not preview) as opened:
        base, before = opened.register()
        after = merged(before, incoming)
        changes = differences(before, after)
        revision = base
        if not preview:
            store = RegisterStore(opened.engine)
            revision = store.save(after, by=person(by), reason=reason, at=opened.now(), base=base)
    listed = _listed(changes)
    document = {
        "schema": "ropa.register-change/1",
        "revision": revision,
        "changes": len(changes),
        "is_new": revision != base,
        "form": incoming.form,
        "differences": listed,
        "left": [{"where": item.where, "why": item.why} for item in incoming.left],
    }

    def words() -> None:
        for change in listed:
            echo(f"{change['path']}: {_shown(change['before'])} -> {_shown(change['after'])}")
        for item in incoming.left:
            echo(f"not carried over: {item.where}: {item.why}")
        if preview:
            say(f"{len(changes)} changes; nothing was written")
        elif revision != base:
            say(f"revision {revision}: {len(changes)} changes")
        else:
            say(f"nothing changed: revision {revision} stands")

    result(document, words)


@app.command()
def export(
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="toml, json, xlsx, or fideslang (YAML).")
    ] = "toml",
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write there; default: stdout.")
    ] = None,
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Write the register so that `import` reads it back: toml, json and xlsx without loss, others telling what is
    left."""
    use_json(as_json)
    from ropa.register import RegisterStore
    from ropa.register.exchange import FORMS, write_register

    if form not in FORMS:
        raise CallError(f"there is no export in the format {form!r}", next_step=f"One of: {', '.join(FORMS)}.")
    if form == "xlsx" and output is None and (as_json or sys.stdout.isatty()):
        raise CallError("a workbook is no text that can be shown", next_step="Name a file with -o.")
    with site() as opened:
        number, register = _at(RegisterStore(opened.engine), revision)
    written, left = write_register(register, form)
    path = in_folder(output) if output is not None else None
    if path is not None:
        from ropa.wiring import write_new

        write_new(path, written if isinstance(written, bytes) else written.encode())
    document = {
        "schema": "ropa.register-text/1",
        "revision": number,
        "format": form,
        "path": None if path is None else str(path),
        "text": written if path is None else None,
        "left": [{"where": item.where, "why": item.why} for item in left],
    }

    def words() -> None:
        for item in left:
            typer.echo(escaped(f"not carried over: {item.where}: {item.why}"), err=True)
        if path is not None:
            say(f"{path} written")
        elif isinstance(written, bytes):
            sys.stdout.buffer.write(written)
        else:
            typer.echo(written, nl=not written.endswith("\n"))

    result(document, words)


def _at(store: RegisterStore, revision: int | None) -> tuple[int, Register]:
    return store.current() if revision is None else (revision, store.at(revision))


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the processing activities."""
    use_json(as_json)
    from ropa.register import RegisterStore

    with site() as opened:
        revision, register = RegisterStore(opened.engine).current()
    activities = [
        {
            "key": key,
            "title": activity.title,
            "role": activity.role,
            "status": activity.status,
            "legal_basis": activity.legal_basis,
            "data": [*activity.data],
        }
        for key, activity in register.activities.items()
    ]
    rows = [(a["key"], a["title"], a["role"], a["status"], a["legal_basis"], ", ".join(a["data"])) for a in activities]
    others = {
        "recipients": [*register.recipients],
        "cookies": [*register.cookies],
        "categories": [*register.categories],
    }

    def words() -> None:
        table(("key", "title", "role", "status", "basis", "data"), rows, empty="no activities yet")
        for name, keys in others.items():
            if keys:
                echo(f"{name}: {', '.join(keys)}")

    result({"schema": "ropa.register-list/1", "revision": revision, "activities": activities, **others}, words)


@app.command()
def show(
    key: Annotated[str, typer.Argument(metavar="KEY", help="An activity's key, or entry such as recipient.microsoft.")],
    revision: Revision = None,
    as_json: Json = False,
) -> None:
    """Show one entry of the register."""
    use_json(as_json)
    from ropa.register import RegisterStore, entry_of, entry_text

    with site() as opened:
        register = _at(RegisterStore(opened.engine), revision)[1]
    entry = key if "." in key or key == "organisation" else f"activity.{key}"
    values = entry_of(register, entry)
    result(
        {"schema": "ropa.register-entry/1", "entry": entry, "values": json.loads(json.dumps(values, default=str))},
        lambda: typer.echo(entry_text(register, entry)),
    )


def _values(entry: str, sets: list[str] | None) -> dict[str, Any]:
    from ropa.register import read_value

    if not sets:
        raise CallError("nothing to set", next_step="Give --set KEY=VALUE, as often as needed.")
    values: dict[str, Any] = {}
    for text in sets:
        path, sign, value = text.partition("=")
        if not sign or not path.strip():
            raise CallError("--set takes KEY=VALUE", next_step="For instance --set legal_basis=6.1.f")
        values[path.strip()] = read_value(entry, path.strip(), value)
    return values


def _change(entry: str, reason: str, by: str | None, change: Callable[[Register, date], Register]) -> None:
    from ropa.register import RegisterStore

    with site() as opened:  # a change that cannot be made must not make the state either
        base, register = opened.register()
        changed = change(register, opened.today())
    with site(makes_state=True) as opened:
        store = RegisterStore(opened.engine)
        revision = store.save(changed, by=person(by), reason=reason, at=opened.now(), base=base)
    result(
        {"schema": "ropa.register-change/1", "entry": entry, "revision": revision, "is_new": revision != base},
        lambda: say(f"revision {revision}" if revision != base else f"nothing changed: revision {revision} stands"),
    )


@app.command()
def add(
    entry: Annotated[
        str, typer.Argument(metavar="ENTRY", help="activity.KEY, recipient.KEY, cookie.KEY or category.KEY.")
    ],
    reason: Reason,
    sets: Sets = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Add an entry to the register."""
    use_json(as_json)
    from ropa.register import add as add_entry

    values = _values(entry, sets)
    _change(entry, reason, by, lambda register, _today: add_entry(register, entry, values))


@app.command()
def edit(
    entry: Annotated[
        str, typer.Argument(metavar="ENTRY", help="organisation, activity.KEY, recipient.KEY, cookie.KEY …")
    ],
    reason: Reason,
    sets: Sets = None,
    unset: Annotated[list[str] | None, typer.Option("--unset", metavar="KEY", help="Take a key out.")] = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Change keys of an entry."""
    use_json(as_json)
    from ropa.register import edit as edit_entry

    values: dict[str, Any] = dict.fromkeys(unset or [])
    if sets or not unset:
        values |= _values(entry, sets)
    _change(entry, reason, by, lambda register, _today: edit_entry(register, entry, values))


@app.command()
def end(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The activity's key.")],
    reason: Reason,
    on: Annotated[str | None, typer.Option("--on", metavar="DATE", help="When it ended; default: today.")] = None,
    replaced_by: Annotated[
        str | None, typer.Option("--replaced-by", metavar="KEY", help="The activity that takes its place.")
    ] = None,
    by: By = None,
    as_json: Json = False,
) -> None:
    """End a processing activity; it stays in the register with its end date."""
    use_json(as_json)
    from ropa.register import end as end_activity

    day = read_date(on, "--on")
    _change(
        f"activity.{key}", reason, by, lambda register, today: end_activity(register, key, day or today, replaced_by)
    )


@app.command()
def history(as_json: Json = False) -> None:
    """List the revisions: when, who, why."""
    use_json(as_json)
    from ropa.clock import timestamp
    from ropa.register import RegisterStore

    with site() as opened:
        revisions = RegisterStore(opened.engine).history()
    listed = [
        {"revision": r.number, "at": timestamp(r.at), "by": r.by, "reason": r.reason, "digest": r.digest}
        for r in revisions
    ]
    rows = [(r["revision"], r["at"], r["by"], r["reason"]) for r in listed]
    result(
        {"schema": "ropa.register-history/1", "revisions": listed},
        lambda: table(("revision", "at", "by", "reason"), rows, empty="no revisions yet"),
    )


@app.command()
def diff(
    before: Annotated[int, typer.Argument(metavar="A", min=0, max=LARGEST, help="The older revision; 0: nothing yet.")],
    after: Annotated[int, typer.Argument(metavar="B", min=0, max=LARGEST, help="The newer revision.")],
    as_json: Json = False,
) -> None:
    """Compare two revisions, key path by key path."""
    use_json(as_json)
    from ropa.register import RegisterStore

    with site() as opened:
        changes = RegisterStore(opened.engine).diff(before, after)
    listed = _listed(changes)

    def words() -> None:
        for change in listed:
            echo(f"{change['path']}: {_shown(change['before'])} -> {_shown(change['after'])}")
        if not listed:
            typer.echo("no difference")

    result({"schema": "ropa.register-diff/1", "before": before, "after": after, "changes": listed}, words)


def _listed(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [
        {
            "path": change.path,
            "before": json.loads(json.dumps(change.before, default=str)),
            "after": json.loads(json.dumps(change.after, default=str)),
        }
        for change in changes
    ]


def _shown(value: object) -> str:
    return "(nothing)" if value is None else json.dumps(value, ensure_ascii=False)
