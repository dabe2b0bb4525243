"""A fleet and one process, given the same project, come to the same plan, the same outcomes and the same evidence."""

from __future__ import annotations

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from checker import dump, verify
from fleet_kit import PEOPLE, Bed, People, State, facts, told
from kill_project import Project, expect, make, prepare
from ropa_runs import Ended, Server
from servers import Postgres

from ropa.sweep import holds

MORE = """
[location.away]
connector = "sql"
url = "sqlite:///data/not-there.sqlite"
[location.away.dataset.visits]
source = "visit"
anchor.visited = "visited_on"
data.ip-address = ["ip"]
[rule.far]
activity = "security"
dataset = "away.visits"
data = "*"
anchor = "visited"
period = "6 months"
action = "purge"
legal_ground = "test"

[location.old]
connector = "sql"
url = "sqlite:///data/old.sqlite"
batch_size = 2
[location.old.dataset.visits]
source = "visit"
anchor.visited = "visited_on"
data.ip-address = ["ip"]
[location.old.dataset.people]
source = "person"
anchor.seen = "seen_on"
data.name = ["name"]
[rule.capped]
activity = "security"
dataset = "old.visits"
data = "*"
anchor = "visited"
period = "6 months"
action = "purge"
legal_ground = "test"
max_records = 3
[rule.people]
activity = "customer"
dataset = "old.people"
data = "*"
anchor = "seen"
period = "6 months"
action = "purge"
legal_ground = "test"
"""


@pytest.fixture(scope="module")
def many_places(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make(tmp_path_factory.mktemp("many") / "p")
    with (project.folder / "config" / "retention.toml").open("a") as config:
        config.write(MORE)
    with closing(sqlite3.connect(project.folder / "data" / "old.sqlite")) as source:
        source.execute("CREATE TABLE visit (id INTEGER PRIMARY KEY, ip TEXT, visited_on TEXT)")
        source.execute("CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, seen_on TEXT)")
        for i in range(5):
            source.execute("INSERT INTO visit VALUES (?, '203.0.113.1', '2020-01-01')", (i,))
            source.execute("INSERT INTO person VALUES (?, ?, '2020-01-01')", (i, project.token("person")))
        source.commit()
    prepare(server, project)
    hold = ("hold", "add", "--dataset", "old.people", "--reason", "litigation", "--by", "An")
    expect(server.run("-C", project.folder, *hold))
    return project


def carry_out(server: Server, project: Project, fleet: Bed | None, address: str = "", **env: str) -> dict[str, Any]:
    """Plan, approve, apply; return what came of it, without what differs from run to run."""
    c = ("-C", project.folder)

    def run(*words: str) -> Ended:
        if fleet is None:
            return server.run(*c, *words, "--json", env=env)
        return fleet.start(project.folder, *words, address=address, **env).ended()

    planned = expect(run("plan", "--by", "An"), 0, 3, 5)
    state = State(env.get("ROPA_DATABASE_URL") or f"sqlite:///{project.database}")
    document = json.loads(planned.out)
    records = expect(server.run(*c, "plan", "show", str(document["plan"]), "--records", "--json", env=env)).out
    agreed = ("--by", "An", "--reason", "read", "--digest", document["digest"])
    expect(server.run(*c, "approve", str(document["plan"]), *agreed, env=env))
    before = facts(state)
    applied = run("apply", str(document["plan"]))
    verified = expect(server.run(*c, "ledger", "verify", "--json", env=env))
    assert verify(project.ledger, project.state / "exports") == 0
    result = json.loads(applied.out)
    state.close()
    return {
        "codes": (planned.code, applied.code, verified.code),
        "plan": before,
        "records": records.splitlines(),
        "outcomes": result["outcomes"],
        "targets": result["targets"],
        "ledger": told(project.ledger),
        "crm": dump(project.crm),
        "old": dump(project.folder / "data" / "old.sqlite"),
        "files": sorted(path.name for path in project.cvs.iterdir()),
    }


def test_the_same_plan_outcomes_and_evidence(
    server: Server, fleet: Bed, address: str, many_places: Project, tmp_path: Path
) -> None:
    alone, helped = many_places.copy(tmp_path / "alone"), many_places.copy(tmp_path / "helped")
    for _ in range(2):
        fleet.worker(helped.folder, address)
    expected = carry_out(server, alone, None)
    found = carry_out(server, helped, fleet, address)
    for what in expected:
        assert found[what] == expected[what], what
    assert {"anonymised", "flagged", "purged"} <= set(expected["outcomes"])


IN_POSTGRES = PEOPLE.replace('"sqlite:///data/crm.sqlite"', '"env:CRM_URL"').replace('approval = "mandate"\n', "")
TABLE = """
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, seen_on DATE);
INSERT INTO person SELECT n, 'naam' || n, date '2020-01-15' + n FROM generate_series(1, 41) n;
INSERT INTO person VALUES (100, 'jong', current_date)
"""


@pytest.mark.whole
def test_several_batches_of_a_postgresql_table_at_once_with_the_run_state_in_postgresql(
    postgres: Postgres, fleet: Bed, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("alone", "helped"):
        with postgres.create() as source, postgres.create() as state:
            source.execute(TABLE)
            env = {"CRM_URL": source.url, "ROPA_DATABASE_URL": state.url}
            monkeypatch.setenv("CRM_URL", source.url)
            people = People.make(tmp_path / name, config=IN_POSTGRES, **env)
            with people.site() as site:
                holds.add(site, kind="record", target="crm.people", key=("7",), reason="litigation", by="Lies Legal")
            plan = people.approve()
            if name == "alone":
                outcomes = people.apply(plan).document["outcomes"]
            else:
                workers = [fleet.worker(people.folder, address, **env) for _ in range(2)]
                run = fleet.start(people.folder, "apply", str(plan), address=address, **env)
                outcomes = run.ended().document["outcomes"]
                for worker in workers:
                    worker.signal(signal.SIGTERM)
                assert [worker.ended().code for worker in workers] == [143, 143]
            people.is_sound()
            looked = people.state
            found.append((outcomes, facts(looked), told(people.ledger), source.dump("person")))
            looked.close()
    assert found[0] == found[1]
    assert found[0][0] == {"purged": 40}
