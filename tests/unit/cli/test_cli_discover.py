"""`ropa location discover` as a person types and reads it."""

from __future__ import annotations

import io
import json
import sys
import tomllib
from contextlib import contextmanager, redirect_stderr, redirect_stdout

import pytest
from sweep_kit import SIMPLE, contacts, make

from ropa.cli import location, main

__all__ = ["make"]

CANARY = "canary-9d3c@example.org"


@pytest.fixture
def ask(make, monkeypatch):
    world = make(SIMPLE, {"contacts": contacts(2)})
    world.data["contacts_log"] = [{"id": n, "wie": CANARY, "gsm": "0470 12 34 56"} for n in range(5)]
    world.data["meta"] = [{"id": 1, "meta_key": "first_name", "meta_value": "Voornaam"}]
    world.reopen()

    @contextmanager
    def opened():
        yield world.site

    monkeypatch.setattr(location, "site", opened)

    def asked(*arguments):
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "argv", ["ropa", "location", "discover", *arguments])
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        assert CANARY not in out.getvalue() + err.getvalue()
        assert "Voornaam" not in out.getvalue() + err.getvalue()
        return ended.value.code or 0, out.getvalue(), err.getvalue()

    asked.world = world
    return asked


def test_without_a_sample_names_speak(ask):
    code, out, _ = ask("crm")
    assert code == 0
    assert "gsm" in out
    assert "looks like telephone" in out
    assert " of 5 values" not in out
    assert "looks like a history, an archive or a copy of contacts: what is purged there lives on here" in out
    assert 'data.telephone = ["gsm"]' in out
    assert "data.email" not in out


@pytest.mark.parametrize("arguments", [("crm", "--sample"), ("--sample", "crm"), ("crm", "--sample", "5")])
def test_with_a_sample_the_table_says_how_many_values(ask, arguments):
    code, out, _ = ask(*arguments)
    assert code == 0
    assert "looks like email; email in 5 of 5 values (email)" in out
    assert "looks like name; name in 1 of 1 fields named so" in out
    proposed = tomllib.loads(out[out.index("[location.crm") :])["location"]["crm"]["dataset"]
    assert proposed["contacts-log"]["data"] == {"email": ["wie"], "telephone": ["gsm"]}


def test_the_number_of_records_is_the_one_that_was_typed(ask):
    _, out, _ = ask("crm", "--sample", "3", "--json")
    document = json.loads(out)
    assert document["schema"] == "ropa.discover/1"
    assert document["sampled"] == 3
    log = next(source for source in document["sources"] if source["source"] == "contacts_log")
    assert log["history_of"] == "contacts"
    assert {column["name"]: column["seen"] for column in log["columns"]} == {"id": 3, "wie": 3, "gsm": 3}
    assert json.loads(ask("crm", "--sample", "--json")[1])["sampled"] == 200


@pytest.mark.parametrize(
    "arguments", [("crm", "5"), ("crm", "--sample", "0"), ("crm", "--sample", "many"), ("crm", "--sample", "5", "6")]
)
def test_a_call_that_cannot_be_meant_is_refused_and_nothing_is_looked_at(ask, arguments):
    code, out, err = ask(*arguments)
    assert code == 2
    assert out == ""
    assert err
    places = ask.world.places
    assert "crm" not in places or not [call for call in places["crm"].inner.calls if call.name == "inspect"]


def test_a_place_that_cannot_be_looked_into_says_so(ask):
    ask.world.crm.inner.inspect = lambda *_args, **_more: {}
    code, out, _ = ask("crm", "--sample")
    assert code == 0
    assert "Nothing was looked into" in out
