"""How long the report of a large register takes, beside the plain library's own time for as many table cells.

    python benchmarks/report.py [--format html] [--activities 1000] [--categories 20] [--profile] [--keep DIR]

Each measurement is a process of its own, imports included, so that its peak memory is its own. The register is
generated: every category of every activity is a row that no other can be told together with, every fifth rule is late,
four rules an activity. What is fixed is the number of cells of the data: activity x category x four columns; the plain
library writes as many with the same number of characters in each, in a bare Jinja template with autoescaping or with
bare xlsxwriter. Fails when a format that has a target is over it.
"""

from __future__ import annotations

import argparse
import cProfile
import io
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, date, datetime
from pathlib import Path

from ropa.clock import Period
from ropa.connector import Action
from ropa.report import model
from ropa.report.writing import RENDERERS
from ropa.sweep.adherence import Adherence
from ropa.sweep.history import RunSummary
from ropa.sweep.standing import Counts, Standing, State
from ropa.vocabulary import categories

TARGETS = {"html": (10.0, 400), "xlsx": (30.0, None)}
"""Seconds and MiB."""
COLUMNS = 4
RULES = 4
PLACES = 12
NOW = datetime(2026, 11, 21, 7, 15, tzinfo=UTC)
TODAY = date(2026, 11, 21)


# --- the register -------------------------------------------------------------------------------------------------


def document(activities: int, per_activity: int) -> model.Document:
    """Return a generated report."""
    known = list(categories())[:per_activity]
    known += [f"extra-{i}" for i in range(per_activity - len(known))]
    parts, terms, stands = [], [], []
    for number in range(activities):
        rules = [_term(number, i) for i in range(RULES)]
        terms += rules
        stands += [_standing(number, i, rule, known[i::RULES]) for i, rule in enumerate(rules)]
        parts.append(_activity(number, known))
    months = [date(2025 + (11 + i) // 12, (11 + i) % 12 + 1, 1) for i in range(12)]
    return model.Document(
        generated_at=NOW,
        timezone="Europe/Brussels",
        as_of=TODAY,
        policy="sha256:" + "3f" * 32,
        register_revision=7,
        summary=_summary(stands),
        organisation=model.OrganisationPart(parties=(model.Party(role="controller", name="Voorbeeld NV"),)),
        categories=(),
        activities=tuple(parts),
        recipients=tuple(
            model.RecipientPart(key=f"processor-{i}", name=f"Verwerker {i}", role="processor", country="BE")
            for i in range(PLACES)
        ),
        places=tuple(_place(i, known) for i in range(PLACES)),
        terms=tuple(terms),
        standings=tuple(stands),
        cookies=(),
        holds=(),
        findings=(),
        months=tuple(model.MonthPart(month=month, runs=30, done=4000, fell_short=12) for month in months),
        runs=tuple(_run(i) for i in range(31)),
        first_sweep_on=date(2025, 12, 1),
        last_sweep_on=TODAY,
        missed_nights=0,
        gaps=(),
        evidence=model.Evidence(
            origin="ropa.example/voorbeeld",
            size=412,
            root="r7+3LLco5sISQubeE39bns00X/fFyat8awNEUXQf3xo=",
            checkpoint_text="ropa.example/voorbeeld\n412\nr7+3LLco5sISQubeE39bns00X/fFyat8awNEUXQf3xo=\n",
            public_key_fingerprint="sha256:" + "21" * 32,
            is_sound=True,
        ),
    )


def _summary(stands: list[Standing]) -> model.Summary:
    return model.Summary(
        verdict=model.Verdict.NOT_ADHERED,
        reasons=(model.Reason(code="overdue", count=930), model.Reason(code="late", count=700)),
        due=sum(stand.counts.due for stand in stands),
        done=sum(stand.counts.done for stand in stands),
        done_total=sum(stand.counts.done_total for stand in stands),
        waiting=0,
        held=0,
        blocked=0,
        fell_short=930,
        flagged=0,
        findings=0,
        oldest_scan_at=NOW,
    )


def _place(number: int, known: list[str]) -> model.PlacePart:
    return model.PlacePart(
        key=f"place-{number}",
        title=f"Opslagplaats {number}",
        connector="sql",
        is_enforced=True,
        country="BE",
        recipient=f"processor-{number}",
        datasets=tuple(
            model.DatasetPart(name=f"set-{i}", title=f"Verzameling {i}", source=f"table_{i}", data=tuple(known))
            for i in range(RULES)
        ),
    )


def _term(number: int, i: int) -> model.TermPart:
    return model.TermPart(
        rule=f"rule-{number}-{i}",
        activity=f"activity-{number}",
        period=Period(years=1 + (number + i) % 10),
        start="next-year" if i == 0 else "anchor",
        anchor="last-contact",
        action=str(Action.PURGE),
        legal_ground="art. 60 btw-wetboek",
    )


def _standing(number: int, i: int, rule: model.TermPart, data: list[str]) -> Standing:
    is_late = (number + i) % 5 == 0
    return Standing(
        identity=f"{number:032x}{i:032x}",
        location=f"place-{(number + i) % PLACES}",
        dataset=f"set-{i}",
        scope="field",
        data=tuple(data),
        action=rule.action,
        rules=(rule.rule,),
        state=State.OVERDUE if is_late else State.ENFORCED,
        counts=_counts(is_late=is_late, number=number),
        population=8000 + number,
        worst_late_days=17 if is_late else 0,
        plan=21,
        plan_state="applied",
        as_of=TODAY,
        scanned_at=NOW,
        policy="sha256:" + "3f" * 32,
        register_revision=7,
        last_run="0000000000000015",
        last_run_at=NOW,
    )


def _counts(*, is_late: bool, number: int) -> Counts:
    return Counts(due=1000 + number, done=990 + number if is_late else 1000 + number, done_total=20_000 + number)


def _activity(number: int, known: list[str]) -> model.ActivityPart:
    return model.ActivityPart(
        key=f"activity-{number}",
        title=f"Verwerking {number} van klanten en leveranciers",
        role="controller",
        status="active",
        verdict=model.Verdict.NOT_ADHERED,
        reasons=(model.Reason(code="overdue", count=10), model.Reason(code="late", count=17)),
        owner="Zaakvoerder",
        purposes=("Offerte voorbereiden", "Contact opnemen"),
        legal_basis="6.1.b",
        subjects=("customer", "prospect"),
        recipients=tuple(f"processor-{(number + i) % PLACES}" for i in range(RULES)),
        measures=("TLS", "MFA"),
        rows=tuple(_row(number, i, category) for i, category in enumerate(known)),
    )


def _row(number: int, i: int, category: str) -> model.RowPart:
    rule = i % RULES
    is_late = (number + rule) % 5 == 0
    return model.RowPart(
        category=category,
        purposes=(),
        legal_basis=None,
        legal_reference=None,
        source=f"de betrokkene, formulier {i}",
        adherence=Adherence(
            activity=f"activity-{number}",
            category=category,
            location=f"place-{(number + rule) % PLACES}",
            dataset=f"set-{rule}",
            state=State.OVERDUE if is_late else State.ENFORCED,
            rules=(f"rule-{number}-{rule}",),
            counts=_counts(is_late=is_late, number=number + i),
            worst_late_days=17 if is_late else 0,
            targets=(f"{number:032x}{rule:032x}",),
            plan=21,
            as_of=TODAY,
            scanned_at=NOW,
            scanned_by="0000000000000015",
            register_revision=7,
            last_run="0000000000000015",
        ),
    )


def _run(number: int) -> RunSummary:
    return RunSummary(
        id=f"{number:016x}",
        mode="sweep",
        state="complete",
        started_at=NOW,
        ended_at=NOW,
        swept_on=TODAY,
        plan=21,
        policy="sha256:" + "3f" * 32,
        register_revision=7,
        outcomes=(("purged", 4000),),
    )


# --- the measurements ---------------------------------------------------------------------------------------------


def _bare(form: str, cells: int, length: int) -> bytes:
    """As many cells, as long, by the library alone."""
    text = ("Naam & adres " * (length // 13 + 1))[:length]
    rows = ([text] * COLUMNS for _ in range(cells // COLUMNS))
    if form == "xlsx":
        import xlsxwriter

        target = io.BytesIO()
        with xlsxwriter.Workbook(target, {"constant_memory": True, "in_memory": False}) as book:
            sheet = book.add_worksheet()
            for y, row in enumerate(rows):
                for x, cell in enumerate(row):
                    sheet.write_string(y, x, cell)
        return target.getvalue()
    import jinja2

    environment = jinja2.Environment(autoescape=True)
    line = "<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>\n"
    bare = environment.from_string(f"<table>{{% for row in rows %}}{line}{{% endfor %}}</table>")
    return bare.render(rows=rows).encode()


def _measure(options: argparse.Namespace) -> None:
    """In a process of its own: one format, or the plain library; prints seconds and bytes."""
    if options.bare:
        started = time.perf_counter()
        content = _bare(options.format, options.activities * options.categories * COLUMNS, options.bare)
    else:
        generated = document(options.activities, options.categories)
        started = time.perf_counter()
        if options.profile:
            profiler = cProfile.Profile()
            content = profiler.runcall(RENDERERS[options.format], generated, "nl")
            pstats.Stats(profiler, stream=sys.stderr).sort_stats("tottime").print_stats(25)
        else:
            content = RENDERERS[options.format](generated, "nl")
    if options.keep:
        Path(options.keep, f"report.{options.format}").write_bytes(content)
    print(time.perf_counter() - started, len(content))


def _child(form: str, options: argparse.Namespace, *, bare: int = 0) -> tuple[float, int, float, float]:
    """Seconds of rendering, bytes, seconds of the whole process, peak MiB."""
    command = [sys.executable, __file__, "--measure", "--format", form, "--bare", str(bare)]
    command += ["--activities", str(options.activities), "--categories", str(options.categories)]
    command += ["--profile"] if options.profile and not bare else []
    command += ["--keep", options.keep] if options.keep and not bare else []
    started = time.perf_counter()
    with tempfile.TemporaryFile() as told:
        child = subprocess.Popen(command, stdout=told)
        _, status, usage = _wait(child)
        whole = time.perf_counter() - started
        told.seek(0)
        said = told.read().split()
    if status:
        raise SystemExit(f"{form}: the process ended with {status}")
    return float(said[0]), int(said[1]), whole, usage.ru_maxrss / 1024


def _wait(child: subprocess.Popen[bytes]) -> tuple[int, int, resource.struct_rusage]:
    import os

    return os.wait4(child.pid, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--format", choices=sorted(RENDERERS))
    parser.add_argument("--activities", type=int, default=1000)
    parser.add_argument("--categories", type=int, default=20)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--keep", help="a folder for what was rendered")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bare", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        _measure(options)
        return 0
    cells = options.activities * options.categories * COLUMNS
    print(f"{options.activities} activities x {options.categories} categories, {cells} cells")
    failed = False
    for form in [options.format] if options.format else sorted(RENDERERS):
        seconds, size, whole, peak = _child(form, options)
        most_seconds, most_peak = TARGETS.get(form, (None, None))
        target = f" (target {most_seconds:.0f} s{f', {most_peak} MiB' if most_peak else ''})" if most_seconds else ""
        line = f"{form}: process {whole:.1f} s, of it rendering {seconds:.1f} s; peak {peak:.0f} MiB{target}"
        line += f"; {size / 2**20:.1f} MiB written"
        if form in {"html", "xlsx"}:
            bare_seconds, _, bare_whole, bare_peak = _child(
                form, options, bare=max(1, size // cells) if form == "html" else 60
            )
            name = "jinja2" if form == "html" else "xlsxwriter"
            line += f"; bare {name} {bare_whole:.1f} s, of it {bare_seconds:.1f} s; peak {bare_peak:.0f} MiB"
        print(line, flush=True)
        failed |= (most_seconds is not None and whole > most_seconds) or (most_peak is not None and peak > most_peak)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
