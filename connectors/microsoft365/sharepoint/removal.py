"""How a record goes: the module of this connector that deletes.

Design. A list item and a file on its way to the recycle bin are deleted with ``If-Match``: what changed since it was
read stays. ``permanentDelete`` has no such condition in Microsoft's definition, so its caller reads each file's entity
tag in the request just before, twenty at a time. No retention label is removed and no lock broken to get a deletion
through: 403 is ``refused`` (a hold and a missing permission have one code), 423 ``failed:locked``. A request without an
answer is not sent again; the record is asked for, and only one that is gone counts as gone.

What is true afterwards: ``permanentDelete`` and SharePoint's own interface leave nothing in the recycle bin
(``purged``); anything else lies there until a day that is told (``recoverable``). Graph v1.0 has no final removal of a
list item.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date

from connectors.microsoft365.answers import Answer
from connectors.microsoft365.graph_batch import Part, send_parts
from connectors.microsoft365.http import Service
from connectors.microsoft365.sharepoint.catalogue import Place
from connectors.microsoft365.sharepoint.reading import read_parts
from connectors.microsoft365.sharepoint.table import Entry
from ropa.connector import Key, Outcome, OutcomeWord
from ropa.errors import LocationError

_NUMBER = re.compile(r',(\d+)"?$')
_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


_NO_VERSION = Answer(400, content=b'{"error": {"code": "no-version"}}')
"""For an item without a version or a list without a GUID: nothing is sent that would not be conditional."""


class Removal:
    """Removes records of one place, up to as many as a batch takes at a time; threads may share it.

    ``until``: the day from which what lies in the recycle bin cannot be brought back; None: nothing goes there.
    ``rest``: SharePoint's own interface at the site, for list items.
    """

    def __init__(self, service: Service, place: Place, *, until: date | None, rest: Service | None) -> None:
        self._service = service
        self._place = place
        self._until = until
        self._rest = rest

    @property
    def is_conditional(self) -> bool:
        """Whether each removal carries the version as its condition."""
        return self._place.source.is_list or self._until is not None

    def remove(self, entries: Sequence[Entry]) -> list[Outcome]:
        """Remove records that were read just now, and say of each what became of it."""
        answers = self._answers(entries)
        word = OutcomeWord.PURGED if self._until is None else OutcomeWord.RECOVERABLE
        outcomes = [told(entry.key, answer, word, self._until) for entry, answer in zip(entries, answers, strict=True)]
        lost = [pos for pos, answer in enumerate(answers) if answer.status in {0, 500, 502, 504}]
        for pos, is_there in zip(lost, self._are_there([entries[pos].key for pos in lost]), strict=True):
            if not is_there:
                outcomes[pos] = Outcome(entries[pos].key, word, until=self._until)
        return outcomes

    def _answers(self, entries: Sequence[Entry]) -> list[Answer]:
        rest = self._rest
        if rest is not None:
            return [within_budget(lambda one=entry: [self._by_rest(rest, one)], 1)[0] for entry in entries]  # type: ignore[misc]
        parts = [self._part(entry) for entry in entries]
        return within_budget(lambda: send_parts(self._service, parts, weight=1), len(parts))

    def _part(self, entry: Entry) -> Part:
        address = self._place.item(entry.key[0])
        if not self.is_conditional:
            return Part("POST", f"{address}/permanentDelete")
        return Part("DELETE", address, condition(entry.version))

    def _by_rest(self, rest: Service, entry: Entry) -> Answer:
        number = _NUMBER.search(entry.version)
        if number is None or not _GUID.fullmatch(self._place.id.strip("{}")) or not entry.key[0].isdigit():
            return _NO_VERSION
        address = f"_api/web/lists(guid'{self._place.id.strip('{}')}')/items({entry.key[0]})"
        headers = {"If-Match": f'"{number[1]}"', "Accept": "application/json;odata=nometadata"}
        return rest.send("DELETE", address, headers=headers)

    def _are_there(self, keys: Sequence[Key]) -> list[bool]:
        return are_there(self._service, self._place, keys)


def within_budget(send: Callable[[], list[Answer]], count: int) -> list[Answer]:
    """Return the answers of something sent; 429 for each where it was to wait for longer than the budget, and so was
    not carried out. What others did meanwhile is then still told."""
    try:
        return send()
    except LocationError as error:
        if error.code != "throttled":
            raise
        return [Answer(429)] * count


def are_there(service: Service, place: Place, keys: Sequence[Key]) -> list[bool]:
    """Tell of each of up to a batch of records whether something stands under its id: anything but 404 says so."""
    return [answer.status != 404 for answer in read_parts(service, [place.item(key[0]) for key in keys])]


def condition(version: str) -> dict[str, str]:
    """Return the header that lets a change through only while the record is what it was."""
    return {"If-Match": version} if version.startswith(('"', "W/")) else {}


def told(key: Key, answer: Answer, word: OutcomeWord, until: date | None = None) -> Outcome:
    """Return what an answer to a change says of its record; ``word``: what became of it where it was carried out."""
    if answer.is_ok:
        return Outcome(key, word, until=until)
    by_status: dict[int, Callable[[], Outcome]] = {
        0: lambda: Outcome(key, OutcomeWord.FAILED, "no-answer"),
        403: lambda: Outcome(key, OutcomeWord.REFUSED, "on-hold" if answer.fault.is_hold else "hold-or-permission"),
        404: lambda: Outcome(key, OutcomeWord.ABSENT),
        412: lambda: Outcome(key, OutcomeWord.CHANGED),
        423: lambda: Outcome(key, OutcomeWord.FAILED, "locked"),
        429: lambda: Outcome(key, OutcomeWord.FAILED, "throttled"),
        503: lambda: Outcome(key, OutcomeWord.FAILED, "throttled"),
    }
    found = by_status.get(answer.status)
    return found() if found is not None else Outcome(key, OutcomeWord.FAILED, answer.fault.code)
