"""The generated data of the demonstration, counted again by SQL of its own."""

from __future__ import annotations

import calendar
import hashlib
import random
import re
import shutil
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from stdnum.be import iban, vat

from connectors.files import TYPE as FILES
from connectors.manual import TYPE as MANUAL
from connectors.sql import TYPE as SQL
from connectors.weblog import TYPE as WEBLOG
from ropa.config.load import load
from ropa.connector import LocationSpec
from ropa.demo.data import Summary, generate
from ropa.demo.example import example_folder
from ropa.demo.people import make_companies, make_people
from ropa.errors import CallError
from ropa.retention.compile import compile_policy
from ropa.retention.targets import select

BRUSSELS = ZoneInfo("Europe/Brussels")
DAYS = [
    date(2026, 11, 22),
    date(2027, 1, 1),
    date(2027, 1, 2),
    date(2026, 12, 31),
    date(2028, 2, 29),
    date(2027, 8, 31),
]
IS_DATE = (
    "{0} GLOB '[12][0-9][0-9][0-9]-[01][0-9]-[0-3][0-9]*' AND {0} NOT LIKE '0000%' AND substr({0}, 1, 10) <= '{1}'"
)


@pytest.fixture(scope="module", params=DAYS, ids=str)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return generate(tmp_path_factory.mktemp("demo"), today=request.param)


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Summary:
    return generate(tmp_path_factory.mktemp("demo"), today=DAYS[0])


@pytest.fixture
def crm(made: Summary) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(made.folder / "data" / "crm.sqlite")) as connection:
        yield connection


def add_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def first_kept(today: date, months: int) -> date:
    """The earliest of the last years' days whose period has not ended."""
    days = (today - timedelta(days=back) for back in range(31 * months + 400))
    return min(day for day in days if add_months(day, months) >= today)


def start_of(day: date, separator: str) -> str:
    instant = datetime(day.year, day.month, day.day, tzinfo=BRUSSELS).astimezone(UTC)
    return instant.strftime(f"%Y-%m-%d{separator}%H:%M:%S")


def one(connection: sqlite3.Connection, query: str, *values: object) -> int:
    return int(connection.execute(query, values).fetchone()[0])


def test_the_same_day_and_seed_give_the_same_bytes(tmp_path: Path) -> None:
    prints = []
    for name in ("one", "two"):
        made = generate(tmp_path / name, today=DAYS[0], seed=3)
        files = sorted(path for path in made.folder.rglob("*") if path.is_file())
        prints.append(
            [(str(path.relative_to(made.folder)), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]
        )
    assert prints[0] == prints[1]
    assert len(prints[0]) > 90


def test_another_seed_gives_other_people(summary: Summary, tmp_path: Path) -> None:
    other = generate(tmp_path / "other", today=DAYS[0], seed=8)
    assert other.held.email != summary.held.email
    assert set(other.due) == set(summary.due)


def test_no_global_random_state_is_touched(tmp_path: Path) -> None:
    before = random.getstate()
    generate(tmp_path / "demo", today=DAYS[0])
    assert random.getstate() == before


def test_a_folder_with_data_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine")
    with pytest.raises(CallError):
        generate(tmp_path, today=DAYS[0])
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine.txt"]


def test_foreign_keys_hold_and_are_indexed(crm: sqlite3.Connection) -> None:
    assert crm.execute("PRAGMA foreign_key_check").fetchall() == []
    for table, column in (("invoice", "customer_id"), ("invoice_line", "invoice_id"), ("meeting_note", "customer_id")):
        assert [row[3] for row in crm.execute(f"PRAGMA foreign_key_list({table})")] == [column]
        indexes = [row[1] for row in crm.execute(f"PRAGMA index_list({table})")]
        leading = {crm.execute(f"PRAGMA index_info('{name}')").fetchone()[2] for name in indexes}
        assert column in leading


def test_the_tables_are_as_large_as_the_story_needs(made: Summary, crm: sqlite3.Connection) -> None:
    for table, rows in made.rows.items():
        assert one(crm, f"SELECT count(*) FROM {table}") == rows
    assert made.rows["prospect"] == 2500
    assert made.rows["customer"] == 1500
    assert 3500 <= made.rows["invoice"] <= 4500


def test_due_prospects_are_those_that_sql_counts(made: Summary, crm: sqlite3.Connection) -> None:
    dated = IS_DATE.format("last_contact_on", made.today)
    query = f"SELECT count(*) FROM prospect WHERE statecode <> 1 AND {dated} AND last_contact_on < ?"
    assert one(crm, query, str(first_kept(made.today, 12))) == made.due["prospects-open"] == 400
    query = "SELECT count(*) FROM prospect WHERE statecode = 1 AND won_on < ?"
    assert one(crm, query, str(first_kept(made.today, 3))) == made.due["prospects-won"] == 100


@pytest.mark.sampled(one_in=3)
def test_due_customer_fields_are_those_that_sql_counts(made: Summary, crm: sqlite3.Connection) -> None:
    dated = IS_DATE.format("last_contact_at", made.today)
    for rule, column, months in (
        ("customer-birthday", "birth_date", 6),
        ("customer-telephone", "telephone", 6),
        ("customer-email", "email", 24),
    ):
        query = f"SELECT count(*) FROM customer WHERE {column} IS NOT NULL AND {dated} AND last_contact_at < ?"
        assert one(crm, query, start_of(first_kept(made.today, months), " ")) == made.due[rule]


def test_a_contact_shortly_before_midnight_utc_is_of_the_next_day_in_brussels(
    made: Summary, crm: sqlite3.Connection
) -> None:
    eve = first_kept(made.today, 6) - timedelta(days=1)
    rows = crm.execute("SELECT last_contact_at FROM customer WHERE last_contact_at LIKE ?", (f"{eve}%",)).fetchall()
    assert {f"{eve} 20:30:00", f"{eve} 23:30:00"} <= {row[0] for row in rows}
    limit = start_of(first_kept(made.today, 6), " ")
    assert f"{eve} 20:30:00" < limit < f"{eve} 23:30:00"


@pytest.mark.sampled(one_in=3)
def test_due_customers_are_those_whose_last_invoice_is_past_ten_years(made: Summary, crm: sqlite3.Connection) -> None:
    year = last_due_year(made.today)
    dated = IS_DATE.format("issued_on", made.today)
    query = f"""
        SELECT count(*) FROM customer AS c
        WHERE substr(created_at, 1, 4) <= ?1
          AND NOT EXISTS (SELECT 1 FROM invoice AS i WHERE i.customer_id = c.customer_id
                          AND i.issued_on IS NOT NULL AND NOT ({dated} AND substr(issued_on, 1, 4) <= ?1))"""
    assert one(crm, query, str(year)) == made.due["customer-invoicing"] == 50


def last_due_year(today: date) -> int:
    """Ten years from 1 January after the year of issue: due from the day after."""
    return max(year for year in range(1990, today.year) if date(year + 11, 1, 1) < today)


def test_due_invoices_and_their_lines_are_those_that_sql_counts(made: Summary, crm: sqlite3.Connection) -> None:
    due = f"{IS_DATE.format('issued_on', made.today)} AND substr(issued_on, 1, 4) <= '{last_due_year(made.today)}'"
    assert one(crm, f"SELECT count(*) FROM invoice WHERE {due}") == made.due["invoices-statutory"]
    query = f"SELECT count(*) FROM invoice_line WHERE invoice_id IN (SELECT invoice_id FROM invoice WHERE {due})"
    assert one(crm, query) == made.due["invoice-lines"]
    assert 0.03 <= made.due["invoices-statutory"] / made.rows["invoice"] <= 0.08


def test_due_notes_and_subscribers_are_those_that_sql_counts(made: Summary, crm: sqlite3.Connection) -> None:
    query = "SELECT count(*) FROM meeting_note WHERE met_at < ?"
    assert one(crm, query, start_of(first_kept(made.today, 24), "T")) == made.due["meeting-notes"]
    query = "SELECT count(*) FROM newsletter_subscriber WHERE status = 'unsubscribed' AND unsubscribed_at < ?"
    limit = start_of(made.today - timedelta(days=30), "T")
    assert one(crm, query, limit) == made.due["newsletter-unsubscribed"] == 60
    active = "SELECT count(*) FROM newsletter_subscriber WHERE status = 'active' AND consent = "
    query = f"{active} 'unknown' AND subscribed_at < ?"
    assert one(crm, query, start_of(first_kept(made.today, 6), "T")) == made.due["newsletter-unclear"] == 110
    query = f"{active} 'given' AND max(subscribed_at, last_click_at) < ?"
    assert one(crm, query, start_of(first_kept(made.today, 36), "T")) == made.due["newsletter-stale"] == 90


def test_undatable_rows_are_those_that_sql_counts(made: Summary, crm: sqlite3.Connection) -> None:
    prospects = IS_DATE.format("coalesce(last_contact_on, '')", made.today)
    query = f"SELECT count(*) FROM prospect WHERE statecode <> 1 AND NOT ({prospects})"
    assert one(crm, query) == made.undated["crm.prospects:last-contact"] == 7
    customers = IS_DATE.format("coalesce(last_contact_at, '')", made.today)
    query = f"SELECT count(*) FROM customer WHERE NOT ({customers})"
    assert one(crm, query) == made.undated["crm.customers:last-contact"] == 4
    invoices = IS_DATE.format("coalesce(issued_on, '')", made.today)
    assert one(crm, f"SELECT count(*) FROM invoice WHERE NOT ({invoices})") == made.undated["crm.invoices:issued"] == 3
    query = "SELECT count(DISTINCT customer_id) FROM invoice WHERE issued_on IN ('', '0000-00-00')"
    assert one(crm, query) == made.undated["crm.customers:last-invoice"] == 2


def test_every_kind_of_missing_date_occurs(crm: sqlite3.Connection) -> None:
    for column, zero in (
        ("prospect.last_contact_on", "0000-00-00"),
        ("customer.last_contact_at", "0000-00-00 00:00:00"),
    ):
        table = column.partition(".")[0]
        for condition in (f"{column} = ''", f"{column} = '{zero}'", f"{column} IS NULL"):
            assert one(crm, f"SELECT count(*) FROM {table} WHERE {condition}") >= 1


def test_the_story_has_its_four_customers(made: Summary, crm: sqlite3.Connection) -> None:
    told = {"held": made.held, "blocked": made.blocked, "purged": made.purged, "overlapping": made.overlapping}
    assert len({candidate.key for candidate in told.values()}) == 4
    undated = "SELECT count(*) FROM invoice WHERE customer_id = ? AND issued_on IS NULL"
    late = "SELECT count(*) FROM invoice WHERE customer_id = ? AND substr(issued_on, 1, 4) > ?"
    for label, candidate in told.items():
        (key,) = candidate.key
        row = crm.execute("SELECT first_name || ' ' || last_name, email FROM customer WHERE customer_id = ?", (key,))
        assert row.fetchone() == (candidate.name, candidate.email)
        assert one(crm, undated, key) == (label == "blocked")
        assert bool(one(crm, late, key, str(last_due_year(made.today)))) == (label == "overlapping")


@pytest.mark.sampled(one_in=3)
def test_no_rule_of_the_example_is_stopped_by_its_own_caps(made: Summary) -> None:
    text = (example_folder("webassur") / "config" / "retention.toml").read_text(encoding="utf-8")
    config = tomllib.loads(text)
    population = {
        f"crm.{name}": made.rows[dataset["source"]] for name, dataset in config["location"]["crm"]["dataset"].items()
    } | dict(made.records)
    assert set(made.due) - {"invoice-lines"} <= set(config["rule"])
    for name, due in made.due.items():
        rule = config["rule"].get(name, {"dataset": "crm.invoice-lines"})
        share = rule.get("max_share", config["safety"]["max_share"])
        assert due <= share * population[rule["dataset"]], name
        assert due <= config["safety"]["max_records"]


@pytest.mark.sampled(one_in=3)
def test_the_example_names_only_tables_and_columns_that_exist(made: Summary, crm: sqlite3.Connection) -> None:
    text = (example_folder("webassur") / "config" / "retention.toml").read_text(encoding="utf-8")
    config = tomllib.loads(text)
    datasets = config["location"]["crm"]["dataset"]
    columns = {
        name: {row[1] for row in crm.execute(f"PRAGMA table_info({dataset['source']})")}
        for name, dataset in datasets.items()
    }
    assert all(columns.values())
    assert {dataset["source"] for dataset in datasets.values()} == set(made.rows)
    for name, dataset in datasets.items():
        used = {column for listed in dataset.get("data", {}).values() for column in listed}
        used |= set(dataset.get("subject", ())) | set(dataset.get("parent", {}).get("via", ()))
        for anchor in dataset.get("anchor", {}).values():
            for part in [anchor] if isinstance(anchor, str) else anchor["latest"]:
                owner, _, column = part.rpartition(":")
                assert column in columns[owner.removeprefix("crm.") or name]
        for rule in config["rule"].values():
            used |= set(rule.get("where", ())) if rule["dataset"] == f"crm.{name}" else set()
        assert used <= columns[name], name


@pytest.mark.sampled(one_in=3)
def test_the_rules_of_the_example_find_what_was_planted_and_nothing_else(made: Summary, tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(example_folder("webassur"), folder)
    shutil.copytree(made.folder / "data", folder / "data", copy_function=shutil.copy2)
    config = load(folder, {"sql": SQL, "files": FILES, "weblog": WEBLOG, "manual": MANUAL})
    now = datetime(made.today.year, made.today.month, made.today.day, 22, 0, tzinfo=UTC)
    found: dict[tuple[str, ...], int] = {}
    for name, kind in (("crm", SQL), ("cvs", FILES), ("weblog", WEBLOG)):
        location = config.locations[name]
        options = {**location.options, "folder": str(folder)}
        if "root" in options:
            options["root"] = str(folder / options["root"])
        spec = LocationSpec(name, location.connector, config.timezone, options, location.datasets, 64)
        with closing(kind.open(spec)) as place:
            for target in (target for target in compile_policy(config) if target.location == name):
                selection = select(target, as_of=made.today, now=now, zone=config.timezone)
                assert place.problems(target.dataset, selection) == []
                names = tuple(rule.name for rule in target.rules)
                found[names if target.scope == "field" else (target.full_dataset, *names)] = sum(
                    len(batch.records) for batch in place.find(selection)
                )
    due = made.due
    everything = (
        "customer-contact", "customer-birthday", "customer-telephone", "customer-email", "customer-gift",
        "customer-invoicing",
    )  # fmt: skip
    assert found == {
        ("crm.prospects", "prospects-open"): due["prospects-open"],
        ("crm.prospects", "prospects-won"): due["prospects-won"],
        ("crm.customers", *everything): due["customer-invoicing"],
        ("customer-contact", "customer-invoicing"): due["customer-invoicing"],
        ("customer-invoicing",): due["customer-invoicing"],
        ("customer-gift", "customer-invoicing"): due["customer-invoicing"],
        ("customer-birthday",): due["customer-birthday"],
        ("customer-telephone",): due["customer-telephone"],
        ("customer-email",): due["customer-email"],
        ("crm.invoices", "invoices-statutory"): due["invoices-statutory"],
        ("crm.meeting-notes", "meeting-notes"): due["meeting-notes"],
        ("crm.subscribers", "newsletter-unsubscribed"): due["newsletter-unsubscribed"],
        ("crm.subscribers", "newsletter-unclear"): due["newsletter-unclear"],
        ("crm.subscribers", "newsletter-stale"): due["newsletter-stale"],
        ("cvs.applications", "applications"): due["applications"],
        ("weblog.access", "access-logs"): due["access-logs"],
    }


def test_applications_go_by_the_date_in_their_name(made: Summary) -> None:
    folder = made.folder / "data" / "cvs"
    assert (folder / ".ropa-root").is_file()
    files = [path for path in folder.iterdir() if path.name != ".ropa-root"]
    assert len(files) == made.records["cvs.applications"] == 49
    dates = {path: found[0] for path in files if (found := re.match(r"\d{4}-\d{2}-\d{2}", path.name))}
    assert len(files) - len(dates) == made.undated["cvs.applications:applied"] == 1
    limit = first_kept(made.today, 3)
    due = [path for path, text in dates.items() if date.fromisoformat(text) < limit]
    assert len(due) == made.due["applications"] == 10
    changed = {path: datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat() for path in dates}
    assert [path for path, text in dates.items() if changed[path] != text] == [
        p for p in due if changed[p] == str(made.today)
    ]
    assert sum(changed[path] != text for path, text in dates.items()) == 1


def test_pdf_applications_are_whole_documents(summary: Summary) -> None:
    files = list((summary.folder / "data" / "cvs").glob("*.pdf"))
    assert len(files) == 32
    for path in files:
        content = path.read_bytes()
        start = int(content.split(b"startxref\n")[1].split(b"\n")[0])
        assert content[start:].startswith(b"xref\n0 6\n")
        for number, entry in enumerate(re.findall(rb"(\d{10}) 00000 n ", content), start=1):
            assert content[int(entry) :].startswith(b"%d 0 obj\n" % number)


def lines_of(folder: Path) -> dict[str, list[str]]:
    """The lines of the logs in a folder, by the log."""
    return {path.name: path.read_text(encoding="ascii").splitlines() for path in sorted(folder.glob("access.log-*"))}


def moment_of(line: str) -> datetime | None:
    """When a line says that it was written."""
    found = re.search(r"\[([^\]]+)\]", line)
    return datetime.strptime(found[1], "%d/%b/%Y:%H:%M:%S %z") if found else None


@pytest.mark.sampled(one_in=3)
def test_there_is_a_log_a_week_and_the_limit_runs_through_one(made: Summary) -> None:
    logs = lines_of(made.folder / "data" / "logs")
    rotated = [made.today - timedelta(days=7 * back) for back in range(42, -1, -1)]
    assert list(logs) == [f"access.log-{day:%Y%m%d}" for day in rotated]
    lines = [line for own in logs.values() for line in own]
    assert made.log_lines == len(lines) > 5000
    moments = [moment_of(line) for line in lines]
    assert moments.count(None) == made.undated["weblog.access:line"] == 1
    dated = [moment.astimezone(BRUSSELS) for moment in moments if moment]
    assert dated == sorted(dated)
    days = {moment.date() for moment in dated}
    assert days == {made.today - timedelta(days=back) for back in range(1, 302)}
    assert made.records["weblog.access"] == len(days) + 1
    kept = first_kept(made.today, 6)
    assert made.due["access-logs"] == sum(day < kept for day in days)
    assert any(moment.date() != moment.astimezone(UTC).date() for moment in dated), "midnight is not midnight in UTC"


def test_the_limit_of_the_web_log_runs_through_a_log(summary: Summary) -> None:
    kept = first_kept(summary.today, 6)
    mixed = [
        name
        for name, lines in lines_of(summary.folder / "data" / "logs").items()
        if len({moment.astimezone(BRUSSELS).date() < kept for line in lines if (moment := moment_of(line))}) == 2
    ]
    assert len(mixed) == 1


def test_no_address_in_the_logs_can_be_a_real_visitor(summary: Summary) -> None:
    logs = lines_of(summary.folder / "data" / "logs")
    addresses = {line.split(" ", 1)[0] for lines in logs.values() for line in lines}
    assert len(addresses) > 100
    assert all(address.startswith(("192.0.2.", "2001:db8::")) for address in addresses)


def test_mail_addresses_are_at_reserved_domains_only(summary: Summary) -> None:
    found: set[bytes] = set()
    for path in summary.folder.rglob("*"):
        if path.is_file():
            found.update(re.findall(rb"@([a-z0-9.-]+\.[a-z]{2,3})", path.read_bytes()))
    assert found == {b"example.com", b"example.org", b"example.net"}


def test_people_have_valid_numbers_that_belong_to_no_bank() -> None:
    people = list(make_people(400, seed=1, today=DAYS[0]))
    assert all(iban.is_valid(person.iban) and iban.to_bic(person.iban) is None for person in people)
    assert all(re.fullmatch(r"0400 \d\d \d\d \d\d", person.telephone) for person in people)
    assert len({person.email for person in people}) == 400
    assert all(person.email.isascii() for person in people)
    assert all(add_months(person.birth_date, 12 * 20) <= DAYS[0] for person in people)


def test_companies_have_distinct_valid_vat_numbers() -> None:
    companies = list(make_companies(400, seed=1))
    assert all(vat.is_valid(company.vat_number) for company in companies)
    assert len({company.vat_number for company in companies}) == 400
