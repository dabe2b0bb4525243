"""SIGKILL exactly between two steps that belong together: what the next run then makes of it, to the word."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from checker import read_events, verify
from judging import Judge, finish, records
from kill_project import Project, approve, expect, make, today
from ropa_runs import Server, dying

APPEND = "ropa.sweep.journal:Journal.append"
RECEIPT = "ropa.sweep.acting:Actor.write_receipt"


def outcomes(project: Project, dataset: str, scope: str = "row") -> dict[str, int]:
    """The counts of all receipts of one dataset and scope."""
    events = read_events(project.ledger)
    roots = {e["root"] for e in events if e["type"] == "intent" and (e["dataset"], e["scope"]) == (dataset, scope)}
    told: dict[str, int] = {}
    for event in events:
        if event["type"] == "receipt" and event["root"] in roots:
            for word, count in event["counts"].items():
                told[word] = told.get(word, 0) + count
    return told


@pytest.mark.sampled(one_in=6)
@pytest.mark.parametrize(
    ("dataset", "scope", "expected"),
    [
        ("invoices", "row", {"absent": 2, "purged": 3}),
        ("lines", "row", {"absent": 4, "purged": 6}),
        ("customers", "row", {"absent": 2, "purged": 3}),
        ("prospects", "row", {"absent": 2, "purged": 4}),
        ("visits", "row", {"anonymised": 3}),
        ("notes", "row", {"flagged": 3}),
        ("customers", "field", {"anonymised": 3}),
        ("applications", "row", {"absent": 3, "purged": 2}),
    ],
)
def test_what_was_done_and_not_yet_told_is_told_as_it_is_seen(
    server: Server,
    approved: Project,
    planless: Project,
    tmp_path: Path,
    dataset: str,
    scope: str,
    expected: dict[str, int],
) -> None:
    # Files are new files in a copy, so they are planned there.
    is_file = dataset == "applications"
    project = approve(server, planless.copy(tmp_path / "p")) if is_file else approved.copy(tmp_path / "p")
    judge = Judge(project)
    target = "args[1].target"
    when = f"({target}.dataset, {target}.scope) == ({dataset!r}, {scope!r})"
    server.run_until(dying(RECEIPT, when=when), "-C", project.folder, "apply", str(project.plan))
    judge.check("killed", is_finished=False)
    assert server.run("-C", project.folder, "ledger", "verify").code == 3
    finish(server, judge, dataset)
    judge.check(dataset, is_finished=True)
    assert outcomes(project, dataset, scope) == expected


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize(("dataset", "scope"), [("prospects", "row"), ("visits", "row"), ("customers", "field")])
def test_what_was_done_is_not_told_as_held_by_a_hold_that_came_too_late(
    server: Server, approved: Project, tmp_path: Path, dataset: str, scope: str
) -> None:
    project = approved.copy(tmp_path / "p")
    judge = Judge(project)
    target = "args[1].target"
    when = f"({target}.dataset, {target}.scope) == ({dataset!r}, {scope!r})"
    server.run_until(dying(RECEIPT, when=when), "-C", project.folder, "apply", str(project.plan))
    expect(server.run("-C", project.folder, "hold", "add", "--dataset", f"crm.{dataset}", "--reason", "other"))
    finish(server, judge, dataset, first="apply")
    judge.check(dataset, is_finished=True, is_all=False)
    word = "absent" if scope == "row" and dataset != "visits" else "anonymised"
    told = outcomes(project, dataset, scope)
    assert told[word] == 2
    assert told["held"] == sum(told.values()) - 2 > 0


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize(("dataset", "scope"), [("prospects", "row"), ("visits", "row"), ("customers", "field")])
def test_what_was_done_is_told_also_when_the_rules_have_changed_since(
    server: Server, approved: Project, tmp_path: Path, dataset: str, scope: str
) -> None:
    project = approved.copy(tmp_path / "p")
    target = "args[1].target"
    when = f"({target}.dataset, {target}.scope) == ({dataset!r}, {scope!r})"
    server.run_until(dying(RECEIPT, when=when), "-C", project.folder, "apply", str(project.plan))
    config = project.folder / "config" / "retention.toml"
    config.write_text(config.read_text() + "# reviewed\n")
    before = records(project)
    ended = server.run("-C", project.folder, "sweep", "--json")
    assert ended.code in {0, 3}, ended
    assert records(project) == before  # the plan is stale: what was left of it is not acted on
    word = "absent" if scope == "row" and dataset != "visits" else "anonymised"
    assert outcomes(project, dataset, scope) == {word: 2}
    expect(server.run("-C", project.folder, "ledger", "verify"))


def test_where_a_rule_is_gone_nobody_says_more_of_its_fields_than_is_known(
    server: Server, approved: Project, tmp_path: Path
) -> None:
    project = approved.copy(tmp_path / "p")
    when = "args[1].target.scope == 'field'"
    server.run_until(dying(RECEIPT, when=when), "-C", project.folder, "apply", str(project.plan))
    config = project.folder / "config" / "retention.toml"
    config.write_text(config.read_text().replace("[rule.birthday]", "[rule.birthdays]"))
    assert server.run("-C", project.folder, "sweep", "--json").code in {0, 3}
    assert outcomes(project, "customers", "field") == {"unverified": 2}
    expect(server.run("-C", project.folder, "ledger", "verify"))


def test_an_open_intent_of_a_place_that_left_the_configuration_stays_open_and_stops_nothing(
    server: Server, planless: Project, tmp_path: Path
) -> None:
    project = approve(server, planless.copy(tmp_path / "p"))
    server.run_until(
        dying(RECEIPT, when="args[1].target.dataset == 'applications'"), "-C", project.folder, "apply", "1"
    )
    config = project.folder / "config" / "retention.toml"
    text = config.read_text()
    config.write_text(text[: text.index("[location.cvs]")] + text[text.index("[rule.customer]") :])
    config.write_text(config.read_text().partition("[rule.recruitment]")[0])
    swept = server.run("-C", project.folder, "sweep", "--json")
    assert swept.code in {0, 3}, swept
    assert server.run("-C", project.folder, "ledger", "verify").code == 3
    config.write_text(text)
    assert server.run("-C", project.folder, "sweep", "--json").code in {0, 3}
    assert outcomes(project, "applications") == {"absent": 3}
    expect(server.run("-C", project.folder, "ledger", "verify"))


def test_what_was_flagged_and_told_is_not_flagged_again(server: Server, approved: Project, tmp_path: Path) -> None:
    project = approved.copy(tmp_path / "p")
    judge = Judge(project)
    when = "args[1] == 'receipt' and kwargs['counts'].get('flagged')"
    server.run_until(dying(APPEND, when=when, after=True), "-C", project.folder, "apply", str(project.plan))
    finish(server, judge, "flagged", first="apply")
    judge.check("flagged", is_finished=True)
    assert outcomes(project, "notes") == {"flagged": 3}
    swept = expect(server.run("-C", project.folder, "sweep", "--json")).document
    assert "flagged" not in swept["outcomes"]
    assert outcomes(project, "notes") == {"flagged": 3}


@pytest.mark.sampled(one_in=6)
@pytest.mark.parametrize(
    ("where", "command"),
    [
        (dying(APPEND, when="args[1] == 'run_start'"), "apply"),
        (dying(APPEND, when="args[1] == 'run_start'", after=True), "apply"),
        (dying(APPEND, when="args[1] == 'intent'"), "apply"),
        (dying(APPEND, when="args[1] == 'intent' and kwargs['dataset'] == 'lines'", after=True), "apply"),
        (dying(APPEND, when="args[1] == 'run_end'"), "apply"),
        (dying(APPEND, when="args[1] == 'run_end'", after=True), "apply"),
        (dying("ropa.ledger.signing:Signer.sign"), "apply"),
        (dying("ropa.sweep.journal:Journal.remember"), "apply"),
        (dying("ropa.ledger.store:Ledger.export_checkpoint"), "apply"),
        (dying(APPEND, when="args[1] == 'plan'"), "sweep"),
        (dying(APPEND, when="args[1] == 'plan'", after=True), "sweep"),
        (dying(APPEND, when="args[1] == 'run_end'", after=True), "sweep"),
    ],
)
def test_a_run_cut_off_between_its_ledger_and_its_database_is_followed_by_one_that_goes_on(
    server: Server, approved: Project, tmp_path: Path, where: str, command: str
) -> None:
    project = approved.copy(tmp_path / "p")
    judge = Judge(project)
    words = (command, str(project.plan)) if command == "apply" else (command,)
    server.run_until(where, "-C", project.folder, *words)
    judge.check("killed", is_finished=False)
    finish(server, judge, command, first="sweep")
    judge.check(command, is_finished=True)


HELD = 'next(key for dataset, key in project.held if dataset == "prospects")'


@pytest.mark.sampled(one_in=6)
@pytest.mark.parametrize(
    ("where", "command", "fine"),
    [
        (dying("ropa.ledger.store:Ledger.checkpoint"), "init", {0}),
        (dying("ropa.ledger.store:Ledger.create", after=True), "init", {0}),
        (dying("ropa.ledger.store:create_signing_key"), "init", {0}),
        (dying(APPEND, when="args[1] == 'hold'"), "hold", {0}),
        (dying(APPEND, when="args[1] == 'hold'", after=True), "hold", {0}),
        (dying(APPEND, when="args[1] == 'hold_release'"), "release", {2}),
        (dying(APPEND, when="args[1] == 'hold_release'", after=True), "release", {2}),
        (dying(APPEND, when="args[1] == 'plan'", after=True), "plan", {0}),
        (dying(APPEND, when="args[1] == 'approval'"), "approve", {0}),
        (dying(APPEND, when="args[1] == 'approval'", after=True), "approve", {0}),
        (dying("ropa.sweep.review:set_plan_state"), "approve", {0, 4}),
        (dying(APPEND, when="args[1] == 'plan_rejected'", after=True), "reject", {0}),
        (dying(APPEND, when="args[1] == 'mandate'", after=True), "mandate", {0}),
        (dying(APPEND, when="args[1] == 'mandate_revoked'", after=True), "revoke", {0}),
        (dying(APPEND, when="args[1] == 'halt'", after=True), "halt", {0}),
        (dying(APPEND, when="args[1] == 'resume'", after=True), "resume", {0}),
    ],
)
def test_a_command_cut_off_between_its_ledger_and_its_database_works_when_typed_again(
    server: Server, approved: Project, tmp_path: Path, where: str, command: str, fine: set[int]
) -> None:
    project = make(tmp_path / "new", files=False) if command == "init" else approved.copy(tmp_path / "p")
    c = ("-C", project.folder)
    by = ("--by", "An", "--reason", "test")
    until = (today() + timedelta(days=30)).isoformat()
    fresh = {"plan": 0, "digest": ""}
    if command in {"approve", "reject"}:
        fresh = expect(server.run(*c, "plan", "--by", "An", "--json")).document
    if command == "revoke":
        expect(server.run(*c, "mandate", "add", "intake", *by, "--until", until))
    if command == "resume":
        expect(server.run(*c, "halt", *by))
    words = {
        "init": ("init",),
        "hold": ("hold", "add", "--dataset", "crm.notes", "--reason", "other", "--by", "An"),
        "release": ("hold", "release", "1", *by),
        "plan": ("plan", "--by", "An"),
        "approve": ("approve", str(fresh["plan"]), *by, "--digest", str(fresh["digest"])),
        "reject": ("reject", str(fresh["plan"]), *by),
        "mandate": ("mandate", "add", "intake", *by, "--until", until),
        "revoke": ("mandate", "revoke", "1", "--by", "An"),
        "halt": ("halt", *by),
        "resume": ("resume", *by),
    }[command]
    server.run_until(where, *c, *words)
    again = server.run(*c, *words)
    assert again.code in fine, again
    if command == "halt":
        expect(server.run(*c, "resume", *by))
    if command == "init":
        expect(server.run(*c, "register", "import", project.folder / "register.toml", *by))
        approve(server, project)
    expect(server.run(*c, "apply", str(fresh["plan"] if command == "approve" else project.plan)))
    expect(server.run(*c, "ledger", "verify"))
    assert verify(project.ledger, project.state / "exports") == 0
    events = read_events(project.ledger)
    holds = [json.dumps([event["type"], event["leaf"]]) for event in events if event["type"].startswith("hold")]
    assert len(holds) == len(set(holds))
