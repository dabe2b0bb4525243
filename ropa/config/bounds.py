"""TOML from outside, read within bounds: size, line length and nesting are checked before anything is parsed.

Invariant: whatever bytes stand in the file, ``read_toml`` answers in about a second with a document or with a typed
error that names the file, the line and the column; no ``RecursionError`` and no text of a value ever escapes. The
bounds come first because the parser of the standard library takes quadratic time over long dotted keys and recurses
once per bracket.
"""

from __future__ import annotations

import math
import os
import re
import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ropa.config.problems import KeyPath, spell
from ropa.errors import ConfigurationError, Problem, RegisterError

MAX_BYTES = 1024 * 1024
MAX_LINE = 4096
"""Characters."""
MAX_BRACKETS = 16
"""How deep arrays and inline tables may stand in one another."""
MAX_DOTS = 16
"""How many dots one key may have."""
MAX_KEYS = MAX_BYTES // 20
"""How many values one file may give, each with its key, a value and an end of line: the parser takes time for each."""
_LARGEST_INTEGER = 2**63 - 1

_TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"(?!""))*+(?:"{3,5}|\Z)'
    r"|'''(?:[^']++|'(?!''))*+(?:'{3,5}|\Z)"
    r'|"(?:[^"\\\n]++|\\.)*+(?:"|(?=\n)|\Z)'
    r"|'[^'\n]*+(?:'|(?=\n)|\Z)"
    r"|#[^\n]*+"
    r"|[\]}=,\n]++|[\[{.]"
)
_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

InputError = type[ConfigurationError] | type[RegisterError]


def read_toml(path: Path, error: InputError = ConfigurationError) -> tuple[dict[str, Any], bytes]:
    """Read a TOML file once and return the document with the very bytes it came from.

    Raises ``error`` (ConfigurationError or RegisterError) with one Problem that names the file when it is missing,
    unreadable, not a regular file, empty, not UTF-8, past a bound, or not TOML (then with line and column).
    """
    data, _, trouble = read_bounded(path, MAX_BYTES)
    if trouble is not None:
        raise unusable_file(path, trouble, error)
    return parse_toml(data, path, error), data


def parse_toml(data: bytes, path: Path | str, error: InputError = ConfigurationError) -> dict[str, Any]:
    """Parse TOML within the bounds; ``path`` names the text in messages. Raises as ``read_toml`` does."""
    document: dict[str, Any] = {}
    trouble = f"is larger than {MAX_BYTES:,} bytes" if len(data) > MAX_BYTES else None
    if trouble is None:
        text, trouble = _decode(data)
        trouble = trouble or _past_a_bound(text)
        if trouble is None:
            document, trouble = _parse(text)
    if trouble is None and not document:
        trouble = "is empty: it says nothing, and nothing never means everything"
    if trouble is not None:
        raise unusable_file(path, trouble, error)
    return document


def unusable_file(
    path: Path | str, trouble: str, error: InputError = ConfigurationError
) -> ConfigurationError | RegisterError:
    """Return the error of a file that cannot be read as what it should be."""
    return error(f"{path}: {trouble}", (Problem(str(path), trouble),), next_step=f"Mend {path}; nothing was touched.")


def read_bounded(path: Path, limit: int) -> tuple[bytes, int, str | None]:
    """Read a regular file of at most ``limit`` bytes: its bytes, its mode, and what stands against it (or None)."""
    try:
        # O_NONBLOCK: a named pipe in place of the file must not make the nightly job wait for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as failure:
        return b"", 0, f"cannot be opened: {failure.strerror}"
    except ValueError:
        return b"", 0, "cannot be opened: bad file name"
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            return b"", mode, "is not a file"
        with os.fdopen(descriptor, "rb", closefd=False) as stream:
            data = stream.read(limit + 1)
    except OSError as failure:
        return b"", 0, f"cannot be read: {failure.strerror}"
    finally:
        os.close(descriptor)
    if len(data) > limit:
        return b"", mode, f"is larger than {limit:,} bytes"
    return data, mode, None


def _decode(data: bytes) -> tuple[str, str | None]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as failure:
        line = data.count(b"\n", 0, failure.start) + 1
        return "", f"line {line}: is not UTF-8; save the file as UTF-8"
    return text.removeprefix("\ufeff").replace("\r\n", "\n"), None


def _past_a_bound(text: str) -> str | None:
    """Say which bound a text breaks, with its line; None when it is within all of them. Linear in the text."""
    for number, line in enumerate(text.split("\n"), start=1):
        if len(line) > MAX_LINE:
            return f"line {number}: is longer than {MAX_LINE:,} characters"
    depth = dots = keys = 0
    for token in _TOKEN.finditer(text):
        match text[token.start()]:
            case "[" | "{":
                depth, dots = depth + 1, 0
            case ".":
                dots += 1
            case "]" | "}" | "=" | "," | "\n":
                run = token[0]
                keys += run.count("=")
                depth, dots = max(depth - run.count("]") - run.count("}"), 0), 0
        if depth > MAX_BRACKETS or dots > MAX_DOTS or keys > MAX_KEYS:
            line_number = text.count("\n", 0, token.start()) + 1
            if keys > MAX_KEYS:
                return f"line {line_number}: gives more than {MAX_KEYS:,} values"
            what = "brackets are nested" if depth > MAX_BRACKETS else "a key has more dots, or is nested,"
            bound = MAX_BRACKETS if depth > MAX_BRACKETS else MAX_DOTS
            return f"line {line_number}: {what} deeper than {bound}"
    return None


def _parse(text: str) -> tuple[dict[str, Any], str | None]:
    try:
        return tomllib.loads(text), None
    except tomllib.TOMLDecodeError as failure:
        message = str(failure)
    except (RecursionError, ValueError, OverflowError):
        return {}, "cannot be read as TOML"
    place = _PLACE.search(message)
    line, column = place.groups() if place else (str(text.count("\n") + 1), str(len(text.rpartition("\n")[2]) + 1))
    what = message.partition(" (at ")[0]
    if what in {"Cannot overwrite a value", "Cannot mutate immutable namespace"} or what.endswith("twice"):
        what += "; a key or table may stand only once"
    return {}, f"line {line}, column {column}: is not TOML: {what[:1].lower()}{what[1:]}"


def value_problems(document: dict[str, Any]) -> list[tuple[KeyPath, str]]:
    """Return what no value may be, wherever it stands: blank text, control characters, inf, nan, over 64 bits."""
    return [(path, message) for path, value in leaves(document) if (message := _unusable(value))]


def raise_unusable_values(document: dict[str, Any], error: InputError, path: Path) -> None:
    """Raise ``error`` with every Problem of ``value_problems``, if there are any; for callers without a schema."""
    found = tuple(Problem(spell(key_path), message) for key_path, message in value_problems(document))
    if found:
        raise error(f"{path}: {len(found)} unusable values", found)


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Walk a document in the order of its text and give every value that is no table and no array, with its path."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))
    else:
        yield path, value


def _unusable(value: Any) -> str | None:
    match value:
        case str() if not value.strip():
            return "is blank; leave the key out or say what is meant"
        case str() if _CONTROL.search(value):
            return "has a control character in it"
        case float() if not math.isfinite(value):
            return "is not a finite number"
        case int() if abs(value) > _LARGEST_INTEGER:
            return "is a number too large to store"
    return None
