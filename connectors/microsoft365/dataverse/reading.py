"""Reading rows: whole listings page by page, rows by their keys, and rows by what they refer to.

Keys are asked for a hundred at a time, and many such questions go in one ``$batch``. Invariant: what is read is whole
or an error is raised; a row that is not in an answer to its own key is not there. Only the columns asked for are sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

from connectors.microsoft365.answers import Answer
from connectors.microsoft365.dataverse.batching import MOST, Part, send_parts
from connectors.microsoft365.dataverse.columns import spell_guid
from connectors.microsoft365.http import Service

Row = Mapping[str, Any]

KEYS_AT_ONCE = 100
"""Keys in one question: Dataverse takes at most 500 conditions, and an address in a batch at most 64 KiB."""
ETAG = "@odata.etag"
TARGET = "@Microsoft.Dynamics.CRM.lookuplogicalname"
"""What follows the name of a lookup column in the annotation that says which table it refers to."""
_ANNOTATION = "Microsoft.Dynamics.CRM.lookuplogicalname"
_PARTS = 100
"""Questions in one batch at least, before several batches are asked at a time."""
_REPEATS = 4
_UNSUPPORTED = frozenset({400, 404, 405, 501})


def address(path: str, columns: Iterable[str], *, condition: str = "", more: str = "") -> str:
    """Return the address of a question, its query encoded."""
    query = f"$select={','.join(sorted(set(columns)))}"
    if condition:
        query += f"&$filter={quote(condition, safe=_SAFE)}"
    return f"{path}?{query}{more}"


_SAFE = "(),'$:/"


class Reader:
    """Reads through one service."""

    def __init__(self, service: Service, *, page_size: int, at_once: int) -> None:
        self.service = service
        self._at_once = at_once
        self.headers = {
            "Accept": "application/json",
            "Prefer": f'odata.maxpagesize={page_size},odata.include-annotations="{_ANNOTATION}"',
        }

    def pages(self, path: str, columns: Iterable[str], condition: str = "", *, needs: str = "") -> Iterator[list[Row]]:
        """Yield the rows of a table page by page, with the same preferences on each.

        Raises IncompleteListingError where a page is none, LocationError where reading is refused.
        """
        url = address(path, columns, condition=condition)
        for page in _ahead(self.service.pages(url, headers=self.headers, needs=needs)):
            yield self._rows(page)

    def by_keys(self, path: str, key: str, columns: Iterable[str], keys: Sequence[str]) -> dict[str, Row]:
        """Return rows by their primary id; what is not there is left out."""
        found: dict[str, Row] = {}
        for row in self.where(path, key, {key, *columns}, keys):
            spelt = spell_guid(row.get(key))
            if spelt is not None:
                found[spelt] = row
        return found

    def where(
        self, path: str, column: str, columns: Iterable[str], keys: Sequence[str], *, narrowed: str = ""
    ) -> Iterator[Row]:
        """Yield the rows of which a column holds one of these keys."""
        questions = [(path, column, tuple(columns), narrowed)]
        for _, rows in self.all_where(questions, keys):
            yield from rows

    def all_where(
        self, questions: Sequence[tuple[str, str, Iterable[str], str]], keys: Sequence[str]
    ) -> Iterator[tuple[int, list[Row]]]:
        """Put several such questions (path, column, columns, further condition) at once; yield rows with the number of
        their question. Raises LocationError where one is refused."""
        parts, numbers = [], []
        for number, (path, column, columns, narrowed) in enumerate(questions):
            for at in range(0, len(keys), KEYS_AT_ONCE):
                condition = "%20or%20".join([f"{column}%20eq%20{key}" for key in keys[at : at + KEYS_AT_ONCE]])
                if narrowed:
                    condition = f"({condition})%20and%20{quote(narrowed, safe=_SAFE)}"
                url = address(path, columns, more=f"&$filter={condition}")
                parts.append(Part("GET", url, {"Prefer": self.headers["Prefer"]}))
                numbers.append(number)
        for number, answer in zip(numbers, self.ask(parts), strict=True):
            if not answer.is_ok:
                raise self.service.refusal(answer)
            yield from ((number, rows) for rows in self._following(answer, questions[number][0]))

    def ask(self, parts: Sequence[Part]) -> list[Answer]:
        """Return the answers to questions, however often some of them have to be put.

        Raises LocationError where no answer comes.
        """
        size = min(MOST, max(_PARTS, -(-len(parts) // self._at_once)))
        answers = send_parts(self.service, parts, size=size, at_once=self._at_once)
        for attempt in range(1, _REPEATS):
            open_places = [place for place, answer in enumerate(answers) if answer.status == 0]
            if not open_places:
                break
            self.service.pace.put_off(float(2**attempt) / 4)
            again = send_parts(self.service, [parts[place] for place in open_places], size=size, at_once=1)
            for place, answer in zip(open_places, again, strict=True):
                answers[place] = answer
        if any(answer.status == 0 for answer in answers):
            raise self.service.error("the service does not answer", "unreachable", "Try again later.")
        return answers

    def are_any(self, conditions: Sequence[tuple[str, str, str]]) -> list[bool | None]:
        """Tell for each (path, key, condition) whether there is a row at all; None where reading is denied.

        What the service cannot list at all (a table that is none) has no rows.
        """
        parts = [
            Part("GET", address(path, (key,), condition=condition, more="&$top=1"))
            for path, key, condition in conditions
        ]
        found: list[bool | None] = []
        for answer in self.ask(parts):
            if answer.status in _UNSUPPORTED:
                found.append(False)
            elif answer.status == 403:
                found.append(None)
            elif not answer.is_ok:
                raise self.service.refusal(answer)
            else:
                found.append(bool(self._rows(self._page(answer)["value"])))
        return found

    def count(self, path: str, key: str) -> int:
        """Return how many rows a table has: counted there, or here where it has too many for that.

        ``/$count`` and ``$count=true`` end at 5,000 and are never asked.
        """
        answer = self.service.send("GET", _count_of(path), headers=self.headers)
        if answer.status in {401, 403}:
            raise self.service.refusal(answer, f"read access to {path}")
        number = _number(answer)
        if number is not None:
            return number
        return sum(len({row.get(key) for row in page}) for page in self.pages(path, (key,)))

    def _following(self, answer: Answer, path: str) -> Iterator[list[Row]]:
        """Yield the rows of a page that came in a batch, and of those that follow it."""
        page = self._page(answer)
        yield self._rows(page["value"])
        link = page.get("@odata.nextLink")
        if link is not None:
            if not isinstance(link, str):
                raise self.service.incomplete("a link to the next page is no text")
            link = path + link if link.startswith("?") else link
            yield from (self._rows(rows) for rows in self.service.pages(link, headers=self.headers))

    def _page(self, answer: Answer) -> dict[str, Any]:
        try:
            page = answer.json()
        except ValueError:
            page = None
        if not isinstance(page, dict) or not isinstance(page.get("value"), list):
            raise self.service.incomplete("a page has no values")
        return page

    def _rows(self, page: list[Any]) -> list[Row]:
        if not all(isinstance(row, dict) for row in page):
            raise self.service.incomplete("a page holds something else than rows")
        return page


def _ahead(pages: Iterator[list[Any]]) -> Iterator[list[Any]]:
    """Yield pages while the next one is already on its way."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        waiting = pool.submit(next, pages, None)
        while (page := waiting.result()) is not None:
            waiting = pool.submit(next, pages, None)
            yield page


def _count_of(path: str) -> str:
    return f"{path}?$apply=aggregate($count%20as%20n)"


def _number(answer: Answer) -> int | None:
    """Return what an aggregate tells; None where it tells nothing (Dataverse counts no more than 50,000)."""
    try:
        number = answer.json()["value"][0]["n"] if answer.is_ok else None
    except (ValueError, KeyError, IndexError, TypeError):
        return None
    return number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None
