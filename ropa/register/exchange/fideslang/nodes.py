"""YAML from outside as plain nodes: texts, lists and tables with their lines, within bounds.

Invariants: nothing in the text is ever made into an object; an alias, an anchor, a tag, a merge key and a key that
stands twice are refused, so that what is read is no larger than what was written; every bound is checked while the
text is parsed and not after; a message names lines and bounds and never a value. A scalar stays the text it was
written as (``NO`` is Norway, ``010`` is no eight); what it means is decided where it is used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ropa.config.bounds import MAX_BYTES
from ropa.errors import ConfigurationError, Problem, RegisterError

LARGEST = 4 * MAX_BYTES
DEEPEST = 24
MOST_NODES = 100_000
LONGEST_KEY = 200
"""Characters."""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar as it was written."""

    value: str
    line: int
    is_plain: bool
    """Without quotation marks."""

    @property
    def is_nothing(self) -> bool:
        """Whether it is YAML's null, or blank."""
        return not self.value.strip() or (self.is_plain and self.value in _NOTHING)


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    line: int
    items: list[Node] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Table:
    """A mapping of texts to nodes."""

    line: int
    entries: dict[str, Node] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    """The line of each key."""


Node = Text | Sequence | Table


def says_nothing(node: Node) -> bool:
    """Whether a node is null, blank, or empty."""
    match node:
        case Text():
            return node.is_nothing
        case Sequence():
            return not node.items
        case Table():
            return not node.entries


def read_nodes(data: bytes, name: str) -> list[Node]:
    """Return the root of each document of a YAML text.

    Raises RegisterError, with the line, for what is not YAML, past a bound or refused; ConfigurationError where PyYAML
    is not installed.
    """
    yaml = yaml_library()
    if len(data) > LARGEST:
        raise broken(name, f"is larger than {LARGEST:,} bytes")
    try:
        text = data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as failure:
        line = data.count(b"\n", 0, failure.start) + 1
        raise broken(name, f"line {line}: is not UTF-8") from None
    builder = _Builder()
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            builder.take(type(event).__name__, event)
    except _Refused as refused:
        raise broken(name, str(refused)) from None
    except yaml.MarkedYAMLError as failure:
        mark = failure.problem_mark or failure.context_mark
        at = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise broken(name, f"{at}is not YAML") from None
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError):
        raise broken(name, "is not YAML, or has a control character in it") from None
    return builder.roots


def yaml_library() -> Any:
    """Return PyYAML. Raises ConfigurationError where it is not installed."""
    try:
        import yaml
    except ImportError:
        raise ConfigurationError(
            "fideslang is written in YAML, for which PyYAML is needed",
            (Problem("pyyaml", "is not installed"),),
            next_step="Run: pip install 'ropa[fides]'",
        ) from None
    return yaml


def broken(name: str, trouble: str) -> RegisterError:
    """Return the error for a file that cannot be used at all."""
    return RegisterError(
        f"{name}: {trouble}", (Problem(name, trouble),), next_step=f"Mend {name}; nothing was changed."
    )


class _Refused(Exception):  # noqa: N818 - never leaves this module
    pass


class _Builder:
    """Puts nodes together from the parser's events; keeps its own stack, so that depth costs no recursion."""

    def __init__(self) -> None:
        self.roots: list[Node] = []
        self._open: list[Sequence | Table] = []
        self._keys: list[str | None] = []
        self._count = 0

    def take(self, kind: str, event: Any) -> None:
        if kind in {"SequenceEndEvent", "MappingEndEvent"}:
            self._keys.pop()
            self._open.pop()
        elif kind in {"ScalarEvent", "SequenceStartEvent", "MappingStartEvent", "AliasEvent"}:
            self._node(kind, event, event.start_mark.line + 1)

    def _node(self, kind: str, event: Any, line: int) -> None:
        if kind == "AliasEvent" or event.anchor is not None:
            raise _Refused(f"line {line}: has an anchor or an alias; write out what is meant")
        if event.tag is not None:
            raise _Refused(f"line {line}: has a tag; leave it out")
        self._count += 1
        if self._count > MOST_NODES:
            raise _Refused(f"line {line}: holds more than {MOST_NODES:,} values")
        inside = self._open[-1] if self._open else None
        if isinstance(inside, Table) and self._keys[-1] is None:
            self._key(kind, event, line, inside)
            return
        if kind == "ScalarEvent":
            self._place(Text(_checked(event.value, line), line, not event.style))
            return
        if len(self._open) >= DEEPEST:
            raise _Refused(f"line {line}: is nested deeper than {DEEPEST}")
        container = Sequence(line) if kind == "SequenceStartEvent" else Table(line)
        self._place(container)
        self._open.append(container)
        self._keys.append(None)

    def _key(self, kind: str, event: Any, line: int, inside: Table) -> None:
        if kind != "ScalarEvent":
            raise _Refused(f"line {line}: a key must be text")
        key = _checked(event.value, line)
        if len(key) > LONGEST_KEY:
            raise _Refused(f"line {line}: a key is longer than {LONGEST_KEY} characters")
        if key == "<<" and not event.style:
            raise _Refused(f"line {line}: has a merge key; write out what is meant")
        if key in inside.entries:
            raise _Refused(f"line {line}: a key stands twice in one table")
        inside.lines[key] = line
        self._keys[-1] = key

    def _place(self, node: Node) -> None:
        if not self._open:
            self.roots.append(node)
            return
        inside = self._open[-1]
        if isinstance(inside, Sequence):
            inside.items.append(node)
            return
        key = self._keys[-1]
        if key is not None:
            inside.entries[key] = node
            self._keys[-1] = None


def _checked(text: str, line: int) -> str:
    if _CONTROL.search(text):
        raise _Refused(f"line {line}: has a control character in it")
    return text
