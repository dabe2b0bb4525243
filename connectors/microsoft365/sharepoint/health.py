"""What was granted to the application, against what it needs.

Invariant: nothing is decided by what a token says of itself; it is told to a person, and the site is asked too.
"""

from __future__ import annotations

from connectors.microsoft365.answers import AnswerError
from connectors.microsoft365.http import Service
from connectors.microsoft365.opening import certificate_notes
from connectors.microsoft365.sharepoint.catalogue import Catalogue
from connectors.microsoft365.sharepoint.sources import Source
from ropa.connector import Health

_SELECTED = frozenset(
    f"{what}.Selected"
    for what in ("Sites", "Lists.SelectedOperations", "ListItems.SelectedOperations", "Files.SelectedOperations")
)
_WRITE = frozenset({"Sites.ReadWrite.All", "Sites.FullControl.All", "Sites.Manage.All", "Files.ReadWrite.All"})
_WIDE = _WRITE | {"Sites.Read.All", "Files.Read.All"}
_READ = _SELECTED | _WIDE


def health_of(planning: Service, applying: Service, catalogue: Catalogue, sources: list[Source]) -> Health:
    """Sign in and ask the site, or else the first place. Raises LocationError where that fails."""
    may_read: bool | None = True
    notes: list[str] = []
    try:
        _touch(catalogue, sources)
    except AnswerError as error:
        if error.status != 403:
            raise
        may_read = False
        notes.append(f"{error.message}; {error.next_step}")
    roles = _roles(planning)
    applied = _roles(applying)
    notes += _notes(roles, applied, is_split=planning is not applying, is_onedrive=_is_onedrive(sources))
    may_delete: bool | None = None
    if applied and not applied & (_WRITE | _SELECTED):
        may_delete = False
    elif applied & _WRITE:
        may_delete = True
    notes += certificate_notes(planning, applying)
    identity = f"application {applying.tokens.app}"
    return Health(True, identity, may_read, may_delete, planning.seen_at, tuple(notes), _spare(roles))


def _spare(planned: frozenset[str]) -> bool | None:
    """Return whether the roles for planning can delete; with a role on selected sites that cannot be read."""
    if planned & _WRITE:
        return True
    return None if not planned or planned & _SELECTED else False


def _touch(catalogue: Catalogue, sources: list[Source]) -> None:
    if any(source.kind in {"list", "library"} for source in sources) or not sources:
        catalogue.site_facts()
    for source in sources[:1]:
        if source.kind in {"drive", "onedrive"}:
            catalogue.place(source)


def _roles(service: Service) -> frozenset[str]:
    roles = service.tokens.claims().get("roles")
    return frozenset(map(str, roles)) if isinstance(roles, list) else frozenset()


def _is_onedrive(sources: list[Source]) -> bool:
    return any(source.kind == "onedrive" for source in sources)


def _notes(planning: frozenset[str], applying: frozenset[str], *, is_split: bool, is_onedrive: bool) -> list[str]:
    if not planning and not applying:
        return ["the token does not say which permissions were granted"]
    notes = []
    if not planning & _READ:
        notes.append("missing: no permission to read sites; grant Sites.Selected, and the role read on the site")
    if not applying & (_WRITE | _SELECTED):
        notes.append("missing: no permission to delete; grant Sites.Selected, and the role write on the site")
    elif not applying & _WRITE:
        notes.append("whether the role write was given on the site cannot be read; deletions are refused without it")
    wide = () if is_onedrive else sorted((planning | applying) & _WIDE)
    notes += [f"too much: {role} reaches every site; Sites.Selected with a role on this one is enough" for role in wide]
    others = sorted(role for role in planning | applying if role not in _READ)
    if others:
        notes.append(f"too much: {', '.join(others)} is not needed here")
    if is_split and planning & _WRITE:
        notes.append("too much: the credential for planning may write")
    return notes
