"""The ``sql`` connector: tables of a database, reached by an SQLAlchemy URL. Proved on SQLite, PostgreSQL and MariaDB.

Invariant: importing this package loads no database library; that happens when a location is opened. Rights needed:
planning reads only; applying deletes (and updates, for fields), with credentials of its own where ``apply`` names
them. An anchor is a column with a date, or the latest of columns, also of child tables or the parent's. A purge is a
DELETE: final, without a recycle bin; ``settle`` and ``finish`` say whether the bytes are gone too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ropa.connector import Action, Capabilities, ConnectorType, LocationSpec, Mask, Option

if TYPE_CHECKING:
    from connectors.sql.location import SqlLocation

__all__ = ["CAPABILITIES", "TYPE", "open_location"]

CAPABILITIES = Capabilities(
    actions=frozenset({Action.PURGE, Action.ANONYMISE}),
    masks=frozenset(Mask),
    default_batch_size=20_000,
)


def open_location(spec: LocationSpec) -> SqlLocation:
    """Open a location; changes nothing there.

    ``spec.options``: ``url``; ``folder``, the absolute path of the project folder, which a relative SQLite path is
    relative to; ``schema``. Raises LocationError: the file does not exist (it is never created), is no database,
    may not be read, or the URL names an engine that is not supported.
    """
    from connectors.sql.location import SqlLocation

    return SqlLocation(spec)


TYPE = ConnectorType(
    name="sql",
    open=open_location,
    capabilities=CAPABILITIES,
    options={
        "url": Option(is_required=True, is_identity=True, help='SQLAlchemy URL, such as "sqlite:///data/crm.sqlite"'),
        "schema": Option(help="schema that holds the tables, where the engine has schemas"),
        "after_purge": Option(help='"vacuum" after the last batch of a dataset; PostgreSQL also "vacuum full"'),
        "lock_timeout": Option((int, float), help="seconds to wait for a lock of another session; 5 unless given"),
        "statement_timeout": Option((int, float), help="seconds that one statement may take; 60 unless given"),
        "max_rows_per_second": Option((int, float), help="not more rows in a second, for a busy source"),
        "max_replica_lag": Option((int, float), help="seconds; wait between batches while replicas are further behind"),
    },
    dataset_options={
        "own_identifiers": Option(
            (dict,),
            help="free text to columns of the same row whose values are taken out of it by the mask redact: "
            'own_identifiers = { note = ["lastname", "email"] }',
        ),
    },
)
