"""Names, keys, conditions, references, holds: what a real schema throws at the connector."""

from dataclasses import replace
from datetime import date

import pytest
from sql_bed import act, ask, column, dataset, due, every, found, keys, make, opened, purge, whole, words

from connectors.sql import finding
from ropa.connector import (
    Action,
    AnchorPart,
    Batch,
    Condition,
    Outcome,
    OutcomeWord,
    Parent,
    Reference,
    Referring,
    Spare,
    normalise_identifier,
)
from ropa.errors import IncompleteListingError, LocationError

OLD, NEW = "2020-01-02", "2026-11-01"
WEIRD = [
    'we"ird',
    "semi;colon",
    "dash--dash",
    "100%",
    "a.b",
    "two words",
    "own",
    "relative",
    "'quoted'",
    ":bind",
    "%(x)s",
    "x" * 200,
]


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@pytest.mark.parametrize("name", WEIRD)
def test_names_are_quoted_whatever_they_are(tmp_path, name):
    q = quoted(name)
    path = make(
        tmp_path / "crm.sqlite",
        f"CREATE TABLE {q} ({q} INTEGER PRIMARY KEY, {quoted(name + ' on')} TEXT, {quoted(name + 'up')} INTEGER REFERENCES {q});"
        "CREATE TABLE canary (x); INSERT INTO canary VALUES (1);",
        [(f"INSERT INTO {q} VALUES (?, ?, ?)", [(1, OLD, None), (2, OLD, 1), (3, NEW, None), (4, OLD, 3)])],
    )
    wanted = dataset("d", name, anchors=(name + " on",), subject=(name + " on",), data={"name": (name + " on",)})
    selection = due("d", name + " on", match=(Condition(name, (1, 2, 4)),))
    with opened(path, wanted) as crm:
        assert crm.problems("d", selection) == []
        assert keys(crm, selection) == [("1",), ("2",), ("4",)]
        assert [r.values[name] for r in crm.read("d", NEW)] == [3]
        assert words(act(crm, selection)) == {"1": "purged", "2": "purged", "4": "purged"}
    assert column(path, f"SELECT {q} FROM {q}") == [3]
    assert column(path, "SELECT x FROM canary") == [1]


KEYS = {
    "k INTEGER PRIMARY KEY": ([2, 10, -1, 2**63 - 1], ["-1", "2", "10", str(2**63 - 1)]),
    "k TEXT PRIMARY KEY": (["b", "a'; DROP TABLE t; --", "é", "10"], ["10", "a'; DROP TABLE t; --", "b", "é"]),
    "k BLOB PRIMARY KEY": ([b"\xff\x00", b"", b"a"], ["", "61", "ff00"]),
    "k PRIMARY KEY": ([1, "a", 3], ["1", "3", "a"]),
    "k REAL PRIMARY KEY": ([1.5, 2.0], ["1.5", "2.0"]),
    "k NUMERIC PRIMARY KEY": ([1.5, 2, "x"], ["1.5", "2", "x"]),
    "k TEXT COLLATE NOCASE PRIMARY KEY": (["b", "A", "c"], ["A", "b", "c"]),
}


@pytest.mark.parametrize("rowid", ["", "WITHOUT ROWID"])
@pytest.mark.parametrize("declared", KEYS)
def test_keys_of_every_kind_come_once_in_order_and_lead_back_to_their_row(tmp_path, declared, rowid):
    values, expected = KEYS[declared]
    rows = [(value, OLD) for value in values]
    path = make(
        tmp_path / "crm.sqlite",
        f"CREATE TABLE t ({declared}, created TEXT) {rowid}",
        [("INSERT INTO t VALUES (?, ?)", rows)],
    )
    with opened(path, dataset("t")) as crm:
        assert keys(crm, due("t")) == [(text,) for text in expected]
        assert keys(crm, due("t", keys=((expected[-1],), ("nowhere",), (expected[0],), (expected[0],)))) == sorted(
            [(expected[0],), (expected[-1],)], key=[(text,) for text in expected].index
        )
        assert purge(crm, due("t")) == [(text,) for text in expected]
    assert ask(path, "SELECT * FROM t") == []


@pytest.mark.parametrize("rowid", ["", "WITHOUT ROWID"])
def test_composite_keys_come_in_order_over_batches(tmp_path, rowid):
    rows = [(a, b, OLD) for a in ("x", "y") for b in (3, 1, 2)]
    path = make(
        tmp_path / "crm.sqlite",
        f"CREATE TABLE t (b INTEGER, a TEXT, created TEXT, PRIMARY KEY (a, b)) {rowid}",
        [("INSERT INTO t (a, b, created) VALUES (?, ?, ?)", rows)],
    )
    expected = [(a, str(b)) for a in ("x", "y") for b in (1, 2, 3)]
    with opened(path, dataset("t")) as crm:
        assert keys(crm, due("t")) == expected
        assert keys(crm, due("t", keys=(("y", "2"), ("x", "3"), ("y",)))) == [("x", "3"), ("y", "2")]
        assert purge(crm, due("t", exclude=((Condition("b", (2,)),),))) == [k for k in expected if k[1] != "2"]
        assert keys(crm, due("t")) == [("x", "2"), ("y", "2")]


def test_a_configured_key_that_is_not_unique_stops_everything(tmp_path):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE t (nr TEXT, created TEXT)",
        [("INSERT INTO t VALUES (?, ?)", [("1", OLD), ("2", OLD)])],
    )
    with opened(path, dataset("t", key=("nr",))) as crm:
        batch = whole(crm, due("t"))
        ask(path, "INSERT INTO t VALUES ('2', ?)", NEW)
        with pytest.raises(IncompleteListingError) as caught:
            list(crm.find(due("t")))
        assert caught.value.code == "key-not-unique"
        assert act(crm, due("t"), batch=batch) == [
            ("1", OutcomeWord.PURGED, None),
            ("2", OutcomeWord.BLOCKED, "key-not-unique"),
        ]
    assert column(path, "SELECT nr FROM t") == ["2", "2"]


def test_rows_whose_key_is_null_or_reads_like_anothers_stop_the_listing(tmp_path):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE t (k PRIMARY KEY, created TEXT)",
        [("INSERT INTO t VALUES (?, ?)", [(1, OLD), (None, NEW)])],
    )
    with opened(path, dataset("t")) as crm:
        assert keys(crm, due("t")) == [("1",)]
        for value, code in ((None, "key-null"), ("1", "key-ambiguous"), (b"1", "key-ambiguous")):
            ask(path, "INSERT INTO t VALUES (?, ?)", value, OLD)
            with pytest.raises(IncompleteListingError) as caught:
                list(crm.find(due("t")))
            assert caught.value.code == code
            ask(path, "DELETE FROM t WHERE created = ? AND k IS NOT 1", OLD)


def test_a_table_without_key_a_view_and_unknown_names_are_problems(tmp_path):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE contact (name TEXT, created TEXT); CREATE VIEW old AS SELECT * FROM contact;"
        "CREATE VIEW broken AS SELECT * FROM gone; CREATE TABLE t (id INTEGER PRIMARY KEY);",
    )
    wrong = dataset(
        "wrong",
        "contact",
        key=("naem",),
        subject=("mail",),
        data={"iban": ("iban",)},
        parent=Parent("lost", ("a", "b")),
    )
    lost = dataset("lost", "t", anchors={"last": [AnchorPartOf("contact", "name"), AnchorPartOf("nobody", "x")]})
    given = [
        dataset("contact"), dataset("view", "old", key=("name",)), dataset("typo", "contacts"), wrong, lost,
        dataset("broken", key=("x",)), replace(dataset("orphan", "contact", key=("name",)), parent=Parent("nobody", ("name",))),
    ]  # fmt: skip
    with opened(path, *given) as crm:
        assert crm.problems("contact") == ["table 'contact' has no primary key; name its key columns with key = […]"]
        assert "cannot be purged" in crm.problems("view")[0]
        assert crm.problems("typo") == ["table 'contacts' does not exist (did you mean 'contact'?)"]
        told = " ".join(crm.problems("wrong"))
        assert all(
            word in told for word in ("'naem'", "(did you mean 'name'?)", "'mail'", "'iban'", "'a'", "'b'", "2 columns")
        )
        told = " ".join(crm.problems("lost"))
        assert all(word in told for word in ("neither of 't' and 'contact'", "'nobody'"))
        assert "cannot be purged" in " ".join(crm.problems("broken"))
        assert "'nobody'" in crm.problems("orphan")[0]
        told = " ".join(
            crm.problems(
                "orphan", due("orphan", "gone", match=(Condition("stat", (1,)),), exclude=((Condition("s2", (1,)),),))
            )
        )
        assert all(word in told for word in ("'gone'", "'stat'", "'s2'"))
        kinds = {info.source: info.kind for info in crm.datasets()}
        assert kinds == {"contact": "table", "old": "view", "broken": "view", "t": "table"}
        for name in ("contact", "view", "typo", "wrong"):
            with pytest.raises(LocationError):
                list(crm.find(every(name)))


def AnchorPartOf(name, column):
    return AnchorPart(column, dataset=name)


def test_the_catalogue_tells_types_uniqueness_and_references(tmp_path):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE Firm (Id INTEGER PRIMARY KEY, Vat TEXT NOT NULL UNIQUE, Name VARCHAR(9));"
        "CREATE TABLE person (id INTEGER PRIMARY KEY, firm INTEGER REFERENCES FIRM ON DELETE CASCADE,"
        " vat TEXT REFERENCES firm(VAT), boss REFERENCES person(id)); CREATE INDEX i ON person (firm);",
    )
    with opened(path, dataset("firms", "Firm", anchors=())) as crm:
        infos = {info.source: info for info in crm.datasets()}
        notes = crm.check().notes
    firm, person = infos["Firm"], infos["person"]
    assert (firm.declared_as, firm.key, person.declared_as) == ("firms", ("Id",), None)
    assert [(c.name, c.type, c.is_nullable, c.is_unique) for c in firm.columns] == [
        ("Id", "INTEGER", False, True), ("Vat", "TEXT", False, True), ("Name", "VARCHAR(9)", True, False),
    ]  # fmt: skip
    assert {(r.columns, r.to_source, r.to_columns, r.on_delete, r.has_index) for r in person.references} == {
        (("firm",), "Firm", ("Id",), "CASCADE", True),
        (("vat",), "Firm", ("Vat",), "NO ACTION", False),
        (("boss",), "person", ("id",), "NO ACTION", False),
    }
    assert [note for note in notes if "no index" in note] == [
        "table 'person': no index on vat, which slows down 'Firm' a lot"
    ]


# --- conditions ---------------------------------------------------------------------------------------------------


def test_values_are_bound_and_conditions_never_unknown(tmp_path):
    values = ["a'b", "%", "_", "1", None, "2024-01-01", "", "x; DROP TABLE t"]
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT, n INTEGER)",
        [("INSERT INTO t VALUES (?, ?, ?)", [(n, v, n % 2) for n, v in enumerate(values)])],
    )
    every_key = [(str(n),) for n in range(len(values))]

    def matching(crm, *conditions):
        return [int(key[0]) for key in keys(crm, every("t", match=conditions))]

    with opened(path, dataset("t", anchors=())) as crm:
        for number, value in enumerate(values):
            assert matching(crm, Condition("v", (value,))) == [number]
            others = [n for n in range(len(values)) if n != number]
            assert matching(crm, Condition("v", (value,), negated=True)) == others
            assert keys(crm, every("t", exclude=((Condition("v", (value,)),),))) == [every_key[n] for n in others]
        assert matching(crm, Condition("v", (1,))) == [3]
        assert matching(crm, Condition("v", (date(2024, 1, 1),))) == [5]
        assert matching(crm, Condition("n", (True,))) == [1, 3, 5, 7]
        assert matching(crm, Condition("n", ("1",)), Condition("v", (None, "1"))) == [3]
        assert matching(crm, Condition("n", (10**30, float("nan"), float("inf"), "\ud800"))) == []
        assert matching(crm, Condition("n", (10**30, float("nan")), negated=True)) == list(range(8))
        assert matching(crm, Condition("v", ())) == []
        assert matching(crm, Condition("v", (), negated=True)) == list(range(8))
        assert keys(crm, every("t", exclude=((),))) == []
        pair = (Condition("n", (1,)), Condition("v", (None,), negated=True))
        assert keys(crm, every("t", exclude=(pair,))) == [("0",), ("2",), ("4",), ("6",)]
        with pytest.raises(LocationError):
            list(crm.find(every("t", match=(Condition("nothing", (1,)),))))


# --- references ---------------------------------------------------------------------------------------------------

CHAIN = """
CREATE TABLE customer (id INTEGER PRIMARY KEY, mail TEXT, created TEXT);
CREATE TABLE "order" (id INTEGER PRIMARY KEY, customer INTEGER REFERENCES customer ON DELETE CASCADE,
                      payer INTEGER REFERENCES customer, created TEXT);
CREATE TABLE line (id INTEGER PRIMARY KEY, "order" INTEGER REFERENCES "order" ON DELETE CASCADE, created TEXT);
CREATE TABLE audit (customer INTEGER, line INTEGER REFERENCES line ON DELETE SET NULL);
CREATE INDEX a1 ON "order" (customer); CREATE INDEX a2 ON line ("order");
INSERT INTO customer VALUES (1, 'Zoé@x.be', '2020-01-02'), (2, 'b@x.be', '2020-01-02'), (3, 'c@x.be', '2020-01-02');
INSERT INTO "order" VALUES (10, 1, 1, '2020-01-02'), (11, 1, 2, '2020-01-02'), (12, 2, NULL, '2026-11-01');
INSERT INTO line VALUES (100, 10, '2020-01-02'), (101, 10, '2020-01-02'), (102, 12, '2020-01-02');
"""
CUSTOMERS, ORDERS, LINES = (
    dataset("customers", "customer", subject=("mail",)),
    dataset("orders", "order"),
    dataset("lines", "line"),
)


@pytest.fixture
def chain(tmp_path):
    return make(tmp_path / "crm.sqlite", CHAIN)


def parts_of(crm, selection, **more):
    return tuple(r for batch in crm.find(replace(selection, **more)) for r in batch.records)


def test_rows_that_refer_are_counted_once_per_place_and_named_by_those_that_do(chain):
    child = replace(ORDERS, parent=Parent("customers", ("customer",)))
    with opened(chain, CUSTOMERS, child) as crm:
        assert [r.referred_by for r in found(crm, due("customers"))] == [
            (Referring("orders", True, 2),), (Referring("orders", True, 2),), (),
        ]  # fmt: skip
        told = {r.key[0]: r.refers_to for r in found(crm, every("orders"))}
        one, two = Reference("customers", ("1",)), Reference("customers", ("2",))
        assert told == {"10": (one,), "11": (one, replace(two, is_parent=False)), "12": (two,)}
        assert [r.referred_by for r in found(crm, every("orders"))] == [
            (Referring("line", False, 2),),
            (),
            (Referring("line", False, 1),),
        ]


def test_a_reference_to_another_column_than_the_key_is_followed(tmp_path):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE firm (id INTEGER PRIMARY KEY, vat TEXT COLLATE NOCASE UNIQUE, created TEXT);"
        "CREATE TABLE person (id INTEGER PRIMARY KEY, firm TEXT REFERENCES firm (vat) ON DELETE CASCADE, created TEXT);"
        "INSERT INTO firm VALUES (7, 'BE1', '2020-01-02'), (8, 'BE2', '2020-01-02');"
        "INSERT INTO person VALUES (1, 'be1', '2020-01-02'), (2, NULL, '2020-01-02');",
    )
    with opened(path, dataset("firms", "firm"), dataset("persons", "person")) as crm:
        assert [r.refers_to for r in found(crm, every("persons"))] == [(Reference("firms", ("7",)),), ()]
        assert [r.referred_by for r in found(crm, every("firms"))] == [(Referring("persons", True, 1),), ()]
        assert words(act(crm, due("firms"))) == {"7": "blocked", "8": "purged"}
        spare = Spare(keys={"firms": frozenset({("7",)})})
        assert [r.is_spared for r in found(crm, every("persons", spare=spare))] == [True, False]
        assert keys(crm, every("persons", parents=("firms", (("7",), ("8",))))) == [("1",)]
    assert column(path, "SELECT id FROM person") == [1, 2]


def test_a_child_belongs_by_via_alone_whichever_column_that_refers_to(tmp_path):
    """By a number that is unique, not the key; that the number of one is the key of another is nobody's business."""
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE firm (id INTEGER PRIMARY KEY, vat INTEGER UNIQUE, created TEXT);"
        "CREATE TABLE person (id INTEGER PRIMARY KEY, firm INTEGER REFERENCES firm (vat), billed INTEGER REFERENCES firm,"
        " created TEXT);"
        "INSERT INTO firm VALUES (7, 8, '2020-01-02'), (8, 7, '2020-01-02');"
        "INSERT INTO person VALUES (1, 8, 8, '2020-01-02'), (2, 7, 8, '2020-01-02');",
    )
    child = replace(dataset("persons", "person"), parent=Parent("firms", ("firm",)))
    with opened(path, dataset("firms", "firm"), child) as crm:
        seven, eight = Reference("firms", ("7",)), Reference("firms", ("8",))
        assert [r.refers_to for r in found(crm, every("persons"))] == [
            (seven, replace(eight, is_parent=False)),
            (eight,),
        ]
        assert keys(crm, every("persons", parents=("firms", (("7",),)))) == [("1",)]
        assert keys(crm, every("persons", parents=("firms", (("8",),)))) == [("2",)]


def test_a_cascade_to_an_undeclared_table_blocks(chain):
    with opened(chain, ORDERS) as crm:
        assert act(crm, due("orders")) == [("10", OutcomeWord.BLOCKED, "referenced"), ("11", OutcomeWord.PURGED, None)]
    assert column(chain, "SELECT id FROM line") == [100, 101, 102]
    assert column(chain, "SELECT id FROM 'order'") == [10, 12]


def test_a_reference_without_foreign_key_blocks_when_it_is_declared(chain):
    ask(chain, "INSERT INTO audit VALUES (3, NULL)")
    declared = dataset("audits", "audit", key=("customer",), anchors=(), parent=Parent("customers", ("customer",)))
    with opened(chain, CUSTOMERS, declared) as crm:
        assert words(act(crm, due("customers"))) == {"1": "blocked", "2": "blocked", "3": "blocked"}
    with opened(chain, CUSTOMERS) as crm:
        assert words(act(crm, due("customers"))) == {"1": "blocked", "2": "blocked", "3": "purged"}


def test_a_chain_of_three_levels_goes_together_deepest_first(chain):
    with opened(chain, CUSTOMERS, ORDERS, LINES) as crm:
        customers = whole(crm, due("customers", keys=(("1",),)))
        orders = parts_of(crm, every("orders"), parents=("customers", (("1",),)))
        lines = parts_of(crm, every("lines"), parents=("orders", tuple(r.key for r in orders)))
        assert ([r.key[0] for r in orders], [r.key[0] for r in lines]) == (["10", "11"], ["100", "101"])
        batch = replace(customers, companions=(Batch.of("lines", lines), Batch.of("orders", orders)))
        outcomes = crm.act(due("customers"), batch, Action.PURGE)
        assert outcomes == [Outcome(("1",), OutcomeWord.PURGED)] + [
            Outcome((key,), OutcomeWord.PURGED, dataset=name)
            for name, key in (("lines", "100"), ("lines", "101"), ("orders", "10"), ("orders", "11"))
        ]
        assert {o.word for o in crm.act(due("customers"), batch, Action.PURGE)} == {OutcomeWord.ABSENT}
    assert column(chain, "SELECT id FROM customer") == [2, 3]
    assert (column(chain, 'SELECT id FROM "order"'), column(chain, "SELECT id FROM line")) == ([12], [102])


def test_one_row_that_stays_keeps_the_whole_chain_above_it_and_beside_it(chain):
    with opened(chain, CUSTOMERS, ORDERS, LINES) as crm:
        customers = whole(crm, due("customers"))
        parents = ("customers", tuple(r.key for r in customers.records))
        orders = parts_of(crm, every("orders"), parents=parents)
        lines = parts_of(crm, every("lines"), parents=("orders", tuple(r.key for r in orders)))
        batch = replace(customers, companions=(Batch.of("lines", lines), Batch.of("orders", orders)))
        ask(chain, "UPDATE line SET created = '2020-01-03' WHERE id = 100")
        told = {o.key[0]: (o.word.value, o.code) for o in crm.act(due("customers"), batch, Action.PURGE)}
    assert told["100"] == ("changed", None)
    assert told["10"] == told["1"] == ("blocked", "referenced")
    # 11 belongs to 1, which stays, and to 2, which must then stay as well, with 12 and its line.
    assert {key: word for key, (word, _) in told.items()} == {
        "1": "blocked", "2": "blocked", "3": "purged", "10": "blocked", "11": "blocked", "12": "blocked",
        "100": "changed", "101": "blocked", "102": "blocked",
    }  # fmt: skip
    assert column(chain, "SELECT count(*) FROM line") == [3]


def test_companions_of_a_parent_that_is_held_or_changed_get_its_word(chain):
    ask(chain, "UPDATE 'order' SET payer = NULL")
    with opened(chain, CUSTOMERS, ORDERS, LINES) as crm:
        customers = whole(crm, due("customers"))
        orders = parts_of(crm, every("orders"), parents=("customers", (("1",), ("2",))))
        lines = parts_of(crm, every("lines"), parents=("orders", tuple(r.key for r in orders)))
        batch = replace(customers, companions=(Batch.of("lines", lines), Batch.of("orders", orders)))
        ask(chain, "UPDATE customer SET created = ? WHERE id = 2", NEW)
        spare = Spare(subjects=frozenset({normalise_identifier(" ZOE\u0301@X.BE")}))
        told = {o.key[0]: o.word.value for o in crm.act(due("customers", spare=spare), batch, Action.PURGE)}
    assert told == {
        "1": "held", "10": "held", "11": "held", "100": "held", "101": "held",
        "2": "changed", "12": "changed", "102": "changed", "3": "purged",
    }  # fmt: skip


def test_a_companion_that_belongs_to_none_of_the_batch_stays(chain):
    with opened(chain, CUSTOMERS, ORDERS, LINES) as crm:
        lost = Batch.of("lines", parts_of(crm, every("lines"), keys=(("102",),)))
        given = act(crm, due("customers", keys=(("3",),)), companions=(lost,))
    assert words(given) == {"3": "purged", "102": "changed"}


TREE = """
CREATE TABLE node (id INTEGER PRIMARY KEY, up INTEGER REFERENCES node {action}, created TEXT);
INSERT INTO node VALUES (1, NULL, '2020-01-02'), (2, 1, '2020-01-02'), (3, 2, '2020-01-02'),
                        (5, 5, '2020-01-02'), (6, NULL, '2020-01-02'), (7, 6, '2026-11-01');
"""


@pytest.mark.parametrize("action", ["", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT"])
def test_rows_that_refer_to_their_own_table_go_with_all_that_refer_to_them(tmp_path, action):
    path = make(tmp_path / "crm.sqlite", TREE.format(action=action))
    with opened(path, dataset("nodes", "node")) as crm:
        assert [r.referred_by for r in found(crm, due("nodes"))][:2] == [(Referring("nodes", True, 1),)] * 2
        expected = {"1": "purged", "2": "purged", "3": "purged", "5": "purged", "6": "blocked"}
        assert words(act(crm, due("nodes"))) == expected
    assert column(path, "SELECT id FROM node") == [6, 7]


def test_a_cycle_of_references_ends_and_goes_as_one(tmp_path):
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, b INTEGER REFERENCES b, created TEXT);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a INTEGER REFERENCES a, created TEXT);"
        "INSERT INTO a VALUES (1, 1, '2020-01-02'), (2, NULL, '2020-01-02'); INSERT INTO b VALUES (1, 1, '2020-01-02');",
    )
    with opened(path, dataset("a"), dataset("b")) as crm:
        spare = Spare(keys={"b": frozenset({("9",)})}, subjects=frozenset({"x"}))
        assert [r.is_spared for r in found(crm, due("a", spare=spare))] == [False, False]
        held = Spare(keys={"b": frozenset({("1",)})})
        assert [r.is_spared for r in found(crm, due("a", spare=held))] == [True, False]
        rider = Batch.of("b", parts_of(crm, every("b")))
        assert words(act(crm, due("a"), companions=(rider,))) == {"1": "purged", "2": "purged"}


def test_holds_cover_descendants_also_through_tables_that_are_not_declared(chain):
    with opened(chain, CUSTOMERS, LINES) as crm:
        for spare in (Spare(keys={"customers": frozenset({("1",)})}), Spare(subjects=frozenset({"zoé@x.be"}))):
            told = {r.key[0]: r.is_spared for r in found(crm, due("lines", spare=spare))}
            assert told == {"100": True, "101": True, "102": False}
            batch = whole(crm, due("lines"))
            assert words(act(crm, due("lines", spare=spare), batch=batch)) == {
                "100": "held",
                "101": "held",
                "102": "purged",
            }
            ask(chain, "INSERT INTO line VALUES (102, 12, ?)", OLD)
        assert not any(
            r.is_spared for r in found(crm, due("lines", spare=Spare(keys={"elsewhere": frozenset({("1",)})})))
        )


def test_two_places_in_a_table_need_no_index_to_be_counted(tmp_path):
    rows = [(n, n % 7) for n in range(400)]
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE p (id INTEGER PRIMARY KEY, created TEXT); CREATE TABLE c (id INTEGER PRIMARY KEY, p INTEGER REFERENCES p);",
        [("INSERT INTO p VALUES (?, '2020-01-02')", [(n,) for n in range(10)]), ("INSERT INTO c VALUES (?, ?)", rows)],
    )
    with opened(path, dataset("p")) as crm:
        counts = {r.key[0]: sum(x.count for x in r.referred_by) for r in found(crm, due("p"))}
    assert counts == {str(n): sum(p == n for _, p in rows) for n in range(10)}


def test_a_number_that_is_spelled_in_another_way_refers_to_the_same_parent(tmp_path):
    """In a column of real numbers 1 is told as 1.0."""
    path = make(
        tmp_path / "crm.sqlite",
        "CREATE TABLE customer (code REAL PRIMARY KEY, created TEXT);"
        'CREATE TABLE "order" (id INTEGER PRIMARY KEY, code INTEGER REFERENCES customer (code));'
        "INSERT INTO customer VALUES (1, '2020-01-02'), (2.5, '2020-01-02');"
        'INSERT INTO "order" VALUES (10, 1), (11, 2.5);',
    )
    child = dataset("orders", "order", anchors=(), parent=Parent("customers", ("code",), with_parent=True))
    with opened(path, dataset("customers", "customer"), child) as crm:
        parents = {record.key for record in found(crm, due("customers"))}
        children = found(crm, every("orders", parents=("customers", tuple(parents))))
        assert {ref.key for record in children for ref in record.refers_to} == parents == {("1.0",), ("2.5",)}


LEAST = -(2**63)
NUMBERS = {
    "whole": [LEAST, LEAST + 1, -3, 0, 1, 2, 3, 5_000, 2**63 - 1],
    "fractions": [0, 0.25, 0.5, 1, 1.5, 2, 2.25, 2.5, 2.75, 7.5, 7.75, 8, 8.5, 9],
    "between windows": [0, *(n + 0.5 for n in range(40)), 40],
}


@pytest.mark.parametrize("at_once", [1, 3, 1000])
@pytest.mark.parametrize("numbers", NUMBERS.values(), ids=list(NUMBERS))
def test_every_number_is_listed_once_also_between_two_windows(tmp_path, monkeypatch, numbers, at_once):
    monkeypatch.setattr(finding, "AT_ONCE", at_once)
    path = make(tmp_path / "crm.sqlite", "CREATE TABLE t (id DECIMAL PRIMARY KEY, created TEXT)")
    for number in numbers:
        ask(path, "INSERT INTO t VALUES (?, '2020-01-01')", number)
    with opened(path, dataset("t"), batch_size=2) as crm:
        assert [float(key) for (key,) in keys(crm, due("t"))] == [float(number) for number in numbers]


@pytest.mark.parametrize(
    ("declared", "kept", "typed"),
    [
        ("TEXT COLLATE NOCASE", "ab", "AB"),
        ("TEXT", "ab", "AB"),
        ("REAL", 1.0, "1"),
        ("TEXT", "01", "1"),
        ("INTEGER", 1, "1.0"),
    ],
)
def test_a_record_is_spared_however_its_key_was_typed(tmp_path, declared, kept, typed):
    """And what refers to it, also loosely and in another type."""
    script = f"""
        CREATE TABLE t (id {declared} PRIMARY KEY, created TEXT);
        CREATE TABLE child (id INTEGER PRIMARY KEY, t_id, created TEXT);
        INSERT INTO child VALUES (1, '{kept}', '2020-01-01'), (2, 'other', '2020-01-01'), (3, NULL, '2020-01-01');
    """
    path = make(tmp_path / "crm.sqlite", script)
    ask(path, "INSERT INTO t VALUES (?, '2020-01-01'), (77, '2020-01-01')", kept)
    child = dataset("child", parent=Parent("t", ("t_id",)))
    with opened(path, dataset("t"), child) as crm:
        spare = Spare({"t": frozenset({(typed,)})}, frozenset())
        assert [
            record.is_spared for record in sorted(found(crm, due("t", spare=spare)), key=lambda r: r.key == ("77",))
        ] == [True, False]
        assert [record.is_spared for record in found(crm, due("child", spare=spare))] == [True, False, False]
