"""``ropa ledger``: the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ropa.cli.inputs import Json, in_folder, read_key
from ropa.cli.output import SETTINGS, document_of_many, echo, result, say, site, use_json

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="The evidence: verify, show, prove, checkpoint, export."
)


@app.command()
def verify(as_json: Json = False) -> None:
    """Verify form, chain, tree, signatures and accounts. Exit 0 clean, 3 sound with open intents, 1 broken."""
    use_json(as_json)
    from ropa.wiring import open_evidence

    with open_evidence(SETTINGS.folder) as opened:
        from ropa.sweep import evidence

        found = evidence.verify_site(opened)
        document = evidence.verification_document(found)

    def words() -> None:
        echo("sound" if found.is_sound else "BROKEN")
        echo(f"  {found.size:,} lines, {found.signed_size:,} of them signed, origin {found.origin}")
        echo(f"  root {found.root}")
        for problem in found.problems[:50]:
            echo(f"  line {problem.seq}: {problem.code}")
        if found.open_intents:
            echo(f"  {len(found.open_intents)} intents without a receipt: the next run settles them")

    result(document, words)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


@app.command()
def show(
    kind: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only this type of event.")] = None,
    as_json: Json = False,
) -> None:
    """Show the events, one a line; with --json as they stand in the file, as one list."""
    use_json(as_json)
    from ropa.wiring import open_evidence

    with open_evidence(SETTINGS.folder) as opened:
        from ropa.ledger.store import Ledger
        from ropa.sweep import evidence

        names = evidence.actor_names(opened)
        events = Ledger.open(opened.ledger_folder, None).events(kind)
        if as_json:
            document_of_many("ropa.events/1", "events", events)
        else:
            for event in events:
                echo(_words(event, names))


def _words(event: dict[str, object], names: dict[str, str]) -> str:
    skip = {"v", "seq", "prev", "at", "run", "type"}
    said = [f"{key}={names.get(str(value), value)}" for key, value in event.items() if key not in skip]
    return f"{event['seq']:>6}  {event['at']}  {event['type']:<14} {' '.join(said)}"


@app.command()
def prove(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="location.dataset")],
    key: Annotated[list[str], typer.Argument(metavar="KEY...", help="The record's key, a part each.")],
    as_json: Json = False,
) -> None:
    """Answer "was my record erased, and when", with an inclusion proof."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import evidence

        proofs = evidence.prove_record(opened, dataset, read_key(key))

    def words() -> None:
        for proof in proofs:
            echo(f"{dataset}: {proof['outcome'] or 'an intent without a receipt'} at {proof['at'] or '(open)'}")
            echo(f"  leaf {proof['leaf']}, number {proof['index'] + 1} of {proof['leaves']} in batch {proof['root']}")
            echo(f"  line {proof['intent']['seq']} of the ledger; --json gives the whole proof")

    result({"schema": "ropa.proof/1", "dataset": dataset, "key": list(read_key(key)), "proofs": proofs}, words)


@app.command()
def checkpoint(as_json: Json = False) -> None:
    """Sign the whole ledger as it is, and export the checkpoint."""
    use_json(as_json)
    with site(makes_state=True) as opened:
        from ropa.sweep.journal import writing

        with writing(opened) as journal:
            signed = journal.checkpoint()
    document = {"schema": "ropa.checkpoint/1", "size": signed.size, "root": signed.root_hex, "note": signed.text}
    result(document, lambda: typer.echo(signed.text, nl=False))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")], as_json: Json = False
) -> None:
    """Copy the evidence, and nothing else, into a folder that a stranger can verify."""
    use_json(as_json)
    from ropa.wiring import open_evidence

    with open_evidence(SETTINGS.folder) as opened:
        from ropa.ledger.export import export as export_ledger
        from ropa.sweep.lock import at_rest

        target = in_folder(folder)
        with at_rest(opened.state):
            count = export_ledger(opened.ledger_folder, target)
    result(
        {"schema": "ropa.export/1", "folder": str(target), "files": count}, lambda: say(f"{count} files in {target}")
    )
