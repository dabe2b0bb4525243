"""From a configured URL to the backend of its engine.

Invariant: nothing is created or changed by opening; no URL, which may hold a password, is in any error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from connectors.sql.backend import Backend
from ropa.connector import LocationSpec
from ropa.errors import ConfigurationError, LocationError, Problem

_POSTGRESQL = frozenset({"postgresql", "postgres"})
_MARIADB = frozenset({"mariadb", "mysql"})
_PORTS = {"postgresql": 5432, "mariadb": 3306, "mysql": 3306, "mssql": 1433, "oracle": 1521}
_IDENTITY = frozenset(
    {"user", "password", "passwd", "passfile", "sslcert", "sslkey", "sslpassword", "ssl_cert", "ssl_key"}
    | {"application_name", "uid", "pwd"}
)
"""Parameters of a URL that say who we are, and nothing of where."""


def open_backend(spec: LocationSpec) -> Backend:
    """Return the backend for ``spec.options``: ``url``, and ``apply.url`` for the credentials that may delete.

    Raises LocationError for a URL that is none, a driver that is not installed, a place that cannot be reached.
    """
    url = _read_url(spec, spec.options.get("url"), "url")
    write_url = _read_write_url(spec)
    engine = url.drivername.partition("+")[0]
    if write_url is not None and write_url.drivername.partition("+")[0] != engine:
        msg = f"location {spec.name}: apply.url names another engine than url"
        raise LocationError(msg, code="url", next_step="Give both the same engine, host and database.")
    if write_url is not None and engine != "sqlite":
        expect_same_place(spec.name, url, write_url)
    if engine == "sqlite":
        if write_url is not None:
            msg = f"location {spec.name}: SQLite has no credentials, so `apply` means nothing"
            raise LocationError(msg, code="option", next_step="Leave `apply` out; rights are those on the file.")
        return _open_sqlite(spec, url)
    if engine in _POSTGRESQL:
        from connectors.sql.postgres import PostgresBackend

        return PostgresBackend(spec, url, write_url)
    if engine in _MARIADB:
        from connectors.sql.mariadb import MariadbBackend

        return MariadbBackend(spec, url, write_url)
    from connectors.sql.generic import GenericBackend

    return GenericBackend(spec, url, write_url)


def expect_same_place(location: str, url: URL, write_url: URL) -> None:
    """Raise ConfigurationError where the URL for applying differs in more than in who we are.

    What is compared is host, port, database and every parameter but those of signing in. A server may well have two
    names, but which of them is a replica, or a copy for tests, a name does not tell.
    """
    if _place_of(url) == _place_of(write_url):
        return
    problem = Problem(
        f"location.{location}.apply.url",
        "names another host, port, database or parameter than url: what is planned and what is applied must be one "
        "source; only user, password and client certificate may differ",
    )
    raise ConfigurationError(
        f"location {location}: plan and apply name different sources",
        (problem,),
        next_step="Give both URLs the same host, port and database, letter for letter.",
    )


def _place_of(url: URL) -> tuple[object, ...]:
    parameters = {name: value for name, value in url.query.items() if name.casefold() not in _IDENTITY}
    # Without a host the URL means a socket or a default of the driver: the same in both, then.
    host = (url.host or "").casefold().removesuffix(".")
    return host, url.port or _PORTS.get(url.get_backend_name()), url.database, parameters


def _read_write_url(spec: LocationSpec) -> URL | None:
    """Return the URL for applying, None where there is no other."""
    apply = spec.options.get("apply")
    if not isinstance(apply, dict):
        return None
    if unknown := sorted(set(apply) - {"url"}):
        msg = f"location {spec.name}: apply.{unknown[0]} is unknown"
        raise LocationError(msg, code="option", next_step='Write apply = { url = "env:NAME" }.')
    return _read_url(spec, apply.get("url"), "apply.url")


def _read_url(spec: LocationSpec, text: Any, name: str) -> URL:
    try:
        return make_url(str(text))
    except ArgumentError:
        msg = f"location {spec.name}: {name} is missing or no SQLAlchemy URL"
        raise LocationError(
            msg, code="url", next_step='Write for instance url = "sqlite:///data/crm.sqlite".'
        ) from None


def _open_sqlite(spec: LocationSpec, url: URL) -> Backend:
    from connectors.sql.sqlite import SqliteBackend

    options = spec.options
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        msg = f"location {spec.name}: the driver {url.drivername!r} is not supported"
        raise LocationError(msg, code="unsupported", next_step="Use an SQLite file: sqlite:///path.")
    if options.get("schema") not in {None, "main"}:
        msg = f"location {spec.name}: SQLite has no schemas"
        raise LocationError(msg, code="unsupported", next_step="Leave `schema` out.")
    if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
        msg = f"location {spec.name}: url must name an SQLite file by its plain path"
        raise LocationError(msg, code="url", next_step='Write for instance url = "sqlite:///data/crm.sqlite".')
    if options.get("after_purge") not in {None, "vacuum"}:
        msg = f'location {spec.name}: after_purge is "vacuum", or not there at all'
        raise LocationError(msg, code="option", next_step="Correct `after_purge`.")
    path = Path(str(options.get("folder", "."))).joinpath(url.database)
    if not path.is_file():
        msg = f"location {spec.name}: there is no file {path}; it is not created"
        raise LocationError(msg, code="unreachable", next_step="Correct `url`, or put the database there.")
    return SqliteBackend(spec.name, path.resolve(), is_vacuumed=options.get("after_purge") == "vacuum")
