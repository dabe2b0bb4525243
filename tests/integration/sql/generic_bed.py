"""What the tests of the generic path share: locations whose backend is the generic one, whatever the engine."""

from contextlib import contextmanager

import pytest
from sql_bed import ZONE
from sqlalchemy import make_url

from connectors.sql.generic import GenericBackend
from connectors.sql.location import SqlLocation
from ropa.connector import LocationSpec


def open_generic(url, *datasets, batch_size=2, name="crm", **options):
    """Return a location over the generic backend; no configuration reaches it for these engines."""
    spec = LocationSpec(name, "sql", ZONE, options, {d.name: d for d in datasets}, batch_size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connectors.sql.location.open_backend", lambda spec: GenericBackend(spec, make_url(url)))
        return SqlLocation(spec)


@contextmanager
def opened(url, *datasets, batch_size=2, **options):
    location = open_generic(url, *datasets, batch_size=batch_size, **options)
    try:
        yield location
    finally:
        location.close()
