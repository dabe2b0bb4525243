"""Numbers for Prometheus: how many and how old, over the whole folder.

Invariant: no label names a record, a person, a place or a rule; a scrape reads what the last look found and never the
database, so that whoever scrapes often slows no run down; how old the look is stands beside it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa import clock
from ropa.connector import OutcomeWord
from ropa.errors import CallError, ConfigurationError
from ropa.sweep.channels import failing
from ropa.sweep.nights import SUCCEEDED, SWEEP
from ropa.sweep.site import Site
from ropa.sweep.status import status
from ropa.sweep.tables import RunRow

if TYPE_CHECKING:
    from prometheus_client.core import Metric

WORDS = tuple(map(str, OutcomeWord))


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What one look found."""

    at: datetime
    gauges: dict[str, int]
    findings: dict[str, int]
    outcomes: dict[str, int]
    failing_channels: int
    last_good_sweep_at: datetime | None
    last_run_seconds: float | None
    open_since: datetime | None


def read_numbers(site: Site) -> Numbers:
    """Return the numbers of a folder at this moment."""
    said = status(site)
    with Session(site.engine) as session:
        runs = session.scalars(select(RunRow).order_by(col(RunRow.started_at))).all()
    outcomes: Counter[str] = Counter(dict.fromkeys(WORDS, 0))
    for run in runs:
        outcomes.update({word: int(count) for word, count in run.totals.items() if word in WORDS})
    ended = [run for run in runs if run.ended_at is not None]
    good = [run.ended_at for run in ended if run.mode == SWEEP and run.state == SUCCEEDED]
    last = ended[-1] if ended else None
    gauges = {
        "overdue_records": said["overdue"],
        "blocked_records": said["blocked"],
        "held_records": said["held"],
        "plans_waiting": said["plans_waiting"],
        "nights_missed": sum(gap["nights"] for gap in said["not_enforced"]),
        "healthy": int(said["healthy"]),
    }
    return Numbers(
        at=site.now(),
        gauges=gauges,
        findings=dict(said["findings"]),
        outcomes=dict(outcomes),
        failing_channels=len(failing(said["channels"])),
        last_good_sweep_at=max((moment for moment in good if moment is not None), default=None),
        last_run_seconds=(last.ended_at - last.started_at).total_seconds() if last and last.ended_at else None,
        open_since=min((run.started_at for run in runs if run.state == "open"), default=None),
    )


_HELP = {
    "overdue_records": "Records that are past their limit and still there.",
    "blocked_records": "Records that are due and cannot go, because others refer to them.",
    "held_records": "Records that are due and kept by a legal hold.",
    "plans_waiting": "Plans that wait for a person's approval.",
    "nights_missed": "Nights of the last 30 days without a sweep that ran to its end.",
    "healthy": "1 where `ropa status` would exit with 0.",
}


@dataclass
class Metrics:
    """What is scraped. ``refresh`` is called at each look, ``collect`` by whoever serves."""

    now: Callable[[], datetime] = clock.now
    _numbers: Numbers | None = field(default=None)

    def refresh(self, site: Site) -> None:
        """Read the numbers anew."""
        self._numbers = read_numbers(site)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric; none before the first look."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        found = self._numbers
        if found is None:
            return
        for name, value in found.gauges.items():
            yield GaugeMetricFamily(f"ropa_{name}", _HELP[name], value=value)
        findings = GaugeMetricFamily("ropa_findings", "Open findings.", labels=["severity"])
        for level, count in found.findings.items():
            findings.add_metric([level], count)
        yield findings
        records = CounterMetricFamily("ropa_records", "Records that runs acted on, by outcome.", labels=["outcome"])
        for word, count in found.outcomes.items():
            records.add_metric([word], count)
        yield records
        yield GaugeMetricFamily(
            "ropa_channels_failing", "Ways of telling people that cannot be reached.", value=found.failing_channels
        )
        for name, text, seconds in (
            ("ropa_last_good_sweep_age_seconds", "Since a sweep succeeded.", self._age(found.last_good_sweep_at)),
            ("ropa_last_run_duration_seconds", "How long the last run took.", found.last_run_seconds),
            ("ropa_open_run_age_seconds", "Since the run that is under way began.", self._age(found.open_since)),
            ("ropa_look_age_seconds", "Since these numbers were read.", self._age(found.at)),
        ):
            if seconds is not None:
                yield GaugeMetricFamily(name, text, value=seconds)

    def _age(self, moment: datetime | None) -> float | None:
        return None if moment is None else (self.now() - moment).total_seconds()


def serve(metrics: Metrics, host: str, port: int) -> tuple[Any, Any]:
    """Answer scrapes at an address, in threads of its own; return the server and its thread.

    Raises ConfigurationError where prometheus-client is not installed, CallError where the address cannot be had.
    """
    try:
        from prometheus_client import CollectorRegistry, start_http_server
        from prometheus_client.registry import Collector
    except ImportError:
        raise ConfigurationError(
            "metrics need prometheus-client, which is not installed",
            (),
            next_step="Install it: pip install 'ropa[metrics]'; everything else does without.",
        ) from None

    class Scraped(Collector):
        def collect(self) -> Iterator[Metric]:
            return metrics.collect()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Scraped())
    try:
        return start_http_server(port, host, registry)
    except OSError as error:
        raise CallError(
            f"metrics cannot be served there ({error.strerror or 'no such address'})",
            next_step="Give --metrics another HOST:PORT.",
        ) from None
