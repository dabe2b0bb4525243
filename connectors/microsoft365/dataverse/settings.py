"""The options of a Dataverse location that say how, read and checked once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.microsoft365.clouds import wrong_option


@dataclass(frozen=True, slots=True)
class Settings:
    """How a location is spoken to."""

    parts_per_batch: int = 100
    """Dataverse takes 1,000; but a batch is one request, and one that runs for minutes is cut off."""
    at_once: int = 4
    """Dataverse takes 52 of one user, but no more than twenty minutes of work in five: four at a time, all the time."""
    page_size: int = 5_000
    bulk_delete_over: int | None = None
    purge_recycle_bin: bool = False
    delete_history: bool | str = "auto"


def read_settings(location: str, options: Mapping[str, Any]) -> Settings:
    """Return the settings of a location's options. Raises ConfigurationError for one that cannot be."""

    def number(name: str, default: int | None, least: int, most: int) -> int | None:
        value = options.get(name, default)
        if value is None and default is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise wrong_option(location, name, f"is a whole number from {least} to {most}")
        return value

    history = options.get("delete_history", "auto")
    if not isinstance(history, bool) and history != "auto":
        raise wrong_option(location, "delete_history", 'is true, false or "auto"')
    default = Settings()
    return Settings(
        parts_per_batch=number("parts_per_batch", default.parts_per_batch, 1, 1000) or default.parts_per_batch,
        at_once=number("at_once", default.at_once, 1, 52) or default.at_once,
        page_size=number("page_size", default.page_size, 1, 5000) or default.page_size,
        bulk_delete_over=number("bulk_delete_over", None, 0, 1_000_000_000),
        purge_recycle_bin=options.get("purge_recycle_bin") is True,
        delete_history=history,
    )
