"""Who we are in an environment, what is granted, missing or too much, and what a purge leaves behind there.

Invariant: it only reads; what the service does not tell is said to be unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.microsoft365.dataverse.acting import Means
from connectors.microsoft365.dataverse.layout import Declared, Layout
from connectors.microsoft365.dataverse.rights import WHOLE, Rights
from connectors.microsoft365.http import Service
from ropa.connector import Health

_APPLYING = ("Read", "Write", "Delete")
_HARMFUL = ("prvDelete", "prvWrite", "prvCreate", "prvAssign", "prvShare")
_FEW = 5


def health_of(layout: Layout, means: Means, planning: Rights, applying: Rights, service: Service) -> Health:
    """Return what could be learned. Raises LocationError where the environment cannot be reached."""
    declared = [layout.declared(name) for name in layout.spec.datasets]
    layout.catalogue.heads()
    notes: list[str] = []
    may_read = _judge("planning", planning, declared, ("Read",), notes)
    is_apart = applying is not planning
    may_delete = _judge("applying", applying, declared, _APPLYING, notes if is_apart or planning.depths else [])
    if is_apart:
        notes += _too_much("planning", planning, declared, allowed=())
    notes += _too_much("applying", applying, declared, allowed=("Write", "Delete"))
    notes += _left_behind(declared, means)
    identity = planning.user or f"application {service.tokens.app}"
    spare = _may_delete_any(planning, declared)
    return Health(True, identity, may_read, may_delete, service.seen_at, tuple(notes), spare)


def _may_delete_any(rights: Rights, declared: Sequence[Declared]) -> bool | None:
    if rights.depths is None:
        return None
    known = {name.lower() for name in rights.depths}
    names = (one.entity.privileges.get("Delete") or f"prvDelete{one.entity.head.name}" for one in declared)
    return any(name.lower() in known for name in names)


def _judge(
    who: str, rights: Rights, declared: Sequence[Declared], kinds: Sequence[str], notes: list[str]
) -> bool | None:
    """Tell whether a user has what is needed in every table, and note what is not there, or not for every row."""
    depths = rights.depths
    if depths is None:
        note = "the service does not tell what its security roles allow"
        notes += [f"{who}: {note}"] if f"{who}: {note}" not in notes else []
        return None
    known = {name.lower(): depth for name, depth in depths.items()}
    is_enough = True
    for one in declared:
        for kind in kinds:
            privilege = one.entity.privileges.get(kind) or f"prv{kind}{one.entity.head.name}"
            depth = known.get(privilege.lower())
            if depth is None:
                notes.append(f"{who}: {privilege} is missing")
                is_enough = False
            elif depth != WHOLE:
                notes.append(
                    f"{who}: {privilege} has the depth {depth}: rows of others may not be seen "
                    "(what comes through a team is always shown as Basic)"
                )
    return is_enough


def _too_much(who: str, rights: Rights, declared: Sequence[Declared], *, allowed: Sequence[str]) -> list[str]:
    depths = rights.depths
    if depths is None:
        return []
    needed = {
        (one.entity.privileges.get(kind) or f"prv{kind}{one.entity.head.name}").lower()
        for one in declared
        for kind in allowed
    } | {"prvdeleterecordchangehistory", "prvdeletedeleteditemreference"}
    spare = sorted(name for name in depths if name.startswith(_HARMFUL) and name.lower() not in needed)
    if not spare:
        return []
    shown = ", ".join(spare[:_FEW]) + (f" and {len(spare) - _FEW} more" if len(spare) > _FEW else "")
    return [f"{who}: its security roles allow more than is needed: {shown}"]


def _left_behind(declared: Sequence[Declared], means: Means) -> list[str]:
    notes = []
    bins = means.bin
    if bins.is_denied:
        notes.append("whether deleted rows are kept cannot be read (prvReadRecycleBinConfig); 30 days are assumed")
    else:
        for one in declared:
            days = bins.days(one.entity.head)
            if days is not None and not means.settings.purge_recycle_bin:
                notes.append(f"{one.name}: the recycle bin keeps deleted rows for {days} days")
    audited = [one.name for one in declared if one.entity.head.is_audited]
    trouble = means.history.trouble() if audited else None
    if trouble is not None:
        notes.append(f"{', '.join(audited)}: the audit history keeps the old values of purged rows: {trouble}")
    if audited:
        notes.append(
            f"{', '.join(audited)}: the audit history keeps the old values of fields that are cleared or masked"
        )
    return notes
