"""A project folder to be killed in: a customer database and a folder of applications, with every kind of target.

Whole rows (with children that go along, with children that stand in the way), single fields, masked fields, flags,
files; something held and something not due in each. Every personal field holds a token of its own, drawn at random,
so that it can be looked for afterwards.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from ropa_runs import Ended, Server

CONFIG = """\
timezone = "Europe/Brussels"
[safety]
max_share = 1.0

[location.crm]
connector = "sql"
url = "sqlite:///data/crm.sqlite"
batch_size = {batch}
[location.crm.dataset.customers]
source = "customer"
subject = ["email"]
anchor.last-contact = "last_contact_on"
data.name = ["first_name", "last_name"]
data.email = ["email"]
data.bank-account = ["iban"]
data.birth-date = ["birth_date"]
[location.crm.dataset.invoices]
source = "invoice"
anchor.issued = "issued_on"
data.invoice = ["number", "iban"]
parent = {{ dataset = "crm.customers", via = ["customer_id"] }}
[location.crm.dataset.lines]
source = "invoice_line"
parent = {{ dataset = "crm.invoices", via = ["invoice_id"], with_parent = true }}
[location.crm.dataset.prospects]
source = "prospect"
key = ["email"]
subject = ["email"]
anchor.last-contact = "last_contact_on"
data.name = ["name"]
data.email = ["email"]
[location.crm.dataset.visits]
source = "visit"
anchor.visited = "visited_on"
data.ip-address = ["ip"]
[location.crm.dataset.notes]
source = "note"
anchor.met = "met_on"
data.correspondence = ["summary"]
"""

FILES_CONFIG = """
[location.cvs]
connector = "files"
root = "data/cvs"
batch_size = 3
[location.cvs.dataset.applications]
source = "."
anchor.applied = { pattern = "%Y-%m-%d", in = "name" }
subject = ["name"]
data.cv = ["*"]
"""

RULES = {
    "customer": ("customers", '["name", "email", "bank-account"]', "last-contact", "24 months", "purge", ""),
    "birthday": ("customers", '["birth-date"]', "last-contact", "6 months", "purge", ""),
    "invoicing": ("invoices", '"*"', "issued", "10 years", "purge", ""),
    "intake": ("prospects", '"*"', "last-contact", "12 months", "purge", 'approval = "mandate"'),
    "security": ("visits", '"*"', "visited", "6 months", "anonymise", 'mask = { ip-address = "truncate-ip" }'),
    "meetings": ("notes", '"*"', "met", "24 months", "flag", ""),
}

REGISTER = """\
[organisation]
name = "Testbedrijf"
address = "Kouter 1, 9000 Gent"
country = "BE"
email = "register@example.org"
authority = "GBA"
languages = ["nl"]
"""

ACTIVITY = """
[activity.{name}]
title = "{name}"
role = "controller"
purposes = ["{name}"]
legal_basis = "6.1.f"
subjects = ["customer"]
data = [{data}]
measures = ["TLS"]
status = "active"
owner = "{owner}"
"""

CATEGORIES = {
    "customer": ("name", "email", "bank-account"),
    "birthday": ("birth-date",),
    "invoicing": ("invoice",),
    "intake": ("name", "email"),
    "security": ("ip-address",),
    "meetings": ("correspondence",),
    "recruitment": ("cv",),
}

SCHEMA = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, first_name TEXT, last_name TEXT, email TEXT, iban TEXT,
    birth_date TEXT, last_contact_on TEXT);
CREATE TABLE invoice (id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer, number TEXT, iban TEXT,
    issued_on TEXT);
CREATE TABLE invoice_line (id INTEGER PRIMARY KEY, invoice_id INTEGER NOT NULL REFERENCES invoice ON DELETE CASCADE,
    description TEXT);
CREATE INDEX line_of ON invoice_line (invoice_id);
CREATE INDEX invoice_of ON invoice (customer_id);
CREATE TABLE prospect (email TEXT PRIMARY KEY, name TEXT, last_contact_on TEXT);
CREATE TABLE visit (id INTEGER PRIMARY KEY, ip TEXT, visited_on TEXT);
CREATE TABLE note (id INTEGER PRIMARY KEY, summary TEXT, met_on TEXT);
"""


@dataclass
class Project:
    """A project folder, and what is known of it without asking ropa."""

    folder: Path
    tokens: dict[str, list[str]] = field(default_factory=dict)
    """What kind of personal data, to the tokens planted as such."""
    held: set[tuple[str, str]] = field(default_factory=set)
    """(dataset, key as the run database spells it) that must survive."""
    not_due: set[tuple[str, str]] = field(default_factory=set)
    purged_tokens: list[str] = field(default_factory=list)
    """Tokens of records that are due, free and go as a whole from the database."""
    plan: int = 0
    digest: str = ""

    @property
    def crm(self) -> Path:
        return self.folder / "data" / "crm.sqlite"

    @property
    def cvs(self) -> Path:
        return self.folder / "data" / "cvs"

    @property
    def state(self) -> Path:
        return self.folder / "var"

    @property
    def ledger(self) -> Path:
        return self.state / "ledger"

    @property
    def database(self) -> Path:
        return self.state / "ropa.db"

    def token(self, kind: str) -> str:
        made = f"{kind[:2]}q{secrets.token_hex(8)}"
        self.tokens.setdefault(kind, []).append(made)
        return made

    def copy(self, to: Path) -> Project:
        """Copy the whole folder. Files of the location are new files then: they must be planned anew."""
        shutil.copytree(self.folder, to, symlinks=True)
        return Project(to, self.tokens, self.held, self.not_due, self.purged_tokens, self.plan, self.digest)


def today() -> date:
    return datetime.now(UTC).date()


def make(folder: Path, *, batch: int = 2, scale: int = 1, files: bool = True) -> Project:
    """Write a project folder: configuration, register text, database and files. Nothing of ropa is called."""
    project = Project(folder)
    for part in ("config", "data"):
        (folder / part).mkdir(parents=True)
    names = dict(RULES)
    text = CONFIG.format(batch=batch)
    if files:
        text += FILES_CONFIG
        names["recruitment"] = ("applications", '"*"', "applied", "3 months", "purge", "")
    for activity, (dataset, data, anchor, period, action, more) in names.items():
        place = "cvs" if dataset == "applications" else "crm"
        text += (
            f'\n[rule.{activity}]\nactivity = "{activity}"\ndataset = "{place}.{dataset}"\ndata = {data}\n'
            f'anchor = "{anchor}"\nperiod = "{period}"\naction = "{action}"\nlegal_ground = "test"\n{more}\n'
        )
    (folder / "config" / "retention.toml").write_text(text)
    owner = project.token("owner")
    (folder / "register.toml").write_text(
        REGISTER
        + "".join(
            ACTIVITY.format(name=name, data=", ".join(f'"{word}"' for word in CATEGORIES[name]), owner=owner)
            for name in names
        )
    )
    _fill_database(project, scale)
    if files:
        _fill_files(project, scale)
    return project


def _fill_database(project: Project, scale: int) -> None:
    def ago(days: int) -> str:
        return (today() - timedelta(days=days)).isoformat()

    source = sqlite3.connect(project.crm)
    source.executescript("PRAGMA journal_mode=WAL;" + SCHEMA)
    invoice = line = 0

    def add_customer(number: int, days: int, invoices: list[int], *, fate: str) -> None:
        nonlocal invoice, line
        values = [project.token(kind) for kind in ("first", "last", "mail", "iban")]
        values[2] += "@example.org"
        source.execute("INSERT INTO customer VALUES (?,?,?,?,?,?,?)", (number, *values, "1980-02-29", ago(days)))
        if fate == "not due":
            project.not_due.add(("customers", f'["{number}"]'))
        elif fate == "goes":
            project.purged_tokens += [*values]
        for issued in invoices:
            invoice += 1
            texts = [project.token(kind) for kind in ("number", "iban")]
            source.execute("INSERT INTO invoice VALUES (?,?,?,?,?)", (invoice, number, *texts, ago(issued)))
            is_due = issued > 4000
            if is_due:
                project.purged_tokens += texts
            else:
                project.not_due.add(("invoices", f'["{invoice}"]'))
            for _ in range(2):
                line += 1
                described = project.token("line")
                source.execute("INSERT INTO invoice_line VALUES (?,?,?)", (line, invoice, described))
                if is_due:
                    project.purged_tokens.append(described)
                else:
                    project.not_due.add(("lines", f'["{line}"]'))

    for i in range(3 * scale):
        add_customer(100 + i, 1000, [4500], fate="goes")
    for i in range(2 * scale):
        add_customer(2000 + i, 1000, [], fate="goes")
    for i in range(2):
        add_customer(4000 + i, 1000, [4500, 300], fate="blocked")
    for i in range(3 * scale):
        add_customer(5000 + i, 300, [], fate="field")
    for i in range(2):
        add_customer(8000 + i, 30, [], fate="not due")

    for i in range(6 * scale + 1):
        values = (project.token("mail") + "@example.org", project.token("name"), ago(500))
        source.execute("INSERT INTO prospect VALUES (?,?,?)", values)
        if i == 0:
            project.held.add(("prospects", f'["{values[0]}"]'))
        else:
            project.purged_tokens += values[:2]
    young = project.token("mail") + "@example.org"
    source.execute("INSERT INTO prospect VALUES (?,?,?)", (young, project.token("name"), ago(100)))
    project.not_due.add(("prospects", f'["{young}"]'))
    for i in range(3 * scale):
        source.execute("INSERT INTO visit VALUES (?,?,?)", (i, f"203.0.113.{i + 7}", ago(400)))
    source.execute("INSERT INTO visit VALUES (?,?,?)", (9000, "203.0.113.200", ago(10)))
    for i in range(3):
        source.execute("INSERT INTO note VALUES (?,?,?)", (i, project.token("note"), ago(900)))
    source.commit()
    source.close()


def _fill_files(project: Project, scale: int) -> None:
    project.cvs.mkdir()
    (project.cvs / ".ropa-root").touch()
    for i in range(5 * scale + 2):
        is_due = i < 5 * scale + 1
        day = (today() - timedelta(days=400 if is_due else 10)).isoformat()
        person = project.token("file")
        name = f"{day} {person}.txt"
        (project.cvs / name).write_text(project.token("content"))
        if not is_due:
            project.not_due.add(("applications", f'["{name}"]'))
        elif i == 0:
            project.held.add(("applications", f'["{name}"]'))


def held_person(project: Project) -> str:
    """The identifier that the hold on a file's person names: the token in its name."""
    name = next(key for dataset, key in project.held if dataset == "applications")
    return name.split(" ")[1].removesuffix('.txt"]')


def prepare(server: Server, project: Project) -> Project:
    """Import the register and place the holds, by ropa itself."""
    c = ("-C", project.folder)
    expect(server.run(*c, "init"))
    expect(server.run(*c, "register", "import", project.folder / "register.toml", "--by", "An", "--reason", "test"))
    prospect = next(key for dataset, key in project.held if dataset == "prospects")
    expect(server.run(*c, "hold", "add", "--record", "crm.prospects", prospect, "--reason", "litigation", "--by", "An"))
    if project.cvs.exists():
        person = held_person(project)
        expect(server.run(*c, "hold", "add", "--subject", person, "--reason", "restriction", "--by", "An"))
    return project


def approve(server: Server, project: Project) -> Project:
    """Plan everything and approve it."""
    c = ("-C", project.folder)
    plan = expect(server.run(*c, "plan", "--by", "An", "--json")).document
    project.plan, project.digest = plan["plan"], plan["digest"]
    words = ("--by", "An", "--reason", "checked", "--digest", project.digest)
    expect(server.run(*c, "approve", str(project.plan), *words))
    return project


def expect(ended: Ended, *codes: int) -> Ended:
    """Fail, with what was said, unless the exit code is one of these (0)."""
    assert ended.code in (codes or (0,)), f"exit {ended.code}\n{ended.out}\n{ended.err}"
    return ended


def cases(sample: int, whole: int) -> int:
    """How many cases run: a sample, or what ROPA_CAMPAIGN asks for (``full`` or a number), never more than there are."""
    asked = os.environ.get("ROPA_CAMPAIGN", "")
    if not asked:
        return sample
    return min(int(asked), whole) if asked.isdigit() else whole
