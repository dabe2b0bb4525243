"""Holding back for a busy source."""

import pytest
from sql_bed import ZONE

from connectors.sql import throttle
from connectors.sql.throttle import Throttle
from ropa.connector import LocationSpec
from ropa.errors import LocationError


class Lagging:
    """A backend whose replicas are behind by these seconds, one after the other."""

    def __init__(self, *lags):
        self.lags = list(lags)

    def replica_lag_seconds(self, connection):
        return self.lags.pop(0)


@pytest.fixture
def waits(monkeypatch):
    now, slept = [100.0], []

    def sleep(seconds):
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(throttle, "monotonic", lambda: now[0])
    monkeypatch.setattr(throttle.time, "sleep", sleep)
    return slept


def pace(options, backend):
    return Throttle(LocationSpec("crm", "sql", ZONE, options), backend).paced(None, 50)


def test_so_many_rows_take_at_least_so_long(waits):
    with pace({"max_rows_per_second": 20}, Lagging()):
        pass
    assert waits == [2.5]


def test_a_batch_waits_until_the_replicas_have_caught_up(waits):
    backend = Lagging(9.0, 6, 5)
    with pace({"max_replica_lag": 5}, backend):
        assert backend.lags == []
    assert waits == [1.0, 1.0]


def test_without_replicas_nothing_waits(waits):
    with pace({"max_replica_lag": 5}, Lagging(None)):
        pass
    assert waits == []


def test_replicas_that_never_catch_up_stop_the_place_before_it_is_touched(waits):
    touched = []
    with pytest.raises(LocationError, match="behind") as stopped, pace({"max_replica_lag": 5}, Lagging(*[99.0] * 700)):
        touched.append(True)
    assert stopped.value.code == "replica-lag"
    assert not touched
    assert sum(waits) == pytest.approx(600, abs=2)
