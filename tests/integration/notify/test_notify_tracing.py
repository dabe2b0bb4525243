"""Spans for a host that looks at them: a sweep and its targets, and no text of an error."""

import sys

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from sweep_kit import SIMPLE, contacts

from ropa.errors import RefusedError
from ropa.sweep import tracing


@pytest.fixture
def spans(monkeypatch):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    yield lambda: {span.name: span for span in exporter.get_finished_spans()}
    provider.shutdown()


def test_a_sweep_is_a_span_and_each_of_its_targets_is_one_within_it(make, spans):
    world = make(SIMPLE, {"contacts": contacts(2)})
    run = world.sweep().document["run"]
    found = spans()
    assert found["ropa.sweep"].attributes["ropa.run"] == run
    assert found["ropa.sweep"].attributes["ropa.state"] == "complete"
    planned = found["ropa.plan-target"]
    assert planned.parent.span_id == found["ropa.sweep"].context.span_id
    assert dict(planned.attributes) == {
        "ropa.dataset": "crm.contacts",
        "ropa.scope": "row",
        "ropa.action": "purge",
    }
    world.purge()
    assert spans()["ropa.target"].attributes["ropa.records"] == 2
    assert spans()["ropa.apply"].attributes["ropa.purged"] == 2


def test_what_goes_wrong_is_a_code_in_the_span_and_no_text(make, spans):
    world = make(SIMPLE, {"contacts": contacts(1)})
    plan = world.plan()
    with pytest.raises(RefusedError), tracing.span("ropa.test"):
        world.apply(plan)
    failed = spans()["ropa.test"]
    assert failed.attributes["error.type"] == "not-approved"
    assert (failed.status.is_ok, failed.status.description, failed.events) == (False, None, ())


def test_where_the_host_has_no_opentelemetry_nothing_is_loaded(make, monkeypatch):
    monkeypatch.delitem(sys.modules, "opentelemetry.trace")
    world = make(SIMPLE, {"contacts": contacts(1)})
    world.sweep()
    assert "opentelemetry.trace" not in sys.modules


def test_a_line_belongs_to_the_run_that_is_open_but_for_those_who_only_watch(make):
    world = make(SIMPLE, {"contacts": contacts(1)})
    plan, seen = world.plan(), []
    world.approve(plan)

    def note(*_):
        seen.append(tracing.open_run())
        with tracing.beside_runs():
            seen.append(tracing.open_run())

    world.crm.before_act = note
    run = world.apply(plan).document["run"]
    assert seen == [run, None]
    assert tracing.open_run() is None
