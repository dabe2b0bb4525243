"""The page that lies in the bundle: what each file is, how a stranger checks it, and what that proves.

Invariant: plain text that any machine shows, in the reader's language; commands stand on lines of their own, as they
are typed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from textwrap import wrap

from ropa.report.model import Document, Evidence
from ropa.report.words import Words, shown

WIDTH = 78
_INDENT = "    "
_KNOWN = ("html", "pdf", "xlsx", "csv", "json", "jsonld")

FINGERPRINT = "openssl pkey -pubin -in public.pem -outform DER | sha256sum"
SUMS = "sha256sum -c SHA256SUMS"
VERIFY = "python3 -I -S verify_ledger.py ."
VERIFY_OUTSIDE = "python3 -I -S verify_ledger.py . --key KEY.pem --checkpoint CHECKPOINT.txt"


def instructions(document: Document, words: Words, *, names: Collection[str], missing: Sequence[str]) -> str:
    """Return the page. ``names``: files at the bundle's top; ``missing``: formats that could not be written."""
    evidence = document.evidence
    if evidence is None:
        raise ValueError("a bundle without evidence has no instructions")
    lines = [
        *_heading(words("bundle.title", name=shown(document.organisation.parties[0].name)), "="),
        *_text(words("title.generated", at=words.instant(document.generated_at)) + "."),
        *_text(words("title.as_of", day=words.day(document.as_of)) + "."),
        "",
        *_heading(words("bundle.what"), "-"),
        *_files(words, names),
        *_missing(words, missing),
        "",
        *_heading(words("bundle.how"), "-"),
        *_text(words("bundle.needs")),
        "",
        *_steps(words, evidence),
        *_heading(words("bundle.proves"), "-"),
        *_text(words("bundle.proves_this")),
        "",
        *_text(words("bundle.proves_not")),
        "",
        *_text(words("bundle.private")),
    ]
    return "\n".join(lines) + "\n"


def _heading(text: str, line: str) -> list[str]:
    lines = _text(text)
    return [*lines, line * max(map(len, lines)), ""]


def _text(text: str, indent: str = "") -> list[str]:
    return wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _files(words: Words, names: Collection[str]) -> list[str]:
    told = [(f"report.{form}", f"bundle.file_{form}") for form in _KNOWN if f"report.{form}" in names]
    told += [("ledger/", "bundle.file_ledger"), ("checkpoint.txt", "bundle.file_checkpoint")]
    told += [(name, "bundle.file_key") for name in sorted(names) if name.endswith(".pem")]
    told += [("verify_ledger.py", "bundle.file_verifier"), ("SHA256SUMS", "bundle.file_sums")]
    return [line for name, key in told for line in (name, *_text(words(key), _INDENT))]


def _missing(words: Words, missing: Sequence[str]) -> list[str]:
    if not missing:
        return []
    return ["", *_text(words("bundle.missing", names=words.listing([f"report.{form}" for form in missing])))]


def _steps(words: Words, evidence: Evidence) -> list[str]:
    keys = [key.removeprefix("sha256:") for key in evidence.public_key_fingerprint.split(", ")]
    steps: tuple[tuple[str, str, list[str]], ...] = (
        ("step_sums", SUMS, []),
        (
            "step_verify",
            VERIFY,
            [*_text(words("bundle.checkpoint", lines=words.number(evidence.size))), "", *_shown([evidence.root])],
        ),
        ("step_key", FINGERPRINT, _shown(keys)),
        ("step_outside", VERIFY_OUTSIDE, []),
    )
    found = [] if evidence.is_sound else [*_text(words("evidence.unsound")), ""]
    for number, (key, command, more) in enumerate(steps, start=1):
        found += [*_text(f"{number}. {words(f'bundle.{key}')}"), "", *_shown([command])]
        found += [*_text(words(f"bundle.{key}_means")), "", *more]
    return found


def _shown(lines: Sequence[str]) -> list[str]:
    """Lines as they are, and a blank one."""
    return [*(f"{_INDENT}{line}" for line in lines), ""]
