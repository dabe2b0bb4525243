"""References to secrets: the forms that they take, and looking one up.

    env:NAME              a variable of the environment
    file:PATH             a file; how Docker and Kubernetes hand over theirs
    credential:NAME       a file in ``$CREDENTIALS_DIRECTORY``, where systemd puts what ``LoadCredential=`` names
    keyring:SERVICE/USER  an entry of the keyring of whoever runs this (extra ``keyring``); the last ``/`` divides

Invariant: no message made here carries a secret, nor a part of one. A file that others may read, or that anybody but
its owner may write, is refused: with delete rights in reach, a leaked credential is a purge by a stranger. A link is
followed, as every secret of Kubernetes is one (``..data``), and the file that it leads to is judged.

Sources: systemd.exec(5), ``LoadCredential=``; Kubernetes, "Secrets", mounted secrets and their modes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from ropa.config.bounds import read_bounded
from ropa.errors import ConfigurationError, Problem

MAX_SECRET = 64 * 1024
"""Bytes of a secret file."""

FORMS = "env:NAME, file:PATH, credential:NAME or keyring:SERVICE/USER"
NOT_HERE = "secret-not-here"
"""Code of the error for a secret that cannot be looked up here."""
NEXT_STEP = f"Write {FORMS}; a file has the mode 0400."

_REFERENCE = re.compile(r"(?:env|file|credential|keyring):")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CREDENTIAL_NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}", re.ASCII)
_CREDENTIALS = "CREDENTIALS_DIRECTORY"
_OPEN = stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP


def is_reference(text: str) -> bool:
    """Whether a text points at a secret (``env:…``, ``file:…`` and so on) and does not hold one."""
    return _REFERENCE.match(text) is not None


def malformed(reference: str) -> str | None:
    """Return why a reference cannot be one, None where it can."""
    kind, _, rest = reference.partition(":")
    if kind == "env" and not _ENVIRONMENT_NAME.fullmatch(rest):
        return "is not a reference to the environment: env:NAME, with letters, digits and _ in the name"
    if kind == "file" and not rest.strip():
        return "is not a reference to a file: file:PATH"
    if kind == "credential" and not _CREDENTIAL_NAME.fullmatch(rest):
        return "is not a reference to a credential: credential:NAME, with letters, digits, . _ and - in the name"
    service, _, user = rest.rpartition("/")
    if kind == "keyring" and not (service.strip() and user.strip()):
        return "is not a reference to the keyring: keyring:SERVICE/USER"
    return None


def dereference(text: str, *, path: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Return what a reference points at; a text that is no reference comes back as it is.

    ``path``: the key path for messages. ``folder``: the project folder, which ``file:`` paths are relative to. Raises
    ConfigurationError for an unset or empty variable, a file that is missing, too large, not text or too open, and an
    entry that the keyring does not give.
    """
    value, trouble = look_up(text, folder, environ)
    if trouble is not None:
        raise ConfigurationError(f"{path}: {trouble}", (Problem(path, trouble),), next_step=NEXT_STEP, code=NOT_HERE)
    return value


def look_up(text: str, folder: Path, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return what a text points at, and what stands against it (or None)."""
    if not is_reference(text):
        return text, None
    kind, _, rest = text.partition(":")
    if (wrong := malformed(text)) is not None:
        return "", wrong
    if kind == "env":
        value = environ.get(rest, "")
        return value, None if value.strip() else f"the environment variable {rest} is not set, or empty"
    if kind == "keyring":
        service, _, user = rest.rpartition("/")
        return _from_keyring(service, user)
    file = secret_file(text, folder, environ)
    if file is None:
        return "", f"{_CREDENTIALS} is not set: systemd sets it for a service with LoadCredential="
    return _from_file(file, rest)


def secret_file(reference: str, folder: Path, environ: Mapping[str, str]) -> Path | None:
    """Return the file that a reference names, None where it names none."""
    kind, _, rest = reference.partition(":")
    if kind == "file":
        return folder / rest
    given = environ.get(_CREDENTIALS, "")
    return Path(given, rest) if kind == "credential" and Path(given).is_absolute() else None


def too_open(name: str, mode: int) -> str | None:
    """Return what stands against the mode of the secret file that is called ``name`` in a reference, or None."""
    if mode & _OPEN:
        return f"the file {name} is open to others (mode {stat.S_IMODE(mode):04o}); make it 0400"
    return None


def openness(reference: str, folder: Path, environ: Mapping[str, str]) -> str | None:
    """Return what stands against the mode of the file that a reference names, without opening it; None where nothing
    does, or no such file is there: it may be for another machine."""
    if not is_reference(reference) or malformed(reference) is not None:
        return None
    file = secret_file(reference, folder, environ)
    try:
        mode = os.stat(file).st_mode if file is not None else 0  # noqa: PTH116 - bad names raise ValueError here
    except (OSError, ValueError):
        return None
    return too_open(reference.partition(":")[2], mode) if stat.S_ISREG(mode) else None


def _from_file(file: Path, name: str) -> tuple[str, str | None]:
    data, mode, trouble = read_bounded(file, MAX_SECRET)
    if trouble is not None:
        return "", f"the file {name} {trouble}"
    if (trouble := too_open(name, mode)) is not None:
        return "", trouble
    try:
        value = data.decode("utf-8")
    except UnicodeDecodeError:
        return "", f"the file {name} is not UTF-8 text"
    value = value.removesuffix("\n").removesuffix("\r")
    return value, None if value.strip() else f"the file {name} is empty"


def _from_keyring(service: str, user: str) -> tuple[str, str | None]:
    try:
        import keyring
        from keyring.errors import KeyringLocked, NoKeyringError
    except ImportError:
        return "", "keyring is not installed: pip install 'ropa[keyring]'"
    entry = f"the entry {user} of {service}"
    try:
        value = keyring.get_password(service, user)
    except NoKeyringError:
        return "", (
            f"{entry} cannot be read: there is no keyring on this machine, as on most servers; "
            "write file:PATH or credential:NAME there"
        )
    except KeyringLocked:
        return "", f"{entry} cannot be read: the keyring is locked"
    except Exception as error:  # noqa: BLE001 - each backend has errors of its own, whose text is not to be shown
        return "", f"{entry} cannot be read from the keyring ({type(error).__name__})"
    if value is None:
        return "", f"the keyring has no entry {user} of {service}"
    return value, None if value.strip() else f"{entry} of the keyring is empty"
