"""How a list of a mailbox is read: by as few requests as there are pages, and not believed before the sums agree.

A filter is believed when the service, asked at the same moment, counts as many that fit it and as many that do not as
it counts in all: a filter that answers too little, or leaves out what has no date, is found by that, and the whole list
is read instead. A page that is not full, without a link to the next, although more were counted, is followed by asking
for the rest. Invariant: fewer records than were counted are an incomplete listing, never a short one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from connectors.microsoft365.graph_batch import Part, send_parts
from connectors.microsoft365.http import Service

PREFER = {"Prefer": 'IdType="ImmutableId"'}
"""Ids that stay when an item moves; every request says so, or ids of two sorts would be mixed."""
PAGE = 1000
"""Records a page: the most that Graph gives of messages."""
_TRIES = 2
_REFUSED = frozenset({403, 404})

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """Two filters of which every dated record fits exactly one."""

    wanted: str
    rest: str


@dataclass(slots=True)
class Listing:
    """One reading of one list; ``population`` and ``counted`` are known when all pages were given."""

    service: Service
    collection: str
    select: Sequence[str]
    """Columns; none: everything."""
    span: Span | None = None
    needs: str = ""
    page: int = PAGE
    population: int = 0
    """How many records the list holds."""
    is_counted: bool = False
    is_filtered: bool = False
    """Whether the span was believed; otherwise everything was read."""
    counted: int = 0
    """How many the service counts of those asked for; 0 where it counts none."""
    _first: Any = field(default=None, repr=False)

    def pages(self) -> Iterator[list[Row]]:
        """Yield the records page by page; with a span perhaps others too. Raises LocationError, and
        IncompleteListingError where the listing is not whole."""
        if self.span is not None and self._prove(self.span):
            yield from self._follow(self._address(self.span.wanted), self._first)
            return
        self.population = 0
        address = self._address(None)
        for rows in self._follow(address, self.service.get(address, headers=PREFER, needs=self.needs)):
            self.population += len(rows)
            yield rows

    def _prove(self, span: Span) -> bool:
        """Ask for the first page and the three sums at once; tell whether they agree."""
        addresses = [
            self._address(span.wanted),
            self._address(span.rest, is_sum=True),
            self._address(None, is_sum=True),
        ]
        parts = [Part("GET", f"/{address}", PREFER) for address in addresses]
        for _ in range(_TRIES):
            answers = send_parts(self.service, parts, weight=len(parts))
            if answers[0].status in _REFUSED:
                raise self.service.refusal(answers[0], self.needs)
            if not all(answer.is_ok for answer in answers):
                return False
            found = [answer.json() for answer in answers]
            sums = [each.get("@odata.count") if isinstance(each, dict) else None for each in found]
            wanted, rest, population = sums
            if not (isinstance(wanted, int) and isinstance(rest, int) and isinstance(population, int)):
                return False
            if wanted + rest == population:
                self._first, self.population, self.is_filtered = found[0], population, True
                return True
        return False  # records without a date, mail that came meanwhile, or a filter that is not to be believed

    def _follow(self, address: str, page: Any) -> Iterator[list[Row]]:
        """Yield a page and those after it, by whole links."""
        service, seen = self.service, 0
        counted: int | None = None
        visited = {hash(str(service.address(address)))}
        while True:
            rows = page.get("value") if isinstance(page, dict) else None
            if not isinstance(rows, list):
                raise service.incomplete("a page has no values")
            if counted is None:
                told = page.get("@odata.count")
                self.is_counted = isinstance(told, int)
                self.counted = counted = told if isinstance(told, int) else 0
            yield rows
            seen += len(rows)
            link = page.get("@odata.nextLink")
            if link is None and seen >= counted:
                return
            if link is None and not rows:
                raise service.incomplete(f"{counted} records were counted, and {seen} were listed")
            if link is not None and not isinstance(link, str):
                raise service.incomplete("a link to the next page is no text")
            if link is None:
                link = f"{address}&$skip={seen}"
            elif link.startswith("?"):
                link = f"{self.collection}{link}"
            following = str(service.address(link))
            if hash(following) in visited:
                raise service.incomplete("its pages lead round in a circle")
            visited.add(hash(following))
            page = service.get(following, headers=PREFER, needs=self.needs)

    def _address(self, condition: str | None, *, is_sum: bool = False) -> str:
        select = f"$select={','.join(self.select)}&" if self.select else ""
        chosen = "$select=id&$top=1" if is_sum else f"{select}$top={self.page}"
        filtered = f"&$filter={quote(condition, safe=':')}" if condition is not None else ""
        return f"{self.collection}?{chosen}&$count=true{filtered}"
