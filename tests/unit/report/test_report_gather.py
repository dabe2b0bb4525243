import base64
import hashlib
import stat
from dataclasses import replace
from datetime import date

import pytest
import report_sample as sample
from sqlalchemy import event
from sqlalchemy.orm import Session

from ropa.errors import CallError, Finding, Severity
from ropa.ledger.store import Ledger
from ropa.register import RegisterStore
from ropa.report import FORMATS, gather, html, render, write_report
from ropa.report.gather import fingerprints
from ropa.report.model import Verdict
from ropa.sweep import findings, holds
from ropa.sweep.site import Site
from ropa.sweep.standing import State
from ropa.sweep.tables import IssuedId

CANARY = "zq-canary-person@example.org"


def refuse(_location):
    raise AssertionError("a report asks no place anything")


@pytest.fixture
def site(tmp_path, run_state):
    engine = run_state.project(tmp_path)
    RegisterStore(engine).save(sample.register(), by="An", reason="first", at=sample.NOW)
    policy = replace(sample.config(), folder=tmp_path)
    opened = Site(
        folder=tmp_path,
        state=tmp_path / "var",
        config=policy,
        engine=engine,
        open_location=refuse,
        enforcing=frozenset({"crm", "cv", "web"}),
        now=lambda: sample.NOW,
    )
    opened.keys_folder.mkdir(mode=0o700, parents=True)
    with Session(engine) as session:
        sample.fill(session, opened.targets)
    yield opened
    opened.close()


def test_what_is_gathered_is_what_was_built_from_the_same_values(site):
    found = gather(site)
    dated = RegisterStore(site.engine).dated(1, sample.ZONE)
    wanted = sample.document(revision=1, evidence=None, findings=found.findings, holds=(), dated=dated)
    assert {activity.recorded_on for activity in found.activities} == {sample.NOW.date()}
    assert found == wanted


def test_a_project_without_a_ledger_says_that_there_is_no_evidence(site):
    found = gather(site)
    assert found.evidence is None
    assert "no-evidence" in {reason.code for reason in found.summary.reasons}
    assert found.summary.verdict is Verdict.NOT_ADHERED


def test_places_that_nothing_enforces_are_those_the_site_names(site):
    site.enforcing = frozenset({"crm"})
    states = {row.adherence.state for row in gather(site).activity("recruitment").rows}
    assert states == {State.DOCUMENTED_ONLY}


def test_findings_kept_and_findings_of_now_stand_once_and_errors_first(site):
    kept = Finding("outcome-failed", Severity.ERROR, "crm.prospects (prospects)", "4 records", "look")
    findings.record(site, "apply", [kept])
    first, second = gather(site).findings, gather(site).findings
    assert first == second
    assert kept in first
    assert len({(f.code, f.entry) for f in first}) == len(first)
    order = [list(Severity).index(f.severity) for f in first]
    assert order == sorted(order)
    assert "basis-unknown" in {f.code for f in first}


def begin_ledger(site):
    Ledger.create(
        site.ledger_folder, site.keys_folder, origin="ropa.example/webassur", at=sample.NOW, run="r1", tool="ropa test"
    )
    with Session(site.engine) as session, session.begin():
        session.add(IssuedId(id="r1", at=sample.NOW))


def test_holds_are_counted_and_nobody_is_named(site):
    begin_ledger(site)
    for name, year in ((CANARY, 2027), (f"other-{CANARY}", 2028)):
        holds.add(site, kind="subject", target=name, key=None, reason="litigation", by="An", review_on=date(year, 1, 1))
    holds.add(site, kind="dataset", target="web.access", key=None, reason="other", by="An")
    found = gather(site)
    assert [(h.reason, h.kind, h.count, h.past_review) for h in found.holds] == [
        ("litigation", "subject", 2, 0),
        ("other", "dataset", 1, 0),
    ]
    for form in FORMATS:
        assert CANARY.encode() not in render(site, form=form, language="nl")
    site.now = lambda: sample.NOW.replace(year=2027)
    assert gather(site).holds[0].past_review == 1


def test_the_evidence_is_verified_and_a_change_of_it_is_told(site):
    begin_ledger(site)
    found = gather(site).evidence
    assert (found.origin, found.is_sound, found.problems, found.open_intents) == ("ropa.example/webassur", True, (), 0)
    assert found.size >= 1
    assert found.checkpoint_text.startswith("ropa.example/webassur\n")
    assert found.public_key_fingerprint.startswith("sha256:")
    events = site.ledger_folder / "events.jsonl"
    events.chmod(0o600)
    events.write_bytes(events.read_bytes().replace(b"ropa test", b"ropa tost"))
    broken = gather(site)
    assert not broken.evidence.is_sound
    assert broken.evidence.problems
    assert "unsound-evidence" in {reason.code for reason in broken.summary.reasons}


def test_gathering_writes_nothing(site):
    statements = []
    event.listen(site.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    gather(site)
    assert statements
    assert not [s for s in statements if not s.lstrip().upper().startswith(("SELECT", "PRAGMA", "BEGIN"))]


def test_the_report_is_written_for_its_owner_alone(site):
    path = write_report(site, language="nl")
    assert path.parent == site.exports_folder
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text(encoding="utf-8") == html.render(gather(site), "nl")
    assert write_report(site, language="nl") == path


def test_a_file_that_exists_is_never_written_over(site, tmp_path):
    target = tmp_path / "report.csv"
    assert write_report(site, form="csv", to=target) == target
    before = target.read_bytes()
    assert before.startswith(b"activity,")
    with pytest.raises(CallError, match="exists already"):
        write_report(site, form="csv", to=target)
    link = tmp_path / "link.html"
    link.symlink_to(tmp_path / "elsewhere.html")
    with pytest.raises(CallError):
        write_report(site, to=link)
    with pytest.raises(CallError, match="cannot be written"):
        write_report(site, to=tmp_path / "no-such-folder" / "report.html")
    assert (target.read_bytes(), (tmp_path / "elsewhere.html").exists()) == (before, False)


@pytest.mark.parametrize(("form", "language"), [("docx", "nl"), ("html", "xx"), ("json", "xx")])
def test_an_unknown_form_or_language_is_refused_before_anything_is_read(form, language):
    with pytest.raises(CallError):
        render(None, form=form, language=language)


def test_a_fingerprint_is_the_one_that_openssl_and_sha256sum_tell(tmp_path):
    der = bytes.fromhex("302a300506032b6570032100") + bytes(range(32))
    text = base64.b64encode(der).decode()
    (tmp_path / "public.pem").write_text(f"-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    (tmp_path / "public-00000000.pem").write_text("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n")
    assert fingerprints(tmp_path) == [f"sha256:{hashlib.sha256(der).hexdigest()}"]
