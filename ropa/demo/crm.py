"""The customer database of the demonstration: its tables, and the order in which they are filled.

It stands in for the real thing: foreign keys, indexes, dates written in three ways, and the faults that ten years of
use leave behind (empty and zero dates, one in the future, an invoice that was never dated). Invariant: which rows are
past their period is known by construction and told in ``CrmRows``.
"""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

from ropa.demo.contacts import PROSPECTS, SUBSCRIBERS, write_newsletter, write_prospects
from ropa.demo.customers import CUSTOMERS, CustomerWriter
from ropa.demo.model import CrmRows
from ropa.demo.people import make_people

SCHEMA = """
CREATE TABLE customer (
  customer_id INTEGER PRIMARY KEY,
  company TEXT, vat_number TEXT, first_name TEXT, last_name TEXT,
  birth_date DATE, telephone TEXT, email TEXT, street TEXT, postal_code TEXT, city TEXT, iban TEXT,
  statecode INTEGER NOT NULL CHECK (statecode IN (0, 1)),
  created_at TEXT NOT NULL,
  last_contact_at TEXT
);
CREATE INDEX ix_customer_email ON customer (email);
CREATE TABLE prospect (
  prospect_id INTEGER PRIMARY KEY,
  first_name TEXT, last_name TEXT, email TEXT, telephone TEXT,
  channel TEXT NOT NULL CHECK (channel IN ('form', 'telephone', 'e-mail', 'facebook', 'instagram')),
  statecode INTEGER NOT NULL CHECK (statecode IN (0, 1, 2)),
  created_at TEXT NOT NULL,
  last_contact_on DATE,
  won_on DATE
);
CREATE INDEX ix_prospect_last_contact_on ON prospect (last_contact_on);
CREATE TABLE invoice (
  invoice_id INTEGER PRIMARY KEY,
  number TEXT UNIQUE,
  customer_id INTEGER NOT NULL REFERENCES customer (customer_id),
  issued_on DATE,
  description TEXT, iban TEXT, amount_cents INTEGER,
  paid_on DATE
);
CREATE INDEX ix_invoice_customer_id ON invoice (customer_id);
CREATE INDEX ix_invoice_issued_on ON invoice (issued_on);
CREATE TABLE invoice_line (
  invoice_id INTEGER NOT NULL REFERENCES invoice (invoice_id),
  line INTEGER NOT NULL,
  description TEXT, quantity INTEGER NOT NULL, price_cents INTEGER NOT NULL,
  PRIMARY KEY (invoice_id, line)
);
CREATE TABLE meeting_note (
  note_id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customer (customer_id),
  met_at TEXT NOT NULL,
  summary TEXT
);
CREATE INDEX ix_meeting_note_customer_id ON meeting_note (customer_id);
CREATE TABLE newsletter_subscriber (
  subscriber_id INTEGER PRIMARY KEY,
  first_name TEXT, email TEXT UNIQUE,
  status TEXT NOT NULL CHECK (status IN ('active', 'unsubscribed')),
  consent TEXT NOT NULL CHECK (consent IN ('given', 'unknown')),
  subscribed_at TEXT NOT NULL, last_click_at TEXT, unsubscribed_at TEXT
);
CREATE TABLE consent_record (
  consent_id TEXT PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('newsletter', 'cookies')),
  email TEXT, wording TEXT NOT NULL, given_at TEXT NOT NULL, withdrawn_at TEXT
);
CREATE TABLE suppression_entry (
  entry_id INTEGER PRIMARY KEY,
  email TEXT, added_on DATE NOT NULL
);
"""


def write_crm(path: Path, *, today: date, seed: int) -> CrmRows:
    """Create the database at ``path``, which must not exist; the same bytes for the same arguments."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Generated data can be generated again: no need to wait for the disk.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.executescript(SCHEMA)
        connection.execute("BEGIN")
        written = CrmRows()
        people = make_people(CUSTOMERS + PROSPECTS + SUBSCRIBERS, seed=seed, today=today)
        CustomerWriter(connection, written, today, seed).write(people)
        write_prospects(connection, written, today, seed, people)
        write_newsletter(connection, written, today, seed, people)
        connection.execute("COMMIT")
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            count = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608 - our own schema
            written.rows[table] = count
        return written
    finally:
        connection.close()
