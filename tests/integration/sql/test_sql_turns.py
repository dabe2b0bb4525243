"""Turns on real servers: whatever refers to whatever, with every ON DELETE action, all that can go goes in one run."""

import os
import random

import pytest
from sqlalchemy import make_url
from sweep_kit import FRESH, World, make, swept_up
from turns_kit import COLUMNS, HEAD, TABLES, configured, dataset, links, row, scene, what_goes

__all__ = ["make", "swept_up"]

SEEDS = range(100, 106 if "ROPA_CAMPAIGN" in os.environ else 103)


class ServerWorld(World):
    """A world whose place is a database of a server."""

    def __init__(self, *given, server, **more):
        self.server = server
        super().__init__(*given, **more)

    def rows(self, table="contacts"):
        names = ("id", *COLUMNS)
        found = self.server.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY id")
        return [dict(zip(names, row, strict=True)) for row in found]


@pytest.fixture(params=["postgres", "mariadb"])
def database(request):
    with request.getfixturevalue(request.param).create() as made:
        yield made


def fill(database, rows, seed, actions=("NO ACTION", "RESTRICT", "CASCADE", "SET NULL")):
    """Make the tables; the foreign keys come last, because they go both ways."""
    draw = random.Random(seed)
    text = "text" if database.server.name == "postgresql" else "varchar(40)"
    numbers = ", ".join(f"{column} int" for column in COLUMNS)
    for name, items in rows.items():
        database.execute(f"CREATE TABLE {name} (id int PRIMARY KEY, sent date, text {text}, kind {text}, {numbers})")
        for item in items:
            database.execute(
                f"INSERT INTO {name} VALUES ({', '.join(['%s'] * (4 + len(COLUMNS)))})",
                tuple(item[column] for column in ("id", "sent", "text", "kind", *COLUMNS)),
            )
    for number, (child, column, parent) in enumerate(links()):
        action = draw.choice(actions)
        database.execute(
            f"ALTER TABLE {child} ADD CONSTRAINT fk{number} FOREIGN KEY ({column}) REFERENCES {parent} (id)"
            f" ON DELETE {action}"
        )


@pytest.mark.parametrize("rides", [False, True], ids=["rules", "riders"])
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.sampled(one_in=2)
def test_all_that_can_go_goes_in_one_run_and_nothing_else(make, database, seed, rides):
    rows = scene(seed, rides=rides)
    fill(database, rows, seed)
    config = configured(rides=rides).replace('connector = "memory"', f'connector = "sql"\nurl = "{database.url}"')
    world = make(config, {name: [] for name in TABLES}, kind="server", cls=ServerWorld, server=database)
    expected = what_goes(rows, rides=rides)
    plan = world.plan()
    world.approve(plan)
    assert world.apply(plan).document["outcomes"] == ({"purged": len(expected)} if expected else {})
    there = {(name, item["id"]) for name, items in rows.items() for item in items}
    assert {(name, row["id"]) for name in TABLES for row in world.rows(name)} == there - expected
    for name, items in rows.items():
        before = {item["id"]: {column: item[column] for column in ("id", *COLUMNS)} for item in items}
        assert all(row == before[row["id"]] for row in world.rows(name)), "no reference was emptied"


# --- records of one unit that refer to each other both ways ----------------------------------------------------------

PAIR = {"staff": [row(1, to_notes=1), row(2)], "teams": [], "notes": [row(1, to_staff=1), row(2, to_staff=2)]}
"""A member of staff has notes, which go along, and refers to one of them."""


def purged(make, database, url):
    config = configured(rides=True).replace('connector = "memory"', f'connector = "sql"\nurl = "{url}"')
    world = make(config, {name: [] for name in TABLES}, kind="server", cls=ServerWorld, server=database)
    result = world.purge()
    return result.document["outcomes"], {name: world.ids(name) for name in TABLES}


def test_what_goes_along_may_be_referred_to_by_what_it_goes_with(make, database):
    fill(database, PAIR, 1, actions=("NO ACTION",))
    outcomes, left = purged(make, database, database.url)
    assert outcomes == {"purged": 4}
    assert left == {name: [] for name in TABLES}


@pytest.mark.parametrize(("first", "second"), [("teams", "notes"), ("notes", "teams")])
def test_things_that_go_along_go_in_the_order_in_which_they_refer_to_each_other(make, database, first, second):
    """Nothing is cut loose for it: a reference that cannot be emptied is none the worse."""
    rows = {
        "staff": [row(1), row(2)],
        first: [row(1, to_staff=1, **{f"to_{second}": 1}), row(2, to_staff=2, **{f"to_{second}": 2})],
        second: [row(1, to_staff=1), row(2, to_staff=2)],
    }
    fill(database, rows, 1, actions=("NO ACTION",))
    kind = "ALTER COLUMN to_{0} SET NOT NULL" if database.server.name == "postgresql" else "MODIFY to_{0} INT NOT NULL"
    database.execute(f"ALTER TABLE {first} {kind.format(second)}")
    config = HEAD + dataset("staff") + dataset("teams", rides_with="staff") + dataset("notes", rides_with="staff")
    config = config.replace('connector = "memory"', f'connector = "sql"\nurl = "{database.url}"')
    world = make(config, {name: [] for name in TABLES}, kind="server", cls=ServerWorld, server=database)
    assert world.purge().document["outcomes"] == {"purged": 6}


@pytest.mark.parametrize("obstacle", ["no-null", "trigger", "referred-to", "no-right"])
@pytest.mark.sampled(one_in=2)
def test_what_cannot_be_cut_loose_stays_and_the_rest_goes(make, database, obstacle):
    rows = {**PAIR, "staff": [row(1, to_notes=1), row(2, to_notes=3)], "notes": [*PAIR["notes"], row(3, sent=FRESH)]}
    fill(database, rows, 1, actions=("NO ACTION",))
    url = database.role("eraser", "SELECT, DELETE") if obstacle == "no-right" else database.url
    if obstacle == "no-right" and database.server.name == "postgresql":  # which locks for who may change some column
        database.execute(f'GRANT UPDATE (text) ON staff, teams, notes TO "{make_url(url).username}"')
    for statement in OBSTACLES.get((obstacle, database.server.name), ()):
        database.execute(statement)
    outcomes, left = purged(make, database, url)
    assert outcomes == {"failed": 2, "purged": 2}
    assert left == {"staff": [1], "teams": [], "notes": [1, 3]}
    assert database.execute("SELECT id, to_notes FROM staff") == [(1, 1)]


REFERRED_TO = [
    "ALTER TABLE staff ADD UNIQUE (to_notes)",
    "CREATE TABLE desks (id INT PRIMARY KEY, note INT, FOREIGN KEY (note) REFERENCES staff (to_notes) ON UPDATE CASCADE)",
]
OBSTACLES = {
    ("no-null", "postgresql"): ["ALTER TABLE staff ALTER COLUMN to_notes SET NOT NULL"],
    ("no-null", "mariadb"): ["ALTER TABLE staff MODIFY to_notes INT NOT NULL"],
    ("trigger", "postgresql"): [
        "CREATE FUNCTION told() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER told BEFORE UPDATE ON staff FOR EACH ROW EXECUTE FUNCTION told()",
    ],
    ("trigger", "mariadb"): ["CREATE TRIGGER told BEFORE UPDATE ON staff FOR EACH ROW SET @told = 1"],
    ("referred-to", "postgresql"): REFERRED_TO,
    ("referred-to", "mariadb"): REFERRED_TO,
}


def test_one_that_is_refused_alone_does_not_change_what_is_told_of_the_rest(make, database):
    """A note goes with the second member of staff and refers to a note of the first, who cannot go."""
    rows = {
        "staff": [row(1, to_teams=1), row(2)],
        "teams": [row(1, to_staff=1)],
        "notes": [row(10, to_staff=2, to_teams=1)],
    }
    fill(database, rows, 1, actions=("NO ACTION",))
    database.execute("ALTER TABLE staff ADD CHECK (id <> 1 OR to_teams IS NOT NULL)")
    config = HEAD + dataset("staff") + dataset("teams", rides_with="staff") + dataset("notes", rides_with="staff")
    config = config.replace('connector = "memory"', f'connector = "sql"\nurl = "{database.url}"')
    world = make(config, {name: [] for name in TABLES}, kind="server", cls=ServerWorld, server=database)
    assert world.purge().document["outcomes"] == {"failed": 2, "purged": 2}
    assert {name: world.ids(name) for name in TABLES} == {"staff": [1], "teams": [1], "notes": []}


@pytest.mark.parametrize("boss", [1, 2], ids=["itself", "a circle"])
def test_a_table_without_a_primary_key_goes_by_what_is_unique(make, mariadb, boss):
    with mariadb.create() as database:
        database.execute(
            "CREATE TABLE staff (id INT NOT NULL UNIQUE, sent DATE, text VARCHAR(20), kind VARCHAR(20), to_staff INT,"
            " to_teams INT, to_notes INT, FOREIGN KEY (to_staff) REFERENCES staff (id))"
        )
        database.execute("INSERT INTO staff (id, sent) VALUES (1, '2020-01-02'), (2, '2020-01-02')")
        database.execute("UPDATE staff SET to_staff = IF(id = 1, %s, 1)", (boss,))
        config = (HEAD + dataset("staff")).replace('connector = "memory"', f'connector = "sql"\nurl = "{database.url}"')
        world = make(config, {"staff": []}, kind="server", cls=ServerWorld, server=database)
        assert world.purge().document["outcomes"] == {"purged": 2}


@pytest.mark.parametrize("deferred", ["DEFERRABLE INITIALLY DEFERRED", "DEFERRABLE INITIALLY IMMEDIATE"])
def test_deferrable_keys_need_nothing_cut_loose(make, postgres, deferred):
    with postgres.create() as database:
        fill(
            database,
            PAIR | {"staff": PAIR["staff"][:1], "notes": PAIR["notes"][:1]},
            1,
            actions=(f"NO ACTION {deferred}",),
        )
        database.execute("ALTER TABLE staff ALTER COLUMN to_notes SET NOT NULL")
        outcomes, left = purged(make, database, database.url)
    assert outcomes == {"purged": 2}
    assert left == {name: [] for name in TABLES}
