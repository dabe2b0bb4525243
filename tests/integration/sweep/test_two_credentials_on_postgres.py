"""Two roles of a real PostgreSQL server: one that only reads plans, one that deletes applies."""

import pytest
from sweep_kit import CAPS, REGISTER

from ropa.errors import ConfigurationError
from ropa.register.parse import parse
from ropa.register.store import RegisterStore
from ropa.sweep import journal, night, review
from ropa.sweep.check import live_findings
from ropa.sweep.rights import ask_rights
from ropa.sweep.scope import Scope
from ropa.wiring import open_site

TABLE = """
CREATE TABLE contacts (id bigint PRIMARY KEY, name text, created date);
INSERT INTO contacts SELECT g, 'Naam ' || g, '2020-01-15' FROM generate_series(1, 4) g;
INSERT INTO contacts VALUES (101, 'Naam 101', '2999-01-01');
CREATE TABLE witness (who text, id bigint);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS
  $$ BEGIN INSERT INTO public.witness VALUES (session_user, OLD.id); RETURN OLD; END $$;
CREATE TRIGGER told AFTER DELETE ON contacts FOR EACH ROW EXECUTE FUNCTION tell();
"""
CONFIG = f"""{CAPS}
[location.crm]
connector = "sql"
url = "env:CRM_URL"
apply = {{ url = "env:CRM_APPLY_URL" }}
[location.crm.dataset.contacts]
source = "contacts"
anchor.created = "created"
data.name = ["name"]
[rule.prospects]
activity = "intake"
dataset = "crm.contacts"
data = "*"
anchor = "created"
period = "6 months"
action = "purge"
"""
WRITER = ("SELECT", "UPDATE", "DELETE")


@pytest.fixture
def database(postgres):
    with postgres.create() as made:
        made.execute(TABLE)
        yield made


@pytest.fixture
def opened(tmp_path, monkeypatch):
    """Open the folder as the next process does, with these URLs in its environment."""
    made = []
    (tmp_path / "config").mkdir()
    path = tmp_path / "config" / "retention.toml"

    def opened(url, apply_url=None, config=CONFIG):
        path.write_text(config)
        path.chmod(0o600)
        monkeypatch.setenv("CRM_URL", url)
        monkeypatch.delenv("CRM_APPLY_URL", raising=False)
        if apply_url is not None:
            monkeypatch.setenv("CRM_APPLY_URL", apply_url)
        site = open_site(tmp_path)
        made.append(site)
        store = RegisterStore(site.engine)
        if store.revision() == 0:
            store.save(parse(REGISTER), by="An", reason="test", at=site.now())
        return site

    yield opened
    for site in made:
        site.close()


def approved(site):
    plan = night.make_plan(site, Scope(site.today()), by="Mia Maker")
    with journal.writing(site) as written:
        digest = review.get_plan(site, plan).digest
        review.approve(written, plan, by="Piet Privacy", reason="gelezen", digest=digest)
        written.checkpoint()
    return plan


def ids(database, table="contacts"):
    return [row[0] for row in database.execute(f"SELECT id FROM {table} ORDER BY id")]


def findings(site, code="planning-can-delete"):
    return [str(finding.severity) for finding in live_findings(site) if finding.code == code]


def test_a_role_that_only_reads_plans_and_another_applies(database, opened):
    reader, writer = database.role("reader", "SELECT"), database.role("writer", *WRITER)
    plan = approved(opened(reader))
    with pytest.raises(ConfigurationError) as caught:
        night.apply_plan(opened(reader), plan)
    assert [problem.path for problem in caught.value.problems] == ["location.crm.apply.url"]
    assert ids(database) == [1, 2, 3, 4, 101]
    assert night.apply_plan(opened(reader, writer), plan).document["outcomes"] == {"purged": 4}
    assert ids(database) == [101]
    assert {row[0] for row in database.execute("SELECT who FROM witness")} == {f"{database.name}_writer"}


def test_the_role_that_plans_cannot_delete_and_that_is_seen(database, opened):
    reader, writer = database.role("reader", "SELECT"), database.role("writer", *WRITER)
    site = opened(reader, writer)
    assert findings(site) == []
    rights = ask_rights(site, "crm")
    assert (rights.applying, rights.health.may_delete, rights.health.planning_may_delete) == ("here", True, False)
    assert findings(opened(reader), "apply-credentials-elsewhere") == ["note"]
    assert findings(opened(reader, reader), "location-no-delete") == ["warning"]


@pytest.mark.parametrize("grants", [WRITER, ("SELECT", "DELETE")])
def test_a_role_that_plans_and_could_delete_is_found(database, opened, grants):
    planner, writer = database.role("planner", *grants), database.role("writer", *WRITER)
    assert findings(opened(planner, writer)) == ["warning"]
    assert findings(opened(planner)) == ["warning"]
    assert findings(opened(planner, config=CONFIG.replace('apply = { url = "env:CRM_APPLY_URL" }', ""))) == ["note"]


def test_a_plan_is_not_applied_in_another_database(database, postgres, opened):
    reader = database.role("reader", "SELECT")
    with postgres.create() as copy:
        copy.execute(TABLE)
        site = opened(reader, copy.role("writer", *WRITER))
        plan = approved(site)
        with pytest.raises(ConfigurationError) as caught:
            night.apply_plan(site, plan)
        assert [problem.path for problem in caught.value.problems] == ["location.crm.apply.url"]
        assert "must be one source" in caught.value.problems[0].message
        with pytest.raises(ConfigurationError):
            list(live_findings(site))
        assert ids(copy) == ids(database) == [1, 2, 3, 4, 101]


def test_a_role_with_a_schema_of_its_own_acts_in_the_one_that_was_planned(database, opened):
    reader, writer = database.role("reader", "SELECT"), database.role("writer", *WRITER)
    own = f"{database.name}_writer"  # first in the search path of the role of that name
    database.execute(f'CREATE SCHEMA "{own}"; CREATE TABLE "{own}".contacts AS TABLE contacts')
    database.execute(f'GRANT ALL ON SCHEMA "{own}" TO "{own}"; GRANT ALL ON "{own}".contacts TO "{own}"')
    site = opened(reader, writer)
    assert night.apply_plan(site, approved(site)).document["outcomes"] == {"purged": 4}
    assert ids(database) == [101]
    assert ids(database, f'"{own}".contacts') == [1, 2, 3, 4, 101]
