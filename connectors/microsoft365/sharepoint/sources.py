"""What a dataset's ``source`` and a location's ``site`` mean, as text: nothing is asked here.

Invariant: a text means one place or is refused; every name that goes into an address is escaped.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

FORMS = "library:NAME[/folder], drive:ID[/folder], onedrive[/folder] or list:NAME"


@dataclass(frozen=True, slots=True)
class Source:
    """A place within a site."""

    kind: str
    """``library``, ``drive``, ``onedrive`` or ``list``."""
    name: str = ""
    folder: tuple[str, ...] = ()
    """Names of folders, from the root of the library down."""

    @property
    def is_list(self) -> bool:
        """Whether it is a list; else it holds files."""
        return self.kind == "list"


def parse_source(text: str) -> Source:
    """Return what a ``source`` says. Raises ValueError, with the reason, for one that says nothing or two things."""
    kind, colon, rest = text.partition(":")
    if text == "onedrive" or text.startswith("onedrive/"):
        return Source("onedrive", "", _folders(text.partition("/")[2]))
    if not colon or kind not in {"library", "drive", "list"}:
        raise ValueError(f"must say what it is: {FORMS}")
    name, _, below = (rest, "", "") if kind == "list" else rest.partition("/")
    folder = _folders(below)
    if not name or name != name.strip() or any(ord(letter) < ord(" ") for letter in name):
        raise ValueError(f"names nothing: {FORMS}")
    return Source(kind, name, folder)


def site_address(url: str) -> str:
    """Return how Graph addresses the site at an address: ``sites/host:/path``. Raises ValueError for no such address.

    Source: learn.microsoft.com/graph/api/site-getbypath.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("is no address of a site; write for instance https://contoso.sharepoint.com/sites/hr")
    path = parts.path.strip("/")
    return f"sites/{parts.hostname}:/{quote(unquote(path))}" if path else f"sites/{parts.hostname}"


def segment(text: str) -> str:
    """Return a name or id as one part of an address."""
    return quote(text, safe="!,@")


def folder_of(path: object) -> tuple[str, ...] | None:
    """Return the folders that ``parentReference.path`` names, below the root; None where it is no such path.

    ``/drives/{id}/root:/a/b``, its names percent-encoded by some services and not by others.
    """
    if not isinstance(path, str):
        return None
    _, found, below = path.partition("root:")
    if not found:
        return None
    return tuple(unquote(name) for name in below.split("/") if name)


def _folders(text: str) -> tuple[str, ...]:
    if not text:
        return ()
    names = tuple(text.removesuffix("/").split("/"))
    if any(name in {"", ".", ".."} for name in names):
        raise ValueError("names a folder that is none; write library:NAME/folder/folder")
    return names
