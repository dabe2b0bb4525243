"""``ropa plan``, ``approve`` and ``reject``: what is due, and a person's word on it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ropa.cli.inputs import LARGEST, By, Fleet, Json, MaybeReason, Reason, read_date
from ropa.cli.output import SETTINGS, echo, line, on_stderr, person, progress, result, say, site, table, use_json
from ropa.errors import CallError

if TYPE_CHECKING:
    from ropa.sweep.site import Site

PlanId = Annotated[
    int, typer.Argument(metavar="ID", min=1, max=LARGEST, help="The plan's number, as `ropa plan list` shows it.")
]

app = typer.Typer(invoke_without_command=True, rich_markup_mode=None, help="Write a plan of what is past its limit.")


@app.callback()
def plan(
    ctx: typer.Context,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of", metavar="DATE", help="Reason as of this date (YYYY-MM-DD); a future one makes a forecast."
        ),
    ] = None,
    rule: Annotated[str | None, typer.Option("--rule", metavar="RULE", help="Only the targets of this rule.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="DATASET", help="Only this dataset (location.dataset).")
    ] = None,
    by: By = None,
    reason: MaybeReason = None,
    fleet: Fleet = None,
    as_json: Json = False,
) -> None:
    """Write a plan: the very records that are past their limit. Reads only; nothing is erased."""
    if ctx.invoked_subcommand is not None:
        if as_json or any(given is not None for given in (as_of, rule, dataset, by, reason)):
            raise CallError(f"options of `ropa plan {ctx.invoked_subcommand}` stand behind it", code="usage")
        return
    use_json(as_json)
    day = read_date(as_of, "--as-of")
    from ropa.sweep.scope import Scope, check_call

    def scope(opened: Site) -> Scope:
        return Scope(as_of=day or opened.today(), rule=rule, dataset=dataset)

    with (
        site(makes_state=True, check=lambda opened: check_call(opened, scope(opened)), fleet=fleet) as opened,
        progress("planning") as show,
    ):
        from ropa.sweep import night
        from ropa.sweep import show as documents

        plan_id = night.make_plan(opened, scope(opened), by=person(by), reason=reason, progress=show)
        document = documents.plan_document(opened, plan_id)
    result(document, lambda: _print(document, is_new=True))
    if not document["complete"]:
        raise typer.Exit(5)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the plans, newest first."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import show as documents

        plans = documents.plan_list(opened)
    rows = [
        (p["plan"], p["as_of"], p["state"], p["due"], p["records"], p["held"], p["blocked"], p["digest"][:19])
        for p in plans
    ]
    result(
        {"schema": "ropa.plans/1", "plans": plans},
        lambda: table(
            ("plan", "as of", "state", "due", "records", "held", "blocked", "digest"), rows, empty="no plans yet"
        ),
    )


@app.command()
def show(
    plan_id: PlanId,
    records: Annotated[
        bool, typer.Option("--records", help="Every record: its key, due date and what happens to it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show one plan; with --records stream its records, one a line."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import show as documents

        document = documents.plan_document(opened, plan_id)
        if records:
            for record in documents.records(opened, plan_id):
                if as_json:
                    line(record)
                else:
                    echo(_record_line(record))
            if document["state"] in _SPENT:
                say(f"plan {plan_id} is {document['state']}: its keys have left, its totals stay")
            return
    result(document, lambda: _print(document, is_new=False))


_SPENT = frozenset({"rejected", "applied", "partly-applied", "lapsed", "stale"})


def _record_line(record: dict[str, Any]) -> str:
    key = "/".join(record["key"])
    reason = f" ({record['reason']})" if record["reason"] else ""
    data = ",".join(record["data"])
    what = f"{record['action']} {data}  {record['disposition']}{reason}"
    return f"{record['dataset']}  {key}  due {record['due_on']}  {what}"


@app.command()
def diff(
    before: Annotated[int, typer.Argument(metavar="A", min=1, max=LARGEST, help="The number of the older plan.")],
    after: Annotated[int, typer.Argument(metavar="B", min=1, max=LARGEST, help="The number of the newer plan.")],
    as_json: Json = False,
) -> None:
    """Compare two plans, target by target."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import show as documents

        document = documents.plan_diff(opened, before, after)
    rows = [
        (
            t["dataset"],
            t["scope"],
            ",".join(t["data"]),
            t["records_before"],
            t["records_after"],
            _or_dash(t["came"]),
            _or_dash(t["went"]),
        )
        for t in document["targets"]
    ]
    result(
        document,
        lambda: table(
            ("dataset", "scope", "data", f"plan {before}", f"plan {after}", "came", "went"), rows, empty="no targets"
        ),
    )


def _or_dash(value: object) -> object:
    return "keys have left" if value is None else value


def approve(
    plan_id: PlanId,
    reason: Reason,
    by: By = None,
    digest: Annotated[
        str | None, typer.Option("--digest", metavar="DIGEST", help="The plan's digest; typed in on a terminal.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Approve one plan by its digest. A named person's yes to these very records."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import review
        from ropa.sweep import show as documents
        from ropa.sweep.journal import writing

        document = documents.plan_document(opened, plan_id)
        if digest is None:
            digest = _ask_digest(document)
        approver = person(by, needed=opened.config.safety.approvals)
        with writing(opened) as journal:
            review.approve(journal, plan_id, by=approver, reason=reason, digest=digest)
            journal.checkpoint()
        document = documents.plan_document(opened, plan_id)
    count = len(document["approvals"])
    result(
        document,
        lambda: say(f"plan {plan_id} is {document['state']}: {count} of {document['approvals_needed']} approvals"),
    )


def _ask_digest(document: dict[str, Any]) -> str:
    if sys.stdin is None or not sys.stdin.isatty():
        raise CallError(
            "--digest is needed off a terminal", next_step=f"`ropa plan show {document['plan']}` prints it."
        )
    with on_stderr():
        _print(document, is_new=False)
        try:
            typed = typer.prompt("Type the first 12 characters of the digest after 'sha256:'", err=True)
        except typer.Abort:
            raise CallError("no digest was typed; nothing was approved") from None
    given, full = str(typed).strip().lower().removeprefix("sha256:"), str(document["digest"])
    return full if len(given) >= 12 and full.removeprefix("sha256:").startswith(given) else given


def reject(
    plan_id: PlanId,
    reason: Reason,
    by: By = None,
    as_json: Json = False,
) -> None:
    """Reject one plan: it is spent, its keys leave."""
    use_json(as_json)
    with site() as opened:
        from ropa.sweep import review
        from ropa.sweep import show as documents
        from ropa.sweep.journal import writing

        review.get_plan(opened, plan_id)
        decider = person(by)
        with writing(opened) as journal:
            review.reject(journal, plan_id, by=decider, reason=reason)
            journal.checkpoint()
        document = documents.plan_document(opened, plan_id)
    result(document, lambda: say(f"plan {plan_id} is rejected"))


def _print(document: dict[str, Any], *, is_new: bool) -> None:
    kind = "forecast" if document["forecast"] else "plan"
    echo(f"{kind} {document['plan']} as of {document['as_of']}, {document['state']}")
    echo(f"digest {document['digest']}")
    rows = [
        (
            t["dataset"],
            t["action"],
            "whole records" if t["scope"] == "row" else ", ".join(t["data"]),
            f"{t['records']:,}",
            "?" if t["population"] is None else f"{t['population']:,}",
            f"{t['held']:,}",
            f"{t['blocked']:,}",
            f"{t['unanchored']:,}",
            t["oldest_due_on"] or "",
            t["stopped_by"] or ("with its parent" if t["with_parent"] else t["approval"]),
        )
        for t in document["targets"]
    ]
    headers = ("dataset", "action", "what", "records", "of", "held", "blocked", "no date", "oldest due", "approval")
    table(headers, rows, empty="no rule applies to any place that is enforced")
    for target in document["targets"]:
        for reason, count in target["blockers"].items():
            echo(f"  {target['dataset']}: {count:,} stay because of {reason}")
        previous = target["previous_records"]
        if previous is not None and target["records"] != previous:
            echo(
                f"  {target['dataset']} ({', '.join(target['rules'])}): {previous:,} in the plan before, "
                f"{target['records']:,} now"
            )
    if not document["complete"]:
        echo("not complete: a place could not be read wholly; nothing is concluded about it")
    if is_new and not document["forecast"] and any(t["records"] for t in document["targets"]) and not SETTINGS.is_quiet:
        echo(f"next: ropa approve {document['plan']} --by NAME --reason TEXT --digest {document['digest']}")
