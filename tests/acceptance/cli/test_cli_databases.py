"""Databases that nobody here made, and names that nobody would choose: the plan equals what independent SQL says."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from calendar import monthrange
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cli_kit import REGISTER, Ropa, approved

BEDS = Path(os.environ.get("ROPA_BEDS") or Path(__file__).resolve().parents[4] / "shared" / "beds")
CHINOOK = BEDS / "databases" / "chinook.sqlite"

CONFIG = """\
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
[location.shop]
connector = "sql"
country = "BE"
recipient = "host"
url = "sqlite:///chinook.sqlite"
batch_size = 2
[location.shop.dataset.customers]
source = "Customer"
subject = ["Email"]
anchor.last-order = { latest = ["shop.invoices:InvoiceDate"] }
data.name = ["FirstName", "LastName"]
data.email = ["Email"]
data.address = ["Address", "City", "State", "Country", "PostalCode"]
data.telephone = ["Phone", "Fax"]
[location.shop.dataset.invoices]
source = "Invoice"
anchor.invoiced = "InvoiceDate"
data.address = ["BillingAddress", "BillingCity", "BillingState", "BillingCountry", "BillingPostalCode"]
data.invoice = ["Total"]
parent = { dataset = "shop.customers", via = ["CustomerId"] }
[location.shop.dataset.lines]
source = "InvoiceLine"
data.invoice = ["UnitPrice", "Quantity"]
parent = { dataset = "shop.invoices", via = ["InvoiceId"], with_parent = true }
[location.shop.dataset.employees]
source = "Employee"
anchor.hired = "HireDate"
data.name = ["FirstName", "LastName"]
data.telephone = ["Phone", "Fax"]
data.birth-date = ["BirthDate"]
[rule.customers]
activity = "intake"
dataset = "shop.customers"
data = "*"
anchor = "last-order"
period = "1 year"
action = "purge"
[rule.invoices]
activity = "accounting"
dataset = "shop.invoices"
data = "*"
anchor = "invoiced"
period = "18 months"
action = "purge"
[rule.phones]
activity = "staff"
dataset = "shop.employees"
data = ["telephone"]
anchor = "hired"
period = "20 years"
where = { Title = { not = "General Manager" } }
action = "anonymise"
[rule.staff]
activity = "staff"
dataset = "shop.employees"
data = ["name", "birth-date"]
anchor = "hired"
period = "60 years"
action = "anonymise"
"""
STAFF = """
[activity.staff]
title = "Personeel"
role = "controller"
purposes = ["Loon"]
legal_basis = "6.1.c"
subjects = ["employee"]
data = ["name", "telephone", "birth-date"]
"""


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def later(day: date, months: int) -> date:
    """Calendar arithmetic of its own: the same day of the month, clipped to its end."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def planned(ropa: Ropa, plan: int) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for record in ropa("plan", "show", str(plan), "--records", "--json", code=0).lines:
        assert len(record["key"]) == 1
        found.setdefault(record["dataset"], {})[record["key"][0]] = record["disposition"]
    return found


@pytest.fixture
def shop(tmp_path: Path) -> Ropa:
    if not CHINOOK.exists():
        pytest.skip(f"beds absent: {CHINOOK}")
    (tmp_path / "config").mkdir(mode=0o755)
    (tmp_path / "config" / "retention.toml").write_text(CONFIG)
    (tmp_path / "register.toml").write_text(REGISTER + STAFF)
    shutil.copyfile(CHINOOK, tmp_path / "chinook.sqlite")
    ropa = Ropa(tmp_path)
    ropa("register", "import", "register.toml", code=0)
    return ropa


@pytest.mark.parametrize("as_of", ["2023-02-28"])
def test_the_plan_over_chinook_is_what_independent_sql_says_and_applying_it_takes_just_that(
    shop: Ropa, as_of: str
) -> None:
    path, day = shop.folder / "chinook.sqlite", date.fromisoformat(as_of)
    invoices = {
        str(i): (str(c), date.fromisoformat(d[:10])) for i, c, d in rows(path, "SELECT InvoiceId, CustomerId, InvoiceDate FROM Invoice")
    }  # fmt: skip
    old = {i for i, (_, on) in invoices.items() if day > later(on, 18)}
    lines = {str(line) for line, i in rows(path, "SELECT InvoiceLineId, InvoiceId FROM InvoiceLine") if str(i) in old}
    last = {c: max(on for customer, on in invoices.values() if customer == c) for c, _ in invoices.values()}
    due = {c for c, on in last.items() if day > later(on, 12)}
    held_up = Counter(c for i, (c, _) in invoices.items() if i not in old)
    phones = {
        str(e) for e, d, p, f, t in rows(path, "SELECT EmployeeId, HireDate, Phone, Fax, Title FROM Employee")
        if day > later(date.fromisoformat(d[:10]), 240) and (p or f) and t != "General Manager"
    }  # fmt: skip
    assert old, "the case has something in it"
    assert phones

    plan = shop.json("plan", "--as-of", as_of)
    found = planned(shop, plan["plan"])
    assert found.get("shop.invoices", {}) == dict.fromkeys(old, "planned")
    assert found.get("shop.lines", {}) == dict.fromkeys(lines, "planned")
    assert found.get("shop.customers", {}) == {c: "blocked" if held_up[c] else "planned" for c in due}
    assert found.get("shop.employees", {}) == dict.fromkeys(phones, "planned")
    for target in plan["targets"]:
        assert target["due"] == target["held"] + target["blocked"] + target["records"]

    tables = [name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    before = {name: rows(path, f'SELECT * FROM "{name}"') for name in tables}
    shop("approve", "1", "--by", "An", "--reason", "x", "--digest", plan["digest"], code=0)
    gone = {c for c in due if not held_up[c]}
    run = shop.json("apply", "1")
    assert run["outcomes"] == {
        word: n for word, n in {"purged": len(old) + len(lines) + len(gone), "anonymised": len(phones)}.items() if n
    }  # fmt: skip
    after = {name: rows(path, f'SELECT * FROM "{name}"') for name in tables}
    assert after["Invoice"] == [row for row in before["Invoice"] if str(row[0]) not in old]
    assert after["InvoiceLine"] == [row for row in before["InvoiceLine"] if str(row[0]) not in lines]
    assert after["Customer"] == [row for row in before["Customer"] if str(row[0]) not in gone]
    assert after["Employee"] == [
        (*row[:12], None, None, *row[14:]) if str(row[0]) in phones else row for row in before["Employee"]
    ]
    for name in set(tables) - {"Invoice", "InvoiceLine", "Customer", "Employee"}:
        assert after[name] == before[name]
    assert shop.json("ledger", "verify")["sound"] is True


# --- names --------------------------------------------------------------------------------------------------------

NAMES = [
    'say "hi"', "it's", "a b", "100%", "%s %(x)s", "semi;colon--", "[brackets]", "back`tick", "dot.ted", "é\u2013ü 名前",
    "order", "select * from x", "?", ":name", "$1", "\\back\\slash", "{curly}", "tab\u00a0nbsp", "a" * 120, "=1+1",
]  # fmt: skip


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def basic(text: str) -> str:
    """A TOML string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def dated(name: str) -> str:
    """A column with a date; in an anchor a colon stands between a dataset and its column."""
    return f"d {name}".replace(":", "")


def odd_config() -> str:
    """A dataset and a rule for each of the names."""
    text = """\
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
[location.odd]
connector = "sql"
url = "sqlite:///odd.sqlite"
batch_size = 2
"""
    for number, name in enumerate(NAMES):
        text += f"""
[location.odd.dataset.t{number}]
source = {basic(name)}
key = [{basic("k " + name)}]
subject = [{basic("s " + name)}]
anchor.seen = {{ column = {basic(dated(name))} }}
data.name = [{basic("v " + name)}]
data.email = [{basic("s " + name)}]
[rule.r{number}]
activity = "intake"
dataset = "odd.t{number}"
data = "*"
anchor = "seen"
period = "1 year"
where = {{ {basic("w " + name)} = {basic(name)} }}
action = "purge"
"""
    return text


def test_any_name_of_a_table_or_column_is_taken_as_it_stands(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir(mode=0o755)
    (tmp_path / "config" / "retention.toml").write_text(odd_config(), encoding="utf-8")
    (tmp_path / "register.toml").write_text(REGISTER)
    keys = {name: [name, name + "'", '"', "%%", "its'", "young"] for name in NAMES}
    with contextlib.closing(sqlite3.connect(tmp_path / "odd.sqlite")) as database:
        database.execute("CREATE TABLE canary (id INTEGER PRIMARY KEY)")
        for name in NAMES:
            columns = [quoted(column) for column in (f"k {name}", f"s {name}", dated(name), f"v {name}", f"w {name}")]
            database.execute(f"CREATE TABLE {quoted(name)} ({columns[0]} TEXT PRIMARY KEY, {', '.join(columns[1:])})")
            database.executemany(
                f"INSERT INTO {quoted(name)} VALUES (?, ?, ?, ?, ?)",
                [(k, f"{i}@x", "2001-01-01" if i < 5 else "2026-11-01", "v", name) for i, k in enumerate(keys[name])]
                + [("other", "o@x", "2001-01-01", "v", "another value")],
            )
        database.commit()
    ropa = Ropa(tmp_path)
    ropa("register", "import", "register.toml", code=0)
    ropa("hold", "add", "--reason", "other", "--record", "odd.t0", '"', code=0)
    ropa("location", "discover", "odd", code=0)
    plan = approved(ropa)
    ropa("plan", "show", "1", "--records", code=0)
    found = planned(ropa, plan["plan"])
    for number, name in enumerate(NAMES):
        expected = {key: "held" if (key, number) == ('"', 0) else "planned" for key in keys[name][:5]}
        assert found[f"odd.t{number}"] == expected, name
        assert ropa("explain", "--json", f"odd.t{number}", "--", name, code=0).document["key"] == [name]
    run = ropa.json("apply", "1")
    assert run["outcomes"] == {"purged": 5 * len(NAMES) - 1}
    for number, name in enumerate(NAMES):
        left = {key for (key,) in rows(tmp_path / "odd.sqlite", f"SELECT {quoted('k ' + name)} FROM {quoted(name)}")}
        assert left == ({"young", "other"} | ({'"'} if number == 0 else set())), name
    assert ropa.json("ledger", "prove", "odd.t0", NAMES[0])["proofs"][0]["outcome"] == "purged"
    assert ropa.json("ledger", "verify")["sound"] is True
