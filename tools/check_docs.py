"""The pages of the documentation as things that can be checked: their links, their blocks, their examples.

    python tools/check_docs.py

Fails on a link that leads nowhere (file or heading), on a page that no other page links to, and on an example block
that says neither that it is run nor that it is not. Needs the standard library only.

What a fence's first line may say after its language:

- ``runnable`` (``sh``): run by tests/acceptance/test_docs.py, the blocks of a page in order, in one empty folder; the
  last command's exit code is 0, or N where it says ``exit=N``
- ``file=PATH``: written to that file first
- ``example``: shown only

``<!-- after: PAGE -->`` makes a page start in the folder as PAGE (relative to docs/) leaves it; ``<!-- output -->``
under a runnable block is followed by its output, which ``tools/make_docs.py`` writes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LOOSE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<to>[^)\s]+)\)")
_AFTER = re.compile(r"^<!-- after: (\S+) -->$", re.MULTILINE)
OUTPUT = re.compile(r"^<!-- output -->\n```text\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block of a page."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int
    end: int
    """Position of the character after the fence."""

    @property
    def is_runnable(self) -> bool:
        """Whether it is commands that are run."""
        return "runnable" in self.words

    @property
    def file(self) -> str | None:
        """The file that it is the content of."""
        return next((word.removeprefix("file=") for word in self.words if word.startswith("file=")), None)

    @property
    def exit_code(self) -> int:
        """What its last command ends with."""
        return next((int(word.removeprefix("exit=")) for word in self.words if word.startswith("exit=")), 0)


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    found = []
    for match in _FENCE.finditer(text):
        language, *words = match["info"].split() or [""]
        found.append(Block(language, tuple(words), match["text"], text.count("\n", 0, match.start()) + 1, match.end()))
    return found


def pages() -> list[Path]:
    """Return every page: those of docs/ and those at the root."""
    return sorted(DOCS.rglob("*.md")) + [ROOT / name for name in LOOSE if (ROOT / name).exists()]


def runnable_pages() -> list[Path]:
    """Return the pages with commands that are run."""
    return [page for page in pages() if any(block.is_runnable for block in blocks(page.read_text(encoding="utf-8")))]


def predecessor(text: str) -> Path | None:
    """Return the page whose folder this one starts in."""
    found = _AFTER.search(text)
    return DOCS / found[1] if found else None


def lineage(page: Path) -> list[Path]:
    """Return a page after those that it starts from."""
    before = predecessor(page.read_text(encoding="utf-8"))
    return [*(lineage(before) if before else []), page]


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of one block."""

    block: Block
    exit_code: int
    output: str
    """Both streams, as a terminal shows them."""


def wrong_of(ran: Iterable[Ran]) -> list[Ran]:
    """Return what did not end as its page says, or ended by an error that nobody foresaw."""
    return [
        one
        for one in ran
        if one.exit_code != one.block.exit_code or "Traceback" in one.output or "unexpected error" in one.output
    ]


def run_page(page: Path, folder: Path, environment: Mapping[str, str]) -> Iterator[Ran]:
    """Run the blocks of a page in ``folder``, which is what its predecessor left, or empty."""
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.file is not None:
            target = folder / block.file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.is_runnable:
            ran = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.text],
                cwd=folder,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            yield Ran(block, ran.returncode, ran.stdout)


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a reader who has just installed ``ropa``: it and its Python come first on the PATH."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ROPA_", "PYTEST_"))}
    beside = Path(sys.executable).parent
    return {**kept, "PATH": f"{beside}:{kept.get('PATH', '')}", "HOME": str(home), "LC_ALL": "C.UTF-8"}


def shows_outputs(page: Path) -> bool:
    """Tell whether a page shows what its commands print, so that ``tools/make_docs.py --check`` runs them."""
    return "<!-- output -->" in page.read_text(encoding="utf-8")


class Runner:
    """Runs pages, each in a folder of its own, and each predecessor once."""

    def __init__(self, work: Path, environment: Mapping[str, str]) -> None:
        self._work = work
        self._environment = environment
        self._done: dict[Path, tuple[Path, list[Ran]]] = {}

    def run(self, page: Path) -> list[Ran]:
        """Return what became of each block of a page."""
        return self._run(page)[1]

    def run_all(self, pages: Iterable[Path]) -> None:
        """Run pages, as many at once as the machine has processors; ``run`` then has what became of them."""
        rows: dict[int, set[Path]] = {}
        for page in pages:
            line = lineage(page)
            for depth, member in enumerate(line):
                rows.setdefault(depth, set()).add(member)
        with ThreadPoolExecutor(os.cpu_count()) as executor:
            for _, row in sorted(rows.items()):  # a page's predecessor is in the row before
                list(executor.map(self._run, sorted(row)))

    def _run(self, page: Path) -> tuple[Path, list[Ran]]:
        if page not in self._done:
            # The last part of the name is the same for all: commands see the folder's name.
            folder = self._work / "-".join(page.with_suffix("").parts[-2:]) / "project"
            before = predecessor(page.read_text(encoding="utf-8"))
            if before is not None:
                left, _ = self._run(before)
                shutil.copytree(left, folder, symlinks=True)
            else:
                folder.mkdir(parents=True)
            self._done[page] = (folder, list(run_page(page, folder, self._environment)))
        return self._done[page]


# --- links ----------------------------------------------------------------------------------------------------------


def anchor_of(heading: str) -> str:
    """Return the anchor that a heading gets on GitHub and GitLab."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", lambda found: found[1] or "", heading).strip().lower()
    kept = "".join(c for c in plain if c in " -_" or unicodedata.category(c)[0] in "LN")
    return kept.replace(" ", "-")


def without_fences(text: str) -> str:
    """Return a page without its blocks and code, which hold no links; the number of lines stays."""
    text = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), text)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings."""
    bare = _FENCE.sub("", text)
    return {anchor_of(found[1]) for found in re.finditer(r"^#{1,6} (.+)$", bare, re.MULTILINE)}


def link_problems(page: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere."""
    for found in _LINK.finditer(without_fences(page.read_text(encoding="utf-8"))):
        to = found["to"]
        if re.match(r"[a-z]+:", to):
            continue
        path, _, anchor = to.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            yield f"{page.relative_to(ROOT)}: {to} leads nowhere"
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            yield f"{page.relative_to(ROOT)}: {to}: no such heading"


def orphans() -> Iterator[str]:
    """Yield the pages of docs/ that no page links to."""
    reached = set()
    for page in pages():
        for found in _LINK.finditer(without_fences(page.read_text(encoding="utf-8"))):
            target = (page.parent / found["to"].partition("#")[0]).resolve()
            reached |= {target} if target != page.resolve() else set()
    for page in pages():
        if page.is_relative_to(DOCS) and page.resolve() not in reached:
            yield f"{page.relative_to(ROOT)}: no page links to it"


def block_problems(page: Path) -> Iterator[str]:
    """Yield blocks of commands and configuration that do not say whether they are run."""
    text = page.read_text(encoding="utf-8")
    if text.count("```") % 2:
        yield f"{page.relative_to(ROOT)}: a fence is not closed"
    for block in blocks(text):
        is_said = block.is_runnable or block.file is not None or "example" in block.words
        if block.language in {"sh", "toml", "python", "sql"} and not is_said:
            yield f"{page.relative_to(ROOT)}:{block.line}: say runnable, file=PATH or example"


def main() -> int:
    """Check, print and return the exit code."""
    problems = [problem for page in pages() for check in (link_problems, block_problems) for problem in check(page)]
    problems += orphans()
    for problem in problems:
        print(problem)
    print(f"docs: {len(problems) or 'no'} problems in {len(pages())} pages")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
