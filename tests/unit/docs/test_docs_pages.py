"""The documentation against the program: commands and options that are named exist, links resolve, rooms are told."""

from __future__ import annotations

import re
import shlex
from functools import lru_cache
from pathlib import Path

import click
import pytest
import typer

from ropa.cli.app import app
from tools import check_docs

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PAGES = {str(page.relative_to(ROOT)): page.read_text(encoding="utf-8") for page in check_docs.pages()}
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


def calls(text: str) -> list[list[str]]:
    """Return every call of ropa on a page, in blocks of commands and between backticks, as words."""
    lines = [line for block in check_docs.blocks(text) if block.language == "sh" for line in block.text.splitlines()]
    lines += [
        found[1]
        for found in re.finditer(r"`(ropa [^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL))
    ]
    found = []
    for line in lines:
        plain = re.sub(r"\$\(.*?\)(?= |\"|$)", "X", re.sub(r"  +#.*$", "", line.strip()))
        for part in re.split(r" \| | \|\| | && ", plain):
            if re.match(r"(\.venv/bin/)?ropa ", part) and "<" not in part and "…" not in part.partition("--")[0]:
                found.append(shlex.split(part)[1:])
    return found


@lru_cache
def _commands() -> click.Group:
    return typer.main.get_command(app)


def problem_of(words: list[str]) -> str | None:
    """Return what is wrong with a call, None where the program takes it."""
    command = _commands()
    root = {name for param in command.params for name in param.opts} | {"--help"}
    while words and words[0].startswith("-"):
        if words[0] not in root:
            return f"no option {words[0]}"
        words = words[2 if words[0] == "-C" else 1 :]
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    if command.name == "ropa" and words:
        return f"no command {words[0]}"
    known = {name for param in command.params for name in param.opts} | {"--help"}
    unknown = [word for word in words if word.startswith("--") and word.partition("=")[0] not in known]
    return f"{command.name}: no option {unknown}" if unknown else None


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_command_and_option_that_a_page_names_exists(page):
    assert [(words, problem) for words in calls(PAGES[page]) if (problem := problem_of(words))] == []


def test_a_command_or_option_that_does_not_exist_is_found():
    assert problem_of(["purge", "now"])
    assert problem_of(["plan", "--force"])
    assert problem_of(["--force", "plan"])
    assert problem_of(["-C", "x", "plan", "show", "1", "--records"]) is None
    assert calls("```sh example\nropa plan   # why\nx=$(ropa status --json) || true\n```\nUse `ropa apply 1`.") == [
        ["plan"],
        ["apply", "1"],
    ]


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_make_target_that_a_page_names_exists(page):
    lines = [
        line for block in check_docs.blocks(PAGES[page]) if block.language == "sh" for line in block.text.splitlines()
    ]
    named = [found[1] for line in lines if (found := re.match(r"make ([a-z-]+)", line))]
    named += re.findall(r"`make ([a-z-]+)`", PAGES[page])
    assert set(named) <= TARGETS


def test_the_readme_opens_with_what_it_does_a_picture_and_the_two_commands():
    opening = README.partition("## Without make")[0]
    assert opening.startswith("# ropa\n")
    assert "docs/images/report.png" in opening
    first = check_docs.blocks(opening)[0].text
    assert [line.partition(" #")[0].strip() for line in first.splitlines()] == ["make demo", "make test"]


def test_the_form_without_make_installs_what_make_installs():
    commands = " ".join(block.text for block in check_docs.blocks(README))
    for words in (
        "--require-hashes -r requirements/core.txt -r requirements/build.txt",
        "--require-hashes -r requirements/dev.txt",
        "--no-deps --no-build-isolation",
        "pytest -n 2",
        "ropa demo",
    ):
        assert words in commands
        assert words in MAKEFILE
    for path in re.findall(r"-r (\S+)", commands):
        assert (ROOT / path).is_file()


@pytest.mark.parametrize("page", check_docs.pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve_and_blocks_say_whether_they_are_run(page):
    assert list(check_docs.link_problems(page)) == []
    assert list(check_docs.block_problems(page)) == []


def test_every_page_is_reached_from_another():
    assert list(check_docs.orphans()) == []


def test_a_link_that_leads_nowhere_is_found(monkeypatch, tmp_path):
    monkeypatch.setattr(check_docs, "ROOT", tmp_path)
    (tmp_path / "other.md").write_text("# A *good* `heading`, really\n")
    page = tmp_path / "page.md"
    page.write_text(
        "[a](other.md) [b](gone.md) [c](other.md#a-good-heading-really) [d](other.md#bad) [e](https://example.org)\n"
        "`[f](gone.md)`\n\n```text\n[g](gone.md)\n```\n\n```sh\nropa plan\n```\n"
    )
    assert [text.partition(": ")[2] for text in check_docs.link_problems(page)] == [
        "gone.md leads nowhere",
        "other.md#bad: no such heading",
    ]
    assert len(list(check_docs.block_problems(page))) == 1


def test_every_room_and_connector_is_told_of():
    rooms = {
        path.stem for path in (ROOT / "ropa").iterdir() if not path.name.startswith("_") and path.name != "examples"
    }
    told = PAGES["CONTRIBUTING.md"] + PAGES["docs/explanation/design.md"]
    assert {room for room in rooms - {"py", "migrations"} if room not in told} == set()
    connectors = {"sql", "sql-postgresql", "sql-mariadb", "sql-other", "files", "weblog", "memory", "manual"}
    connectors |= {"dataverse", "outlook", "sharepoint"}
    assert {path.stem for path in (ROOT / "docs/reference/connectors").glob("*.md")} == connectors


def test_no_document_of_the_program_is_missing_from_the_reference():
    made = {
        name
        for path in (ROOT / "ropa").rglob("*.py")
        for name in re.findall(r'"(ropa\.[a-z-]+/\d+)"', path.read_text(encoding="utf-8"))
    }
    assert made
    assert {name for name in made if name not in PAGES["docs/reference/json.md"]} == set()
