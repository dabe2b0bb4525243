"""Whether a function of the database deletes rows: read from its text, and from that of the functions it calls.

Invariant: the doubt goes against deleting. A text in which ``DELETE FROM``, ``TRUNCATE`` or ``THEN DELETE`` (of a
MERGE) stands is taken to do it, also inside a dynamic statement; comments do not count.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

from connectors.sql.postgres_queries import BODIES, FUNCTIONS

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_DELETES = re.compile(r"\b(?:DELETE\s+FROM|TRUNCATE|THEN\s+DELETE)\b", re.IGNORECASE)
_CALLED = re.compile(r"([\w$]+)\"?\s*\(")


def is_deleting(text: str) -> bool:
    """Tell whether a statement, or one in the text of a function, deletes."""
    return _DELETES.search(_COMMENT.sub(" ", text)) is not None


class Functions:
    """The functions of a database that are written in a language with a text, read when first asked about."""

    def __init__(self, ask: Callable[[str], list[Any]]) -> None:
        self._ask = ask

    @cached_property
    def _texts(self) -> dict[int, str]:
        found = self._ask(FUNCTIONS)
        bodies = dict(self._ask(BODIES)) if any(row[4] for row in found) else {}
        return {row[0]: _COMMENT.sub(" ", bodies[row[0]] if row[4] else row[3] or "") for row in found}

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row in self._ask(FUNCTIONS):
            found.setdefault(str(row[2]).lower(), []).append(row[0])
        return found

    def text(self, function: int) -> str:
        """Return the text of a function, and of all that it calls by name."""
        seen, waiting = {function}, [function]
        texts = []
        while waiting:
            text = self._texts.get(waiting.pop(), "")
            texts.append(text)
            for name in {found.lower() for found in _CALLED.findall(text)}:
                more = [other for other in self._by_name.get(name, ()) if other not in seen]
                seen.update(more)
                waiting += more
        return "\n".join(texts)
