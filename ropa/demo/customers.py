"""Customers of the demonstration with their invoices, lines and meeting notes, which agree with one another.

Invariant: distances keep clear of the calendar's corners, save for the two rows that stand on the very edge on purpose.
"""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta

from ropa.demo.model import Candidate, CrmRows, first_kept_day, first_kept_year
from ropa.demo.people import Company, Person, make_companies

_GROUPS = {"active": 1060, "recent": 130, "former": 90, "cleaned": 170, "old": 50}
"""Customers: in contact; gone for months; gone for years; gone, already cleaned; gone so long that nothing stays."""
CUSTOMERS = sum(_GROUPS.values())
_WORK = ("Website", "Webshop", "Onderhoud website", "Hosting en domeinnaam", "SEO-begeleiding", "Huisstijl")
_TALKS = ("Voortgang van de website besproken", "Teksten en foto's overlopen", "Offerte voor de webshop toegelicht",
          "Cijfers van de bezoekers bekeken", "Nieuwe planning afgesproken")  # fmt: skip


class CustomerWriter:
    """Customers with their invoices, lines and meeting notes, which must agree with one another."""

    def __init__(self, connection: sqlite3.Connection, written: CrmRows, today: date, seed: int) -> None:
        self.connection = connection
        self.written = written
        self.today = today
        self.seed = seed
        self.draw = random.Random(f"customers {seed}")  # noqa: S311 - generated data
        self.oldest = first_kept_day(today, months=144)
        self.kept_6 = first_kept_day(today, months=6)
        self.kept_24 = first_kept_day(today, months=24)
        self.kept_tax = date(first_kept_year(today), 1, 1)
        self.invoices: list[tuple[date, int, str, str | None]] = []  # issued, customer, account, as it is written
        self.notes: list[tuple[date, int, str]] = []

    def write(self, people: Iterator[Person]) -> None:
        """Insert a customer for each of the next ``CUSTOMERS`` of ``people``, and what belongs to each."""
        groups = [group for group, count in _GROUPS.items() for _ in range(count)]
        self.draw.shuffle(groups)
        companies = make_companies(len(groups), seed=self.seed)
        rows = [
            self._customer(number, group, person, company)
            for number, (group, company, person) in enumerate(zip(groups, companies, people, strict=False), start=1)
        ]
        self._spoil_dates(rows, groups)
        self._choose_candidates(rows, groups)
        marks = ", ".join("?" * 15)
        self.connection.executemany(f"INSERT INTO customer VALUES ({marks})", rows)  # noqa: S608 - question marks
        self._write_invoices()
        self._write_notes()

    def _day(self, first: date, last: date) -> date:
        return first + timedelta(days=self.draw.randint(0, max(0, (last - first).days)))

    def _customer(self, number: int, group: str, person: Person, company: Company) -> list[object]:
        created, contact, issued = self._history(group)
        for day in issued:
            self.invoices.append((day, number, person.iban, day.isoformat()))
        self._add_notes(number, group, created, contact, person.first_name)
        is_gone = contact < self.kept_6
        is_long_gone = contact < self.kept_24
        birth_date: str | None = person.birth_date.isoformat() if self.draw.random() < 0.9 else None
        telephone: str | None = person.telephone
        email: str | None = person.email
        if group == "cleaned":
            birth_date, telephone = None, None
            email = None if is_long_gone else email
        self.written.due["customer-birthday"] += is_gone and birth_date is not None
        self.written.due["customer-telephone"] += is_gone and telephone is not None
        self.written.due["customer-email"] += is_long_gone and email is not None
        self.written.due["customer-invoicing"] += group == "old"
        return [
            number, company.name, company.vat_number, person.first_name, person.last_name, birth_date, telephone,
            email, person.street, person.postal_code, person.city, person.iban, 0 if group == "active" else 1,
            f"{created.isoformat()}T{self._clock()}Z", f"{contact.isoformat()} {self._clock()}",
        ]  # fmt: skip

    def _clock(self) -> str:
        """A time of day at which Brussels and UTC have the same date."""
        return f"{self.draw.randint(7, 17):02d}:{self.draw.randint(0, 59):02d}:{self.draw.randint(0, 59):02d}"

    def _history(self, group: str) -> tuple[date, date, list[date]]:
        """Return when a customer came, was last in contact, and was invoiced."""
        day, ago = self._day, timedelta(days=1)
        if group == "old":
            last = day(self.oldest + 60 * ago, self.kept_tax - ago)
            created = day(self.oldest, last - 30 * ago)
            issued = [*(day(created, last) for _ in range(self.draw.randint(1, 3))), last]
            return created, last + self.draw.randint(5, 200) * ago, issued
        if group == "active":
            contact = day(self.kept_6 + ago, self.today - ago)
        elif group == "recent":
            contact = day(self.kept_24 + 20 * ago, self.kept_6 - 2 * ago)
        elif group == "former":
            contact = day(self.today - 2900 * ago, self.kept_24 - ago)
        else:
            contact = day(self.today - 2900 * ago, self.kept_6 - ago)
        created = day(self.oldest, contact - 60 * ago) if group == "active" else day(contact - 900 * ago, contact)
        issued = [day(max(created, self.kept_tax), contact) for _ in range(self.draw.randint(1, 4))]
        if created < self.kept_tax and self.draw.random() < 0.4:
            issued.append(day(created, self.kept_tax - ago))  # an old invoice of a customer who stayed
        return created, contact, issued

    def _add_notes(self, number: int, group: str, created: date, contact: date, first_name: str) -> None:
        days: list[date] = []
        if group == "active":
            days = [self._day(max(created, self.kept_24), contact) for _ in range(self.draw.randint(1, 3))]
            if created < self.kept_24 and self.draw.random() < 0.2:
                days.append(self._day(created, self.kept_24 - timedelta(days=1)))
        elif group == "old" or self.draw.random() < 0.5:
            days = [self._day(created, contact)]
        self.notes += [(day, number, f"{self.draw.choice(_TALKS)} met {first_name}.") for day in days]

    def _spoil_dates(self, rows: list[list[object]], groups: list[str]) -> None:
        """Plant what a real table holds: no date, a zero date, a future one; and two rows on the very edge."""
        active = [row for row, group in zip(rows, groups, strict=True) if group == "active"]
        future = f"{(self.today + timedelta(days=400)).isoformat()} 09:00:00"
        for row, text in zip(active, ("", "0000-00-00 00:00:00", None, future), strict=False):
            row[14] = text
        self.written.undated["crm.customers:last-contact"] = 4
        recent = [row for row, group in zip(rows, groups, strict=True) if group == "recent" and row[5] and row[6]]
        eve = self.kept_6 - timedelta(days=1)
        recent[0][14] = f"{eve.isoformat()} 20:30:00"  # before midnight in Brussels too: due
        recent[1][14] = f"{eve.isoformat()} 23:30:00"  # already the next day in Brussels: not due until tomorrow
        self.written.due["customer-birthday"] -= 1
        self.written.due["customer-telephone"] -= 1
        for row, text in zip(active[4:], ("", "0000-00-00"), strict=False):
            self.invoices.append((self.today, _number(row), str(row[11]), text))
        # A missing date is passed over in "the latest of"; an unreadable one is not: only these two have no anchor.
        self.written.undated["crm.customers:last-invoice"] = 2
        self.written.undated["crm.invoices:issued"] = 2

    def _choose_candidates(self, rows: list[list[object]], groups: list[str]) -> None:
        old = [row for row, group in zip(rows, groups, strict=True) if group == "old"]
        former = [row for row, group in zip(rows, groups, strict=True) if group == "former" and row[5]]
        self.invoices.append((self.today, _number(old[1]), str(old[1][11]), None))
        self.written.undated["crm.invoices:issued"] += 1
        chosen = {
            "purged": (old[0], "gone so long that every period has ended, the tax office's too"),
            "blocked": (old[1], "due, but an invoice without a date still refers to the customer"),
            "held": (old[2], "due, but in a dispute: a candidate for a legal hold"),
            "overlapping": (former[0], "birth date and telephone go, the invoice's name and address stay ten years"),
        }
        for label, (row, why) in chosen.items():
            name = f"{row[3]} {row[4]}"
            self.written.candidates[label] = Candidate("crm.customers", (str(row[0]),), name, str(row[7]), why)

    def _write_invoices(self) -> None:
        numbers: Counter[int] = Counter()
        invoices, lines = [], []
        self.invoices.sort(key=lambda invoice: invoice[:2])
        for invoice_id, (day, customer, account, text) in enumerate(self.invoices, start=1):
            numbers[day.year] += 1
            is_due = text == day.isoformat() and day < self.kept_tax
            work = [self.draw.choice(_WORK) for _ in range(self.draw.randint(1, 3))]
            prices = [self.draw.randint(5_000, 250_000) for _ in work]
            paid = (day + timedelta(days=self.draw.randint(3, 45))).isoformat() if text else None
            number = f"{day.year}-{numbers[day.year]:04d}"
            invoices.append((invoice_id, number, customer, text, work[0], account, sum(prices), paid))
            lines += [
                (invoice_id, line, title, 1, price)
                for line, (title, price) in enumerate(zip(work, prices, strict=True), start=1)
            ]
            self.written.due["invoices-statutory"] += is_due
            self.written.due["invoice-lines"] += len(work) if is_due else 0
        self.connection.executemany("INSERT INTO invoice VALUES (?, ?, ?, ?, ?, ?, ?, ?)", invoices)
        self.connection.executemany("INSERT INTO invoice_line VALUES (?, ?, ?, ?, ?)", lines)

    def _write_notes(self) -> None:
        self.notes.sort(key=lambda note: note[:2])
        self.written.due["meeting-notes"] = sum(day < self.kept_24 for day, _, _ in self.notes)
        rows = [
            (note_id, customer, f"{day.isoformat()}T{self._clock()}Z", summary)
            for note_id, (day, customer, summary) in enumerate(self.notes, start=1)
        ]
        self.connection.executemany("INSERT INTO meeting_note VALUES (?, ?, ?, ?)", rows)


def _number(row: list[object]) -> int:
    number = row[0]
    assert isinstance(number, int)  # noqa: S101 - for the type checker; rows are built above
    return number
