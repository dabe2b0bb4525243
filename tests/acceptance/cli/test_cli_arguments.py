"""What is typed and where it is typed: arguments, folders, the environment. Whatever is wrong touches nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_kit import Ropa, approved, call, copy, from_outside, in_days, snapshot

NUMBERS = ["0", "-1", "x", "", " ", "1.0", "1e3", "99999999999999999999", "2147483648", "٣", "0x1", "1,5", "inf", "nan"]
NUMBERED = [
    ("plan", "show"), ("approve", "--reason", "x", "--digest", "y"), ("reject", "--reason", "x"), ("apply",),
    ("mandate", "revoke"), ("hold", "release", "--reason", "x"), ("finding", "show"),
    ("finding", "resolve", "--reason", "x"),
]  # fmt: skip
DAYS = [
    "", " ", "yesterday", "2026-13-01", "2026-02-30", "2026-11-2", "20261122", "2026-W47-7", "2026-11-22T00:00:00",
    "22/11/2026", "-1", "0000-01-01", "10000-01-01", "2026-11-22 ", "\uff12\uff10\uff12\uff16-11-22", "9" * 5000,
]  # fmt: skip
TEXTS = ["", " ", "\t\n", "a" * 100_000, "\x1b[31m", "a\x00b".replace("\x00", "\x01"), "'; DROP TABLE plan; --", "../..",
         "🗄️" * 50, "\u202eevil", "%s%n{0}{{7*7}}", "-", "crm", ".", "crm.", ".contacts", "crm.contacts.x"]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_is_none_is_refused(ropa: Ropa, number: str) -> None:
    for words in NUMBERED:
        answer = ropa(*words, "--", number, code=2)
        assert answer.out == ""


def test_a_number_that_belongs_to_nothing_is_refused(ropa: Ropa) -> None:
    for words in NUMBERED:
        assert ropa.refused(*words, "77")["message"]
    ropa.refused("plan", "diff", "1", "2")
    for words in (("show", "intake", "--revision", "77"), ("export", "--revision", "77"), ("diff", "0", "77")):
        assert ropa("register", *words).code in {1, 2}


@pytest.mark.parametrize("day", DAYS)
def test_a_day_that_is_none_is_refused(ropa: Ropa, day: str) -> None:
    for words in (
        ("plan", f"--as-of={day}"),
        ("explain", "crm.contacts", "1", f"--as-of={day}"),
        ("hold", "add", "--dataset", "crm.contacts", "--reason", "other", f"--review={day}"),
        ("mandate", "add", "prospects", "--reason", "x", f"--until={day}"),
        ("register", "end", "intake", "--reason", "x", f"--on={day}"),
        ("resume", "--reason", "x", f"--accept-clock={day}"),
    ):
        ropa.refused(*words)


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31", "1900-02-28", "9998-01-01"])
def test_a_day_at_the_end_of_the_calendar_is_reasoned_about(ropa: Ropa, day: str) -> None:
    plan = ropa.json("plan", "--as-of", day)
    assert plan["as_of"] == day
    contacts = next(target for target in plan["targets"] if target["dataset"] == "crm.contacts")
    assert contacts["due"] == (8 if day > "2027" else 0)
    assert ropa.json("explain", "crm.contacts", "1", "--as-of", day)["data"][0]["state"] in {"due", "kept"}
    ropa("status")


def test_days_in_the_past_are_no_review_and_no_mandate(ropa: Ropa) -> None:
    ropa.refused("hold", "add", "--dataset", "crm.contacts", "--reason", "other", "--review", in_days(-1))
    ropa.refused("mandate", "add", "prospects", "--reason", "x", "--until", in_days(-1))


@pytest.mark.parametrize("text", TEXTS)
def test_a_name_that_is_none_is_refused(ropa: Ropa, text: str) -> None:
    for words in (
        ("plan", f"--rule={text}"),
        ("plan", f"--dataset={text}"),
        ("explain", "--", text, "1"),
        ("location", "check", "--", text + "x"),
        ("location", "discover", "--", text + "x"),
        ("hold", "add", "--dataset", text, "--reason", "other"),
        ("hold", "add", "--location", text + "x", "--reason", "other"),
        ("hold", "add", "--activity", text, "--reason", "other"),
        ("hold", "add", "--record", text, "1", "--reason", "other"),
        ("hold", "add", "--dataset", "crm.contacts", f"--reason={text}"),
        ("mandate", "add", "--reason", "x", "--until", in_days(3), "--", text),
        ("register", "end", "--reason", "x", "--", text),
        ("register", "add", "--reason", "x", "--", text),
        ("register", "edit", "--reason", "x", "--set", "title=x", "--", text),
        ("register", "edit", "--reason", "x", "activity.intake", f"--set={text}"),
    ):
        before = snapshot(ropa.folder)
        ropa(*words, code=2)
        assert snapshot(ropa.folder) == before


@pytest.mark.parametrize("text", ["", " ", "\n", "a" * 3000, "\x07", "\x1b]0;x\x07"])
def test_who_and_why_are_said_in_words(ropa: Ropa, text: str) -> None:
    ropa("plan", code=0)
    for words in (
        ("approve", "1", "--digest", "x"), ("reject", "1"), ("halt",), ("hold", "release", "1"), ("finding", "resolve", "1"),
        ("register", "edit", "organisation", "--set", "name=x"), ("register", "end", "intake"),
        ("mandate", "add", "prospects", "--until", in_days(3)), ("register", "import", "register.toml"),
    ):  # fmt: skip
        ropa.refused(*words, "--by", "An", f"--reason={text}")
        ropa.refused(*words, "--reason", "x", f"--by={text}")


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("key", ["", " ", "0", "1' OR '1'='1", "é", "[]", "[1]", '["1", "2"]', "x" * 50_000,
                                 '["', "[" * 9999, "99999999999999999999999", "-1", "nan", "\U0001f5c4"])  # fmt: skip
def test_a_key_of_no_record_is_1_or_2_and_never_more(ropa: Ropa, key: str) -> None:
    for words in (("explain", "crm.contacts"), ("ledger", "prove", "crm.contacts")):
        assert ropa(*words, "--", key, key).code in {1, 2}
        assert ropa(*words, "--", key).code in {1, 2}
    ropa("hold", "add", "--reason", "other", "--record", "crm.contacts", key)
    assert ropa.json("plan")["complete"] is True


@pytest.mark.parametrize("key", ["01", "1 ", " 1", "1.0", "+1", "1e0"])
def test_another_spelling_of_a_key_either_means_the_record_or_is_said_to_mean_none(ropa: Ropa, key: str) -> None:
    added = ropa("hold", "add", "--reason", "other", "--record", "crm.contacts", key, "--json", code=0)
    contacts = next(t for t in ropa.json("plan")["targets"] if t["dataset"] == "crm.contacts")
    assert added.document["record_found"] is (contacts["held"] == 1)
    assert ("no record with this key" in added.err) is (contacts["held"] == 0)
    if contacts["held"]:
        assert ropa.json("explain", "crm.contacts", key)["key"] == ["1"], "the key as the ledger spells it"


def test_a_key_with_what_no_text_has_is_refused(ropa: Ropa) -> None:
    for words in (("explain", "crm.contacts"), ("ledger", "prove", "crm.contacts")):
        ropa.refused(*words, '["\\ud800"]')
    ropa.refused("hold", "add", "--reason", "other", "--record", "crm.contacts", '["\\udfff"]')


@pytest.mark.parametrize("taken", ["--reason", "--reason=other", "--by"])
def test_an_option_in_place_of_a_key_is_no_key(ropa: Ropa, taken: str) -> None:
    said = ropa.refused("hold", "add", "--record", "crm.contacts", taken, "--reason", "other")
    assert f"{taken.partition('=')[0]} stands where the key should" in said["message"]
    added = ropa("hold", "add", "--record", "crm.contacts", '["--by"]', "--reason", "other", "--json", code=0)
    assert added.document["record_found"] is False


def test_a_hold_names_one_thing(ropa: Ropa) -> None:
    ropa.refused("hold", "add", "--reason", "other")
    ropa.refused("hold", "add", "--reason", "other", "--dataset", "crm.contacts", "--location", "crm")
    for subject in ("", " ", "{}", "\u200b", "{ }"):
        ropa.refused("hold", "add", "--reason", "other", "--subject", subject)


@pytest.mark.parametrize("growth", ["0", "0.5", "-2", "nan", "inf", "1e9", "x", "", "101"])
def test_a_mandate_has_sane_bounds(ropa: Ropa, growth: str) -> None:
    words = ("mandate", "add", "prospects", "--by", "An", "--reason", "x", "--until", in_days(9))
    ropa.refused(*words, f"--max-growth={growth}")
    ropa.refused(*words, f"--max-records={growth}" if growth != "101" else "--max-records=0")


def test_bytes_that_are_no_text_are_refused(ropa: Ropa) -> None:
    answer = from_outside("-C", str(ropa.folder), "hold", "list", "--json", b"\xff\xfe")
    assert (answer.code, answer.document["schema"]) == (2, "ropa.error/1")


def test_an_unfinished_console_gets_no_traceback(ropa: Ropa) -> None:
    script = f"'{shutil.which('ropa', path=str(Path(os.sys.executable).parent))}' -C '{ropa.folder}'"  # type: ignore[attr-defined]
    import subprocess

    for tail in ("check | true", "status >/dev/full", "status >&- 2>&-"):
        done = subprocess.run(["sh", "-c", f"{script} {tail}"], capture_output=True, text=True, timeout=60, check=False)
        assert "Traceback" not in done.stderr, (tail, done.stderr)
        assert "Exception ignored" not in done.stderr, (tail, done.stderr)


# --- where --------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    for words in (("plan",), ("init",), ("demo",), ("check",), ("init", "x"), ("halt",), ("report",), ("--help",)):
        answer = call("-C", str(tmp_path / "nowhere"), *words)
        assert answer.code == (0 if words == ("--help",) else 2), words
        assert "nowhere is not a folder" in answer.err or words == ("--help",)
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for words in (("-C", "{}", "plan"), ("-C", "{}", "init"), ("init", "{}"), ("demo", "{}"), ("-C", "{}/x", "check")):
        answer = call(*(word.format(tmp_path / "file") for word in words))
        assert answer.code == 2, words
        assert answer.out == ""
    assert snapshot(tmp_path).keys() == {"file"}
    assert (tmp_path / "file").read_text() == "x"


def test_names_of_folders_may_be_anything(ready_world: Path, tmp_path: Path) -> None:
    for name in ("it's", 'with "space" 100% é\u2013🗄 a+b', "-[x]", "#hash?x=1&y;"):
        ropa = copy(ready_world, tmp_path / name)
        plan = approved(ropa)
        assert ropa.json("apply", str(plan["plan"]))["state"] == "complete", name
        assert ropa.json("ledger", "verify")["sound"], name
        fresh = Ropa(tmp_path)
        assert fresh("init", "--json", "--", f"new {name}", code=0).document["configuration_is_new"], name


def test_a_table_of_contents_of_many_pages_is_no_problem(ropa: Ropa) -> None:
    deep = ropa.folder / Path(*["d" * 200] * 5)
    deep.mkdir(parents=True)
    assert ropa("register", "export", "-o", str(deep / "r.toml")).code == 0
    assert ropa("register", "export", "-o", "x" * 300).code == 2


@pytest.fixture
def nobody(tmp_path: Path) -> Iterator[None]:
    """Lose the rights of root for the time of a test, where we have them."""
    if os.geteuid() != 0:
        yield
        return
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and folder != Path("/") and str(folder).startswith(("/tmp/", "/var/tmp/")):
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    for path in tmp_path.rglob("*"):
        os.chown(path, 65534, 65534, follow_symlinks=False)
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_state_that_may_not_be_written_is_told_and_left_alone(ropa: Ropa, bare: Ropa, nobody: None) -> None:
    for path in [*ropa.folder.rglob("*"), ropa.folder, bare.folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = snapshot(ropa.folder)
    for words in (("plan",), ("status",), ("hold", "list"), ("sweep",), ("halt",), ("apply", "1"), ("report",)):
        answer = ropa(*words, "--json", code=2)
        assert "written" in answer.document["message"], answer
    for words in (("halt",), ("register", "import", "register.toml"), ("ledger", "checkpoint")):
        assert "written" in bare(*words, "--json", code=2).document["message"]
    assert bare("check", "--json").document["schema"] == "ropa.check/1", "reading needs no state"
    assert call("-C", str(bare.folder), "init", "new").code == 2
    assert call("-C", str(bare.folder), "demo").code == 2
    assert snapshot(ropa.folder) == before
    assert not (bare.folder / "var").exists()
    for path in [ropa.folder, *ropa.folder.rglob("*"), bare.folder]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def test_state_that_may_not_be_read_is_told(ropa: Ropa, nobody: None) -> None:
    (ropa.folder / "var").chmod(0)
    for words in (("plan",), ("status",), ("ledger", "verify"), ("check",), ("init",)):
        assert ropa(*words, "--json", code=2).document["schema"] == "ropa.error/1"
    (ropa.folder / "var").chmod(0o700)
    (ropa.folder / "config" / "retention.toml").chmod(0)
    assert "Permission" in str(ropa("plan", "--json", code=2).document["problems"])


# --- the environment ----------------------------------------------------------------------------------------------


@pytest.mark.sqlite_state("its file")
def test_the_state_can_be_moved(bare: Ropa, tmp_path: Path) -> None:
    bare.env = {"ROPA_STATE": str(tmp_path / "elsewhere" / "state")}
    bare("register", "import", "register.toml", code=0)
    bare("plan", code=0)
    assert not (bare.folder / "var").exists()
    moved = tmp_path / "elsewhere" / "state"
    assert (moved / "ropa.db").is_file()
    assert (moved / "ledger" / "events.jsonl").is_file()
    assert stat.S_IMODE(moved.stat().st_mode) == 0o700
    bare.env = {"ROPA_STATE": "state/of/mine"}
    bare("init", code=0)
    assert (bare.folder / "state" / "of" / "mine" / "ropa.db").is_file(), "relative to the project folder"
    bare.env = {"ROPA_STATE": ""}
    bare("init", code=0)
    assert stat.S_IMODE((bare.folder / "var").stat().st_mode) == 0o700


def test_state_cannot_be_a_file(ropa: Ropa, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file", tmp_path / "file" / "deeper", Path("/proc/nothing"), Path("/dev/null/x")):
        ropa.env = {"ROPA_STATE": str(place)}
        for words in (("plan",), ("halt",), ("init",)):
            ropa.refused(*words)
    assert (tmp_path / "file").read_text() == "x"


@pytest.mark.parametrize(
    "url",
    [
        "nonsense", "://", "sqlite", "http://x", "mysql://u:c4n4ry@h/x", "oracle+cx://x", "postgresql+nodriver://u:c4n4ry@h/x",
        "postgresql://u:c4n4ry@127.0.0.1:port/x", "sqlite://", "sqlite:///:memory:",
        "sqlite:///file:x?mode=memory&uri=true", "sqlite+pysqlcipher:///x", "sqlite:///x?timeout=c4n4ry", " ", "env:X", "sqlite:///",
    ],
)  # fmt: skip
def test_a_state_database_that_cannot_be_used_is_refused_and_its_password_kept(
    ropa: Ropa, bare: Ropa, url: str
) -> None:
    for one in (ropa, bare):
        one.env = {"ROPA_DATABASE_URL": url}
        for words in (("plan",), ("hold", "list"), ("init",)):
            error = one.refused(*words)
            assert "c4n4ry" not in str(error)
            assert error["next_step"]
    (bare.folder / "config" / "retention.toml").unlink()
    bare.refused("init")


def test_a_state_database_where_nobody_listens_is_5_and_its_password_kept(ropa: Ropa) -> None:
    ropa.env = {"ROPA_DATABASE_URL": "postgresql+psycopg://u:c4n4ry@127.0.0.1:1/x"}
    for words in (("plan",), ("hold", "list"), ("init",)):
        answer = ropa(*words, code=5)
        assert "c4n4ry" not in answer.out + answer.err


def test_a_state_database_that_does_not_answer_is_5(ropa: Ropa, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError

    def no_answer(_engine: object) -> None:
        raise OperationalError("c4n4ry", {"c4n4ry": 1}, Exception("c4n4ry"))

    monkeypatch.setattr("ropa.database.open_database", lambda _url: create_engine("sqlite://"))
    monkeypatch.setattr("ropa.database.migrate", no_answer)
    ropa.env = {"ROPA_DATABASE_URL": "postgresql+psycopg://u:c4n4ry@127.0.0.1:1/x"}
    answer = ropa("hold", "list", "--json", code=5)
    assert answer.document["schema"] == "ropa.error/1"
    assert "c4n4ry" not in answer.out + answer.err


@pytest.mark.sqlite_state("its file")
def test_a_state_database_elsewhere_holds_the_register(bare: Ropa) -> None:
    bare.env = {"ROPA_DATABASE_URL": "sqlite:///state.db"}
    bare("register", "import", "register.toml", code=0)
    assert (bare.folder / "state.db").is_file(), "relative to the project folder"
    assert stat.S_IMODE((bare.folder / "state.db").stat().st_mode) == 0o600
    assert not (bare.folder / "var" / "ropa.db").exists()
    assert len(bare.json("register", "list")["activities"]) == 2
    bare("plan", code=0)
    path = bare.folder / "config" / "retention.toml"
    path.write_text(path.read_text() + '\n[state]\ndatabase = "sqlite:///state.db"\n')
    bare.env = {}
    assert len(bare.json("register", "list")["activities"]) == 2
    assert bare("check").code == 1


@pytest.mark.sqlite_state("its file")
def test_a_demonstration_never_enters_anybodys_own_state(ropa: Ropa, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def tell(site: object, *_rest: object) -> None:
        seen["engine"], seen["state"] = site.engine.url.database, site.state  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr("ropa.demo.story.tell", tell)
    monkeypatch.setattr("ropa.demo.story.fill", lambda *_args, **_options: None)
    before = snapshot(ropa.folder / "var")
    ropa.env = {"ROPA_DATABASE_URL": f"sqlite:///{ropa.folder}/var/ropa.db", "ROPA_STATE": str(ropa.folder / "var")}
    ropa("demo", "shown", code=130)
    assert snapshot(ropa.folder / "var") == before
    assert seen["state"] == ropa.folder / "shown" / "var"
    assert seen["engine"] == str(ropa.folder / "shown" / "var" / "ropa.db")


def test_a_user_without_a_name_goes_by_the_number(ropa: Ropa, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr("getpass.getuser", no_name)
    ropa("hold", "add", "--location", "crm", "--reason", "other", code=0)
    assert ropa.json("hold", "list")["holds"][0]["by"] == f"uid {os.getuid()}"


def test_what_others_wrote_cannot_steer_a_terminal(ropa: Ropa) -> None:
    with sqlite3.connect(ropa.folder / "data" / "crm.sqlite") as database:
        database.execute('CREATE TABLE "evil\x1b[2J\nname" ("col\x1b]0;x\x07" TEXT, e_mail TEXT)')
    database.close()
    assert "\\x1b" in ropa("location", "discover", "crm", code=0).out
    ropa("check")
    assert ropa.json("location", "discover", "crm")["sources"]
