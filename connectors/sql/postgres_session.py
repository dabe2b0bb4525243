"""How connections to a PostgreSQL server are opened, what is set on them, and how values come back.

Invariants: a session cannot wait or run without end; one that reads cannot write; row level security never hides a row
without an error (``row_security = off`` makes the server refuse instead). Values come back as numbers, text and bytes,
never as an object of the driver's making, so that no content of a column, however odd, can make reading it fail.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.pool import QueuePool

from connectors.sql.backend import Row
from ropa.errors import LocationError

if TYPE_CHECKING:
    import psycopg
    from psycopg.adapt import AdaptersMap

STATEMENT_SECONDS = 60.0
LOCK_SECONDS = 5.0
CONNECT_SECONDS = 10
IDLE_SECONDS = 60.0
"""How long a batch may be thought about between two statements."""
OLDEST = 130_000
"""The oldest version of the server that is taken, as the server counts them."""

_LONGEST = 24 * 3600.0
_REMEMBERED = 1024
"""Statements whose columns are remembered."""

_INTEGER = re.compile(r"0|-?[1-9]\d{0,18}", re.ASCII)
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.(\d{1,6}))?(\+00)?", re.ASCII)


def read_numeric(text: str) -> int | float | str:
    """Return a ``numeric`` such that its text gives it back exactly: whole numbers of 64 bits as int, what a float
    spells alike as float, else the text."""
    if _INTEGER.fullmatch(text) and -(2**63) <= int(text) < 2**63:
        return int(text)
    number = float(text)
    return number if repr(number) == text and abs(number) < float("inf") else text


def read_stamp(text: str) -> str:
    """Return a timestamp in the spelling of ``ropa.connector.Key``; as the server writes it where that has none."""
    found = _STAMP.fullmatch(text)
    if found is None:
        return text
    day, clock, fraction, offset = found.groups()
    return f"{day}T{clock}{'.' + fraction.ljust(6, '0') if fraction else ''}{'Z' if offset else ''}"


def read_place(text: str) -> bytes:
    """Return a ``ctid`` as its six bytes, as in binary results: page (4) and line (2)."""
    page, line = text[1:-1].split(",")
    return int(page).to_bytes(4, "big") + int(line).to_bytes(2, "big")


def adapt(adapters: AdaptersMap) -> frozenset[int]:
    """Register how values are read and written; returns the types (oids) that can also come in binary."""
    from psycopg import adapters as standard
    from psycopg.adapt import Dumper, Loader
    from psycopg.pq import Format
    from psycopg.types.numeric import IntLoader, OidBinaryLoader
    from psycopg.types.string import ByteaBinaryLoader, TextLoader

    def loader(read: Callable[[str], Any]) -> type[Loader]:
        class Reader(Loader):
            def load(self, data: Any) -> Any:
                return read(bytes(data).decode())

        return Reader

    class FloatText(Dumper):
        """A float as a literal of no type: beside a ``numeric`` it is read exactly, and an index serves."""

        def dump(self, obj: float) -> bytes:
            return repr(obj).encode()

    alike = {"int2", "int4", "int8", "oid", "float4", "float8", "bool", "bytea", "text", "varchar", "bpchar", "name"}
    for info in standard.types:
        if info.name not in alike:
            adapters.register_loader(info.oid, TextLoader)
        if info.array_oid:
            adapters.register_loader(info.array_oid, TextLoader)
    for name, read in (("numeric", read_numeric), ("timestamp", read_stamp), ("timestamptz", read_stamp)):
        adapters.register_loader(name, loader(read))
    adapters.register_loader("xid", IntLoader)
    adapters.register_loader("xid", OidBinaryLoader)
    adapters.register_loader("tid", loader(read_place))
    adapters.register_loader("tid", ByteaBinaryLoader)
    adapters.register_dumper(float, FloatText)
    # A float4 in binary comes with the digits that it does not have.
    in_binary = [standard.types[name].oid for name in (*(alike - {"float4"}), "xid", "tid")]
    return frozenset(oid for oid in in_binary if adapters.get_loader(oid, Format.BINARY) is not None)


class Fetcher:
    """Fetches rows, in binary wherever all columns of a statement can come so: that costs the server least.

    What columns a statement has is known once it ran; so each runs as text the first time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, bool] = {}
        self.in_binary: frozenset[int] = frozenset()
        """Types that can come in binary."""

    def rows(self, connection: Connection, statement: Any) -> list[Row]:
        """Run a statement and return its rows."""
        result = connection.execute(statement)
        cursor = result.cursor
        if cursor is None or cursor.description is None:
            return []
        rows: list[Row] = list(cursor.fetchall())
        text = str(getattr(result.context, "statement", ""))
        if text not in self._known:
            are_known = all(column[1] in self.in_binary for column in cursor.description)
            with self._lock:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[text] = are_known
        return rows

    def choose(self, cursor: Any, statement: str) -> None:
        """Set the format in which a cursor is about to ask."""
        from psycopg.pq import Format

        if self._known.get(statement):
            cursor.format = Format.BINARY


def seconds(location: str, options: Any, name: str, default: float) -> float:
    """Return an option that is a number of seconds. Raises LocationError for anything that bounds nothing."""
    value = options.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST:
        raise LocationError(
            f"location {location}: {name} must be a number of seconds, more than 0 and at most a day",
            code="option",
            next_step=f"Write for instance {name} = {default:g}, or leave it out.",
        )
    return float(value)


def open_engine(
    location: str, url: URL, settings: Sequence[tuple[str, str]], schema: str | None, fetcher: Fetcher
) -> Engine:
    """Return the engine whose connections have these settings; nothing is connected yet.

    Raises LocationError where the driver is not installed.
    """
    given = {name: value for name, value in _CONNECTING.items() if name not in url.query}
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            isolation_level="AUTOCOMMIT",
            use_native_hstore=False,
            client_encoding="utf8",
            poolclass=QueuePool,
            pool_pre_ping=True,
            pool_timeout=CONNECT_SECONDS,
            connect_args=given,
        )
    except ImportError:
        raise LocationError(
            f"location {location}: the driver for PostgreSQL is not installed",
            code="driver",
            next_step="Run: pip install 'ropa[postgres]'",
        ) from None

    def opened(raw: psycopg.Connection[Any], _record: object) -> None:
        fetcher.in_binary = adapt(raw.adapters)
        for name, value in settings:
            raw.execute("SELECT pg_catalog.set_config(%s, %s, false)", (name, value))
        raw.execute(_SET_PATH, {"schema": schema})

    def about_to_ask(_connection: object, cursor: Any, statement: str, *_: object) -> None:
        fetcher.choose(cursor, statement)

    event.listen(engine, "connect", opened)
    event.listen(engine, "before_cursor_execute", about_to_ask)
    return engine


# The types of an extension (citext) compare by operators of their own, which are found by the path alone; without them
# two values that a foreign key holds for equal would be different here.
_SET_PATH = """
SELECT pg_catalog.set_config('search_path', pg_catalog.concat_ws(', ', pg_catalog.quote_ident(%(schema)s::text),
    nullif(pg_catalog.current_setting('search_path'), ''),
    (SELECT pg_catalog.string_agg(DISTINCT pg_catalog.quote_ident(n.nspname), ', ')
     FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace
     WHERE n.nspname <> 'pg_catalog' AND NOT n.nspname = ANY (pg_catalog.current_schemas(false)))), false)
"""

_CONNECTING: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS, "application_name": "ropa"}


def settings_of(*, statement_seconds: float, lock_seconds: float, is_reading: bool) -> list[tuple[str, str]]:
    """Return what is set on every connection."""
    found = [
        ("TimeZone", "UTC"),
        ("DateStyle", "ISO, YMD"),
        ("IntervalStyle", "iso_8601"),
        ("bytea_output", "hex"),
        ("extra_float_digits", "1"),
        ("row_security", "off"),
        ("statement_timeout", str(max(1, round(statement_seconds * 1000)))),
        ("lock_timeout", str(max(1, round(lock_seconds * 1000)))),
        # The keys of a batch are in the statement's parameters: a plan made without them takes them for a handful.
        ("plan_cache_mode", "force_custom_plan"),
        ("jit", "off"),
        # A batch's rows lie close together, in key order. At the cost of a disk that turns, which is the default, the
        # planner reads a whole table for every batch.
        ("random_page_cost", "1.1"),
        ("default_transaction_read_only", "on" if is_reading else "off"),
    ]
    if not is_reading:
        # A process that was stopped in the middle of a batch must not keep its locks.
        idle = max(IDLE_SECONDS, statement_seconds)
        found.append(("idle_in_transaction_session_timeout", str(round(idle * 1000))))
    return found
