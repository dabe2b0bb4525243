"""Keys of every type reach PostgreSQL in the statement itself, and match the rows they were read from and no other."""

from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_bed import backend_on
from sqlalchemy import select

from connectors.sql.postgres_keys import array_literal

TYPES = {
    "smallint": ["-32768", "0", "32767"],
    "bigint": ["-9223372036854775808", "9223372036854775807", "42"],
    "oid": ["0", "4294967295"],
    "numeric": ["1", "1.5", "0.10", "123456789012345678901234567890.5", "-0.00001", "NaN", "Infinity"],
    "numeric(5,2)": ["1.50", "999.99"],
    "real": ["0.1", "-1.5e-30", "3", "Infinity"],
    "double precision": ["0.1", "1e300", "-2.5", "NaN"],
    "text": ["", "a", "A", 'a"b\\c', "{x,y}", "NULL", "ü€😀", "a b", " a", "'; --", "%s", ":x", "\n\t"],
    "varchar(3)": ["abc", "ab", "", "äöü"],
    "char(4)": ["ab", "abcd"],
    "name": ["n" * 63, "x"],
    "bytea": ["\\x", "\\x00ff", "\\x5c22"],
    "uuid": ["00000000-0000-0000-0000-00000000000a", "ffffffff-ffff-4fff-bfff-ffffffffffff"],
    "boolean": ["t", "f"],
    "date": ["2022-01-31", "infinity", "0044-03-15 BC", "12022-01-31"],
    "timestamp": ["2022-03-27 02:30:00", "2022-01-31 10:00:00.000001", "-infinity", "0044-03-15 01:02:03 BC"],
    "timestamptz": ["2022-03-27 02:30:00+02", "2022-10-30 00:30:00.5+00", "infinity", "12022-01-31 00:00:00+00"],
    "inet": ["192.168.1.5", "10.0.0.0/8", "::1", "2001:db8::/32"],
    "cidr": ["10.0.0.0/8"],
    "mood": ["sad", 'so, "so"', "it's"],
    "citext": ["Abc", "x"],
    "amount": ["7", "8"],
    "nocase": ["Straße", "x"],
    "interval": ["1 day", "2 mons"],
    "macaddr": ["08:00:2b:01:02:03"],
}
NEVER = [
    "x" * 200,
    "",
    "abcd ",
    "a\0b",
    "9" * 400,
    "1e999",
    "2022-02-30",
    "not-a-uuid",
    "\ud800",
    "1.50x",
    "$$",
    "{",
    "t'",
]


@pytest.fixture(scope="module")
def backend(postgres):
    with postgres.create() as database:
        database.execute(
            "CREATE SCHEMA extra; CREATE EXTENSION citext SCHEMA extra; CREATE TYPE mood AS ENUM ('sad', 'so, \"so\"', 'it''s');"
            "CREATE DOMAIN amount AS bigint CHECK (VALUE > 5);"
            "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
        for number, (name, values) in enumerate(TYPES.items()):
            declared = {"citext": "extra.citext", "nocase": 'text COLLATE "nocase"'}.get(name, name)
            database.execute(f"CREATE TABLE t{number} (k {declared} PRIMARY KEY, other int)")
            for value in values:
                database.execute(f"INSERT INTO t{number} VALUES (%s, 1)", (value,))
        with backend_on(database.url, schema=None) as made:
            yield database, made


@contextmanager
def table_of(backend, name):
    with backend.reading() as connection:
        table = backend.read_catalogue(connection).tables[name]
        yield connection, table, table.plain()


def matching(backend, connection, table, own, keys):
    loaded = backend.load_keys(connection, "some", table.columns[:1], keys)
    return sorted(
        backend.fetch(connection, select(loaded.pos, own.c.k).join(own, own.c.k == loaded.parts[0])), key=repr
    )


@pytest.mark.parametrize("number", range(len(TYPES)), ids=list(TYPES))
def test_each_key_finds_its_own_row_and_no_other(backend, number):
    _, made = backend
    with table_of(made, f"t{number}") as (connection, table, own):
        keys = [row[0] for row in made.fetch(connection, select(own.c.k))]
        assert len(keys) == len(set(map(repr, keys))) == len(list(TYPES.values())[number])
        found = matching(made, connection, table, own, [(7 * pos, (key,)) for pos, key in enumerate(keys)])
        assert repr(found) == repr(sorted(((7 * pos, key) for pos, key in enumerate(keys)), key=repr))
        assert matching(made, connection, table, own, []) == []


@pytest.mark.parametrize("number", [n for n, name in enumerate(TYPES) if name not in {"interval", "macaddr"}], ids=str)
def test_a_key_that_no_row_can_have_matches_none_and_raises_nothing(backend, number):
    _, made = backend
    with table_of(made, f"t{number}") as (connection, table, own):
        keys = {repr(row[0]) for row in made.fetch(connection, select(own.c.k))}
        never = [key for key in [*NEVER, 10**30, -1 if number else 99, 2.25, b"\xfe"] if repr(key) not in keys]
        if "char(4)" in list(TYPES)[number]:
            never.remove("abcd ")
        assert matching(made, connection, table, own, [(0, (key,)) for key in never]) == []


def test_a_key_longer_than_its_column_does_not_match_what_it_begins_with(backend):
    _, made = backend
    name = f"t{list(TYPES).index('varchar(3)')}"
    with table_of(made, name) as (connection, table, own):
        assert matching(made, connection, table, own, [(0, ("abcd",)), (1, ("abc",))]) == [(1, "abc")]
    name = f"t{list(TYPES).index('name')}"
    with table_of(made, name) as (connection, table, own):
        assert matching(made, connection, table, own, [(0, ("n" * 64,))]) == []


def test_the_columns_own_collation_decides_what_is_equal(backend):
    _, made = backend
    for type_name, asked, held in (
        ("nocase", "STRASSE", None),
        ("nocase", "straße", "Straße"),
        ("citext", "aBC", "Abc"),
    ):
        with table_of(made, f"t{list(TYPES).index(type_name)}") as (connection, table, own):
            found = matching(made, connection, table, own, [(0, (asked,))])
            assert found == ([] if held is None else [(0, held)]), (type_name, asked)


def test_composite_keys_match_as_a_whole(backend):
    database, made = backend
    database.execute(
        "CREATE TABLE IF NOT EXISTS pair (a text, b uuid, c date, PRIMARY KEY (a, b, c));"
        "INSERT INTO pair VALUES ('x,\"y', '00000000-0000-0000-0000-00000000000a', '2022-01-31') ON CONFLICT DO NOTHING"
    )
    with table_of(made, "pair") as (connection, table, own):
        key = ('x,"y', "00000000-0000-0000-0000-00000000000a", "2022-01-31")
        others = [("x", *key[1:]), (key[0], "00000000-0000-0000-0000-00000000000b", key[2]), (*key[:2], "2022-02-01")]
        loaded = made.load_keys(connection, "some", table.columns, [(n, k) for n, k in enumerate([*others, key])])
        pairs = [own.c[name] == part for name, part in zip("abc", loaded.parts, strict=True)]
        assert made.fetch(connection, select(loaded.pos, *own.c).join(own, pairs[0] & pairs[1] & pairs[2])) == [
            (3, *key)
        ]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_any_text_survives_the_literal_of_an_array(backend, texts):
    _, made = backend
    from sqlalchemy import cast, func

    from connectors.sql.catalogue import bound
    from connectors.sql.postgres_keys import Named

    with made.reading() as connection:
        array = cast(bound(array_literal(texts)), Named("text[]"))
        rows = made.fetch(connection, select(func.unnest(array)))
    assert [row[0] for row in rows] == texts


def test_contents_of_every_type_are_read_as_text_numbers_or_bytes(backend):
    database, made = backend
    database.execute(
        "CREATE TABLE IF NOT EXISTS odd (k int PRIMARY KEY, a jsonb, b int[], c tsrange, d time, e interval, f xml, g point,"
        " h bit(3), i timestamptz, j date, l money, m text[], n tsvector, o float4);"
        "INSERT INTO odd VALUES (1, '{\"x\": [1]}', '{1,2}', '[2020-01-01,infinity)', '24:00', '1 year', '<a/>', '(1,2)',"
        " '101', 'infinity', '-infinity', '1', '{\"a,b\"}', 'a b', 0.1) ON CONFLICT DO NOTHING"
    )
    with table_of(made, "odd") as (connection, _, own):
        statement = select(*(own.c[name] for name in "kabcdefghijlmno"))
        first, second = made.fetch(connection, statement), made.fetch(connection, statement)
        assert first == second
        assert [type(value) for value in first[0]] == [int, *[str] * 13, float]
        assert first[0][-1] == 0.1
        assert first[0][9:11] == ("infinity", "-infinity")
