"""A place kept by hand never claims to know what is in it."""

from __future__ import annotations

import pytest

from connectors.manual import TYPE
from connectors.suite import ZONE, due, words
from ropa.connector import Action, Batch, Connector, DatasetSpec, Found, LocationSpec, OutcomeWord
from ropa.errors import LocationError


@pytest.fixture
def cabinet():
    spec = LocationSpec(
        "cabinet",
        "manual",
        ZONE,
        options={"contact": "the front desk", "folder": "/project"},
        datasets={"folders": DatasetSpec("folders", "third drawer", ZONE)},
    )
    return TYPE.open(spec)


def test_it_is_a_connector_that_enforces_nothing(cabinet):
    assert isinstance(cabinet, Connector)
    assert not cabinet.capabilities.is_enforcing
    assert cabinet.capabilities.actions == frozenset()


def test_checking_says_that_a_person_does_the_work_and_who(cabinet):
    health = cabinet.check()
    assert health.is_reachable
    assert not health.may_delete
    assert "contact: the front desk" in health.notes
    assert not any("project" in note for note in health.notes)


def test_nothing_is_claimed_about_what_is_in_there(cabinet):
    selection = due(dataset="folders")
    batch = Batch.of("folders", (Found(("1",)),))
    for ask in (
        lambda: cabinet.count("folders"),
        lambda: cabinet.find(selection),
        lambda: cabinet.remaining(selection, batch),
        lambda: cabinet.read("folders", "zoé"),
    ):
        with pytest.raises(LocationError, match="by hand") as caught:
            ask()
        assert caught.value.next_step == "Ask the front desk."


def test_nothing_can_be_acted_on(cabinet):
    batch = Batch.of("folders", (Found(("1",)), Found(("2",))), (Batch.of("papers", (Found(("3",)),)),))
    outcomes = cabinet.act(due(dataset="folders"), batch, Action.PURGE)
    assert words(outcomes) == [OutcomeWord.REFUSED] * 3
    assert [(o.dataset, o.key) for o in outcomes] == [(None, ("1",)), (None, ("2",)), ("papers", ("3",))]
    assert cabinet.settle("folders") == "logical"
    cabinet.close()


def test_declared_datasets_are_listed_and_have_no_problems(cabinet):
    assert [(info.source, info.declared_as) for info in cabinet.datasets()] == [("third drawer", "folders")]
    assert cabinet.problems("folders", due(dataset="folders")) == []
    assert cabinet.problems("elsewhere")
