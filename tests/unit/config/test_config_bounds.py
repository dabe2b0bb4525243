"""Whatever bytes stand in the file, the answer is a document or a typed error, and it comes at once."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pace import within

from ropa.config import Config, load, parse_toml, raise_unusable_values, read_toml
from ropa.config.bounds import MAX_BRACKETS, MAX_BYTES, MAX_DOTS, MAX_KEYS, MAX_LINE
from ropa.errors import ConfigurationError, RegisterError

BOMBS = {
    "a dotted key of 100 KB": ".".join("a" * 50_000) + " = 1",
    "a dotted key over quoted parts": ".".join(['"a"'] * 900) + " = 1",
    "a dotted header": "[" + ".".join("a" * 1000) + "]",
    "100,000 brackets in one line": "x = " + "[" * 100_000,
    "100,000 brackets in as many lines": "x = [\n" + "[\n" * 100_000,
    "100,000 inline tables": "x = " + "{a=" * 1000,
    "brackets after strings that hold brackets": 'x = ["]]]]", \'\'\'\n]]]]\'\'\', """\n]]]]\\"""", '
    + "[ # ]]]\n" * 50_000,
    "a line that is too long": "x = '" + "y" * MAX_LINE + "'",
    "a file that is too large": "# x\n" * (MAX_BYTES // 4 + 1),
    "quotes without end": '"""' * 300_000,
    "only dots and lines": ".\n" * 500_000,
    "only closing brackets": "]\n" * 500_000,
    "a number of 4,000 digits": "x = " + "9" * 4000,
    "a megabyte of unknown keys": "\n".join(f"a{number} = 1" for number in range(60_000)),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_before_it_grows(write, types, name):
    folder = write(BOMBS[name])
    with within(loops=1000), pytest.raises(ConfigurationError) as caught:
        load(folder, types)
    assert caught.value.exit_code == 2
    assert all(len(str(problem)) < 400 for problem in caught.value.problems)


def nested(brackets: int, dots: int) -> str:
    return "x = " + "[" * brackets + "]" * brackets + "\n" + ".".join("a" * (dots + 1)) + " = 1\n"


def test_nesting_up_to_the_bounds_is_read_and_one_more_is_not(write):
    file = write(nested(MAX_BRACKETS, MAX_DOTS)) / "config" / "retention.toml"
    document, data = read_toml(file)
    assert document.keys() == {"x", "a"}
    assert data == file.read_bytes()
    for text in (nested(MAX_BRACKETS + 1, MAX_DOTS), nested(MAX_BRACKETS, MAX_DOTS + 1)):
        with pytest.raises(ConfigurationError, match="deeper"):
            read_toml(write(text) / "config" / "retention.toml")


def test_a_line_up_to_the_bound_is_read(write):
    file = write("#" * MAX_LINE + "\nx = 1") / "config" / "retention.toml"
    assert read_toml(file)[0] == {"x": 1}


def test_as_many_values_as_the_bound_are_read_and_one_more_is_not(write):
    text = "\n".join(f"a{number} = 1" for number in range(MAX_KEYS))
    assert len(read_toml(write(text) / "config" / "retention.toml")[0]) == MAX_KEYS
    with pytest.raises(ConfigurationError, match=f"line {MAX_KEYS + 1}: gives more than {MAX_KEYS:,} values"):
        read_toml(write(text + "\nb = 1") / "config" / "retention.toml")


@pytest.mark.parametrize(
    "text",
    [
        "x = '''" + "[" * 50 + "'''",
        'x = """\n' + "a.b." * 50 + '"""""',
        'x = "' + '\\"[' * 50 + '"',
        "x = '" + "[" * 50 + "\\'",
        "# " + "[" * 50 + "\nx = 1",
        '"' + "." * 50 + '" = 1',
        "x = [" + "1.5, " * 50 + "]",
    ],
)  # fmt: skip
def test_what_stands_in_texts_and_comments_does_not_nest(write, text):
    assert read_toml(write(text) / "config" / "retention.toml")[0]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("timezone = ", "line 1, column 12"),
        ("a = 1\nb = [1,\n", "line 3, column 1"),
        ("a = 1\na = 2\n", "line 2, column 6"),
        ("[a]\nb = 1\n[a]\n", "line 3, column 3"),
        ("a = 1\r\n= 2\r\n", "line 2, column 1"),
        ("x = 2026-13-45", "line 1, column "),
    ],
)
def test_what_is_not_toml_is_reported_with_line_and_column(write, types, text, place):
    folder = write(text)
    with pytest.raises(ConfigurationError) as caught:
        load(folder, types)
    (problem,) = caught.value.problems
    assert problem.path == str(folder / "config" / "retention.toml")
    assert place in problem.message


@pytest.mark.parametrize(
    "data", [b"", b"  \n", b"# only a comment\n", b"\xef\xbb\xbf", b"a = '\xff'", b"\x00", b"a = 'x\x00'"]
)
def test_a_file_without_sound_text_is_refused_by_name(write, types, data):
    folder = write(data)
    with pytest.raises(ConfigurationError) as caught:
        load(folder, types)
    assert [problem.path for problem in caught.value.problems] == [str(folder / "config" / "retention.toml")]


def test_a_file_that_is_missing_is_refused_by_name(tmp_path, types):
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, types)
    assert caught.value.problems[0].path == str(tmp_path / "config" / "retention.toml")
    assert "No such file" in caught.value.message


def test_a_folder_or_a_pipe_in_place_of_the_file_is_refused(tmp_path, types):
    (tmp_path / "config").mkdir()
    file = tmp_path / "config" / "retention.toml"
    for make in (file.mkdir, lambda: os.mkfifo(file)):
        make()
        with pytest.raises(ConfigurationError, match="is not a file"):
            load(tmp_path, types)
        file.rmdir() if file.is_dir() else file.unlink()
    with pytest.raises(ConfigurationError, match="bad file name"):
        read_toml(Path("a\0b"))


def test_a_file_that_may_not_be_read_is_refused_by_name(write, types, monkeypatch):
    folder = write("timezone = 'UTC'")

    def deny(*_args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ropa.config.bounds.os.open", deny)
    with pytest.raises(ConfigurationError, match="Permission denied"):
        load(folder, types)


def test_a_parser_that_gives_up_is_an_error_of_the_file(write, types, monkeypatch):
    folder = write("timezone = 'UTC'")
    for failure in (RecursionError("too deep"), ValueError("too many digits")):

        def give_up(_text: str, failure: Exception = failure) -> None:
            raise failure

        monkeypatch.setattr("ropa.config.bounds.tomllib.loads", give_up)
        with pytest.raises(ConfigurationError, match="cannot be read as TOML"):
            load(folder, types)


def test_the_register_gets_its_own_error(tmp_path):
    with pytest.raises(RegisterError) as caught:
        read_toml(tmp_path / "register.toml", RegisterError)
    assert caught.value.problems[0].path == str(tmp_path / "register.toml")


def test_a_text_that_is_no_file_is_parsed_within_the_same_bounds():
    assert parse_toml(b"a = 1", "the import", RegisterError) == {"a": 1}
    for data in (b"", b"a = ", b"\xff", b"x = " + b"[" * 1000, b"#\n" * MAX_BYTES):
        with pytest.raises(RegisterError) as caught:
            parse_toml(data, "the import", RegisterError)
        assert caught.value.problems[0].path == "the import"


def test_unusable_values_are_told_by_key_path():
    document = {
        "a": {"b": [float("inf"), "ok", " "]},
        "c": 2**64,
        "d": "x\x1b[2J",
        "e": [{"f.g": float("nan")}],
        "h": True,
    }
    with pytest.raises(RegisterError) as caught:
        raise_unusable_values(document, RegisterError, Path("register.toml"))
    assert [problem.path for problem in caught.value.problems] == ["a.b[0]", "a.b[2]", "c", "d", 'e[0]."f.g"']
    raise_unusable_values({"a": ["x\ny", 1, 0.5, False]}, RegisterError, Path("register.toml"))


PIECES = [
    "[", "]", "[[", "]]", "{", "}", "=", ",", ".", "\n", '"', "'", '"""', "'''", "#", " ", "\\", "\r\n", "\t",
    "timezone", "safety", "state", "ledger", "location", "rule", "crm", "dataset", "contacts", "connector", '"sql"', "url",
    '"sqlite:///x"', "source", "anchor", "data", "name", "key", "parent", "via", "period", '"6 months"', "action", '"purge"',
    "where", "mask", "not", "null", "true", "inf", "nan", "1e400", "0", "-1", "5.5", "2026-01-31", "12:00", "latest", "column",
    "format", "pattern", '"%Y"', '"crm.contacts"', '"env:X"', "batch_size", "country", "max_share", "\u200b", "é", "\x00",
]  # fmt: skip
VALUES = st.recursive(
    st.sampled_from(['"x"', '""', "0", "1", "-1", "true", "inf", "nan", "1e400", "2026-01-31", "12:00:00", '"6 months"', '"*"',
                     '"crm.contacts"', '"created"', '"purge"', '"keep"', '"env:X"', '"file:"', '"sql"', '"crm.contacts:x"', '"UTC"']),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(st.sampled_from(["not", "null", "column", "latest", "dataset", "via", "a"]), inner, max_size=2).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        ),
    ),
    max_leaves=4,
)  # fmt: skip
KEYS = st.sampled_from([
    "timezone", "safety", "safety.max_records", "safety.approval_valid", "state.database", "ledger.origin", "location", "rule",
    "location.crm", "location.crm.connector", "location.crm.url", "location.crm.password", "location.crm.country",
    "location.crm.dataset", "location.crm.dataset.contacts", "location.crm.dataset.contacts.source",
    "location.crm.dataset.contacts.anchor.created", "location.crm.dataset.contacts.data.name",
    "location.crm.dataset.contacts.data", "location.crm.dataset.contacts.parent", "rule.r", "rule.r.activity", "rule.r.dataset",
    "rule.r.data", "rule.r.anchor", "rule.r.period", "rule.r.action", "rule.r.where", "rule.r.where.a", "rule.r.mask", "rule.r.reason",
])  # fmt: skip
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def is_read_or_refused(folder: Path, types: dict) -> None:
    read: Config | ConfigurationError
    try:
        read = load(folder, types)
    except ConfigurationError as error:
        read = error
    if isinstance(read, Config):
        assert read.locations
    else:
        assert read.problems
        assert all(problem.path and problem.message for problem in read.problems)


@FUZZ
@given(
    st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
)
def test_any_bytes_are_read_or_refused(write, types, data):
    is_read_or_refused(write(data), types)


@FUZZ
@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_any_heap_of_toml_pieces_is_read_or_refused(write, types, text):
    is_read_or_refused(write(text), types)


@FUZZ
@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=12))
def test_any_value_under_any_known_key_is_read_or_refused(write, types, lines):
    is_read_or_refused(write("\n".join(f"{key} = {value}" for key, value in sorted(lines.items()))), types)
