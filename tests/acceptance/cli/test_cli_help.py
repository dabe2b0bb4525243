"""Help, versions, and what a call that does not fit is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from cli_kit import Ropa, call, from_outside

from ropa import __version__
from ropa.cli.app import app

COMMANDS = {
    "demo", "init", "check", "register", "location", "plan", "approve", "reject", "apply", "mandate", "sweep", "halt",
    "resume", "explain", "hold", "finding", "ledger", "reapply", "report", "schedule", "status",
    "worker",
}  # fmt: skip
SUBCOMMANDS = {
    "register": {"import", "export", "list", "show", "add", "edit", "end", "history", "diff"},
    "location": {"list", "check", "discover"},
    "plan": {"list", "show", "diff"},
    "mandate": {"add", "list", "revoke"},
    "hold": {"add", "list", "release"},
    "finding": {"list", "show", "resolve"},
    "ledger": {"verify", "show", "prove", "checkpoint", "export"},
}
OPTIONS = {
    ("check",): {"--offline"},
    ("register", "export"): {"--format"},
    ("plan",): {"--as-of", "--rule", "--dataset", "--by", "--reason"},
    ("plan", "show"): {"--records"},
    ("approve",): {"--by", "--reason", "--digest"},
    ("reject",): {"--by", "--reason"},
    ("mandate", "add"): {"--by", "--reason", "--until", "--max-records", "--max-growth"},
    ("explain",): {"--as-of"},
    ("hold", "add"): {
        "--record", "--subject", "--dataset", "--location", "--activity", "--reason", "--by", "--review",
    },
    ("hold", "release"): {"--by", "--reason"},
    ("finding", "resolve"): {"--by", "--reason"},
    ("report",): {"--format", "--lang", "-o", "--bundle"},
    ("halt",): {"--by", "--reason"},
    ("apply",): {"--by", "--reason"},
    ("sweep",): {"--by", "--reason"},
    ("mandate", "revoke"): {"--by", "--reason"},
    ("resume",): {"--by", "--reason"},
    ("register", "import"): {"--by", "--reason"},
    ("register", "add"): {"--by", "--reason"},
    ("register", "edit"): {"--by", "--reason"},
    ("register", "end"): {"--by", "--reason"},
}  # fmt: skip


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command there is, with the words that call it."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        yield (*path, name), command
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))


def leaves() -> list[tuple[tuple[str, ...], Any]]:
    """Every command that does something by itself."""
    return [(p, c) for p, c in commands() if not hasattr(c, "commands") or c.invoke_without_command]


def test_the_commands_of_the_contract_are_there_and_no_others() -> None:
    found = dict(commands())
    assert {path[0] for path in found if len(path) == 1} == COMMANDS
    for group, names in SUBCOMMANDS.items():
        assert {path[1] for path in found if len(path) == 2 and path[0] == group} == names


def test_the_options_of_the_contract_are_there() -> None:
    found = dict(commands())
    for path, options in OPTIONS.items():
        have = {opt for param in found[path].params for opt in param.opts}
        assert options <= have, path


@pytest.mark.parametrize("path", [path for path, _ in leaves()], ids=" ".join)
def test_every_command_takes_json_and_every_option_and_argument_is_explained(path: tuple[str, ...]) -> None:
    command = dict(commands())[path]
    assert "--json" in {opt for param in command.params for opt in param.opts}
    assert command.help
    for param in command.params:
        assert param.help, f"{param.name} of {path} has no help"
    answer = call(*path, "--help")
    assert answer.code == 0
    assert answer.err == ""
    assert answer.out.startswith("Usage: ropa ")


def test_help_opens_with_an_example_and_lists_every_exit_code() -> None:
    answer = from_outside("--help")
    assert answer.code == 0
    usage, _, rest = answer.out.partition("\n\n")
    assert usage.startswith("Usage: ropa")
    assert rest.lstrip().startswith("Example")
    assert "ropa demo" in rest.splitlines()[1]
    codes = rest[rest.index("Exit codes") :]
    for code in ("0", "1", "2", "3", "4", "5", "6", "75", "130", "143"):
        assert re.search(rf"^ .*\b{code}\b", codes, re.MULTILINE), code
    assert call("-h").out == answer.out


def test_the_version_stands_before_the_command_and_needs_no_folder(tmp_path: Path) -> None:
    answer = from_outside("--version", cwd=tmp_path)
    assert (answer.code, answer.out, answer.err) == (0, f"ropa {__version__}\n", "")
    assert list(tmp_path.iterdir()) == []


def test_the_examples_of_the_help_are_commands_that_exist() -> None:
    found = dict(commands())
    text = call("--help").out
    for line in re.findall(r"^ +ropa (\S.*)$", text, re.MULTILINE):
        words = tuple(line.split())
        assert words[:1] in found or words[:2] in found, line


@pytest.mark.parametrize(
    "arguments",
    [("request", "list"), ("request",), ("request", "add", "x")],
    ids=" ".join,
)
def test_a_command_of_a_later_version_is_an_unknown_command_and_the_answer_says_what_there_is(
    ropa: Ropa, arguments: tuple[str, ...]
) -> None:
    error = ropa.refused(*arguments)
    assert arguments[0] in error["message"]
    assert all(name in error["next_step"] for name in COMMANDS)


@pytest.mark.parametrize("form", ["docx", "ods", "json-ld", "HTML", "", "htm", "toml"])
def test_an_unknown_format_of_the_report_is_refused_with_those_that_exist(ropa: Ropa, form: str) -> None:
    error = ropa.refused("report", "--format", form)
    assert all(name in error["next_step"] for name in ("html", "json", "csv"))


@pytest.mark.parametrize("lang", ["pl", "FR", "xx", "", "NL", "../en"])
def test_an_unknown_language_of_the_report_is_refused_with_those_that_exist(ropa: Ropa, lang: str) -> None:
    error = ropa.refused("report", "--lang", lang)
    assert all(name in error["next_step"] for name in ("nl", "fr", "de", "en"))


@pytest.mark.parametrize("form", ["ods", "csv", "", "TOML"])
def test_an_unknown_format_of_the_register_export_is_refused_with_those_that_exist(ropa: Ropa, form: str) -> None:
    error = ropa.refused("register", "export", "--format", form)
    assert all(name in error["next_step"] for name in ("toml", "json"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "show"),
        ("plan", "show", "1", "2"),
        ("plan", "nonsense"),
        ("plan", "--bogus"),
        ("--bogus", "plan"),
        ("approve",),
        ("approve", "1"),
        ("approve", "1", "--by", "An"),
        ("reject", "1"),
        ("apply",),
        ("explain",),
        ("explain", "crm.contacts"),
        ("explain", "crm.contacts", "-5"),
        ("register", "import"),
        ("register", "end", "intake"),
        ("hold", "add"),
        ("ledger", "export"),
        ("ledger", "prove", "crm.contacts"),
        ("finding", "show"),
        ("mandate", "add", "prospects"),
        ("check", "extra"),
        ("status", "--offline"),
        ("plan", "--by", "An", "list"),
        ("plan", "--as-of", "2020-01-01", "show", "1"),
    ],
    ids=" ".join,
)
def test_a_call_that_does_not_fit_is_told_so_and_touches_nothing(ropa: Ropa, arguments: tuple[str, ...]) -> None:
    assert ropa.refused(*arguments)["code"] in {"usage", None}


@pytest.mark.parametrize("arguments", [(), ("register",), ("ledger",), ("hold",)], ids=" ".join)
def test_a_group_by_itself_shows_what_there_is(arguments: tuple[str, ...]) -> None:
    answer = call(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Usage: ropa")


def test_an_option_without_its_value_is_refused(ropa: Ropa) -> None:
    for arguments in (
        ("plan", "--as-of"),
        ("plan", "--rule"),
        ("hold", "add", "--record", "crm.contacts"),
        ("report", "-o"),
        ("report", "--bundle"),
    ):
        assert ropa(*arguments, code=2).err


def test_one_slip_of_the_finger_is_suggested(ropa: Ropa) -> None:
    assert "approve" in ropa.refused("aprove", "1")["message"]
    assert "--as-of" in ropa.refused("plan", "--asof", "2020-01-01")["message"]
