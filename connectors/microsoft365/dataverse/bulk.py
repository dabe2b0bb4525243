"""BulkDelete: one job for very many rows, followed to its end.

    learn.microsoft.com/power-apps/developer/data-platform/delete-data-bulk

The job runs when the service likes, without ``If-Match``. So its query names each row together with the version that
was planned: a row that changed in the meantime is no longer meant. Invariant: what the job says of itself decides
nothing; each row is asked for afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.microsoft365.dataverse.catalogue import Head
from connectors.microsoft365.dataverse.columns import spell_guid
from connectors.microsoft365.dataverse.reading import ETAG, Reader
from connectors.microsoft365.dataverse.settings import Settings
from connectors.microsoft365.http import Service
from ropa import clock
from ropa.connector import OutcomeWord

Verdict = tuple[OutcomeWord, str | None]

RESTRICTED = "0x80040227"
"""CannotDeleteDueToAssociation."""
_ROWS_IN_A_QUERY = 200
_FIRST_LOOK, _LONGEST_LOOK = 5.0, 30.0
_COMPLETED = 3


def row_version(tag: str) -> str | None:
    """Return the row version that an entity tag holds (``W/"123"``); None where it is none."""
    inner = tag.removeprefix("W/").strip('"')
    return inner if inner.isdecimal() else None


def bulk_delete(
    reader: Reader, head: Head, tags: Mapping[str, str], settings: Settings, *, look: float = _FIRST_LOOK
) -> dict[str, Verdict]:
    """Delete rows, given with their entity tags, by one job, and return what became of each.

    Raises LocationError where nobody answers afterwards.
    """
    service = reader.service
    body = _job(head, list(tags.items()), settings)
    answer = service.send(
        "POST",
        "BulkDelete",
        headers={"Content-Type": "application/json", "Accept": "application/json"},
        content=json.dumps(body).encode(),
    )
    if answer.status and not answer.is_ok:
        word = OutcomeWord.REFUSED if answer.status in {401, 403} else OutcomeWord.FAILED
        return dict.fromkeys(tags, (word, answer.fault.code if word is OutcomeWord.FAILED else None))
    job = spell_guid(answer.json().get("JobId")) if answer.is_ok else None
    is_over = job is not None and _follow(service, job, look)
    failures = _failures(reader, job) if job is not None and is_over else {}
    there = reader.by_keys(head.path, head.key, (head.key,), list(tags))
    return {key: _verdict(key, tag, there.get(key), failures, is_over=is_over) for key, tag in tags.items()}


def _verdict(
    key: str, tag: str, row: Mapping[str, Any] | None, failures: Mapping[str, str], *, is_over: bool
) -> Verdict:
    if row is None:
        return OutcomeWord.PURGED, None
    if row.get(ETAG) != tag:
        return OutcomeWord.CHANGED, None
    if not is_over:  # it may still go
        return OutcomeWord.UNVERIFIED, None
    code = failures.get(key)
    return (OutcomeWord.BLOCKED, "referenced") if code == RESTRICTED else (OutcomeWord.FAILED, code or "not-deleted")


def _follow(service: Service, job: str, look: float) -> bool:
    """Wait for a job, and tell whether it came to its end within the budget."""
    waited = 0.0
    while waited <= service.max_wait:
        answer = service.send("GET", f"asyncoperations({job})?$select=statecode,statuscode")
        if answer.is_ok and answer.json().get("statecode") == _COMPLETED:
            return True
        service.pace.put_off(look)
        waited += max(look, 0.001)
        look = min(look * 2, _LONGEST_LOOK)
    return False


def _failures(reader: Reader, job: str) -> dict[str, str]:
    """Return why rows were not deleted, as codes."""
    found: dict[str, str] = {}
    columns = ("_regardingobjectid_value", "errornumber")
    for page in reader.pages("bulkdeletefailures", columns, f"_asyncoperationid_value eq {job}"):
        for row in page:
            key, number = spell_guid(row.get("_regardingobjectid_value")), row.get("errornumber")
            if key is not None:
                found[key] = f"0x{number & 0xFFFFFFFF:08x}" if isinstance(number, int) else "not-deleted"
    return found


def _job(head: Head, tags: Sequence[tuple[str, str]], settings: Settings) -> dict[str, Any]:
    queries = []
    for at in range(0, len(tags), _ROWS_IN_A_QUERY):
        rows = [_row(head, key, row_version(tag) or "") for key, tag in tags[at : at + _ROWS_IN_A_QUERY]]
        queries.append(
            {
                "@odata.type": "Microsoft.Dynamics.CRM.QueryExpression",
                "EntityName": head.name,
                "ColumnSet": {"AllColumns": False, "Columns": [head.key]},
                "Distinct": False,
                "Criteria": {"FilterOperator": "Or", "Filters": rows},
            }
        )
    job: dict[str, Any] = {
        "QuerySet": queries,
        "JobName": f"Retention: {head.name}",
        "SendEmailNotification": False,
        "ToRecipients": [],
        "CCRecipients": [],
        "RecurrencePattern": "",
        "StartDateTime": clock.timestamp(clock.now()),
    }
    if settings.purge_recycle_bin:
        job["Options"] = {"CanRecoverDeletedRecords": False}
    return job


def _row(head: Head, key: str, number: str) -> dict[str, Any]:
    def equal(column: str, value: str, kind: str) -> dict[str, Any]:
        return {"AttributeName": column, "Operator": "Equal", "Values": [{"Value": value, "Type": kind}]}

    conditions = [equal(head.key, key, "System.Guid"), equal("versionnumber", number, "System.Int64")]
    return {"FilterOperator": "And", "Conditions": conditions}
