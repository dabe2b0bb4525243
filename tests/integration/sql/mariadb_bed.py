"""What the tests of MariaDB share: a location over a database of the test's own."""

import time
from contextlib import closing, contextmanager

from sql_bed import ZONE
from sqlalchemy import make_url

from connectors.sql import TYPE
from connectors.sql.mariadb import MariadbBackend
from ropa.connector import DatasetSpec, LocationSpec


def location(database, *datasets, batch_size=2, **options):
    return LocationSpec("crm", "sql", ZONE, {"url": database.url} | options, {d.name: d for d in datasets}, batch_size)


def opened(database, *datasets, batch_size=2, **options):
    return closing(TYPE.open(location(database, *datasets, batch_size=batch_size, **options)))


@contextmanager
def backend(database, *sources, url=None, write_url=None, **options):
    """A backend whose rows all come by way of one text, from the second time a statement is seen."""
    spec = LocationSpec("crm", "sql", ZONE, options, {name: DatasetSpec(name, name, ZONE) for name in sources})
    made = MariadbBackend(spec, make_url(url or database.url), None if write_url is None else make_url(write_url))
    made._fetcher.many = 0
    with closing(made):
        yield made


def twice(made, connection, statement):
    """Fetch row by row, then by way of one text; they must not differ."""
    first = made.fetch(connection, statement)
    assert made.fetch(connection, statement) == first
    return first


def other(database, **more):
    """A session of somebody else."""
    import pymysql

    url = make_url(database.url)
    return closing(
        pymysql.connect(
            host=url.host, port=url.port, user=url.username, database=url.database, charset="utf8mb4", **more
        )
    )


def until_somebody_waits(database):
    """Return when a session waits for a lock. The server refreshes this list only where nobody asked for 0.1 s."""
    for _ in range(100):
        time.sleep(0.2)
        if database.execute("SELECT 1 FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"):
            return
    raise AssertionError("nobody waits")
