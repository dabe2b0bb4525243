"""The whole loop over the stand-ins for Microsoft 365, by the commands a user types: what is due goes, and nothing else.

What is due is computed here from the stand-ins' own data, by dateutil and without anything of ours; what is left is asked
of the stand-ins themselves, and their access log says how often they were asked.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil.relativedelta import relativedelta
from microsoft365_bed import CLIENT, TENANT, Bed

BRUSSELS = ZoneInfo("Europe/Brussels")
CONFIG = """
timezone = "Europe/Brussels"
[safety]
max_share = 1.0
max_records = 100_000
max_records_7_days = 100_000
[location.dv]
connector = "dataverse"
url = "{dataverse}"
resource = "{resource}"
{credential}
[location.dv.dataset.contacts]
source = "contact"
anchor.modified = "modifiedon"
data.name = ["firstname", "lastname", "fullname"]
data.birth-date = ["birthdate"]
data.email = ["emailaddress1"]
[location.dv.dataset.notes]
source = "annotation"
anchor.created = "createdon"
data.correspondence = ["subject", "notetext"]
parent = {{ dataset = "dv.contacts", via = ["_objectid_value"], with_parent = true }}
[location.mail]
connector = "outlook"
graph_url = "{graph}"
mailboxes = ["u1", "u2"]
{credential}
[location.mail.dataset.messages]
source = "messages"
data.correspondence = ["subject", "body"]
[location.mail.dataset.people]
source = "contacts"
data.name = ["displayName", "givenName", "surname"]
[location.sp]
connector = "sharepoint"
graph_url = "{graph}"
site_id = "s1"
{credential}
[location.sp.dataset.cvs]
source = "drive:d1"
data.cv = ["*.pdf"]
[location.sp.dataset.customers]
source = "list:l1"
anchor.since = "Created"
data.name = ["Title"]
data.birth-date = ["Geburtsdatum"]
"""
RULES = {
    # rule: dataset, data, anchor, years
    "contacts": ("dv.contacts", '"*"', "modified", 8),
    "notes": ("dv.notes", '"*"', "created", 9),
    "mail": ("mail.messages", '"*"', "received", 9),
    "people": ("mail.people", '"*"', "modified", 8),
    "cvs": ("sp.cvs", '"*"', "created", 7),
    "births": ("sp.customers", '["birth-date"]', "since", 8),
    "customers": ("sp.customers", '["name"]', "since", 9),
}
REGISTER = """
[organisation]
name = "Voorbeeld"
[activity.intake]
title = "Intake"
role = "controller"
purposes = ["test"]
legal_basis = "6.1.b"
subjects = ["customer"]
data = ["name", "birth-date", "email", "cv", "correspondence"]
"""


@dataclass(frozen=True)
class Project:
    folder: Path
    bed: Bed

    def run(self, *arguments: str) -> tuple[int, Any]:
        command = [sys.executable, "-m", "ropa", "-C", str(self.folder), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ROPA_")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout) if "--json" in arguments else done.stdout

    def rows(self, table: str) -> list[dict[str, str]]:
        """Return what a stand-in was filled with."""
        part = "dataverse" if table.startswith("crm-") else "graph"
        path = self.bed.folder / part / "db" / "data" / f"{table}.csv"
        with path.open(encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    def every(self, url: str) -> list[dict[str, Any]]:
        """Return what a stand-in holds now, page by page."""
        found: list[dict[str, Any]] = []
        link: object = url
        while isinstance(link, str):
            page: dict[str, Any] = dict(self.bed.read(link))
            found += page["value"]
            link = page.get("@odata.nextLink")
        return found


@pytest.fixture
def project(tmp_path: Path, own_microsoft365: Bed) -> Project:
    bed = own_microsoft365
    (tmp_path / "crm.pem").write_text(bed.certificate)
    (tmp_path / "crm.pem").chmod(0o400)
    credential = f'''tenant_id = "{TENANT}"
client_id = "{CLIENT}"
certificate = "file:crm.pem"
authority = "{bed.authority}"
ca_file = "{bed.ca_file}"'''
    text = CONFIG.format(
        dataverse=bed.dataverse, resource=bed.dataverse_resource, graph=bed.graph, credential=credential
    )
    for name, (dataset, data, anchor, years) in RULES.items():
        text += f'\n[rule.{name}]\nactivity = "intake"\ndataset = "{dataset}"\ndata = {data}\nanchor = "{anchor}"\n'
        text += f'period = "{years} years"\naction = "purge"\n'
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "retention.toml").write_text(text)
    (tmp_path / "register.toml").write_text(REGISTER)
    project = Project(tmp_path, bed)
    assert project.run("register", "import", str(tmp_path / "register.toml"), "--reason", "test")[0] == 0
    return project


def is_due(text: str, rule: str) -> bool:
    """Tell by calendar arithmetic of another library whether a period has ended."""
    day = datetime.fromisoformat(text).astimezone(BRUSSELS).date()
    return datetime.now(BRUSSELS).date() > day + relativedelta(years=RULES[rule][3])


@pytest.mark.whole
def test_what_is_due_goes_from_all_three_places_and_nothing_else(project):
    contacts, notes = project.rows("crm-contact"), project.rows("crm-annotation")
    messages, people = project.rows("db-messages"), project.rows("db-contacts")
    files, customers = project.rows("db-driveItems"), project.rows("db-fields")
    gone = {row["contactid"] for row in contacts if is_due(row["modifiedon"], "contacts")}
    going = {
        row["annotationid"] for row in notes if row["_objectid_value"] in gone or is_due(row["createdon"], "notes")
    }
    old = {row["id"] for row in messages if is_due(row["receivedDateTime"], "mail")}
    cards = {row["id"] for row in people if is_due(row["lastModifiedDateTime"], "people")}
    cvs = {row["id"]: row["name"] for row in files if is_due(row["createdDateTime"], "cvs")}
    ended = {row["id"] for row in customers if is_due(row["Created"], "customers")}
    births = {row["id"] for row in customers if is_due(row["Created"], "births")}
    assert min(map(len, (gone, going, old, cards, cvs, ended, births - ended))) > 50

    code, plan = project.run("plan", "--json")
    assert code == 0
    assert not any(target["stopped_by"] for target in plan["targets"])
    assert project.run("approve", "1", "--by", "An", "--reason", "test", "--digest", plan["digest"])[0] == 0
    code, run = project.run("apply", "1", "--json")
    assert code == 3  # files that are held or open stay
    told = {(target["dataset"], target["scope"]): target["outcomes"] for target in run["targets"] if target["outcomes"]}
    kept = {key for key, name in cvs.items() if name.startswith(("HOLD", "OPEN"))}
    assert told["sp.cvs", "row"]["purged"] == len(cvs) - len(kept)
    assert sum(told["sp.cvs", "row"].values()) == len(cvs)
    assert told["mail.messages", "row"] == {"purged": len(old)}
    assert told["sp.customers", "row"] == {"recoverable": len(ended)}

    api, graph = f"{project.bed.dataverse}/api/data/v9.2", project.bed.graph
    left = {row["contactid"] for row in project.every(f"{api}/contacts?$select=contactid")}
    assert left == {row["contactid"] for row in contacts} - gone
    still = {row["annotationid"] for row in project.every(f"{api}/annotations?$select=annotationid")}
    assert still == {row["annotationid"] for row in notes} - going
    for kind, rows, due in (("messages", messages, old), ("contacts", people, cards)):
        there = {row["id"] for user in ("u1", "u2") for row in project.every(f"{graph}/users/{user}/{kind}?$select=id")}
        assert there == {row["id"] for row in rows} - due
    listed = {row["id"] for row in project.every(f"{graph}/drives/d1/items?$select=id")}
    assert listed == {row["id"] for row in files} - (cvs.keys() - kept)
    fields = project.every(f"{graph}/sites/s1/lists/l1/items?$expand=fields")
    assert {row["id"] for row in fields} == {row["id"] for row in customers} - ended
    cleared = {row["id"] for row in fields if row["fields"]["Geburtsdatum"] is None}
    assert cleared == births - ended
    assert all(row["fields"]["Title"] for row in fields)

    assert project.run("ledger", "verify")[0] == 0
    state = b"".join(path.read_bytes() for path in (project.folder / "var" / "ledger").rglob("*") if path.is_file())
    for canary in (
        b"kunde.example",
        b"Bewerbung",
        b"O'Neil",
        *(key.encode() for key in [*list(gone)[:50], *list(old)[:50]]),
    ):
        assert canary not in state
