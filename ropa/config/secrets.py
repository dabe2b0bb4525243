"""Secrets: written as references, looked up when a location is opened, never shown.

A reference is ``env:NAME`` or ``file:PATH``. Invariant: no message, exception, cause or context made here carries a
secret, nor a part of one; what cannot be looked up is an error with its key path, never an empty password. A file
that others may read, or that anybody but its owner may write, is refused: with delete rights in reach, a leaked
credential is a purge by a stranger.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ropa.config.bounds import leaves, read_bounded
from ropa.config.models import Location
from ropa.config.problems import KeyPath, Problems, spell
from ropa.connector import ConnectorType, DatasetSpec, Option
from ropa.errors import ConfigurationError, Problem

MAX_SECRET = 64 * 1024
"""Bytes of a secret file."""

_REFERENCE = re.compile(r"(?:env|file):")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_SECRET_WORD = re.compile(r"password|passwd|pwd|passphrase|secret|token|apikey|privatekey|accesskey|credential")
_NOT_THE_SECRET = re.compile(r"(?:url|uri|endpoint|name|column|path|file|type)$")
_USER_AND_PASSWORD = re.compile(r"[^/?#@:\s]*:")
_SECRET_PARAMETER = re.compile(
    r"(?:[?&;]|%3b)\s*(?:\w{0,20}(?:password|passwd|pwd|secret|token|api_?key|access_?key|accountkey)|sig)\s*(?:=|%3d)",
    re.IGNORECASE,
)
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?![/:?]|file:|$)(.+)", re.DOTALL)

NEXT_STEP = "Write env:NAME or file:PATH, and keep the secret in the environment or in a file of mode 0400."


def is_reference(text: str) -> bool:
    """Whether a text points at a secret (``env:…``, ``file:…``) and does not hold one."""
    return _REFERENCE.match(text) is not None


def is_secret_name(key: str) -> bool:
    """Whether a key looks as if its value is a password, token or key: ``client_secret``, ``api-key``, ``apiKey``."""
    plain = key.casefold().replace("_", "").replace("-", "")
    return _SECRET_WORD.search(plain) is not None and _NOT_THE_SECRET.search(plain) is None


def has_inline_secret(text: str) -> bool:
    """Whether a text carries a secret by its form: a URL with a password, a secret parameter, a private key."""
    if is_reference(text):
        return False
    if "PRIVATE KEY-----" in text or _SECRET_PARAMETER.search(text):
        return True
    for authority in text.split("://")[1:]:
        found = _USER_AND_PASSWORD.match(authority)
        if found and "@" in authority[found.end() :]:
            return True
    return False


def note_inline_secrets(
    values: Mapping[str, Any], path: KeyPath, options: Mapping[str, Option], found: Problems
) -> None:
    """Note every secret that stands in the text itself, and every reference that cannot be one."""
    judged = {name for name in values if found.has_under((*path, name))}
    for leaf_path, value in leaves(dict(values)):
        if not isinstance(value, str) or not value.strip() or leaf_path[0] in judged:
            continue
        names = [part for part in leaf_path if isinstance(part, str)]
        is_secret = any(is_secret_name(name) or (name in options and options[name].is_secret) for name in names)
        if is_reference(value):
            if (wrong := _malformed(value)) is not None:
                found.add((*path, *leaf_path), wrong)
        elif is_secret:
            found.add((*path, *leaf_path), "is a secret and must be a reference: env:NAME or file:PATH")
        elif has_inline_secret(value):
            message = "has a secret in it; keep the whole value elsewhere and write env:NAME or file:PATH"
            found.add((*path, *leaf_path), message)


def _malformed(reference: str) -> str | None:
    kind, _, rest = reference.partition(":")
    if kind == "env" and not _ENVIRONMENT_NAME.fullmatch(rest):
        return "is not a reference to the environment: env:NAME, with letters, digits and _ in the name"
    if kind == "file" and not rest.strip():
        return "is not a reference to a file: file:PATH"
    return None


def dereference(text: str, *, path: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Return what a reference points at; a text that is no reference comes back as it is.

    ``path``: the key path for messages. ``folder``: the project folder, which ``file:`` paths are relative to. Raises
    ConfigurationError for an unset or empty variable and a file that is missing, too large, not text or too open.
    """
    value, trouble = _look_up(text, folder, environ)
    if trouble is not None:
        raise ConfigurationError(f"{path}: {trouble}", (Problem(path, trouble),), next_step=NEXT_STEP)
    return value


def _look_up(text: str, folder: Path, environ: Mapping[str, str]) -> tuple[str, str | None]:
    if not is_reference(text):
        return text, None
    kind, _, rest = text.partition(":")
    if (wrong := _malformed(text)) is not None:
        return "", wrong
    if kind == "env":
        value = environ.get(rest, "")
        return value, None if value.strip() else f"the environment variable {rest} is not set, or empty"
    data, mode, trouble = read_bounded(folder / rest, MAX_SECRET)
    if trouble is not None:
        return "", f"the file {rest} {trouble}"
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        return "", f"the file {rest} is open to others (mode {stat.S_IMODE(mode):04o}); make it 0400"
    try:
        value = data.decode("utf-8")
    except UnicodeDecodeError:
        return "", f"the file {rest} is not UTF-8 text"
    value = value.removesuffix("\n").removesuffix("\r")
    return value, None if value.strip() else f"the file {rest} is empty"


def resolve(
    location: Location,
    type: ConnectorType,  # noqa: A002 - the word of the connector contract
    folder: Path,
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """Return a location's options as its connector takes them: references looked up, paths absolute.

    Paths (options that are declared so, and the file of an ``sqlite:///`` URL) are relative to ``folder``. Raises
    ConfigurationError with every option that cannot be looked up, by key path; never with a value.
    """
    return _resolve(location.options, ("location", location.name), type.options, folder, environ)


def resolve_datasets(
    location: Location,
    type: ConnectorType,  # noqa: A002 - as resolve
    folder: Path,
    environ: Mapping[str, str],
) -> dict[str, DatasetSpec]:
    """Return a location's datasets with their own options resolved as ``resolve`` does; raises as it does."""
    resolved = {}
    for name, dataset in location.datasets.items():
        path = ("location", location.name, "dataset", name)
        options = _resolve(dataset.options, path, type.dataset_options, folder, environ)
        resolved[name] = dataclasses.replace(dataset, options=options)
    return resolved


def _resolve(
    values: Mapping[str, Any], path: KeyPath, options: Mapping[str, Option], folder: Path, environ: Mapping[str, str]
) -> dict[str, Any]:
    problems: list[Problem] = []

    def carry(value: Any, where: KeyPath, option: Option) -> Any:
        if isinstance(value, dict):
            return {key: carry(inner, (*where, key), option) for key, inner in value.items()}
        if isinstance(value, list):
            return [carry(inner, (*where, index), option) for index, inner in enumerate(value)]
        if not isinstance(value, str):
            return value
        text, trouble = _look_up(value, folder, environ)
        if trouble is not None:
            problems.append(Problem(spell(where), trouble))
        if option.is_path and not option.is_secret:
            return str(folder.absolute() / text)
        return absolute_sqlite_url(text, folder)

    resolved = {key: carry(value, (*path, key), options.get(key, Option())) for key, value in values.items()}
    if problems:
        message = f"{spell(path)}: {len(problems)} of its options cannot be looked up"
        raise ConfigurationError(message, tuple(problems), next_step=NEXT_STEP)
    return resolved


def absolute_sqlite_url(url: str, folder: Path) -> str:
    """Return an ``sqlite:///`` URL with its file's path made absolute in ``folder``; any other text as it is. So is a
    URL where the folder's name has a question mark, which no URL can carry: connectors know the folder too."""
    found = None if "?" in str(folder.absolute()) else _SQLITE.fullmatch(url)
    return f"{found[1]}{folder.absolute()}/{found[2]}" if found else url


def check_modes(folder: Path) -> list[Problem]:
    """Return what makes ``config/retention.toml`` open to change by others: it decides what is deleted.

    Refused are a file that its group or others may write, and a folder in which anybody may put another in its place.
    A file that is not there is no problem here; ``load`` reports it.
    """
    problems = []
    file = folder / "config" / "retention.toml"
    for path, bits in ((file, stat.S_IWGRP | stat.S_IWOTH), (file.parent, stat.S_IWOTH)):
        try:
            mode = path.stat().st_mode
            is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        except OSError:
            continue
        if mode & bits and not mode & stat.S_ISVTX and not is_read_only:
            message = (
                f"may be changed by others (mode {stat.S_IMODE(mode):04o}); take write permission from group and others"
            )
            problems.append(Problem(str(path), message))
    return problems
