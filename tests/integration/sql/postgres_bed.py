"""What the tests of PostgreSQL share: backends and locations over databases of a private server."""

from contextlib import contextmanager
from zoneinfo import ZoneInfo

from sqlalchemy import make_url

from connectors.sql import TYPE
from connectors.sql.postgres import PostgresBackend
from ropa.connector import LocationSpec

ZONE = ZoneInfo("Europe/Brussels")


def spec_of(url, *datasets, batch_size=2, **options):
    return LocationSpec("crm", "sql", ZONE, {"url": str(url)} | options, {d.name: d for d in datasets}, batch_size)


@contextmanager
def backend_on(url, *datasets, write_url=None, **options):
    given = spec_of(url, *datasets, **options)
    backend = PostgresBackend(given, make_url(url), None if write_url is None else make_url(write_url))
    try:
        yield backend
    finally:
        backend.close()


@contextmanager
def opened_on(url, *datasets, batch_size=2, **options):
    location = TYPE.open(spec_of(url, *datasets, batch_size=batch_size, **options))
    try:
        yield location
    finally:
        location.close()


def catalogue_of(backend):
    with backend.reading() as connection:
        return backend.read_catalogue(connection)
