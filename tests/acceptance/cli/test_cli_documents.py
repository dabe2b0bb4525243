"""``--json``: one document on stdout, with the shape of the contract's examples, on every command."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from cli_kit import DUE, YOUNG, Ropa, approved, from_outside, in_days

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
STAMP = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


def fits(value: Any, shape: Any) -> bool:
    """Whether a value has a shape: a type, a pattern, a set of values, a list of one shape, or a table of shapes."""
    if isinstance(shape, re.Pattern):
        return isinstance(value, str) and shape.fullmatch(value) is not None
    if isinstance(shape, set):
        return any(fits(value, one) if isinstance(one, re.Pattern | type) else value == one for one in shape)
    if isinstance(shape, list):
        return isinstance(value, list) and all(fits(item, shape[0]) for item in value)
    if isinstance(shape, dict):
        assert isinstance(value, dict), value
        for key, inner in shape.items():
            assert key in value, f"{key} is missing in {value}"
            assert fits(value[key], inner), f"{key}: {value[key]!r}"
        return True
    if shape is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if shape is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, shape)


NOTHING = type(None)
TARGET = {
    "dataset": str,
    "scope": {"row", "field"},
    "data": [str],
    "action": {"purge", "anonymise", "flag"},
    "rules": [str],
    "cutoffs": dict,
    "population": {int, NOTHING},
    "due": int,
    "held": int,
    "blocked": int,
    "unanchored": int,
    "records": int,
    "share": {float, int, NOTHING},
    "approval": {"needed", "mandate", "none"},
    "stopped_by": {str, NOTHING},
}
PLAN = {
    "schema": {"ropa.plan/1"},
    "plan": int,
    "digest": DIGEST,
    "as_of": DAY,
    "created_at": STAMP,
    "policy": DIGEST,
    "register_revision": int,
    "complete": bool,
    "forecast": bool,
    "state": {"pending", "approved", "rejected", "applied", "partly-applied", "lapsed", "stale"},
    "targets": [TARGET],
    "findings": int,
}
RUN = {
    "schema": {"ropa.run/1"},
    "run": str,
    "plan": int,
    "state": {"complete", "partial"},
    "outcomes": dict,
    "targets": [{"dataset": str, "scope": {"row", "field"}, "action": str, "outcomes": dict}],
    "checkpoint": {"size": int, "root": re.compile("[0-9a-f]{64}")},
}
CHECK = {
    "schema": {"ropa.check/1"},
    "findings": [
        {
            "id": str,
            "severity": {"error", "warning", "note"},
            "code": str,
            "entry": str,
            "message": str,
            "fix": str,
        }
    ],
}
EXPLAIN = {
    "schema": {"ropa.explain/1"},
    "dataset": str,
    "key": [str],
    "data": [
        {
            "category": str,
            "due_on": {DAY, NOTHING},
            "rule": {str, NOTHING},
            "anchor": {str, NOTHING},
            "anchored_on": {DAY, NOTHING},
            "held_by": [str],
            "state": {"due", "kept", "held", "no-anchor", "no-rule"},
        }
    ],
}
HOLDS = {
    "schema": {"ropa.holds/1"},
    "holds": [
        {
            "id": int,
            "kind": {"record", "subject", "dataset", "location", "activity"},
            "reason": str,
            "by": str,
            "since": STAMP,
            "review_on": {DAY, NOTHING},
            "state": {"active", "released", "review-overdue"},
        }
    ],
}
STATUS = {
    "schema": {"ropa.status/1"},
    "overdue": int,
    "blocked": int,
    "findings": {"error": int, "warning": int},
    "last_sweep_at": {STAMP, NOTHING},
    "next_sweep_at": {STAMP, NOTHING},
    "healthy": bool,
    "reasons": [str],
}


def test_a_plan_has_the_shape_of_the_contract_and_its_counts_add_up(ropa: Ropa) -> None:
    plan = ropa.json("plan")
    assert fits(plan, PLAN)
    contacts = next(target for target in plan["targets"] if target["dataset"] == "crm.contacts")
    assert contacts["population"] == DUE + YOUNG + 1
    assert (contacts["due"], contacts["records"], contacts["blocked"], contacts["unanchored"]) == (DUE, DUE - 1, 1, 1)
    assert contacts["due"] == contacts["held"] + contacts["blocked"] + contacts["records"]
    assert STAMP.fullmatch(contacts["cutoffs"]["last-contact"])
    assert ropa.json("plan", "show", str(plan["plan"])) == plan
    listed = ropa.json("plan", "list")
    assert listed["schema"] == "ropa.plans/1"
    assert [p["plan"] for p in listed["plans"]] == [plan["plan"]]


def test_the_records_of_a_plan_are_one_object_a_line_with_just_the_fields_of_the_contract(ropa: Ropa) -> None:
    ropa("plan", code=0)
    lines = ropa("plan", "show", "1", "--records", "--json", code=0).lines
    assert len(lines) == DUE
    for record in lines:
        assert list(record) == ["dataset", "key", "due_on", "action", "data", "disposition", "reason"]
        assert fits(record, {"key": [str], "due_on": DAY, "data": [str], "disposition": {"planned", "held", "blocked"}})
    assert {tuple(r["key"]): r["disposition"] for r in lines if r["disposition"] != "planned"} == {("5",): "blocked"}
    assert all((record["reason"] is None) == (record["disposition"] == "planned") for record in lines)


def test_two_plans_are_compared_and_a_spent_one_tells_totals_only(ropa: Ropa) -> None:
    ropa("plan", code=0)
    ropa("hold", "add", "--record", "crm.contacts", "1", "--reason", "litigation", code=0)
    ropa("plan", code=0)
    difference = ropa.json("plan", "diff", "1", "2")
    contacts = next(t for t in difference["targets"] if t["dataset"] == "crm.contacts")
    assert (difference["before"], difference["after"]) == (1, 2)
    assert (contacts["records_before"], contacts["records_after"]) == (DUE - 1, DUE - 2)
    ropa("reject", "1", "--reason", "too early", code=0)
    spent = ropa("plan", "show", "1", "--records", "--json", code=0)
    assert spent.out == ""
    assert "its keys have left" in spent.err
    assert ropa.json("plan", "show", "1")["state"] == "rejected"


def test_applying_and_sweeping_answer_with_a_run(ropa: Ropa) -> None:
    plan = approved(ropa)
    run = ropa.json("apply", str(plan["plan"]))
    assert fits(run, RUN)
    assert run["plan"] == plan["plan"]
    assert run["outcomes"] == {"purged": DUE - 1}
    assert sum(count for target in run["targets"] for count in target["outcomes"].values()) == DUE - 1
    swept = ropa.json("sweep")
    assert fits(swept, RUN)
    assert swept["run"] != run["run"]
    status = ropa.json("status", code=0)
    assert fits(status, STATUS)
    assert status["healthy"] is True
    assert status["blocked"] == 1


def test_approving_and_rejecting_answer_with_the_plan(ropa: Ropa) -> None:
    plan = ropa.json("plan")
    yes = ropa.json("approve", "1", "--by", "An", "--reason", "ok", "--digest", plan["digest"])
    assert fits(yes, PLAN)
    assert yes["state"] == "approved"
    assert yes["digest"] == plan["digest"]
    ropa.json("plan")
    no = ropa.json("reject", "2", "--by", "An", "--reason", "too much")
    assert fits(no, PLAN)
    assert no["state"] == "rejected"


def test_a_check_lists_findings_with_unique_ids_errors_first(ropa: Ropa) -> None:
    for arguments in (("check",), ("check", "--offline")):
        answer = ropa(*arguments, "--json")
        assert fits(answer.document, CHECK)
        findings = answer.document["findings"]
        assert len({finding["id"] for finding in findings}) == len(findings)
        order = [("error", "warning", "note").index(finding["severity"]) for finding in findings]
        assert order == sorted(order)
        assert answer.code == (1 if any(finding["severity"] == "error" for finding in findings) else 0)


def test_a_record_is_explained_per_category(ropa: Ropa) -> None:
    ropa("hold", "add", "--record", "crm.contacts", "2", "--reason", "objection", code=0)
    states = {"1": "due", "2": "held", str(DUE + 1): "kept", "9": "no-anchor"}
    for key, state in states.items():
        explained = ropa.json("explain", "crm.contacts", key)
        assert fits(explained, EXPLAIN)
        assert explained["key"] == [key]
        assert [entry["category"] for entry in explained["data"]] == ["name", "email", "birth-date"]
        assert {entry["state"] for entry in explained["data"]} == {state}
    assert ropa.json("explain", "crm.contacts", '["1"]')["key"] == ["1"]
    later = ropa.json("explain", "crm.contacts", str(DUE + 1), "--as-of", "2099-01-01")
    assert {entry["state"] for entry in later["data"]} == {"due"}


def test_holds_are_listed_without_the_person_they_name(ropa: Ropa) -> None:
    named = "p1@test.example"
    added = ropa("hold", "add", "--subject", named, "--reason", "litigation", "--review", "2099-01-01", "--json")
    assert added.document["schema"] == "ropa.hold/1"
    ropa("hold", "add", "--dataset", "crm.invoices", "--reason", "investigation", "--by", "Bo", code=0)
    ropa("hold", "add", "--location", "crm", "--reason", "other", "--by", "Bo", code=0)
    ropa("hold", "add", "--activity", "intake", "--reason", "restriction", "--by", "Bo", code=0)
    holds = ropa.json("hold", "list")
    assert fits(holds, HOLDS)
    assert [hold["kind"] for hold in holds["holds"]] == ["subject", "dataset", "location", "activity"]
    assert named not in json.dumps(holds) + added.out
    assert ropa.json("hold", "release", "1", "--reason", "settled")["state"] == "released"


def test_mandates_halts_findings_and_locations_answer_with_documents(ropa: Ropa) -> None:
    mandate = ropa.json("mandate", "add", "prospects", "--by", "An", "--reason", "nightly", "--until", in_days(30))
    assert mandate["schema"] == "ropa.mandate/1"
    assert ropa.json("mandate", "list")["mandates"][0]["state"] == "active"
    assert ropa.json("mandate", "revoke", "1", "--by", "An")["state"] == "revoked"
    assert ropa.json("halt") == {"schema": "ropa.halt/1", "halted": True}
    assert ropa.json("resume") == {"schema": "ropa.halt/1", "halted": False}
    ropa("plan", code=0)
    findings = ropa.json("finding", "list")["findings"]
    assert {finding["code"] for finding in findings} >= {"blocked"} or len(findings) >= 2
    first = str(findings[0]["id"])
    assert ropa.json("finding", "show", first)["schema"] == "ropa.finding/1"
    assert ropa.json("finding", "resolve", first, "--by", "An", "--reason", "seen")["resolved_by"] == "An"
    assert ropa.json("location", "list")["locations"][0]["datasets"] == ["crm.contacts", "crm.invoices"]
    checked = ropa.json("location", "check", "crm")
    assert (checked["reachable"], checked["may_read"], checked["problems"]) == (True, True, [])


def test_the_ledger_answers_with_documents(ropa: Ropa) -> None:
    approved(ropa)
    ropa("apply", "1", code=0)
    verified = ropa.json("ledger", "verify")
    assert (verified["schema"], verified["sound"], verified["open_intents"]) == ("ropa.verification/1", True, [])
    events = ropa.json("ledger", "show")
    assert events["schema"] == "ropa.events/1"
    assert [event["seq"] for event in events["events"]] == list(range(verified["size"]))
    assert {e["type"] for e in ropa.json("ledger", "show", "--type", "receipt")["events"]} == {"receipt"}
    proof = ropa.json("ledger", "prove", "crm.contacts", "1")
    assert proof["schema"] == "ropa.proof/1"
    assert [p["outcome"] for p in proof["proofs"]] == ["purged"]
    signed = ropa.json("ledger", "checkpoint")
    assert signed["size"] == verified["size"]
    exported = ropa.json("ledger", "export", "evidence")
    assert len([p for p in (ropa.folder / "evidence").rglob("*") if p.is_file()]) == exported["files"]


@pytest.mark.parametrize("form", ["html", "json", "csv"])
def test_a_report_is_written_where_it_is_asked_for(ropa: Ropa, form: str) -> None:
    told = ropa.json("report", "--format", form, "--lang", "nl", "-o", f"report.{form}")
    assert (told["schema"], told["format"], told["lang"]) == ("ropa.report-file/1", form, "nl")
    written = ropa.folder / f"report.{form}"
    assert told["path"] == str(written)
    assert "Boekhouding" in written.read_text(encoding="utf-8")
    assert ropa.refused("report", "--format", form, "-o", f"report.{form}")["message"]


def test_people_see_words_on_stdout_and_with_json_only_the_document_is_there(ropa: Ropa) -> None:
    for arguments in (("plan",), ("plan", "list"), ("plan", "show", "1"), ("status",), ("hold", "list"), ("check",)):
        words = ropa(*arguments)
        assert words.out.strip(), arguments
        assert not words.out.startswith("{"), arguments
        assert len(ropa(*arguments, "--json").out.splitlines()) == 1, arguments
    quiet = ropa("halt", before=("-q",), code=0)
    assert quiet.out == quiet.err == ""
    assert ropa("ledger", "verify", before=("-q",)).out, "a result is printed, quiet or not"


def test_a_document_is_ascii_where_the_terminal_knows_nothing_else(ropa: Ropa) -> None:
    ropa("hold", "add", "--dataset", "crm.invoices", "--reason", "other", "--by", "Zoë Müller-Łukasz", code=0)
    answer = from_outside("-C", str(ropa.folder), "hold", "list", "--json", env={"PYTHONIOENCODING": "ascii"})
    assert answer.code == 0
    assert answer.out.isascii()
    assert answer.document["holds"][0]["by"] == "Zoë Müller-Łukasz"
    words = from_outside("-C", str(ropa.folder), "hold", "list", env={"PYTHONIOENCODING": "ascii"})
    assert words.code == 0


def test_what_the_contract_shows_is_what_the_installed_program_prints(ropa: Ropa) -> None:
    plan = from_outside("plan", "--json", cwd=ropa.folder)
    assert plan.code == 0
    assert fits(plan.document, PLAN)
    assert plan.err == ""
    stream = from_outside("plan", "show", "1", "--records", "--json", cwd=ropa.folder)
    assert len(stream.lines) == DUE
    error = from_outside("plan", "show", "9", "--json", cwd=ropa.folder)
    assert (error.code, error.document["schema"]) == (2, "ropa.error/1")
