"""The report in a format, and into a file.

Invariant: every format renders the same document; what cannot be had is refused before anything is read, and a file is
written whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from ropa.errors import CallError
from ropa.report import profiles
from ropa.report.gather import gather
from ropa.report.model import Document
from ropa.report.words import catalogue
from ropa.sweep.site import Site


def _html(document: Document, language: str) -> bytes:
    from ropa.report import html

    return b"".join(piece.encode() for piece in html.pieces(document, language))


def _csv(document: Document, language: str) -> bytes:
    from ropa.report import csv

    return csv.render(document, language).encode()


def _json(document: Document, _language: str) -> bytes:
    from ropa.report import json

    return json.render(document).encode()


def _xlsx(document: Document, language: str) -> bytes:
    from ropa.report import xlsx

    return xlsx.render(document, language)


def _jsonld(document: Document, language: str) -> bytes:
    from ropa.report import jsonld

    return jsonld.render(document, language).encode()


def _pdf(document: Document, language: str) -> bytes:
    from ropa.report import pdf

    return pdf.render(document, language)


RENDERERS: Mapping[str, Callable[[Document, str], bytes]] = {
    "html": _html,
    "pdf": _pdf,
    "xlsx": _xlsx,
    "csv": _csv,
    "json": _json,
    "jsonld": _jsonld,
}
"""By format; ``json`` is the same in every language."""

FORMATS = tuple(RENDERERS)


def render(site: Site, *, form: str = "html", language: str = "en", profile: str = profiles.ART30) -> bytes:
    """Return the report of this moment.

    ``form``: one of ``FORMATS``. ``profile``: one of ``profiles.names()``, the form of an authority. Raises CallError
    for an unknown form, language or profile, and a profile that does not exist in the form, before anything is read.
    """
    if form not in RENDERERS:
        raise CallError(f"there is no report format {form!r}", next_step=f"Choose one of: {', '.join(FORMATS)}.")
    catalogue(language)
    profiles.check(profile, form)
    if profile != profiles.ART30:
        return profiles.render(gather(site), profile, form, language)
    return rendered(site, gather(site), form, language)


def rendered(site: Site, document: Document, form: str, language: str) -> bytes:
    """Return a document in one of ``FORMATS``; a workbook also with the revision of the register that it was made from,
    on sheets that can be edited and imported again."""
    if form != "xlsx":
        return RENDERERS[form](document, language)
    from ropa.register import RegisterStore
    from ropa.report import xlsx

    return xlsx.render(document, language, RegisterStore(site.engine).at(document.register_revision))


def write_report(
    site: Site,
    *,
    form: str = "html",
    language: str = "en",
    profile: str = profiles.ART30,
    to: Path | None = None,
) -> Path:
    """Write the report of this moment and return its path.

    ``to``: a file that does not exist yet; None: ``report-<instant>-<language>.<form>`` in the state folder's exports,
    with the profile before the language where it is not the default.
    Raises CallError as ``render`` does, and for a file that exists or cannot be written.
    """
    content = render(site, form=form, language=language, profile=profile)
    kind = language if profile == profiles.ART30 else f"{profile}-{language}"
    path = to or site.exports_folder / f"report-{site.now():%Y%m%dT%H%M%SZ}-{kind}.{form}"
    try:
        if to is None:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # of the same second: the same report
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(content)
    except FileExistsError as error:
        raise CallError(f"{path} exists already", next_step="Name a new file with -o.") from error
    except OSError as error:
        raise CallError(
            f"{path} cannot be written: {error.strerror}", next_step="Name another file with -o."
        ) from error
    return path
