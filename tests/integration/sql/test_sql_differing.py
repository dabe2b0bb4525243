"""Columns that must differ from row to row though no index on the column itself says so: by what is computed of them,
in some of the rows, in their first characters."""

from contextlib import closing, contextmanager
from functools import partial

import pytest
from sql_bed import ZONE, ask, dataset, due, make, whole

from connectors.sql import TYPE
from ropa.connector import Action, FieldChange, LocationSpec, Mask

OLD = "2020-01-02 10:00:00"
COLUMNS = "id INTEGER PRIMARY KEY, created {moment}, mail VARCHAR(60) NOT NULL, note VARCHAR(60) NOT NULL"
WAYS = {
    "sqlite-computed": (", low VARCHAR(60) GENERATED ALWAYS AS (lower(mail)) VIRTUAL UNIQUE", ""),
    "sqlite-expression": ("", "CREATE UNIQUE INDEX one ON t (lower(mail))"),
    "sqlite-partial": ("", "CREATE UNIQUE INDEX one ON t (mail) WHERE id > 0"),
    "postgresql-computed": (", low VARCHAR(60) GENERATED ALWAYS AS (lower(mail)) STORED UNIQUE", ""),
    "postgresql-expression": ("", "CREATE UNIQUE INDEX one ON t (lower(mail))"),
    "postgresql-partial": ("", "CREATE UNIQUE INDEX one ON t (mail) WHERE id > 0"),
    "mariadb-computed": (", low VARCHAR(60) GENERATED ALWAYS AS (lower(mail)) VIRTUAL, UNIQUE (low)", ""),
    "mariadb-prefix": ("", "CREATE UNIQUE INDEX one ON t (mail(20))"),
    "mariadb-short prefix": ("", "CREATE UNIQUE INDEX one ON t (mail(10))"),
}


@contextmanager
def place(way, request, tmp_path):
    """The location, and how it is asked past ropa."""
    engine = way.partition("-")[0]
    more, index = WAYS[way]
    script = [f"CREATE TABLE t ({COLUMNS.format(moment='DATETIME' if engine == 'mariadb' else 'TIMESTAMP')}{more})"]
    script += [index] * bool(index)
    script += [
        f"INSERT INTO t (id, created, mail, note) VALUES ({n}, '{OLD}', 'Mail{n}@x.be', 'n')" for n in range(1, 6)
    ]
    if engine == "sqlite":
        path = make(tmp_path / "crm.sqlite", ";".join(script) + ";")
        url = f"sqlite:///{path}"
        yield LocationSpec("crm", "sql", ZONE, {"url": url}, {"t": dataset("t")}, 100), partial(ask, path)
        return
    with request.getfixturevalue("postgres" if engine == "postgresql" else "mariadb").create() as made:
        for each in script:
            made.execute(each)
        yield LocationSpec("crm", "sql", ZONE, {"url": made.url}, {"t": dataset("t")}, 100), made.execute


@pytest.mark.parametrize("way", WAYS)
def test_what_is_cleared_differs_where_it_must_and_a_constant_is_refused_before_the_night(way, request, tmp_path):
    with place(way, request, tmp_path) as (spec, asked), closing(TYPE.open(spec)) as crm:
        redacted = due("t", fields=(FieldChange("mail", Mask.REDACT),))
        assert [problem for problem in crm.problems("t", redacted) if "unique" in problem]
        cleared = due("t", fields=(FieldChange("mail"), FieldChange("note")))
        assert crm.problems("t", cleared) == []
        outcomes = crm.act(cleared, whole(crm, cleared), Action.ANONYMISE)
        assert outcomes.word == "anonymised"
        assert not outcomes.odd
        mails, notes = zip(*asked("SELECT mail, note FROM t"), strict=True)
        assert len(set(mails)) == 5
        assert not [mail for mail in mails if "x.be" in mail]
        if not way.startswith("sqlite-computed"):  # there every column that the table's own text names counts as such
            assert set(notes) == {""}


def test_what_must_differ_in_fewer_characters_than_tell_values_apart_is_refused_when_planning(mariadb):
    with mariadb.create() as made:
        made.execute(
            "CREATE TABLE t (id INT PRIMARY KEY, created DATETIME, mail VARCHAR(60) NOT NULL, UNIQUE (mail(5)))"
        )
        with closing(TYPE.open(LocationSpec("crm", "sql", ZONE, {"url": made.url}, {"t": dataset("t")}))) as crm:
            for mask in (Mask.CLEAR, Mask.RANDOM):
                (told,) = crm.problems("t", due("t", fields=(FieldChange("mail", mask),)))
                assert "mail" in told
