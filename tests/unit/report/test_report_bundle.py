import ast
import re
from dataclasses import replace

import pytest
import report_sample as sample
from sqlalchemy.orm import Session

from ropa.errors import CallError, ConfigurationError, LedgerError
from ropa.ledger import verifier
from ropa.ledger.store import Ledger
from ropa.register import RegisterStore
from ropa.report import bundle, languages, writing
from ropa.report.bundle import write_bundle
from ropa.report.instructions import WIDTH, instructions
from ropa.report.words import Words
from ropa.sweep.site import Site
from ropa.sweep.tables import IssuedId

NAMES = ("report.html", "report.json", "checkpoint.txt", "public.pem", "verify_ledger.py")


def page(lang, document=None, missing=()):
    found = document or sample.document()
    return instructions(found, Words(lang, found.timezone), names=NAMES, missing=missing)


@pytest.mark.parametrize("lang", languages())
def test_the_page_names_every_file_and_every_command_in_every_language(lang):
    said = page(lang)
    for name in (*NAMES, "ledger/", "SHA256SUMS"):
        assert f"\n{name}\n" in said
    commands = [line.strip() for line in said.splitlines() if re.match(" +(sha256sum|python3|openssl)", line)]
    assert commands == [
        "sha256sum -c SHA256SUMS",
        "python3 -I -S verify_ledger.py .",
        "openssl pkey -pubin -in public.pem -outform DER | sha256sum",
        "python3 -I -S verify_ledger.py . --key KEY.pem --checkpoint CHECKPOINT.txt",
    ]
    evidence = sample.document().evidence
    assert f"    {evidence.root}\n" in said
    assert f"    {evidence.public_key_fingerprint.removeprefix('sha256:')}\n" in said


@pytest.mark.parametrize("lang", languages())
def test_the_page_fits_a_terminal_and_leaves_no_place_unfilled(lang):
    said = page(lang, missing=("pdf", "xlsx"))
    assert [line for line in said.splitlines() if len(line) > WIDTH] == []
    assert not re.search(r"[{}]|bundle\.", said)


def test_the_page_says_what_could_not_be_written():
    assert "report.pdf en report.xlsx" in " ".join(page("nl", missing=("pdf", "xlsx")).split())
    assert "report.pdf" not in page("nl")


def test_a_hostile_name_cannot_forge_a_line_of_the_page():
    found = sample.document()
    party = replace(found.organisation.parties[0], name="A\n1. Run this: rm -rf\u202e x")
    said = page("en", replace(found, organisation=replace(found.organisation, parties=(party,))))
    assert "\n1. Run" not in said
    assert "\u202e" not in said


def test_evidence_that_is_not_sound_is_said_on_the_page_before_the_first_step():
    found = sample.document()
    said = page("de", replace(found, evidence=replace(found.evidence, is_sound=False)))
    assert said.index("Nicht unversehrt") < said.index("\n1. ")
    assert "Nicht unversehrt" not in page("de")


def test_the_verifier_reads_with_python_3_10_and_imports_nothing_of_ours():
    tree = ast.parse(verifier.program(), feature_version=(3, 10))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not {name for name in imported if name.split(".")[0] in {"ropa", "connectors"}}


# --- written wholly or not at all ---------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path, run_state):
    """A project with the sample's register and a ledger of one line."""
    engine = run_state.project(tmp_path)
    RegisterStore(engine).save(sample.register(), by="An", reason="first", at=sample.NOW)
    opened = Site(
        folder=tmp_path,
        state=tmp_path / "var",
        config=replace(sample.config(), folder=tmp_path),
        engine=engine,
        open_location=lambda _location: pytest.fail("a bundle asks no place anything"),
        now=lambda: sample.NOW,
    )
    opened.keys_folder.mkdir(mode=0o700, parents=True)
    Ledger.create(opened.ledger_folder, opened.keys_folder, origin="ropa.example/a", at=sample.NOW, run="r1", tool="t")
    with Session(engine) as session, session.begin():
        session.add(IssuedId(id="r1", at=sample.NOW))
    yield opened
    opened.close()


def in_place_of(form, does):
    """Renders every format as an empty file, and in place of one does something else."""

    def rendered(_site, _document, asked, _language):
        return does() if asked == form else b""

    return rendered


def test_a_format_whose_library_is_not_installed_is_left_out_and_said(site, tmp_path, monkeypatch):
    def lacks():
        raise ConfigurationError("pdf needs typst", ())

    monkeypatch.setattr(bundle, "rendered", in_place_of("pdf", lacks))
    made = write_bundle(site, tmp_path / "out", language="en")
    assert made.missing == ("pdf",)
    assert "report.pdf" not in {file.name for file in made.files}
    said = (tmp_path / "out" / "README.txt").read_text(encoding="utf-8")
    assert "not installed here: report.pdf." in " ".join(said.split())


@pytest.mark.parametrize("error", [LedgerError("x"), OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_fails_half_way_leaves_nothing_behind(site, tmp_path, monkeypatch, error):
    def fails():
        raise error

    out = tmp_path / "there"
    out.mkdir()
    monkeypatch.setattr(bundle, "rendered", in_place_of(writing.FORMATS[-1], fails))
    with pytest.raises((LedgerError, CallError, KeyboardInterrupt)):
        write_bundle(site, out / "bundle")
    assert list(out.iterdir()) == []


def test_a_folder_that_was_filled_meanwhile_is_left_alone(site, tmp_path, monkeypatch):
    out = tmp_path / "there" / "bundle"
    out.parent.mkdir()

    def meanwhile():
        out.mkdir()
        (out / "theirs").write_text("theirs")
        return b""

    monkeypatch.setattr(bundle, "rendered", in_place_of("html", meanwhile))
    with pytest.raises(CallError):
        write_bundle(site, out)
    assert [path.name for path in out.parent.rglob("*")] == ["bundle", "theirs"]


def test_every_file_of_the_report_is_of_one_moment(site, tmp_path):
    made = write_bundle(site, tmp_path / "out")
    names = {file.name for file in made.files}
    assert {f"report.{form}" for form in writing.FORMATS} <= names
    assert made.folder == tmp_path / "out"
