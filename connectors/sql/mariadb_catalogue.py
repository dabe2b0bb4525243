"""What a MariaDB or MySQL database holds, read from ``information_schema`` with bound values.

Invariant: names of tables and columns come from the server as it spells them. What this user has no right to see is not
there: tables without any privilege, and triggers without the privilege TRIGGER
(https://mariadb.com/kb/en/information-schema-triggers-table/).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, bindparam, text

from connectors.sql.catalogue import Catalogue, Check, ForeignKey, Kind, Table, TableColumn, named_in
from connectors.sql.mariadb_triggers import SYSTEM, read_triggers, rows_of

_KINDS = {
    Kind.NUMBER: "tinyint smallint mediumint int bigint decimal float double year bit",
    Kind.TEXT: "char varchar tinytext text mediumtext longtext",
    Kind.BYTES: "binary varbinary tinyblob blob mediumblob longblob",
    Kind.DATE: "date",
    Kind.NAIVE: "datetime",
    Kind.INSTANT: "timestamp",
    Kind.UUID: "uuid",
    Kind.ADDRESS: "inet4 inet6",
}
_KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_SMALL_TEXTS = frozenset({"char", "varchar", "binary", "varbinary", "tinyblob"})
_LABEL = re.compile(r"'((?:[^']|'')*)'")
_QUOTED = re.compile(r"`((?:[^`]|``)+)`")
_JSON_CHECK = re.compile(r"json_valid\(`((?:[^`]|``)+)`\)", re.IGNORECASE)

UNDOABLE_NOT = "table without transactions"
"""Kind of a table whose engine cannot undo (MyISAM, Aria, MEMORY): a batch that goes wrong would be half done."""

_VERSION = text(
    "SELECT 'tables', COUNT(*), BIT_XOR(CAST(CONV(LEFT(SHA1(CONCAT_WS('|', TABLE_SCHEMA, TABLE_NAME,"
    " TABLE_TYPE, ENGINE, CREATE_TIME)), 16), 16, 10) AS UNSIGNED))"
    " FROM information_schema.TABLES WHERE TABLE_SCHEMA IN :schemas UNION ALL"
    " SELECT 'columns', COUNT(*), BIT_XOR(CAST(CONV(LEFT(SHA1(CONCAT_WS('|', TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME,"
    " COLUMN_TYPE, IS_NULLABLE, ORDINAL_POSITION)), 16), 16, 10) AS UNSIGNED))"
    " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN :schemas UNION ALL"
    " SELECT 'triggers', COUNT(*), BIT_XOR(CAST(CONV(LEFT(SHA1(CONCAT_WS('|', TRIGGER_SCHEMA, TRIGGER_NAME,"
    " CREATED)), 16), 16, 10) AS UNSIGNED)) FROM information_schema.TRIGGERS"
    " WHERE TRIGGER_SCHEMA IN :schemas AND EVENT_OBJECT_SCHEMA IN :schemas UNION ALL"
    " SELECT 'links', COUNT(*), BIT_XOR(CAST(CONV(LEFT(SHA1(CONCAT_WS('|', CONSTRAINT_SCHEMA, TABLE_NAME,"
    " CONSTRAINT_NAME, REFERENCED_TABLE_NAME, DELETE_RULE, UPDATE_RULE)), 16), 16, 10) AS UNSIGNED))"
    " FROM information_schema.REFERENTIAL_CONSTRAINTS"
    " WHERE CONSTRAINT_SCHEMA IN :schemas OR UNIQUE_CONSTRAINT_SCHEMA IN :schemas"
)
"""InnoDB gives every table that was altered, in place too, a new CREATE_TIME, in whole seconds; the rest tells most
of what happens within one. Writing, ANALYZE and TRUNCATE change nothing of this."""


@dataclass(frozen=True, slots=True)
class MariadbColumn(TableColumn):
    """A column, with what is needed to compare values with it."""

    data_type: str = ""
    """The bare name of the type: ``bigint``, ``varchar``."""
    charset: str | None = None
    collation: str | None = None
    scale: int | None = None


def schema_version(connection: Connection, schemas: Sequence[str]) -> tuple[Any, ...]:
    """Return what changes when tables, columns, keys, checks or triggers of these databases change; a few ms."""
    statement = _VERSION.bindparams(bindparam("schemas", expanding=True))
    return tuple(sorted(tuple(row) for row in connection.execute(statement, {"schemas": list(schemas)})))


def read_schemas(connection: Connection, own: str, sources: Iterable[str]) -> tuple[str, ...]:
    """Return the databases to be read: the connection's own, those that configured tables name (``audit.person``), and
    those whose foreign keys cross over."""
    asked = {name.partition(".")[0] for name in sources if "." in name}
    known = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME IN :schemas"
    found = rows_of(connection, known, [own, *asked])
    schemas = {own} | {name for (name,) in found}
    crossing = (
        "SELECT DISTINCT TABLE_SCHEMA, REFERENCED_TABLE_SCHEMA FROM information_schema.KEY_COLUMN_USAGE"
        " WHERE REFERENCED_TABLE_SCHEMA IS NOT NULL AND REFERENCED_TABLE_SCHEMA <> TABLE_SCHEMA"
        " AND TABLE_SCHEMA NOT IN :schemas"
    )
    links = [set(row) for row in rows_of(connection, crossing, SYSTEM)]
    while more := [link for link in links if link & schemas and not link <= schemas]:
        schemas = schemas.union(*more)
    return (own, *sorted(schemas - {own}))


def read_catalogue(connection: Connection, schemas: Sequence[str], sources: Iterable[str]) -> Catalogue:
    """Read the tables and views of these databases, the first of which is the connection's own."""
    version = schema_version(connection, schemas)
    folds = int(connection.exec_driver_sql("SELECT @@lower_case_table_names").scalar_one()) != 0
    reader = _Reader(connection, schemas, {name.lower(): name for name in sources} if folds else {}, folds=folds)
    return Catalogue(version, {table.name: table for table in reader.tables()})


class _Reader:
    def __init__(
        self, connection: Connection, schemas: Sequence[str], spellings: Mapping[str, str], *, folds: bool
    ) -> None:
        self._connection = connection
        self._schemas = schemas
        self._spellings = spellings
        self._folds = folds

    def _all(self, statement: str) -> list[tuple[Any, ...]]:
        return rows_of(self._connection, statement, self._schemas)

    def _name(self, schema: str, table: str) -> str:
        """Return the name by which a table is configured."""
        name = table if self._is_own(schema) else f"{schema}.{table}"
        return self._spellings.get(name.lower(), name) if self._folds else name

    def _is_own(self, schema: str) -> bool:
        return schema == self._schemas[0] or (self._folds and schema.lower() == self._schemas[0].lower())

    def tables(self) -> list[Table]:
        """Return every table and view."""
        listed = self._all(
            "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA IN :schemas ORDER BY TABLE_NAME"
        )
        undoable = {
            engine
            for (engine,) in self._connection.exec_driver_sql(
                "SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES'"
            )
        }
        checks = self._checks()
        columns = self._columns(checks)
        indexes, keys = self._indexes(), self._foreign_keys()
        triggers = read_triggers(self._connection, self._schemas)
        found = []
        for schema, name, sort, engine in listed:
            if sort in {"SEQUENCE", "TEMPORARY", "SYSTEM VIEW"} or (schema, name) not in columns:
                continue
            place = (schema, name)
            own = indexes[place]
            found.append(
                Table(
                    name=self._name(schema, name),
                    kind="view" if sort == "VIEW" else "table" if engine in undoable else UNDOABLE_NOT,
                    columns=tuple(_cut(column, own) for column in columns[place]),
                    key=next((index.columns for index in own if index.name == "PRIMARY"), ()),
                    uniques=tuple(dict.fromkeys(frozenset(index.columns) for index in own if index.is_unique)),
                    differing=_differing(columns[place], own),
                    indexed=frozenset(index.columns[0] for index in own if index.is_usable),
                    foreign_keys=tuple(
                        replace(key, has_index=any(index.starts_with(key.columns) for index in own))
                        for key in keys[place]
                    ),
                    deleting_triggers=tuple(name for name, _, deletes in triggers[place] if deletes),
                    delete_triggers=tuple(name for name, event, _ in triggers[place] if event == "DELETE"),
                    update_triggers=tuple(name for name, event, _ in triggers[place] if event == "UPDATE"),
                    schema=None if self._is_own(schema) else schema,
                    own_name=name,
                    is_strict=True,
                    checks=tuple(checks[place]),
                    is_versioned=sort == "SYSTEM VERSIONED",
                )
            )
        return found

    def _columns(self, checks: Mapping[tuple[str, str], list[Check]]) -> dict[tuple[str, str], list[MariadbColumn]]:
        rows = self._all(
            "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE,"
            " CHARACTER_MAXIMUM_LENGTH, CHARACTER_OCTET_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE, CHARACTER_SET_NAME,"
            " COLLATION_NAME, EXTRA, GENERATION_EXPRESSION"
            " FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN :schemas ORDER BY TABLE_NAME, ORDINAL_POSITION"
        )
        found: dict[tuple[str, str], list[MariadbColumn]] = defaultdict(list)
        for (
            schema,
            table,
            name,
            sort,
            declared,
            nullable,
            length,
            octets,
            precision,
            scale,
            charset,
            collation,
            extra,
            expression,
        ) in rows:
            is_json = any(
                (match := _JSON_CHECK.fullmatch(check.expression)) and _plain(match[1]) == name
                for check in checks.get((schema, table), ())
            )
            kind = Kind.OTHER if is_json else _KIND_OF.get(sort, Kind.OTHER)
            found[schema, table].append(
                MariadbColumn(
                    name=name,
                    type="json" if is_json else declared,
                    kind=kind,
                    is_nullable=nullable == "YES",
                    is_computed="GENERATED" in extra.upper() and "DEFAULT_GENERATED" not in extra.upper(),
                    is_tellable=sort != "float",  # told in six digits, and compared by more
                    length=_length(sort, length, octets),
                    bounds=_bounds(sort, declared, precision),
                    labels=_labels(declared) if sort in {"enum", "set"} else (),
                    joins_labels=sort == "set",
                    renews_itself="ON UPDATE" in extra.upper(),
                    data_type=sort,
                    charset=charset,
                    collation=collation,
                    scale=None if scale is None else int(scale),
                    octets=int(octets or 0),
                    expression=expression or "",
                )
            )
        return found

    def _indexes(self) -> dict[tuple[str, str], list[_Index]]:
        rows = self._all(
            "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, INDEX_TYPE"
            " FROM information_schema.STATISTICS WHERE TABLE_SCHEMA IN :schemas"
            " ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX"
        )
        parts: dict[tuple[str, str, str], list[tuple[Any, ...]]] = defaultdict(list)
        for schema, table, name, *part in rows:
            parts[schema, table, name].append(tuple(part))
        found: dict[tuple[str, str], list[_Index]] = defaultdict(list)
        for (schema, table, name), columns in parts.items():
            # An index over the first characters of a column, or over an expression (MySQL), tells no rows apart.
            is_whole = all(column is not None and cut is None for _, column, cut, _ in columns)
            sort = columns[0][3]
            found[schema, table].append(
                _Index(
                    name,
                    tuple(str(column) for _, column, _, _ in columns),
                    is_unique=is_whole and int(columns[0][0]) == 0,
                    is_differing=not is_whole and int(columns[0][0]) == 0,
                    cuts={str(column): int(cut) for _, column, cut, _ in columns if cut is not None},
                    is_usable=columns[0][1] is not None and columns[0][2] is None and sort == "BTREE",
                )
            )
        return found

    def _foreign_keys(self) -> dict[tuple[str, str], list[ForeignKey]]:
        rules = {
            (schema, table, name): rule
            for schema, table, name, rule in self._all(
                "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE"
                " FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA IN :schemas"
            )
        }
        pairs: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
        for schema, table, name, column, to_schema, to_table, to_column in self._all(
            "SELECT TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA,"
            " REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE"
            " WHERE TABLE_SCHEMA IN :schemas AND REFERENCED_TABLE_NAME IS NOT NULL"
            " ORDER BY TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION"
        ):
            pairs[schema, table, name, to_schema, to_table].append((column, to_column))
        found: dict[tuple[str, str], list[ForeignKey]] = defaultdict(list)
        for (schema, table, name, to_schema, to_table), columns in pairs.items():
            found[schema, table].append(
                ForeignKey(
                    columns=tuple(own for own, _ in columns),
                    to_table=self._name(to_schema, to_table),
                    to_columns=tuple(other for _, other in columns),
                    on_delete=rules.get((schema, table, name), "RESTRICT"),
                    has_index=True,
                )
            )
        return found

    def _checks(self) -> dict[tuple[str, str], list[Check]]:
        # MySQL's table of checks does not say whose they are; MariaDB's lists the same name once per table.
        has_table = bool(
            rows_of(
                self._connection,
                "SELECT 1 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN :schemas"
                " AND TABLE_NAME = 'CHECK_CONSTRAINTS' AND COLUMN_NAME = 'TABLE_NAME'",
                ["information_schema"],
            )
        )
        rows = self._all(
            "SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, CHECK_CLAUSE"
            " FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA IN :schemas"
            if has_table
            else "SELECT c.CONSTRAINT_SCHEMA, t.TABLE_NAME, c.CONSTRAINT_NAME, c.CHECK_CLAUSE"
            " FROM information_schema.CHECK_CONSTRAINTS c JOIN information_schema.TABLE_CONSTRAINTS t"
            " USING (CONSTRAINT_SCHEMA, CONSTRAINT_NAME)"
            " WHERE t.CONSTRAINT_TYPE = 'CHECK' AND c.CONSTRAINT_SCHEMA IN :schemas"
        )
        found: dict[tuple[str, str], list[Check]] = defaultdict(list)
        for schema, table, name, clause in rows:
            names = frozenset(_plain(each) for each in _QUOTED.findall(clause))
            found[schema, table].append(Check(name, names, clause))
        return found


@dataclass(frozen=True, slots=True)
class _Index:
    name: str
    columns: tuple[str, ...]
    is_unique: bool
    is_differing: bool
    """Unique, but not over whole values."""
    cuts: Mapping[str, int]
    """Of columns of which it has the first characters alone: how many."""
    is_usable: bool

    def starts_with(self, columns: tuple[str, ...]) -> bool:
        return self.is_usable and set(self.columns[: len(columns)]) == set(columns)


def _cut(column: MariadbColumn, indexes: Sequence[_Index]) -> MariadbColumn:
    """See ``TableColumn.differs_within``."""
    cuts = [index.cuts[column.name] for index in indexes if index.is_differing and column.name in index.cuts]
    return replace(column, differs_within=min(cuts)) if cuts else column


def _differing(columns: Sequence[MariadbColumn], indexes: Sequence[_Index]) -> frozenset[str]:
    """See ``Table.differing``."""
    cut = {name for index in indexes if index.is_differing for name in index.columns}
    unique = {name for index in indexes if index.is_unique or index.is_differing for name in index.columns}
    computed = [column.expression for column in columns if column.is_computed and column.name in unique]
    return named_in(computed, [column.name for column in columns]) | cut


def _labels(declared: str) -> tuple[str, ...]:
    """Return the labels of an enum or a set, as its type is written."""
    return tuple(label.replace("''", "'") for label in _LABEL.findall(declared))


def _plain(quoted: str) -> str:
    return quoted.replace("``", "`")


def _length(sort: str, length: int | None, octets: int | None) -> int | None:
    if length is None:
        return None
    if sort in _SMALL_TEXTS:
        return int(length)
    # The limit of TINYTEXT is one of bytes, of which a character has up to four; larger ones are no limit.
    return int(octets or 0) // 4 if sort == "tinytext" else None


def _bounds(sort: str, declared: str, precision: int | None) -> tuple[int, int] | None:
    if sort == "bit":
        return (0, 2 ** int(precision or 1) - 1)
    if sort == "year":
        return (0, 2155)
    bits = _BITS.get(sort)
    if bits is None:
        return None
    return (0, 2**bits - 1) if "unsigned" in declared.lower() else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
