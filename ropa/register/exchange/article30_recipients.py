"""Who receives the data of a row, in which country, and on what ground (Art. 30(1)(d), (e)).

Invariant: a country belongs to a recipient only where the row leaves no choice; else its words are kept and it is told.
"""

from __future__ import annotations

from typing import Any

from ropa.register.exchange.article30_cells import Cells, Entry, says_none, says_unknown
from ropa.register.exchange.article30_table import Table
from ropa.register.exchange.article30_words import country_of, safeguard_of
from ropa.register.models import NONE as NOBODY
from ropa.vocabulary import UNKNOWN, eea, iso_countries

Found = list[tuple[str, dict[str, Any]]]
"""Recipients: key and values."""


def read_recipients(cells: Cells, entry: Entry, table: Table) -> None:
    """Put the recipients of a row into its entry, and what is said about each into the table's."""
    items, where = cells.items("recipients")
    named: dict[str, None] = {}
    for item in items:
        if says_unknown(item):
            named[UNKNOWN] = None
        elif not says_none(item):
            named[table.recipient(item, where)[0]] = None
    is_nobody = any(says_none(item) for item in items)
    for key, _ in _abroad([key for key in named if key != UNKNOWN], cells, entry, table):
        named[key] = None
    if len(named) > 1:
        named.pop(UNKNOWN, None)
    if named or is_nobody:
        entry.put("recipients", [*named] or [NOBODY], where or cells.text("abroad")[1] or cells.text("countries")[1])


def _abroad(named: list[str], cells: Cells, entry: Entry, table: Table) -> Found:
    """Read the recipients in third countries; ``named``: the row's other recipients."""
    names, name_where = cells.items("abroad")
    places, where = cells.items("countries", has_commas=True)
    names = [name for name in names if not says_none(name) and not says_unknown(name)]
    stated = [place for place in places if not _is_nothing(place, where, table)]
    if names:
        found = [table.recipient(name, name_where) for name in names]
    elif len(named) == len(stated) == 1:
        found = [(named[0], table.recipients[named[0]])]
    else:
        found = [table.recipient(place, where) for place in stated if not says_unknown(place)]
        stated = [place for place in stated if not says_unknown(place)]
        if any(map(says_unknown, places)):
            table.leave(where, "says that a country is not known, and not whose")
    transfers = []
    if len(stated) == len(found):
        for (key, values), place in zip(found, stated, strict=True):
            transfers += _country(key, values, (place, where), table)
    elif stated:
        entry.notes.append(f"Countries: {'; '.join(stated)}")
        table.leave(where, "does not say which country is whose; its words are in the note")
    _safeguard(transfers, cells, entry, table)
    return found


def _is_nothing(place: str, where: str, table: Table) -> bool:
    """Tell whether a text says that there is no country."""
    if not says_none(place):
        return False
    if place in iso_countries():
        table.leave(where, "may be the code of a country or say that there is none; write the country's name")
    return True


def _country(key: str, values: dict[str, Any], said: tuple[str, str], table: Table) -> list[dict[str, Any]]:
    """Set the country of a recipient; return its transfer where that is a third country or unknown."""
    place, where = said
    code = UNKNOWN if says_unknown(place) else country_of(place)
    if code is None:
        _note(values, f"Country: {place}")
        table.leave(where, "is no country that is known by this name; its words are in the recipient's note")
        code = UNKNOWN
    if values.get("country", code) != code:
        table.leave(where, f"names another country for recipient.{key} than a row before")
        return []
    values["country"] = code
    table.places.note(("recipient", key, "country"), where)
    return [] if code in eea() else [values.setdefault("transfer", {"country": code})]


def _safeguard(transfers: list[dict[str, Any]], cells: Cells, entry: Entry, table: Table) -> None:
    text, where = cells.text("safeguards")
    if not text or says_none(text):
        return
    key = UNKNOWN if says_unknown(text) else safeguard_of(text)
    if not transfers:
        entry.notes.append(f"Safeguards: {text}")
        table.leave(where, "names a safeguard, and no third country; its words are in the note")
    for transfer in transfers:
        if key is None:
            transfer.setdefault("safeguard", UNKNOWN)
            _note(transfer, text)
            table.leave(where, "is no mechanism that is known by this name; its words are in the note of the transfer")
        elif transfer.get("safeguard", UNKNOWN) in {key, UNKNOWN}:
            transfer["safeguard"] = key
        else:
            table.leave(where, "names another safeguard for a recipient than a row before")


def _note(values: dict[str, Any], text: str) -> None:
    before = values.get("note")
    values["note"] = text if before is None else before if text in before.split("\n") else f"{before}\n{text}"
