"""What stays behind after a purge: the recycle bin, and the audit history with the old values.

    power-platform/admin/restore-deleted-table-records, developer/data-platform/restore-deleted-records,
    developer/data-platform/auditing/delete-audit-data on learn.microsoft.com

Invariant: a row is called purged for good only where its table keeps no deleted rows, or where the bin was asked and
did not show it. A bin that may not be looked into is taken for one that keeps rows for as long as it can.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

from connectors.microsoft365.dataverse.batching import MOST, Part, send_parts
from connectors.microsoft365.dataverse.catalogue import Head
from connectors.microsoft365.dataverse.columns import spell_guid
from connectors.microsoft365.dataverse.reading import KEYS_AT_ONCE, Reader
from connectors.microsoft365.dataverse.rights import DELETE_HISTORY, Rights
from connectors.microsoft365.dataverse.settings import Settings

log = logging.getLogger(__name__)

LONGEST = 30
"""Days that a bin keeps rows at the most."""
_CONFIGS = (
    "recyclebinconfigs?$select=name,cleanupintervalindays,statecode,isreadyforrecyclebin,_extensionofrecordid_value"
)
_NO_BIN = frozenset({400, 404, 405, 501})
_REFERENCES = "deleteditemreferences"


class RecycleBin:
    """The recycle bin of an environment; its configuration is read once."""

    def __init__(self, reader: Reader, settings: Settings) -> None:
        self._reader = reader
        self._settings = settings
        self._lock = threading.Lock()
        self._configs: list[Mapping[str, Any]] | None = None
        self._is_denied = False

    @property
    def is_denied(self) -> bool:
        """Whether it cannot be known which tables keep deleted rows."""
        self._read()
        return self._is_denied

    def days(self, head: Head) -> int | None:
        """Return how many days deleted rows of a table can be restored; None where it keeps none."""
        configs = self._read()
        if self._is_denied:
            return LONGEST
        for config in configs:
            is_own = config.get("name") == head.name or (
                bool(head.id) and spell_guid(config.get("_extensionofrecordid_value")) == spell_guid(head.id)
            )
            if is_own and config.get("statecode") == 0 and config.get("isreadyforrecyclebin") is True:
                return _interval(config, configs)
        return None

    def until(self, head: Head, today: date) -> date | None:
        """Return the day from which a row deleted today cannot be brought back; None where it is gone at once."""
        days = self.days(head)
        return None if days is None else today + timedelta(days=days)

    def restorable(self, head: Head, keys: Sequence[str]) -> set[str]:
        """Return which deleted rows the bin shows. Raises LocationError where it cannot be asked."""
        parts = []
        for at in range(0, len(keys), KEYS_AT_ONCE):
            values = "".join(f"<value>{key}</value>" for key in keys[at : at + KEYS_AT_ONCE])
            fetch = (
                f"<fetch datasource='bin'><entity name='{head.name}'><attribute name='{head.key}'/><filter>"
                f"<condition attribute='{head.key}' operator='in'>{values}</condition></filter></entity></fetch>"
            )
            parts.append(Part("GET", f"{head.path}?fetchXml={quote(fetch, safe='')}"))
        found: set[str] = set()
        for answer in self._reader.ask(parts):
            if not answer.is_ok:
                raise self._reader.service.refusal(answer, "the privilege to see deleted records")
            page = answer.json()
            rows = page.get("value") if isinstance(page, dict) else None
            if not isinstance(rows, list):
                raise self._reader.service.incomplete("the recycle bin gives no values")
            found |= {key for row in rows if (key := spell_guid(row.get(head.key))) is not None}
        return found

    def empty(self, head: Head, keys: Sequence[str]) -> set[str]:
        """Take deleted rows out of the bin, and return those that it shows all the same.

        Raises LocationError where the bin cannot be asked.
        """
        reader = self._reader
        references = reader.where(
            _REFERENCES, "_deletedobject_value", ("deleteditemreferenceid", "_deletedobject_value"), keys
        )
        names = [name for row in references if (name := spell_guid(row.get("deleteditemreferenceid"))) is not None]
        parts = [Part("DELETE", f"{_REFERENCES}({name})", {"If-Match": "*"}) for name in names]
        settings = self._settings
        send_parts(reader.service, parts, size=settings.parts_per_batch, at_once=settings.at_once)
        return self.restorable(head, keys)

    def _read(self) -> list[Mapping[str, Any]]:
        with self._lock:
            if self._configs is None:
                answer = self._reader.service.send("GET", _CONFIGS, headers=self._reader.headers)
                self._is_denied = not answer.is_ok and answer.status not in _NO_BIN
                found = answer.json().get("value") if answer.is_ok else []
                self._configs = [row for row in found or () if isinstance(row, dict)]
            return self._configs


def _interval(config: Mapping[str, Any], configs: Iterable[Mapping[str, Any]]) -> int:
    """Return the days of a table, or where it says -1 those of the organisation."""
    for one in (config, *(other for other in configs if other.get("name") == "organization")):
        days = one.get("cleanupintervalindays")
        if isinstance(days, int) and not isinstance(days, bool) and days >= 0:
            return days
    return LONGEST


class History:
    """The audit history of purged rows."""

    def __init__(self, reader: Reader, rights: Rights, settings: Settings) -> None:
        self._reader = reader
        self._rights = rights
        self._settings = settings

    def trouble(self) -> str | None:
        """Return why audit history stays, None where it is deleted."""
        if self._settings.delete_history is False:
            return "delete_history is false"
        has = self._rights.has(DELETE_HISTORY)
        if has:
            return None
        return f"{DELETE_HISTORY} is missing" if has is False else f"it is not known whether {DELETE_HISTORY} is there"

    def delete(self, head: Head, keys: Sequence[str]) -> None:
        """Delete the history of purged rows, where the table has one and we may. What fails is logged as a number."""
        if not head.is_audited or not keys or self._settings.delete_history is False:
            return
        if self._settings.delete_history is not True and self.trouble() is not None:
            return
        kind = f"Microsoft.Dynamics.CRM.{head.name}"
        parts = [
            Part("POST", "DeleteRecordChangeHistory", body={"Target": {"@odata.type": kind, head.key: key}})
            for key in keys
        ]
        answers = send_parts(self._reader.service, parts, size=MOST, at_once=self._settings.at_once)
        left = sum(not answer.is_ok for answer in answers)
        if left:
            log.warning("%s: audit history of %d of %d purged rows was not deleted", head.name, left, len(keys))
