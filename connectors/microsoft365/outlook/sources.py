r"""What ``source`` of a dataset names: a kind, and perhaps one folder of it.

    messages                       every message of the mailbox, in whatever folder
    messages:inbox                 a folder by the name that Graph gives it in every language (WELL_KNOWN, any case)
    messages:Inbox/Sollicitaties   folders below, by the names people see, without regard to case
    messages:/Archief/2019         a leading slash: every name is one that people see
    contacts                       the default folder and every contact folder below it
    contacts:Klanten               one contact folder below the default one

In a name ``\/`` is a slash and ``\\`` a backslash. Invariant: a text has one meaning or is refused; no name is ever
guessed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

MESSAGES, CONTACTS = "messages", "contacts"

WELL_KNOWN = frozenset(
    {
        "archive",
        "clutter",
        "conflicts",
        "conversationhistory",
        "deleteditems",
        "drafts",
        "inbox",
        "junkemail",
        "localfailures",
        "outbox",
        "recoverableitemsdeletions",
        "scheduled",
        "searchfolders",
        "sentitems",
        "serverfailures",
        "syncissues",
    }
)
"""learn.microsoft.com/graph/api/resources/mailfolder; ``msgfolderroot`` is not among them: it holds all the others."""

_NAME = re.compile(r"(?:[^/\\]|\\[/\\])+")
_PATH = re.compile(rf"{_NAME.pattern}(?:/{_NAME.pattern})*")


@dataclass(frozen=True, slots=True)
class Source:
    """What a dataset's ``source`` names."""

    kind: str
    path: tuple[str, ...] = ()
    """Names of folders from the top; empty: the whole of the mailbox."""
    is_known: bool = False
    """Whether the first name is one of WELL_KNOWN, in small letters."""

    @property
    def is_whole(self) -> bool:
        """Whether no folder is named."""
        return not self.path

    def covers(self, other: Source, *, with_subfolders: bool) -> bool:
        """Tell whether a record may belong to both, by what the texts say."""
        if self.kind != other.kind:
            return False
        own, others = [fold(name) for name in self.path], [fold(name) for name in other.path]
        if own == others or self.is_whole:
            return True
        return with_subfolders and own == others[: len(own)]


def parse_source(text: str) -> Source:
    """Return what a text names. Raises ValueError with the reason."""
    kind, colon, path = text.partition(":")
    if kind not in {MESSAGES, CONTACTS}:
        msg = f"begins with {MESSAGES} or {CONTACTS}, then perhaps a colon and a folder"
        raise ValueError(msg)
    if not colon:
        return Source(kind)
    is_literal = path.startswith("/")
    names = _split(path[1:] if is_literal else path)
    is_known = kind == MESSAGES and not is_literal and fold(names[0]) in WELL_KNOWN
    return Source(kind, (fold(names[0]), *names[1:]) if is_known else names, is_known)


def spell_source(kind: str, names: Sequence[str]) -> str:
    """Return the text that names a folder by the names people see."""
    spelled = "/".join(name.replace("\\", "\\\\").replace("/", "\\/") for name in names)
    needs_slash = kind == MESSAGES and bool(names) and fold(names[0]) in WELL_KNOWN
    return f"{kind}:{'/' if needs_slash else ''}{spelled}" if names else kind


def fold(name: str) -> str:
    """Return the form in which names of folders are compared: Outlook allows no two that differ in case alone."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _split(path: str) -> tuple[str, ...]:
    if not _PATH.fullmatch(path):
        raise ValueError(r"has a folder without a name, or a lone backslash; in a name write \/ and \\ for these")
    names = tuple(re.sub(r"\\([/\\])", r"\1", name) for name in _NAME.findall(path))
    if any(name != name.strip() for name in names):
        raise ValueError("has a folder whose name begins or ends with a blank")
    return names
