"""Text of MariaDB and MySQL in another character set. A collation of its own, where one is needed, because those of
several columns may not go together."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, func, literal_column

WHOLE = "utf8mb4"
"""The character set that spells everything."""


def converted(value: ColumnElement[Any], charset: str) -> ColumnElement[Any]:
    """Return text in a character set; ``binary``: its bytes."""
    text: ColumnElement[Any] = func.convert(value.op("USING")(literal_column(charset)))
    return text


def as_text(value: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the text of a value, in which every letter counts."""
    text: ColumnElement[Any] = converted(value, WHOLE).op("COLLATE")(literal_column("utf8mb4_bin"))
    return text
