"""The Containerfile, read and carried out without a container engine: its commands by ``sh -e``, its copies by copying.

Paths of the image are given as build arguments (``PREFIX``, ``PROJECT``, ``STATE``), so that they lie in a folder of the
test's own. Only the instructions that the file uses are known; another one is an error, never passed over.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "container" / "Containerfile"
_VARIABLE = re.compile(r"\$\{(\w+)\}")


@dataclass(frozen=True)
class Instruction:
    word: str
    text: str

    @property
    def argv(self) -> list[str]:
        """The exec form; a shell form is an error here."""
        return json.loads(self.text)


@dataclass
class Stage:
    image: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def all(self, word: str) -> list[Instruction]:
        return [one for one in self.instructions if one.word == word]

    def one(self, word: str) -> Instruction:
        (found,) = self.all(word)
        return found


def instructions(text: str) -> Iterator[Instruction]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            word, _, rest = line.strip().partition(" ")
            yield Instruction(word, re.sub(r" {2,}", " ", rest.strip()))


def stages(text: str) -> tuple[dict[str, str], list[Stage]]:
    """The arguments before the first stage, and the stages."""
    arguments: dict[str, str] = {}
    found: list[Stage] = []
    for one in instructions(text):
        if one.word == "FROM":
            image, _, name = one.text.partition(" AS ")
            found.append(Stage(expanded(image, arguments), name))
        elif found:
            found[-1].instructions.append(one)
        else:
            assert one.word == "ARG", one
            name, _, value = one.text.partition("=")
            arguments[name] = value
    return arguments, found


def expanded(text: str, variables: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda match: variables[match[1]], text)


def carry_out(
    stage: Stage, *, workdir: Path, given: Mapping[str, str], environment: Mapping[str, str]
) -> dict[str, str]:
    """Do what a builder does with a stage; return the environment that a container of it has."""
    arguments: dict[str, str] = {}
    lasting: dict[str, str] = {}
    for one in stage.instructions:
        seen = {**environment, **arguments, **lasting}
        match one.word:
            case "ARG":
                name, _, value = one.text.partition("=")
                arguments[name] = given.get(name, value)
            case "ENV":
                for name, value in re.findall(r'(\w+)="?([^"\s]*)"?', one.text):
                    lasting[name] = expanded(value, seen)
            case "COPY":
                _copy(one.text, workdir, seen)
            case "RUN":
                environ = {**seen, "PATH": seen["PATH"]}
                subprocess.run(
                    ["sh", "-e", "-c", one.text], cwd=workdir, env=environ, check=True, stdout=subprocess.DEVNULL
                )
            case "WORKDIR" | "LABEL" | "USER" | "STOPSIGNAL" | "HEALTHCHECK" | "ENTRYPOINT" | "CMD":
                pass
            case _:
                raise AssertionError(one)
    return lasting


def _copy(text: str, workdir: Path, variables: Mapping[str, str]) -> None:
    words = expanded(text, variables).split()
    if words[0].startswith("--from="):
        _, source, target = words
        assert source == target, "what is built for one path is copied to that path"
        assert Path(source).is_dir()
        return
    *sources, target = words
    for source in sources:
        origin, to = ROOT / source, workdir / target
        if origin.is_dir():
            shutil.copytree(origin, to, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"), dirs_exist_ok=True)
        else:
            shutil.copyfile(origin, to / source if target.endswith("/") else to)
