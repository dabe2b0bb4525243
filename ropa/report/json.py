"""The report as JSON: the document model as it is, ``"schema": "ropa.report/1"``, the same in every language.

Invariant: every leaf of the model is in it, and nothing else but the schema; the same document gives the same bytes.
"""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from ropa.clock import Period, timestamp
from ropa.report.model import Document

SCHEMA = "ropa.report/1"


def render(document: Document) -> str:
    """Return one JSON document: dates ``YYYY-MM-DD``, instants ``YYYY-MM-DDTHH:MM:SSZ``, periods ISO 8601."""
    return json.dumps({"schema": SCHEMA, **to_data(document)}, ensure_ascii=False, indent=2) + "\n"


def to_data(value: Any) -> Any:
    """Return a value of the model as JSON has it: tables, lists, texts, numbers, truths, null. Pairs of a word and a
    count stay lists of two."""
    if isinstance(value, Period):
        return value.iso
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, datetime):
        return timestamp(value)
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value):
        return {field.name: to_data(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [to_data(part) for part in value]
    return value
