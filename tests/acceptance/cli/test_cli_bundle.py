"""The bundle for the regulator, checked as a regulator would: by the program in it, with python3 and openssl alone."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from cli_kit import Ropa, approved, snapshot

BARE = {"PATH": "/usr/bin:/bin"}


@pytest.fixture(scope="module")
def applied_world(ready_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which a plan was carried out, and its bundle in Dutch."""
    folder = tmp_path_factory.mktemp("applied") / "project"
    shutil.copytree(ready_world, folder)
    ropa = Ropa(folder)
    approved(ropa)
    ropa("apply", "1", code=0)
    ropa("report", "--bundle", "bundle", "--lang", "nl", code=0)
    return folder


@pytest.fixture
def ropa(applied_world: Path, tmp_path: Path) -> Ropa:
    shutil.copytree(applied_world, tmp_path / "project")
    return Ropa(tmp_path / "project")


@pytest.fixture
def bundle(applied_world: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(applied_world / "bundle", tmp_path / "received"))


def verify(bundle: Path, *more: str, folder: str = ".") -> tuple[int, str]:
    """Run the bundle's own verifier, in an empty environment, without site packages."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify_ledger.py", folder, *more],
        cwd=bundle,
        env=BARE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def sums_agree(bundle: Path) -> bool:
    done = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=bundle, env=BARE, capture_output=True, check=False)
    return done.returncode == 0


def sum_again(bundle: Path) -> None:
    """Do what somebody would who hides a change: write the sums anew."""
    paths = sorted(path for path in bundle.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(bundle)}\n" for path in paths]
    (bundle / "SHA256SUMS").write_text("".join(lines))


def flip(path: Path, at: int = -2) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


# --- sound --------------------------------------------------------------------------------------------------------


def test_a_stranger_finds_the_bundle_sound_with_python_and_openssl_alone(bundle: Path) -> None:
    code, said = verify(bundle)
    assert code == 0
    first, second, third = said.splitlines()
    count = len((bundle / "SHA256SUMS").read_text().splitlines())
    assert first.startswith(f"files: {count} are as SHA256SUMS says")
    assert hashlib.sha256((bundle / "SHA256SUMS").read_bytes()).hexdigest() in first
    assert second.startswith("sound: ropa/project, ")
    evidence = json.loads((bundle / "report.json").read_text())["evidence"]
    assert third == f"root: {evidence['root']}"
    assert sums_agree(bundle)


def test_without_a_folder_the_program_checks_the_one_it_lies_in(bundle: Path, tmp_path: Path) -> None:
    call = [sys.executable, "-I", "-S", str(bundle / "verify_ledger.py")]
    done = subprocess.run(call, cwd=tmp_path, env=BARE, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    (bundle / "SHA256SUMS").unlink()
    done = subprocess.run(call, cwd=tmp_path, env=BARE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")


def test_key_and_checkpoint_from_elsewhere_are_compared(bundle: Path, ropa: Ropa) -> None:
    checkpoint, key = bundle / "checkpoint.txt", bundle / "public.pem"
    assert verify(bundle, "--key", str(key), "--checkpoint", str(checkpoint))[0] == 0
    ropa("halt", code=0)
    ropa("resume", "--reason", "cleared", code=0)
    newer = bundle.parent / "newer.txt"
    newer.write_text(ropa.json("ledger", "checkpoint")["note"], encoding="utf-8")
    code, said = verify(bundle, "--checkpoint", str(newer))
    assert code == 1
    assert "more lines than there are" in said


def test_everything_is_listed_private_and_nothing_else_is_there(bundle: Path, ropa: Ropa) -> None:
    names = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if path.is_file()}
    listed = {line[66:] for line in (bundle / "SHA256SUMS").read_text().splitlines()}
    assert listed == names - {"SHA256SUMS"}
    top = {name for name in names if not name.startswith("ledger/")}
    reports = {name for name in top if name.startswith("report.")}
    assert {"report.html", "report.json"} <= reports
    assert top - reports == {"README.txt", "SHA256SUMS", "checkpoint.txt", "public.pem", "verify_ledger.py"}
    made = ropa.folder / "again"
    ropa("report", "--bundle", "again", code=0)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in made.rglob("*") if path.is_file()}
    folders = {stat.S_IMODE(path.stat().st_mode) for path in (made, *made.rglob("*")) if path.is_dir()}
    assert (modes, folders) == ({0o600}, {0o700})


def test_no_secret_key_no_batch_key_and_nobody_of_the_places_is_in_it(bundle: Path, ropa: Ropa) -> None:
    # high-water is a checkpoint: public, kept beside the keys.
    kept = [path for path in (ropa.folder / "var" / "keys").iterdir() if path.is_file() and path.name != "high-water"]
    secrets = [path.read_bytes().strip() for path in kept]
    secrets += [line for secret in secrets for line in secret.splitlines() if len(line) > 40]
    with closing(sqlite3.connect(ropa.folder / "var" / "ropa.db")) as database:
        keys = [bytes(row[0]) for row in database.execute("SELECT key FROM batch WHERE key IS NOT NULL")]
    assert secrets
    assert keys
    forms = [*secrets, *keys, *(key.hex().encode() for key in keys), b"PRIVATE KEY", b"@test.example", b"Peeters"]
    with closing(sqlite3.connect(ropa.folder / "data" / "crm.sqlite")) as database:
        assert database.execute("SELECT count(*) FROM contacts WHERE last_name = 'Peeters'").fetchone()[0]
    for path in bundle.rglob("*"):
        content = path.read_bytes().replace(b"info@test.example", b"") if path.is_file() else b""
        assert [form for form in forms if form in content] == [], path


# --- changed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["ledger/events.jsonl", "checkpoint.txt", "report.html", "report.json", "README.txt", "public.pem"]
)
def test_one_byte_that_changed_is_found_by_the_verifier_and_by_sha256sum(bundle: Path, name: str) -> None:
    flip(bundle / name)
    code, said = verify(bundle)
    assert (code, said) == (1, f"BROKEN: {name} is not as SHA256SUMS says\n")
    assert not sums_agree(bundle)


@pytest.mark.parametrize("name", ["ledger/events.jsonl", "checkpoint.txt", "public.pem", "ledger/public.pem"])
def test_evidence_that_changed_is_found_although_the_sums_were_written_anew(bundle: Path, name: str) -> None:
    flip(bundle / name, at=60)
    sum_again(bundle)
    assert sums_agree(bundle)
    code, said = verify(bundle)
    assert code == 1
    assert said.splitlines()[-1].startswith("BROKEN: ")


def test_a_cut_off_end_is_found_although_the_sums_were_written_anew(bundle: Path) -> None:
    events = bundle / "ledger" / "events.jsonl"
    events.write_bytes(b"".join(events.read_bytes().splitlines(keepends=True)[:-1]))
    sum_again(bundle)
    assert verify(bundle)[0] == 1


@pytest.mark.parametrize("name", ["ledger/events.jsonl", "checkpoint.txt", "public.pem", "report.html"])
def test_a_file_that_is_gone_is_missed(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    assert verify(bundle)[0] == 1
    if name != "report.html":  # a report may not have been there; without sums only the evidence is asked for
        sum_again(bundle)
        assert verify(bundle)[0] == 1


def test_a_list_of_sums_that_leads_elsewhere_is_refused(bundle: Path) -> None:
    sums = bundle / "SHA256SUMS"
    for name in ("../received/report.html", "/etc/hostname", ".hidden", "report.html\r", "a  b"):
        kept = sums.read_text()
        sums.write_text(f"{kept}{'0' * 64}  {name}\n")
        code, said = verify(bundle)
        assert (code, said) == (1, "BROKEN: a line of SHA256SUMS that is none\n")
        sums.write_text(kept)
    (bundle / "linked.txt").symlink_to(bundle / "README.txt")
    sums.write_text(
        f"{sums.read_text()}{hashlib.sha256((bundle / 'README.txt').read_bytes()).hexdigest()}  linked.txt\n"
    )
    assert verify(bundle)[1].startswith("BROKEN: linked.txt is not there")


def test_a_file_that_was_put_beside_is_told_and_no_fault(bundle: Path) -> None:
    (bundle / "notes of the inspector.txt").write_text("read")
    code, said = verify(bundle)
    assert code == 0
    assert "not in SHA256SUMS, so not checked: 'notes of the inspector.txt'" in said


# --- the command --------------------------------------------------------------------------------------------------


def test_the_document_lists_every_file_with_its_sum(ropa: Ropa) -> None:
    told = ropa.json("report", "--bundle", "out", "--lang", "fr")
    assert (told["schema"], told["lang"], told["sound"]) == ("ropa.bundle/1", "fr", True)
    folder = Path(told["folder"])
    assert folder == ropa.folder / "out"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert [file["name"] for file in told["files"]] == sorted(files)
    for file in told["files"]:
        content = files[file["name"]]
        assert (file["bytes"], file["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert told["sums"] == hashlib.sha256(files["SHA256SUMS"]).hexdigest()


def test_a_folder_that_holds_something_is_refused_and_an_empty_one_taken(ropa: Ropa, tmp_path: Path) -> None:
    (ropa.folder / "full").mkdir()
    (ropa.folder / "full" / "a").write_text("")
    (ropa.folder / "file").write_text("")
    (ropa.folder / "empty").mkdir(mode=0o755)
    (ropa.folder / "link").symlink_to(ropa.folder / "empty")
    for name in ("full", "file", "link", ".", "no/such/parent", "file/below", "config/retention.toml"):
        assert ropa.refused("report", "--bundle", name)["code"] == "bundle-target"
    ropa("report", "--bundle", "empty", code=0)
    assert stat.S_IMODE((ropa.folder / "empty").stat().st_mode) == 0o700
    assert verify(ropa.folder / "empty")[0] == 0
    ropa("report", "--bundle", str(tmp_path / "elsewhere"), code=0)
    assert verify(tmp_path / "elsewhere")[0] == 0


def test_a_bundle_and_a_file_or_a_format_are_not_asked_for_together(ropa: Ropa) -> None:
    for more in (("-o", "r.html"), ("--format", "json"), ("--format", "csv", "--profile", "ico")):
        assert "--bundle" in ropa.refused("report", "--bundle", "out", *more)["message"]
    ropa.refused("report", "--bundle", "out", "--lang", "xx")


def test_a_project_that_was_never_used_has_nothing_to_show(bare: Ropa) -> None:
    before = snapshot(bare.folder)
    answer = bare("report", "--bundle", "out", code=1)
    assert "there is no ledger" in answer.err
    assert snapshot(bare.folder) == before


def test_evidence_that_is_not_sound_is_handed_over_as_what_it_is(ropa: Ropa) -> None:
    # Outside a batch: with a whole chain the project could not be opened at all.
    batch = next(path for path in (ropa.folder / "var" / "ledger" / "batches").iterdir())
    batch.write_bytes(batch.read_bytes()[:-1])
    told = ropa.json("report", "--bundle", "out", "--lang", "en")
    assert told["sound"] is False
    assert "Not sound" in (ropa.folder / "out" / "README.txt").read_text(encoding="utf-8")
    assert verify(ropa.folder / "out")[0] == 1
    assert "NOT sound" in ropa("report", "--bundle", "again", code=0).out


@pytest.mark.parametrize("arguments", [("report", "--bundle", "later"), ("ledger", "export", "later")])
def test_a_copy_of_the_ledger_waits_until_no_run_writes_it(ropa: Ropa, arguments: tuple[str, ...]) -> None:
    with (ropa.folder / "var/run.lock").open("rb+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = ropa(*arguments)
    assert answer.code == 75
    assert not (ropa.folder / "later").exists()
    ropa(*arguments, code=0)
