"""The catalogue of any database that SQLAlchemy can inspect, and how values of its columns travel.

Invariants: what a dialect cannot tell is taken as unknown, never as absent where that would be rash: a check names
every column whose name occurs in it, and an index over a part of the table counts for nothing. Triggers cannot be told
portably and are not seen. The version is the catalogue itself, so that no change of it can be missed.
"""

from __future__ import annotations

import re
import uuid
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnClause, Connection, Dialect, Inspector, TableClause, column, inspect, table, types
from sqlalchemy.engine.reflection import ObjectKind
from sqlalchemy.exc import NoSuchTableError, SAWarning, UnreflectableTableError
from sqlalchemy.sql.elements import quoted_name
from sqlalchemy.sql.type_api import TypeEngine

from connectors.sql.catalogue import Catalogue, Check, ForeignKey, Kind, Table, TableColumn

_SYSTEM = re.compile(r"information_schema|performance_schema|mysql|sys|guest|db_\w+|pg_\w+", re.IGNORECASE)
_SCHEMA_IS_DATABASE = frozenset({"oracle", "mysql", "mariadb"})
"""Where other schemas are other databases or other users, and there may be very many."""
_UNCOMPARED = {"mssql": {"TEXT", "NTEXT", "XML", "IMAGE"}, "oracle": {"CLOB", "NCLOB", "LONG", "BLOB"}}
"""Types that their engine compares with nothing."""
_CARRIED = frozenset({Kind.UUID, Kind.DATE, Kind.NAIVE, Kind.INSTANT, Kind.BOOLEAN})


class Carried(types.TypeDecorator[Any]):
    """A type whose values stand in keys as text or int, and which a driver takes in a form of its own.

    Only what is compared with such a column is turned; what comes back is not touched.
    """

    impl = types.NullType
    cache_ok = True

    def __init__(self, kind: Kind, inner: TypeEngine[Any]) -> None:
        super().__init__()
        self.kind = kind
        self.inner = inner

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """See ``TypeDecorator``."""
        return dialect.type_descriptor(self.inner)

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:  # noqa: ARG002 - the signature of SQLAlchemy
        """See ``TypeDecorator``. What cannot be turned goes as it is: the database says what it thinks of it."""
        native = native_of(value, self.kind)
        return value if native is None else native

    def result_processor(self, dialect: Dialect, coltype: object) -> None:
        """See ``TypeDecorator``: none."""


def native_of(value: Any, kind: Kind) -> Any:
    """Return a value of a key as drivers take it; None where it is no value of that kind.

    A GUID as ``uuid.UUID``, dates as ``date`` and ``datetime`` (aware for INSTANT, without a zone for NAIVE).
    """
    try:
        if kind is Kind.UUID:
            found = value if isinstance(value, uuid.UUID) else uuid.UUID(value)
            return found if str(found) == str(value).lower() else None
        if kind is Kind.BOOLEAN:
            return bool(value) if value in {0, 1} else None
        if kind is Kind.DATE:
            return value if isinstance(value, date) else date.fromisoformat(value)
        if kind in {Kind.NAIVE, Kind.INSTANT}:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
            return moment if (moment.tzinfo is not None) == (kind is Kind.INSTANT) else None
    except (ValueError, TypeError, AttributeError):
        return None
    return value


@dataclass(frozen=True, slots=True)
class GenericColumn(TableColumn):
    """A column, with the type that SQLAlchemy found."""

    found: TypeEngine[Any] = field(default_factory=types.NullType, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class GenericTable(Table):
    """A table whose columns have types where values must be turned for the driver."""

    is_quoted: bool = True
    """False where SQLAlchemy gives names in another case than the database's own (Oracle): it knows what to quote."""

    def plain(self) -> TableClause:
        """See ``Table.plain``."""

        def named(name: str) -> str:
            return quoted_name(name, quote=True) if self.is_quoted else name

        columns: list[ColumnClause[Any]] = [column(named(c.name), _type_in_statements(c)) for c in self.columns]
        schema = None if self.schema is None else named(self.schema)
        return table(named(self.own_name or self.name), *columns, schema=schema)


def _type_in_statements(found: TableColumn) -> TypeEngine[Any]:
    if isinstance(found, GenericColumn) and found.kind in _CARRIED:
        return Carried(found.kind, found.found)
    return types.NullType()


def kind_of(found: TypeEngine[Any], dialect: str) -> Kind:
    """Return what a column of that type holds."""
    name = str(getattr(found, "__visit_name__", "")).upper()
    if name in _UNCOMPARED.get(dialect, ()) or isinstance(found, types.Enum | types.JSON | types.ARRAY):
        return Kind.OTHER
    if isinstance(found, types.Date | types.DateTime) and dialect == "sqlite":
        return Kind.ANY  # anything at all may stand there
    has_zone = bool(getattr(found, "timezone", False)) or name == "DATETIMEOFFSET"
    kinds: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
        (types.Boolean, Kind.BOOLEAN),
        (types.Uuid, Kind.UUID),
        ((types.Integer, types.Numeric, types.Float), Kind.NUMBER),
        # Before DATE: Oracle's DATE has a time, and SQLAlchemy says so.
        (types.DateTime, Kind.INSTANT if has_zone else Kind.NAIVE),
        (types.Date, Kind.DATE),
        (types.LargeBinary, Kind.BYTES),
        (types._Binary, Kind.BYTES),  # noqa: SLF001 - BINARY and VARBINARY have no other parent
        (types.String, Kind.TEXT),
    )
    kind = next((kind for classes, kind in kinds if isinstance(found, classes)), None)
    return kind or (Kind.ADDRESS if name in {"INET", "INET4", "INET6"} else Kind.OTHER)


def read_catalogue(connection: Connection, schema: str | None, sources: Iterable[str]) -> Catalogue:
    """Read the catalogue: the schema of the location, and of others what may refer to it.

    ``schema``: None for the connection's own. ``sources``: tables as configured; a schema before the name of one that
    is not in the location's schema is read too.
    """
    with warnings.catch_warnings():
        # Types that the dialect does not know: their columns are there all the same.
        warnings.simplefilter("ignore", SAWarning)
        inspector = inspect(connection)
        own = schema or inspector.default_schema_name
        tables: dict[str, Table] = {}
        for other in (None, *_other_schemas(inspector, own, sources)):
            reader = _Reader(inspector, schema if other is None else other, own, "" if other is None else f"{other}.")
            tables |= {found.name: found for found in reader.tables()}
    tables = dict(sorted(tables.items()))
    return Catalogue(tuple(tables.values()), tables)


def _other_schemas(inspector: Inspector, own: str | None, sources: Iterable[str]) -> list[str]:
    try:
        names = {str(name) for name in inspector.get_schema_names()} - {own}
    except NotImplementedError:
        return []
    if inspector.dialect.name in _SCHEMA_IS_DATABASE or inspector.dialect.name == "sqlite":
        names &= {source.partition(".")[0] for source in sources if "." in source}
    return sorted(name for name in names if not _SYSTEM.fullmatch(name))


class _Reader:
    """One schema."""

    def __init__(self, inspector: Inspector, schema: str | None, own: str | None, prefix: str) -> None:
        self._inspector = inspector
        self._schema = schema
        self._own = own
        self._prefix = prefix
        self._dialect = inspector.dialect
        self._is_quoted = not self._dialect.requires_name_normalize

    def tables(self) -> Iterable[Table]:
        """Yield every table and view that can be read."""
        kinds = self._kinds()
        names = sorted(kinds)
        if not names:
            return
        told = {
            about: self._told(about, names)
            for about in ("columns", "pk_constraint", "indexes", "unique_constraints", "foreign_keys")
        }
        checks = self._told("check_constraints", names)
        for name in names:
            columns = tuple(self._column(each) for each in told["columns"].get(name) or ())
            if not columns:
                continue
            pk = told["pk_constraint"].get(name) or {}
            key = tuple(pk.get("constrained_columns") or ())
            indexes = [key] if key else []
            uniques = {frozenset(key)} if key else set()
            for each in told["unique_constraints"].get(name) or ():
                uniques.add(frozenset(each["column_names"]))
                indexes.append(tuple(each["column_names"]))
            for each in told["indexes"].get(name) or ():
                listed = tuple(each.get("column_names") or ())
                if None in listed or not listed or _is_partial(each):
                    continue
                indexes.append(listed)
                if each.get("unique"):
                    uniques.add(frozenset(listed))
            in_place = [c.name for c in columns]
            yield GenericTable(
                name=f"{self._prefix}{name}",
                kind=kinds[name],
                columns=columns,
                key=key,
                uniques=tuple(sorted(uniques, key=sorted)),
                indexed=frozenset(index[0] for index in indexes),
                foreign_keys=self._foreign_keys(told["foreign_keys"].get(name) or (), indexes),
                schema=self._schema,
                own_name=name if self._prefix else None,
                checks=tuple(
                    sorted(
                        (_check(each, in_place) for each in checks.get(name) or ()),
                        key=lambda c: (c.name, c.expression),
                    )
                ),
                is_loose=self._dialect.name == "sqlite",
                is_quoted=self._is_quoted,
                tells_triggers=False,
            )

    def _kinds(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for kind, names in (
            ("table", self._inspector.get_table_names),
            ("view", self._inspector.get_view_names),
            ("materialized view", self._inspector.get_materialized_view_names),
        ):
            with suppress(NotImplementedError):
                found |= dict.fromkeys(names(schema=self._schema), kind)
        return found

    def _told(self, about: str, names: Sequence[str]) -> dict[str, Any]:
        """Return what the inspector tells of each table, by name; nothing where the dialect cannot tell."""
        ask = getattr(self._inspector, f"get_multi_{about}")
        try:
            found = ask(schema=self._schema, filter_names=names, kind=ObjectKind.ANY)
        except NotImplementedError:
            return {}
        except (NoSuchTableError, UnreflectableTableError):
            found = {}
            for name in names:
                with suppress(NotImplementedError, NoSuchTableError, UnreflectableTableError):
                    found[None, name] = getattr(self._inspector, f"get_{about}")(name, schema=self._schema)
        return {name: told for (_, name), told in found.items()}

    def _column(self, told: Mapping[str, Any]) -> GenericColumn:
        found: TypeEngine[Any] = told["type"]
        try:
            spelled = found.compile(dialect=self._dialect)
        except Exception:  # noqa: BLE001 - a type that was not recognised cannot be spelled, each in its own way
            spelled = type(found).__name__
        is_stamp = self._dialect.name == "mssql" and spelled.upper() in {"TIMESTAMP", "ROWVERSION"}
        length = getattr(found, "length", None)
        return GenericColumn(
            name=told["name"],
            type=spelled,
            kind=kind_of(found, self._dialect.name),
            is_nullable=bool(told.get("nullable", True)),
            is_computed=told.get("computed") is not None or is_stamp,
            length=length if isinstance(length, int) and not isinstance(found, types.Enum) else None,
            found=found,
        )

    def _foreign_keys(
        self, told: Iterable[Mapping[str, Any]], indexes: Sequence[tuple[str, ...]]
    ) -> tuple[ForeignKey, ...]:
        found = []
        for each in told:
            schema = each.get("referred_schema") or self._own
            columns = tuple(each["constrained_columns"])
            found.append(
                ForeignKey(
                    columns,
                    each["referred_table"] if schema == self._own else f"{schema}.{each['referred_table']}",
                    tuple(each["referred_columns"]),
                    str((each.get("options") or {}).get("ondelete") or "NO ACTION").upper(),
                    any(frozenset(index[: len(columns)]) == frozenset(columns) for index in indexes),
                )
            )
        return tuple(sorted(found, key=lambda key: (key.columns, key.to_table, key.to_columns)))


def _is_partial(index: Mapping[str, Any]) -> bool:
    options = index.get("dialect_options") or {}
    return any(name.endswith("_where") and value is not None for name, value in options.items())


def _check(told: Mapping[str, Any], columns: Iterable[str]) -> Check:
    text = str(told.get("sqltext") or "")
    words = set(re.findall(r"\w+", text.casefold()))
    named = frozenset(c for c in columns if c.casefold() in words or c in text)
    return Check(str(told.get("name") or ""), named, text)
