"""What stands in the two files: every fault is told at once with its key path, in good time, and touches nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cli_kit import CONFIG, REGISTER, Ropa, snapshot
from pace import within

COMMANDS = (("plan",), ("check",), ("sweep",), ("status",))


def write(ropa: Ropa, text: str | bytes) -> None:
    """Put another configuration in place."""
    data = text.encode() if isinstance(text, str) else text
    (ropa.folder / "config" / "retention.toml").write_bytes(data)


def paths(ropa: Ropa, text: str | bytes, *arguments: str) -> list[str]:
    """Refuse a configuration and return the key paths that were named."""
    write(ropa, text)
    error = ropa.refused(*(arguments or ("plan",)))
    assert error["problems"], error
    return [problem["path"] for problem in error["problems"]]


def with_line(old: str, new: str) -> str:
    assert old in CONFIG
    return CONFIG.replace(old, new, 1)


# --- periods, keys, scopes ----------------------------------------------------------------------------------------


@pytest.mark.sampled(one_in=4)
@pytest.mark.parametrize(
    "period",
    [
        "0", "-1", "inf", "nan", "true", '"5"', "5.5", "1e400", '""', '" "', '"0 days"', '"P0M"', '"-6 months"',
        '"6"', '"6 moons"', '"6 months 6 months"', '"P"', '"1.5 years"', '"99999 years"', "6", "[]", "{}", '"P1Y27"',
        '"six months"', "2026-01-01", "9" * 400, '"PT30M"', '"6 months\\u0000"', '"٦ months"',
    ],
)  # fmt: skip
def test_a_period_that_cannot_be_meant_is_refused_with_its_key(ropa: Ropa, period: str) -> None:
    assert paths(ropa, with_line('period = "6 months"', f"period = {period}")) == ["rule.prospects.period"]


@pytest.mark.parametrize("key", ["activity", "dataset", "data", "anchor", "period", "action"])
def test_what_has_no_default_must_be_there(ropa: Ropa, key: str) -> None:
    rule = CONFIG[CONFIG.index("[rule.invoices]") :]
    line = next(line for line in rule.splitlines() if line.startswith(f"{key} "))
    without = CONFIG.replace(rule, rule.replace(line + "\n", ""))
    assert f"rule.invoices.{key}" in paths(ropa, without)


def test_every_problem_is_told_at_once_and_slips_are_guessed(ropa: Ropa) -> None:
    text = (
        CONFIG.replace("legal_ground", "lgeal_ground", 1)
        .replace('"6 months"', '"0 months"')
        .replace('anchor = "created"', 'anchor = "creatde"')
        .replace('country = "BE"', 'cuontry = "BE"')
        .replace('action = "purge"', 'action = "pruge"', 1)
        .replace("[safety]", "[safety]\nmax_shaer = 0.5")
    )
    write(ropa, text)
    error = ropa.refused("plan")
    found = {problem["path"]: problem["suggestion"] for problem in error["problems"]}
    assert found["safety.max_shaer"] == "max_share"
    assert found["location.crm.cuontry"] == "country"
    assert found["rule.prospects.lgeal_ground"] == "legal_ground"
    assert found["rule.prospects.action"] == "purge"
    assert "rule.prospects.period" in found


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('data = "*"', "data = []", "rule.prospects.data"),
        ('data = "*"', 'data = ""', "rule.prospects.data"),
        ('data = "*"', 'data = [""]', "rule.prospects.data"),
        ('data = "*"', 'data = ["iban"]', "rule.prospects.data"),
        ('anchor = "last-contact"', 'anchor = "last-contact"\nwhere = {}', "rule.prospects.where"),
        ('anchor = "last-contact"', 'anchor = "last-contact"\nwhere = { email = [] }', "rule.prospects.where"),
        ('anchor = "last-contact"', 'anchor = "last-contact"\nwhere = { email = "" }', "rule.prospects.where"),
        ('anchor = "last-contact"', 'anchor = "last-contact"\nwhere = { "" = "x" }', "rule.prospects.where"),
        ('dataset = "crm.contacts"', 'dataset = ""', "rule.prospects.dataset"),
        ('dataset = "crm.contacts"', 'dataset = "*"', "rule.prospects.dataset"),
        ('dataset = "crm.contacts"', 'dataset = "crm"', "rule.prospects.dataset"),
        ('source = "contacts"', 'source = ""', "location.crm.dataset.contacts.source"),
        ('source = "contacts"\n', "", "location.crm.dataset.contacts.source"),
        ('data.email = ["email"]', "data.email = []", "location.crm.dataset.contacts.data.email"),
        ('timezone = "Europe/Brussels"\n', "", "timezone"),
        ('timezone = "Europe/Brussels"', 'timezone = "Europe/Brussel"', "timezone"),
        ('timezone = "Europe/Brussels"', 'timezone = "../../etc/passwd"', "timezone"),
        ("max_share = 1.0", "max_share = 0", "safety.max_share"),
        ("max_share = 1.0", "max_share = nan", "safety.max_share"),
        ("max_share = 1.0", "max_share = 1.01", "safety.max_share"),
        ("max_share = 1.0", "max_share = true", "safety.max_share"),
        ("max_share = 1.0", "max_records = -1", "safety.max_records"),
        ("max_share = 1.0", "max_records = 1e9", "safety.max_records"),
        ("max_share = 1.0", "approvals = 0", "safety.approvals"),
        ('"P1D"', '"PT1H"', "safety.approval_valid"),
        ('"P1D"', '"never"', "safety.approval_valid"),
        ('connector = "sql"', 'connector = "oracle"', "location.crm.connector"),
        ('country = "BE"', 'country = "Belgium"', "location.crm.country"),
        ('country = "BE"', "country = 32", "location.crm.country"),
        ('country = "BE"', "batch_size = 100_001", "location.crm.batch_size"),
        ('country = "BE"', "batch_size = 0", "location.crm.batch_size"),
        ('country = "BE"', 'password = "hunter2"', "location.crm.password"),
        ('action = "purge"', 'action = "keep"', "rule.prospects"),
        ('action = "purge"', 'action = "purge"\nmask = { email = "clear" }', "rule.prospects.mask"),
        ('action = "purge"', 'action = "anonymise"\nmask = { email = "blur" }', "rule.prospects.mask.email"),
        ('approval = "mandate"', 'approval = "nobody"', "rule.prospects.approval"),
        ('approval = "mandate"', "max_records = 0", "rule.prospects.max_records"),
        ("[location.crm]", "[location.CRM]", "location.CRM"),
        ("[location.crm]", '[location."c.m"]', "location"),
        ('"sqlite:///data/crm.sqlite"', '"postgresql://u:s3cret@host/x"', "location.crm.url"),
        ('"sqlite:///data/crm.sqlite"', "5", "location.crm.url"),
        ('"sqlite:///data/crm.sqlite"', '"env:ROPA_TEST_UNSET_NAME"', "location.crm.url"),
        ('"sqlite:///data/crm.sqlite"', '"env:"', "location.crm.url"),
        ('"sqlite:///data/crm.sqlite"', '"file:nowhere"', "location.crm.url"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_its_key_path(ropa: Ropa, old: str, new: str, path: str) -> None:
    found = paths(ropa, with_line(old, new))
    assert any(one == path or one.startswith((f"{path}.", f"{path}[")) for one in found), found


def test_a_secret_in_the_file_is_refused_and_never_repeated(ropa: Ropa) -> None:
    write(ropa, with_line("sqlite:///data/crm.sqlite", "postgresql://u:c4n4ry@host/x"))
    for command in COMMANDS:
        assert "c4n4ry" not in str(ropa.refused(*command))
        assert "c4n4ry" not in ropa(*command, before=("-v",)).err


@pytest.mark.parametrize(
    "text",
    [
        CONFIG + '\n[rule.prospects]\nactivity = "x"\n',
        CONFIG.replace("[safety]", "[safety]\nmax_share = 0.5"),
        CONFIG + "\n[safety]\napprovals = 1\n",
        CONFIG.replace('data.email = ["email"]', 'data.email = ["email"]\ndata.email = ["x"]'),
    ],
)
def test_a_key_that_stands_twice_is_refused(ropa: Ropa, text: str) -> None:
    write(ropa, text)
    assert "once" in str(ropa.refused("plan")["problems"])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n\n", b"# nothing\n", b"\x00", b"\xff\xfe\x00t", b"timezone", b"timezone = ", b"[", b"[[", b"a = 1\x00",
        b'timezone = "Europe/Br\xfcssels"', b"\xef\xbb\xbf", b"= 1", b'a = "', b"a = '''", b"{}", b"null", b"a: 1",
        b'timezone = "Europe/Brussels"\n', b"a.b.c.d = 1", "timezone = \u201cx\u201d".encode(), b"\x1b[31mred",
    ],
)  # fmt: skip
def test_bytes_that_are_no_configuration_are_refused(ropa: Ropa, data: bytes) -> None:
    for command in COMMANDS[:2]:
        assert paths(ropa, data, *command)


BOMBS = {
    "dots": ("a." * 50_000 + "a = 1").encode(),
    "dots, many lines": b"\n".join(("a." * 2000 + f"a{i} = 1").encode() for i in range(200)),
    "brackets": b"a = " + b"[" * 100_000,
    "braces": b"a = " + b"{ b = " * 10_000,
    "tables": b"\n".join(("[" + "a." * 15 + f"b{i}]").encode() for i in range(30_000)),
    "quotes": b'a = "' + b"\\" * 900_000,
    "long line": b"# " + b"x" * 500_000,
    "too large": b"# x\n" * 300_000,
    "digits": b"a = " + b"1" * 4000,
    "dotted keys in inline tables": b"a = {" + b"b.c.d.e.f = 1, " * 60_000,
    "unknown keys": b"\n".join(f"k{i} = 1".encode() for i in range(60_000)),
    "rules": b"\n".join(f"[rule.r{i}]\nperiod = 0".encode() for i in range(12_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_good_time(ropa: Ropa, name: str) -> None:
    write(ropa, BOMBS[name])
    with within(loops=250 if name in {"dots", "brackets"} else 500):
        answer = ropa("plan", code=2)
    assert len(answer.err) < 200_000
    assert answer.out == ""


def test_a_file_that_is_none_is_refused(ropa: Ropa) -> None:
    path = ropa.folder / "config" / "retention.toml"
    path.unlink()
    assert "cannot be opened" in str(ropa.refused("plan")["problems"])
    path.mkdir()
    assert ropa.refused("plan")["problems"]
    path.rmdir()
    os.mkfifo(path)
    assert "is not a file" in str(ropa("plan", "--json", code=2).document["problems"]), "and it does not wait for it"
    path.unlink()
    path.symlink_to("retention.toml")
    assert ropa.refused("plan")["problems"]
    path.unlink()
    path.symlink_to("/dev/zero")
    assert "is not a file" in str(ropa.refused("plan")["problems"])


@pytest.mark.parametrize(("name", "mode"), [("retention.toml", 0o664), ("retention.toml", 0o646), (".", 0o777)])
def test_a_configuration_that_others_may_change_is_refused(ropa: Ropa, name: str, mode: int) -> None:
    path = ropa.folder / "config" / name
    path.chmod(mode)
    for command in COMMANDS:
        assert "may be changed by others" in str(ropa.refused(*command)["problems"])


@pytest.mark.sqlite_state("its file")
def test_a_database_that_others_may_use_is_refused(ropa: Ropa) -> None:
    is_refused(ropa, "ropa.db")


def test_a_key_that_others_may_use_is_refused(ropa: Ropa) -> None:
    is_refused(ropa, "keys/signing.pem")


def is_refused(ropa: Ropa, name: str) -> None:
    path = ropa.folder / "var" / name
    path.chmod(0o666)
    answer = ropa("plan", "--json")
    assert answer.code in {2, 6}, answer
    assert ropa("sweep").code == answer.code


def test_a_secret_file_that_others_may_read_is_refused(ropa: Ropa) -> None:
    secret = ropa.folder / "url.txt"
    secret.write_text("sqlite:///data/crm.sqlite\n")
    write(ropa, with_line("sqlite:///data/crm.sqlite", "file:url.txt"))
    secret.chmod(0o644)
    assert "location.crm.url" in paths(ropa, with_line("sqlite:///data/crm.sqlite", "file:url.txt"))
    secret.chmod(0o400)
    ropa("plan", code=0)


# --- the register -------------------------------------------------------------------------------------------------


def refuse_register(ropa: Ropa, text: str | bytes, name: str = "bad.toml") -> dict[str, object]:
    """Import a register that must be refused; return the error."""
    (ropa.folder / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return ropa.refused("register", "import", name)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('legal_basis = "6.1.b"', 'legal_bases = "6.1.b"', "activity.intake.legal_bases"),
        ('legal_basis = "6.1.b"', 'legal_basis = "6.1.g"', "activity.intake.legal_basis"),
        ('legal_basis = "6.1.b"', "legal_basis = 6.1", "activity.intake.legal_basis"),
        ('legal_basis = "6.1.b"', "legal_basis = []", "activity.intake.legal_basis"),
        ('title = "Offertes"', "title = 5", "activity.intake.title"),
        ('title = "Offertes"', 'title = ""', "activity.intake.title"),
        ('title = "Offertes"', 'title = "\\u0007"', "activity.intake.title"),
        ('title = "Offertes"', f'title = "{"x" * 2001}"', "activity.intake.title"),
        ('role = "controller"', 'role = "boss"', "activity.intake.role"),
        ('purposes = ["Offerte voorbereiden"]', 'purposes = "Offerte"', "activity.intake.purposes"),
        ('subjects = ["prospect"]', "subjects = [1]", "activity.intake.subjects"),
        ('data = ["name", "email", "birth-date"]', 'data = ["Name!"]', "activity.intake.data"),
        ('status = "active"', 'status = "sleeping"', "activity.intake.status"),
        ('status = "active"', 'status = "active"\nended_on = "yesterday"', "activity.intake.ended_on"),
        ('status = "active"', "status = true", "activity.intake.status"),
        ("[activity.intake]", '[activity."In take"]', "activity"),
        ("[recipient.host]", "[recipient.host]\ntransfer = 1", "recipient.host.transfer"),
        ('country = "BE"', 'country = "België"', "organisation.country"),
        ('languages = ["nl"]', 'languages = "nl"', "organisation.languages"),
        ("[organisation]", "[organization]", "organization"),
        ("[organisation]", "[[organisation]]", "organisation"),
    ],
)
def test_a_register_that_cannot_be_meant_is_refused_with_its_key_path(
    ropa: Ropa, old: str, new: str, path: str
) -> None:
    assert old in REGISTER
    error = refuse_register(ropa, REGISTER.replace(old, new, 1))
    found = [problem["path"] for problem in error["problems"]]  # type: ignore[attr-defined]
    assert any(one == path or one.startswith((f"{path}.", f"{path}[", path)) for one in found), found


def test_every_problem_of_a_register_is_told_at_once(ropa: Ropa) -> None:
    text = REGISTER.replace("legal_basis", "legal_bais").replace('role = "controller"', 'role = "x"')
    error = refuse_register(ropa, text)
    assert len(error["problems"]) >= 4  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"x",
        b"[",
        b"\x00",
        b"# only words\n",
        b'a = "\xe9"',
        b"[activity]\n[activity]",
        *BOMBS.values(),
    ],
)
def test_bytes_that_are_no_register_are_refused_in_good_time(ropa: Ropa, data: bytes) -> None:
    (ropa.folder / "bad.toml").write_bytes(data)
    with within(loops=500):
        answer = ropa("register", "import", "bad.toml", "--json", code=2)
    assert answer.document["problems"]
    assert ropa.json("register", "history")["revisions"][-1]["revision"] == 1


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{}", b"[]", b"null", b'{"schema": "ropa.register/2"}', b'{"schema": "ropa.register/1"}', b"[" * 90_000,
        b'{"schema": "ropa.register/1", "schema": "ropa.register/1"}', b'{"a":' * 90_000, b"\xff", b"NaN",
        b'{"schema": "ropa.register/1", "organisation": {"name": 1e999}}', b"1" * 5000,
        b'{"schema": "ropa.register/1", "organisation": {"name": "\\ud800"}}',
    ],
)  # fmt: skip
def test_json_that_is_no_register_is_refused(ropa: Ropa, data: bytes) -> None:
    assert refuse_register(ropa, data, "bad.json")["problems"]


def test_a_register_file_that_is_none_is_refused(ropa: Ropa) -> None:
    (ropa.folder / "folder.toml").mkdir()
    for name in (
        "nowhere.toml",
        "folder.toml",
        "config",
        "register.txt",
        "",
        ".",
        "a/b/c.toml",
        "/dev/null",
        "x" * 999,
    ):
        ropa.refused("register", "import", name)
    assert "is larger" in str(refuse_register(ropa, b"# x\n" * 2_000_000))


def test_a_register_text_that_is_broken_beside_the_configuration_fails_the_check(ropa: Ropa, bare: Ropa) -> None:
    for one in (ropa, bare):
        (one.folder / "register.toml").write_text("[activity.x]\nperiod = 1\n")
        assert "activity.x.period" in str(one.refused("check")["problems"])


def test_a_folder_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    ropa = Ropa(tmp_path)
    (tmp_path / "letter.txt").write_text("keep me")
    before = snapshot(tmp_path)
    for command in (*COMMANDS, ("hold", "list"), ("register", "list"), ("location", "list"), ("apply", "1"), ("halt",)):
        assert "retention.toml" in str(ropa.refused(*command))
    assert snapshot(tmp_path) == before
