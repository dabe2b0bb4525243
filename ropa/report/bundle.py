"""The bundle for the regulator: the report, the evidence behind it, and what a stranger needs to check both.

Invariant: the folder is there wholly or not at all (made beside its place, then renamed), private to its owner, and
``SHA256SUMS`` lists every file in it but itself. Of keys only the public ones leave; nothing of the run database does.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ropa.errors import CallError, CheckError, ConfigurationError
from ropa.ledger import verifier
from ropa.ledger.export import export
from ropa.ledger.files import is_free, open_regular, sync_folder, write_new
from ropa.report.gather import gather
from ropa.report.instructions import instructions
from ropa.report.model import Document
from ropa.report.words import Words, catalogue
from ropa.report.writing import FORMATS, rendered
from ropa.sweep.lock import at_rest
from ropa.sweep.site import Site

SUMS = "SHA256SUMS"
PAGE = "README.txt"
CHECKPOINT = "checkpoint.txt"
LEDGER = "ledger"


@dataclass(frozen=True, slots=True)
class BundleFile:
    """One file of the bundle."""

    name: str
    """Its path in the folder, with ``/``."""
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was written."""

    folder: Path
    files: tuple[BundleFile, ...]
    """Every file, by name, ``SHA256SUMS`` too."""
    missing: tuple[str, ...]
    """Formats of the report that this installation cannot write."""
    is_sound: bool
    """Whether the evidence was, when the report was made."""


def write_bundle(site: Site, to: Path, *, language: str = "en") -> Bundle:
    """Write the bundle of this moment into ``to``, a folder that is new or empty, and return what is in it.

    Raises CallError for an unknown language or a folder that cannot be had, before anything is read; CheckError where
    there is no ledger; LedgerError where the evidence cannot be read; BusyError while a run is under way.
    """
    catalogue(language)
    _check_target(to)
    with at_rest(site.state):
        return _write(site, to, language)


def _write(site: Site, to: Path, language: str) -> Bundle:
    document = gather(site)
    if document.evidence is None:
        raise CheckError(
            f"there is no ledger in {site.state}: nothing to show",
            next_step="`ropa init` makes one; `ropa report` writes the register alone.",
        )
    with _made_beside(to) as folder:
        export(site.ledger_folder, folder / LEDGER)
        missing = _write_reports(site, document, language, folder)
        write_new(folder / CHECKPOINT, document.evidence.checkpoint_text.encode())
        for key in sorted((folder / LEDGER).glob("public*.pem")):
            write_new(folder / key.name, key.read_bytes())
        write_new(folder / verifier.NAME, verifier.program())
        names = [path.name for path in folder.iterdir()]
        page = instructions(document, Words(language, document.timezone), names=names, missing=missing)
        write_new(folder / PAGE, page.encode())
        listed = _listed(folder)
        write_new(folder / SUMS, "".join(f"{file.sha256}  {file.name}\n" for file in listed).encode())
        sync_folder(folder)
        files = _listed(folder)
    return Bundle(folder=to, files=files, missing=missing, is_sound=document.evidence.is_sound)


def _write_reports(site: Site, document: Document, language: str, folder: Path) -> tuple[str, ...]:
    """Write the report in each format, and return those for which a library is not installed."""
    missing = []
    for form in FORMATS:
        try:
            content = rendered(site, document, form, language)
        except ConfigurationError:
            missing.append(form)
        else:
            write_new(folder / f"report.{form}", content)
    return tuple(missing)


def _listed(folder: Path) -> tuple[BundleFile, ...]:
    paths = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return tuple(_measured(name, paths[name]) for name in sorted(paths))


def _measured(name: str, path: Path) -> BundleFile:
    digest, size = sha256(), 0
    with open_regular(path) as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
            size += len(piece)
    return BundleFile(name=name, size=size, sha256=digest.hexdigest())


def _check_target(to: Path) -> None:
    if not is_free(to):
        raise CallError(
            f"{to} is not a new or empty folder",
            next_step="Name a folder that does not exist.",
            code="bundle-target",
        )
    if not to.parent.is_dir():
        raise CallError(f"{to.parent} is not a folder", next_step="Make it first.", code="bundle-target")


@contextmanager
def _made_beside(to: Path) -> Iterator[Path]:
    """Yield a new folder beside ``to`` and put it in place at the end; what fails before leaves nothing behind."""
    try:
        hidden = Path(tempfile.mkdtemp(prefix=f".{to.name[:100]}.", suffix=".new", dir=to.parent))
        try:
            yield hidden
            os.rename(hidden, to)  # noqa: PTH104 - the system call: an empty folder is replaced, nothing else is
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        sync_folder(to.parent)
    except OSError as error:
        raise CallError(f"{to} cannot be written ({error.strerror})", code="bundle-target") from error
