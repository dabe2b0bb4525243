"""What other people's tables of MariaDB have: keys of declared values, text that equals other text, wide characters."""

from dataclasses import replace

import pytest
from mariadb_bed import opened
from sql_bed import act, dataset, due, every, whole, words

from ropa.connector import Parent

OLD = "2020-01-02 10:00:00"
T = dataset("t")


@pytest.mark.sampled(one_in=4)
@pytest.mark.parametrize("declared", ["ENUM('sick', 'holiday', 'care')", "SET('sick', 'holiday', 'care')"])
@pytest.mark.parametrize("index", ["", ", KEY (created)"])
@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_every_key_with_a_part_of_declared_values_is_listed_once(mariadb, declared, index, size):
    """The server puts them in the order of their declaration, and compares them as text."""
    with mariadb.create() as made:
        made.execute(f"CREATE TABLE t (kind {declared}, n INT, created DATETIME, PRIMARY KEY (kind, n){index})")
        made.execute(f"CREATE TABLE one (kind {declared} PRIMARY KEY, created DATETIME{index})")
        rows = [(kind, n) for kind in ("sick", "holiday", "care") for n in range(5)]
        for kind, n in rows:
            made.execute("INSERT INTO t VALUES (%s, %s, %s)", (kind, n, OLD))
            made.execute("INSERT IGNORE INTO one VALUES (%s, %s)", (kind, OLD))
        with opened(made, T, dataset("one"), batch_size=size) as crm:
            keys = [key for batch in crm.find(due("t")) for key in batch.keys]
            assert sorted(keys) == sorted((kind, str(n)) for kind, n in rows)
            assert set(words(act(crm, due("t"))).values()) == {"purged"}
            assert set(words(act(crm, due("one")))) == {"sick", "holiday", "care"}
        assert made.execute("SELECT (SELECT COUNT(*) FROM t) + (SELECT COUNT(*) FROM one)") == [(0,)]


def test_a_person_is_read_out_of_every_page_of_a_table_with_a_key_of_declared_values(mariadb, monkeypatch):
    monkeypatch.setattr("connectors.sql.location._PAGE", 2)
    with mariadb.create() as made:
        made.execute(
            "CREATE TABLE t (kind ENUM('z', 'a', 'm'), n INT, name VARCHAR(9), created DATETIME, PRIMARY KEY (kind, n))"
        )
        for n in range(9):
            made.execute("INSERT INTO t VALUES (%s, %s, 'person', %s)", ("zam"[n % 3], n // 3, OLD))
        with opened(made, replace(T, subject=("name",))) as crm:
            assert len({record.key for record in crm.read("t", "person")}) == 9


def test_children_go_with_a_parent_whose_key_they_spell_in_another_way(mariadb):
    """As the collation takes it for equal, so that the foreign key lets it be."""
    text = "VARCHAR(6) COLLATE utf8mb4_unicode_ci"
    pairs = [("Ab1", "Ab1"), ("Ab2", "ab2"), ("Ab5", "Ab5 "), ("Éé6", "ee6")]
    with mariadb.create() as made:
        made.execute(f"CREATE TABLE t (code {text} PRIMARY KEY, created DATETIME)")
        made.execute(f"CREATE TABLE c (id INT PRIMARY KEY, code {text}, FOREIGN KEY (code) REFERENCES t (code))")
        for number, (code, spelled) in enumerate(pairs):
            made.execute("INSERT INTO t VALUES (%s, %s)", (code, OLD))
            made.execute("INSERT INTO c VALUES (%s, %s)", (number, spelled))
        children = dataset("c", anchors=(), parent=Parent("t", ("code",), with_parent=True))
        with opened(made, T, children) as crm:
            parents = whole(crm, due("t"))
            told = whole(crm, replace(every("c"), parents=("t", tuple(parents.keys))))
            references = {ref.key for note in told.notes.values() for ref in note.refers_to}
        assert references == set(parents.keys) == {(code,) for code, _ in pairs}


@pytest.mark.parametrize("charset", ["ucs2", "utf16", "utf16le", "utf32"])
def test_text_of_wide_characters_is_read_beside_other_text_and_its_changes_are_seen(mariadb, charset):
    with mariadb.create() as made:
        made.execute(
            f"CREATE TABLE t (id INT PRIMARY KEY, created DATETIME, a VARCHAR(9) CHARACTER SET {charset},"
            " b VARCHAR(9) CHARACTER SET utf8mb4, c VARCHAR(9) CHARACTER SET latin1)"
        )
        for number in range(4):
            made.execute("INSERT INTO t VALUES (%s, %s, 'é', 'é😀', 'é')", (number, OLD))
        with opened(made, T) as crm:
            batch = whole(crm, due("t"))
            made.execute("UPDATE t SET a = 'è' WHERE id = 1")
            made.execute("UPDATE t SET a = NULL WHERE id = 2")
            expected = {"0": "purged", "1": "changed", "2": "changed", "3": "purged"}
            assert words(act(crm, due("t"), batch=batch)) == expected
