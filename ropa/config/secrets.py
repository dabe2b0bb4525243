"""Secrets: written as references (``references``), looked up when a location is opened, never shown.

Invariant: no message, exception, cause or context made here carries a secret, nor a part of one; what cannot be looked
up is an error with its key path, never an empty password.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ropa.config.bounds import leaves
from ropa.config.models import Location
from ropa.config.problems import KeyPath, Problems, spell
from ropa.config.references import FORMS, NEXT_STEP, NOT_HERE, is_reference, look_up, malformed
from ropa.connector import ConnectorType, DatasetSpec, Option
from ropa.errors import ConfigurationError, Problem

_SECRET_WORD = re.compile(r"password|passwd|pwd|passphrase|secret|token|apikey|privatekey|accesskey|credential")
_NOT_THE_SECRET = re.compile(r"(?:url|uri|endpoint|name|column|path|file|type)$")
_USER_AND_PASSWORD = re.compile(r"[^/?#@:\s]*:")
_SECRET_PARAMETER = re.compile(
    r"(?:[?&;]|%3b)\s*(?:\w{0,20}(?:password|passwd|pwd|secret|token|api_?key|access_?key|accountkey)|sig)\s*(?:=|%3d)",
    re.IGNORECASE,
)
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?![/:?]|file:|$)(.+)", re.DOTALL)


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
            if (wrong := malformed(value)) is not None:
                found.add((*path, *leaf_path), wrong)
        elif is_secret:
            found.add((*path, *leaf_path), f"is a secret and must be a reference: {FORMS}")
        elif has_inline_secret(value):
            message = f"has a secret in it; keep the whole value elsewhere and write {FORMS}"
            found.add((*path, *leaf_path), message)


def resolve(
    location: Location,
    type: ConnectorType,  # noqa: A002 - the word of the connector contract
    folder: Path,
    environ: Mapping[str, str],
) -> dict[str, Any]:
    """Return a location's options as its connector takes them: references looked up, paths absolute; with ``apply``
    what it says, under that name.

    Paths (options that are declared so, and the file of an ``sqlite:///`` URL) are relative to ``folder``. Raises
    ConfigurationError with every option that cannot be looked up, by key path; never with a value.
    """
    path = ("location", location.name)
    resolved = _resolve(location.options, path, type.options, folder, environ)
    if location.apply:
        resolved["apply"] = _resolve(location.apply, (*path, "apply"), type.options, folder, environ)
    return resolved


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
        text, trouble = look_up(value, folder, environ)
        if trouble is not None:
            problems.append(Problem(spell(where), trouble))
        if option.is_path and not option.is_secret:
            return str(folder.absolute() / text)
        return absolute_sqlite_url(text, folder)

    resolved = {key: carry(value, (*path, key), options.get(key, Option())) for key, value in values.items()}
    if problems:
        message = f"{spell(path)}: {len(problems)} of its options cannot be looked up"
        raise ConfigurationError(message, tuple(problems), next_step=NEXT_STEP, code=NOT_HERE)
    return resolved


def absolute_sqlite_url(url: str, folder: Path) -> str:
    """Return an ``sqlite:///`` URL with its file's path made absolute in ``folder``; any other text as it is. So is a
    URL where the folder's name has a question mark, which no URL can carry: connectors know the folder too."""
    found = None if "?" in str(folder.absolute()) else _SQLITE.fullmatch(url)
    return f"{found[1]}{folder.absolute()}/{found[2]}" if found else url
