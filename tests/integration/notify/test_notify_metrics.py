"""Numbers for Prometheus, scraped over HTTP and read by its own parser: counts and ages, and nobody in them."""

import re
import socket
import sys
import urllib.request
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sweep_kit import CONTACTS, HEAD, PROSPECTS, SIMPLE, contacts, person

from ropa.errors import CallError, ConfigurationError
from ropa.notify.metrics import Metrics, serve


@pytest.fixture
def scrape():
    servers = []

    def build(metrics):
        server, hand = serve(metrics, "127.0.0.1", 0)
        servers.append((server, hand))

        def ask():
            url = f"http://127.0.0.1:{server.server_address[1]}/metrics"
            with urllib.request.urlopen(url, timeout=10) as answer:
                return answer.read().decode()

        return ask

    yield build
    for server, hand in servers:
        server.shutdown()
        server.server_close()
        hand.join()


def values(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counts_and_ages_are_scraped_as_the_last_look_found_them(make, scrape):
    world = make(SIMPLE, {"contacts": contacts(4)})
    metrics = Metrics(now=world.clock)
    ask = scrape(metrics)
    assert values(ask()) == {}, "before the first look nothing is claimed"
    world.hold(key=1)
    world.sweep()
    metrics.refresh(world.site)
    world.clock.forward(minutes=10)
    found = values(ask())
    assert found["ropa_overdue_records",] == 3
    assert found["ropa_held_records",] == 1
    assert found["ropa_plans_waiting",] == 1
    assert found["ropa_healthy",] == 0
    assert found["ropa_last_good_sweep_age_seconds",] == 600
    assert found["ropa_look_age_seconds",] == 600
    assert found["ropa_records_total", "purged"] == 0
    world.purge()
    world.sweep()
    metrics.refresh(world.site)
    found = values(ask())
    assert (found["ropa_overdue_records",], found["ropa_records_total", "purged"]) == (0, 3)
    assert found["ropa_findings", "warning"] > 0
    world.clock.at += timedelta(days=3)
    metrics.refresh(world.site)
    found = values(ask())
    assert (found["ropa_nights_missed",], found["ropa_last_good_sweep_age_seconds",]) == (2, 3 * 86400)


def test_no_label_and_no_text_names_a_record_a_person_or_a_place(make, scrape):
    canary = "kanarie7f3a"
    config = (HEAD + CONTACTS + PROSPECTS).replace("contacts", canary).replace("prospects", f"r{canary}")
    world = make(config, {canary: [person(canary, name=canary)]})
    world.plan(by=canary)
    world.sweep()
    metrics = Metrics()
    metrics.refresh(world.site)
    text = scrape(metrics)()
    assert "ropa_overdue_records" in text
    assert canary not in text
    assert {name for labels in re.findall(r"\{(.*?)\}", text) for name in re.findall(r"(\w+)=", labels)} == {
        "severity",
        "outcome",
    }


def test_an_address_that_is_taken_is_a_wrong_call_and_a_missing_extra_is_named(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(CallError, match="cannot be served"):
        serve(Metrics(), "127.0.0.1", taken.getsockname()[1])
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigurationError) as failed:
        serve(Metrics(), "127.0.0.1", 0)
    assert "ropa[metrics]" in failed.value.next_step
