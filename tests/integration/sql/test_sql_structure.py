"""Tables that somebody alters between the plan and the act, or while an act waits for whoever alters them: nothing goes
that no record of ours tells of."""

import threading
import time
from contextlib import closing, contextmanager

import psycopg
import pytest
from mariadb_bed import opened, other
from postgres_bed import opened_on
from sql_bed import ZONE, act, ask, column, dataset, due, make, whole, words
from sql_bed import opened as in_sqlite
from sqlalchemy import make_url

from connectors.sql import TYPE
from ropa.connector import LocationSpec
from ropa.errors import LocationError

ITEMS = dataset("items", data={"name": ("body",)})
WAITS = {
    "postgresql": "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
    "mariadb": "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table%%'",
}
LINKS = [f"ALTER TABLE late ADD FOREIGN KEY (item) REFERENCES items (id) ON DELETE {action}" for action in
         ("CASCADE", "SET NULL", "RESTRICT")]  # fmt: skip
TRIGGERS = {
    "postgresql": (
        """CREATE FUNCTION sweep_late() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN DELETE FROM late WHERE item = OLD.id; RETURN OLD; END $$""",
        "CREATE TRIGGER sweeps AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION sweep_late()",
    ),
    "mariadb": ("CREATE TRIGGER sweeps AFTER DELETE ON items FOR EACH ROW DELETE FROM late WHERE item = OLD.id",),
}


class Bed:
    """A database with ``items`` that are due, and ``late``, which no configuration names and nothing refers to yet."""

    def __init__(self, engine, database):
        self.engine, self.database = engine, database

    def make(self, *, is_referred_to):
        moment = "timestamptz" if self.engine == "postgresql" else "datetime"
        self.run(f"CREATE TABLE items (id bigint PRIMARY KEY, created {moment}, body varchar(20))")
        self.run("CREATE TABLE late (id bigint PRIMARY KEY, item bigint)")
        if is_referred_to:
            self.run("CREATE TABLE kid (id bigint PRIMARY KEY, item bigint REFERENCES items (id))")
        self.run("INSERT INTO items VALUES " + ", ".join(f"({n}, '2020-01-0{n}', 'b')" for n in range(1, 7)))
        self.run("INSERT INTO late VALUES (1, 1), (2, 2), (3, 3)")

    def run(self, statement):
        self.database.execute(statement)

    def opened(self):
        if self.engine == "postgresql":
            return opened_on(self.database.url, ITEMS, batch_size=100)
        return opened(self.database, ITEMS, batch_size=100, lock_timeout=20)

    def counts(self):
        return [self.database.execute(f"SELECT COUNT(*), COUNT({name}) FROM {table}")[0]
                for table, name in (("items", "id"), ("late", "item"))]  # fmt: skip

    @contextmanager
    def altering(self, statements):
        """Alter the tables in another session, which holds them until the block is over."""
        if self.engine == "postgresql":
            server = self.database.server
            with psycopg.connect(
                host="127.0.0.1", port=server.port, user="postgres", dbname=self.database.name
            ) as session:
                session.execute("LOCK TABLE items IN SHARE MODE")
                yield lambda: [session.execute(each) for each in statements] and session.commit()
            return
        with other(self.database, autocommit=True) as session:
            cursor = session.cursor()
            cursor.execute("LOCK TABLES items WRITE, late WRITE")

            def alter():
                for each in statements:
                    cursor.execute(each)
                cursor.execute("UNLOCK TABLES")

            yield alter

    def until_somebody_waits(self):
        for _ in range(100):
            time.sleep(0.1)
            if self.database.execute(WAITS[self.engine]):
                return
        raise AssertionError("nobody waits")


@pytest.fixture(params=["postgresql", "mariadb"])
def bed(request):
    server = request.getfixturevalue({"postgresql": "postgres", "mariadb": "mariadb"}[request.param])
    with server.create() as database:
        yield Bed(request.param, database)


def told(location, batch):
    """Act; return the outcomes, or the code of why the whole was left alone."""
    try:
        return words(act(location, due("items"), batch=batch))
    except LocationError as error:
        return error.code


@pytest.mark.parametrize("change", ["CASCADE", "SET NULL", "RESTRICT", "trigger"])
@pytest.mark.parametrize("is_referred_to", [False, True], ids=["alone", "referred to"])
def test_tables_that_are_altered_while_a_batch_waits_for_them_are_left_alone(bed, change, is_referred_to):
    bed.make(is_referred_to=is_referred_to)
    statements = TRIGGERS[bed.engine] if change == "trigger" else [one for one in LINKS if one.endswith(change)]
    before, found = bed.counts(), []
    with bed.opened() as location:
        batch = whole(location, due("items"))
        with bed.altering(statements) as alter:
            acting = threading.Thread(target=lambda: found.append(told(location, batch)))
            acting.start()
            bed.until_somebody_waits()
            alter()
            acting.join()
        assert found == ["schema-changed"]
        assert bed.counts() == before
        # The next act knows the tables as they are now.
        again = told(location, batch)
        if change == "trigger":
            assert again == "missing"
            assert bed.counts() == before
        else:
            assert again == {str(n): "purged" if n > 3 else "blocked" for n in range(1, 7)}
            assert bed.counts() == [(3, 3), (3, 3)]


def test_a_trigger_that_deletes_and_came_after_the_plan_is_found_when_its_table_is_purged(bed):
    bed.make(is_referred_to=False)
    before = bed.counts()
    with bed.opened() as location:
        batch = whole(location, due("items"))
        for each in TRIGGERS[bed.engine]:
            bed.run(each)
        with pytest.raises(LocationError, match="deletes other rows"):
            act(location, due("items"), batch=batch)
    assert bed.counts() == before


def test_in_sqlite_too(tmp_path):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE items (id INTEGER PRIMARY KEY, created TEXT, body TEXT);"
        "CREATE TABLE late (id INTEGER PRIMARY KEY, item INTEGER);"
        "INSERT INTO items VALUES (1, '2020-01-01', 'b'), (2, '2020-01-02', 'b'); INSERT INTO late VALUES (1, 1)",
    )
    with in_sqlite(path, ITEMS) as location:
        batch = whole(location, due("items"))
        ask(path, "CREATE TRIGGER sweeps AFTER DELETE ON items BEGIN DELETE FROM late WHERE item = OLD.id; END")
        with pytest.raises(LocationError, match="deletes other rows"):
            act(location, due("items"), batch=batch)
    assert column(path, "SELECT COUNT(*) FROM items UNION ALL SELECT COUNT(*) FROM late") == [2, 1]


@pytest.mark.parametrize("is_elsewhere", [False, True], ids=["here", "in another database"])
def test_a_foreign_key_made_within_the_second_or_elsewhere_is_seen_in_mariadb(mariadb, is_elsewhere):
    with mariadb.create() as database, mariadb.create() as beside:
        place = beside.name if is_elsewhere else database.name
        database.execute("CREATE TABLE items (id bigint PRIMARY KEY, created datetime, body varchar(20))")
        database.execute("INSERT INTO items VALUES (1, '2020-01-01', 'b'), (2, '2020-01-01', 'b')")
        database.execute(f"CREATE TABLE {place}.late (id bigint PRIMARY KEY, item bigint)")
        database.execute(f"INSERT INTO {place}.late VALUES (1, 1)")
        with opened(database, ITEMS, batch_size=100) as location:
            batch = whole(location, due("items"))
            database.execute(
                f"ALTER TABLE {place}.late ADD FOREIGN KEY (item) REFERENCES {database.name}.items (id) ON DELETE CASCADE"
            )
            assert words(act(location, due("items"), batch=batch)) == {"1": "blocked", "2": "purged"}
        assert database.execute(f"SELECT COUNT(*) FROM {place}.late") == [(1,)]


# Triggers on the deletion of a row of items, with what else there is: each takes rows of late in the end.
CHAINS = {
    "postgresql": {
        "another's trigger": (
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO mid VALUES (OLD.id); RETURN NULL; END $$;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION note();"
            "CREATE FUNCTION cut_late() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN DELETE FROM late WHERE item = NEW.id; RETURN NULL; END $$;"
            "CREATE TRIGGER trims AFTER INSERT ON mid FOR EACH ROW EXECUTE FUNCTION cut_late()"
        ),
        "another's rule": (
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO mid VALUES (OLD.id); RETURN NULL; END $$;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION note();"
            "CREATE RULE trims AS ON INSERT TO mid DO ALSO DELETE FROM late WHERE item = NEW.id"
        ),
        "a partition": (
            "CREATE TABLE parted (id bigint) PARTITION BY RANGE (id);"
            "CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (100);"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO parted VALUES (OLD.id); RETURN NULL; END $$;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION note();"
            "CREATE FUNCTION cut_late() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN DELETE FROM late WHERE item = NEW.id; RETURN NULL; END $$;"
            "CREATE TRIGGER trims AFTER INSERT ON part FOR EACH ROW EXECUTE FUNCTION cut_late()"
        ),
        "a view": (
            "CREATE VIEW seen AS SELECT * FROM mid;"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN INSERT INTO seen VALUES (OLD.id); RETURN NULL; END $$;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION note();"
            "CREATE FUNCTION cut_late() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN DELETE FROM late WHERE item = NEW.id; RETURN NULL; END $$;"
            "CREATE TRIGGER trims AFTER INSERT ON mid FOR EACH ROW EXECUTE FUNCTION cut_late()"
        ),
        "an heir": (
            "CREATE TABLE heir () INHERITS (mid);"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN UPDATE mid SET id = OLD.id; RETURN NULL; END $$;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION note();"
            "CREATE FUNCTION cut_late() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN DELETE FROM late WHERE item = NEW.id; RETURN NULL; END $$;"
            "CREATE TRIGGER trims AFTER UPDATE ON heir FOR EACH ROW EXECUTE FUNCTION cut_late()"
        ),
        "a key that follows": (
            "ALTER TABLE mid ADD PRIMARY KEY (id);"
            "CREATE TABLE follower (mid bigint REFERENCES mid ON UPDATE CASCADE);"
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN UPDATE mid SET id = OLD.id; RETURN NULL; END $$;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION note();"
            "CREATE FUNCTION cut_late() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN DELETE FROM late WHERE item = NEW.mid; RETURN NULL; END $$;"
            "CREATE TRIGGER trims AFTER UPDATE ON follower FOR EACH ROW EXECUTE FUNCTION cut_late()"
        ),
        "behind a dash in a text": (
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN PERFORM '-- gone'; DELETE FROM late WHERE item = OLD.id; RETURN NULL; END $$;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION note()"
        ),
        "put together": (
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN EXECUTE 'DELETE FROM late WHERE item = $1' USING OLD.id; RETURN NULL; END $$;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION note()"
        ),
        "merge": (
            "CREATE FUNCTION merges() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN MERGE INTO late USING"
            " (SELECT OLD.id AS id) AS o ON late.item = o.id WHEN MATCHED THEN DELETE; RETURN NULL; END $$;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION merges()"
        ),
    },
    "mariadb": {
        "another's trigger": (
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW INSERT INTO `mid` VALUES (OLD.id);"
            "CREATE TRIGGER trims AFTER INSERT ON mid FOR EACH ROW DELETE FROM late WHERE item = NEW.id"
        ),
        "two further on": (
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW UPDATE mid SET id = OLD.id;"
            "CREATE TRIGGER on_mid AFTER UPDATE ON mid FOR EACH ROW INSERT INTO last VALUES (NEW.id);"
            "CREATE TRIGGER on_last BEFORE INSERT ON last FOR EACH ROW DELETE FROM late WHERE item = NEW.id"
        ),
        "a view": (
            "CREATE VIEW seen AS SELECT * FROM mid;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW INSERT INTO seen VALUES (OLD.id);"
            "CREATE TRIGGER trims AFTER INSERT ON mid FOR EACH ROW DELETE FROM late WHERE item = NEW.id"
        ),
        "two minus signs": (
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW"
            " BEGIN SET @x = OLD.id--1 THEN DELETE FROM late WHERE item = OLD.id THEN END"
        ),
        "what is no comment": "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW /*!50000 DELETE FROM late */",
        "a function": (
            "CREATE FUNCTION trim_late(n BIGINT) RETURNS INT MODIFIES SQL DATA"
            " BEGIN DELETE FROM late WHERE item = n THEN RETURN 1 THEN END;"
            "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW SET @x = trim_late(OLD.id)"
        ),
    },
}
HARMLESS = {
    "postgresql": (
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP IN ('DELETE', 'TRUNCATE') THEN"
        " INSERT INTO mid (id) SELECT OLD.id WHERE 'last' <> 'DELETE FROM late'; END IF; RETURN NULL; END $$;"
        "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW EXECUTE FUNCTION note();"
        "CREATE FUNCTION mid(n bigint) RETURNS void LANGUAGE sql AS 'DELETE FROM late WHERE item = n';"
        "CREATE FUNCTION cut_late() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN DELETE FROM late WHERE item = NEW.id; RETURN NULL; END $$;"
        "CREATE TRIGGER trims AFTER INSERT ON last FOR EACH ROW EXECUTE FUNCTION cut_late();"
        "CREATE TRIGGER updates AFTER UPDATE ON mid FOR EACH ROW EXECUTE FUNCTION cut_late()"
    ),
    "mariadb": (
        "CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW"
        " INSERT INTO mid SELECT OLD.id WHERE REPLACE('last', 'a', 'DELETE') <> '';"
        "CREATE TRIGGER trims AFTER INSERT ON last FOR EACH ROW DELETE FROM late WHERE item = NEW.id"
    ),
}


def with_triggers(bed, script):
    bed.make(is_referred_to=False)
    for table in ("mid", "last"):
        bed.run(f"CREATE TABLE {table} (id bigint)")
    if bed.engine == "postgresql":
        bed.run(script)
        return
    for statement in script.split(";"):
        bed.run(statement.replace(" THEN ", "; "))


@pytest.mark.parametrize(
    ("bed", "name"), [(engine, name) for engine, scripts in CHAINS.items() for name in scripts], indirect=["bed"]
)
def test_a_trigger_that_deletes_by_what_it_sets_off_is_a_problem_of_purging(bed, name):
    with_triggers(bed, CHAINS[bed.engine][name])
    with bed.opened() as location:
        (told_of,) = location.problems("items", due("items"))
        assert "'notes' deletes other rows" in told_of
        with pytest.raises(LocationError, match="deletes other rows"):
            act(location, due("items"), batch=whole(location, due("items")))
    assert bed.counts() == [(6, 6), (3, 3)]


def test_a_trigger_that_only_notes_what_went_is_none(bed):
    with_triggers(bed, HARMLESS[bed.engine])
    with bed.opened() as location:
        assert location.problems("items", due("items")) == []
        assert set(words(act(location, due("items"), batch=whole(location, due("items")))).values()) == {"purged"}
    assert bed.counts() == [(0, 0), (3, 3)]


@pytest.mark.parametrize(
    "script",
    [
        """CREATE TRIGGER notes AFTER DELETE ON items BEGIN INSERT INTO mid VALUES (OLD.id); END;
        CREATE TRIGGER trims AFTER INSERT ON mid BEGIN DELETE FROM late WHERE item = NEW.id; END""",
        "CREATE TRIGGER notes AFTER DELETE ON items BEGIN REPLACE INTO late VALUES (1, OLD.id); END",
        "CREATE TRIGGER notes AFTER DELETE ON items BEGIN INSERT OR REPLACE INTO late VALUES (1, OLD.id); END",
        """CREATE VIEW seen AS SELECT * FROM mid;
        CREATE TRIGGER notes AFTER DELETE ON items BEGIN UPDATE seen SET id = OLD.id; END;
        CREATE TRIGGER trims INSTEAD OF UPDATE ON seen BEGIN DELETE FROM late; END""",
    ],
)
def test_in_sqlite_by_what_it_sets_off_too(tmp_path, script):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE items (id INTEGER PRIMARY KEY, created TEXT, body TEXT); CREATE TABLE mid (id INTEGER);"
        "CREATE TABLE late (id INTEGER PRIMARY KEY, item INTEGER); INSERT INTO late VALUES (1, 1);" + script,
    )
    with in_sqlite(path, ITEMS) as location:
        (told_of,) = location.problems("items", due("items"))
    assert "'notes' deletes other rows" in told_of


@pytest.mark.parametrize("declared", ["int[]", "text[]", "pair", "numbers"])
def test_keys_that_postgresql_cannot_look_up_by_their_text_are_refused(postgres, declared):
    with postgres.create() as database:
        database.execute("CREATE TYPE pair AS (a int, b text); CREATE DOMAIN numbers AS int[]")
        database.execute(f"CREATE TABLE items (id {declared} PRIMARY KEY, created timestamptz, body text)")
        with opened_on(database.url, ITEMS) as location:
            (told_of,) = location.problems("items", due("items"))
    assert "'id' of 'items' cannot be part of a key" in told_of


def test_keys_of_single_precision_are_refused_in_mariadb(mariadb):
    """0.1 is told as 0.1, and no row is found by it."""
    with mariadb.create() as database:
        database.execute("CREATE TABLE items (id FLOAT PRIMARY KEY, created DATETIME, body TEXT)")
        with opened(database, ITEMS) as location:
            (told_of,) = location.problems("items", due("items"))
    assert "'id' of 'items' cannot be part of a key" in told_of


@pytest.mark.parametrize(
    ("declared", "key"),
    [
        ("DECIMAL(30)", "123456789012345678901234567891"),
        ("DECIMAL(65,30)", "12345678901234567890123456789012345.123456789012345678901234567891"),
        ("DOUBLE", "0.30000000000000004"),
    ],
)
def test_keys_of_many_digits_go_in_mariadb(mariadb, declared, key):
    with mariadb.create() as database:
        database.execute(f"CREATE TABLE items (id {declared} PRIMARY KEY, created DATETIME, body TEXT)")
        database.execute("INSERT INTO items VALUES (%s, '2020-01-01', 'b')", (key,))
        with opened(database, ITEMS) as location:
            assert words(act(location, due("items"), batch=whole(location, due("items")))) == {key: "purged"}
        assert database.execute("SELECT COUNT(*) FROM items") == [(0,)]


def test_a_function_that_may_not_be_seen_counts_as_one_that_deletes_in_mariadb(mariadb):
    with mariadb.create() as database:
        database.execute("CREATE TABLE items (id bigint PRIMARY KEY, created datetime, body varchar(20))")
        database.execute("CREATE TABLE late (id bigint PRIMARY KEY, item bigint)")
        database.execute(
            "CREATE FUNCTION cut_late(n BIGINT) RETURNS INT MODIFIES SQL DATA"
            " BEGIN DELETE FROM late WHERE item = n; RETURN 1; END"
        )
        database.execute("CREATE USER plans@'%' IDENTIFIED BY 'p'")
        database.execute(f"GRANT SELECT, TRIGGER ON {database.name}.* TO plans@'%'")
        try:
            url = make_url(database.url).set(username="plans", password="p").render_as_string(hide_password=False)
            options = {"url": url}
            for body, count in (
                ("SET @x = CONCAT(NOW(), IF(OLD.id IN (1), 1, LEFT('a', 1)))", 0),
                ("SET @x = cut_late(OLD.id)", 1),
            ):
                database.execute(f"CREATE OR REPLACE TRIGGER notes AFTER DELETE ON items FOR EACH ROW {body}")
                with closing(TYPE.open(LocationSpec("crm", "sql", ZONE, options, {"items": ITEMS}))) as location:
                    assert len(location.problems("items", due("items"))) == count, body
        finally:
            database.execute("DROP USER plans@'%'")


def test_what_a_trigger_sets_off_in_another_database_is_seen_in_mariadb(mariadb):
    with mariadb.create() as database, mariadb.create() as beside:
        database.execute("CREATE TABLE items (id bigint PRIMARY KEY, created datetime, body varchar(20))")
        database.execute("CREATE TABLE late (id bigint PRIMARY KEY, item bigint)")
        database.execute(f"CREATE TABLE {beside.name}.noted (id bigint)")
        database.execute(
            f"CREATE TRIGGER {beside.name}.trims AFTER INSERT ON {beside.name}.noted FOR EACH ROW"
            f" DELETE FROM {database.name}.late WHERE item = NEW.id"
        )
        database.execute(
            f"CREATE TRIGGER notes AFTER DELETE ON items FOR EACH ROW INSERT INTO {beside.name}.noted VALUES (OLD.id)"
        )
        with opened(database, ITEMS) as location:
            (told_of,) = location.problems("items", due("items"))
    assert "'notes' deletes other rows" in told_of
