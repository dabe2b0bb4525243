"""Opening a database by its URL: what is refused, and how it is said."""

import pytest
from sql_bed import dataset, make, spec
from sqlalchemy.engine import make_url

from connectors.sql import TYPE
from connectors.sql.opening import expect_same_place
from ropa.errors import ConfigurationError, LocationError

CANARY = "canary-7b1f"
TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, created TEXT);"


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"apply": {"url": f"sqlite:///{CANARY}.sqlite"}}, "apply"),
        ({"apply": {"url": "sqlite:///crm.sqlite", "user": CANARY}}, "apply.user"),
        ({"apply": {"url": f"postgresql://{CANARY}@127.0.0.1/x"}}, "apply.url"),
        ({"apply": {}}, "apply.url"),
        ({"after_purge": CANARY}, "after_purge"),
        ({"schema": CANARY}, "schemas"),
        ({"url": f"{CANARY} no url"}, "url"),
        ({"url": f"nosuchengine://{CANARY}@127.0.0.1/x"}, "crm"),
    ],
)
def test_an_option_that_means_nothing_is_refused_by_its_name(tmp_path, options, word):
    path = make(tmp_path / "crm.sqlite", TABLE)
    with pytest.raises(LocationError) as refused:
        TYPE.open(spec(path, dataset("t"), **options))
    told = f"{refused.value} {refused.value.next_step}"
    assert word in told
    assert CANARY not in told
    assert refused.value.code in {"option", "url", "unsupported"}


def test_the_file_is_written_anew_after_the_purge_where_that_is_asked_for(tmp_path):
    rows = ("INSERT INTO t VALUES (?, ?)", [(n, "2020-01-02" + "x" * 0) for n in range(2000)])
    path = make(tmp_path / "crm.sqlite", TABLE, [rows])
    with_vacuum = TYPE.open(spec(path, dataset("t"), after_purge="vacuum"))
    make(path, "DELETE FROM t;")
    size = path.stat().st_size
    assert with_vacuum.finish("t") == "physical"
    with_vacuum.close()
    assert path.stat().st_size < size


@pytest.mark.parametrize(
    ("url", "write_url"),
    [
        ("postgresql://plan:a@db.example/crm", "postgresql+psycopg://apply:b@DB.example.:5432/crm"),
        ("postgresql://plan@db/crm?sslmode=verify-full", "postgresql://apply@db/crm?sslmode=verify-full&sslkey=k"),
        ("postgresql://plan@/crm?host=/run/pg", "postgresql://apply@/crm?host=/run/pg"),
        ("mysql://plan@db:3306/shop", "mysql://apply:b@db/shop"),
    ],
)
def test_user_password_and_client_certificate_may_differ_for_applying(url, write_url):
    expect_same_place("crm", make_url(url), make_url(write_url))


@pytest.mark.parametrize(
    "write_url",
    [
        f"postgresql://apply:{CANARY}@other.example/crm",
        f"postgresql://apply:{CANARY}@db.example/copy",
        f"postgresql://apply:{CANARY}@db.example:5433/crm",
        f"postgresql://apply:{CANARY}@db.example",
        f"postgresql://apply:{CANARY}@db.example/crm?host=other.example",
        f"postgresql://apply:{CANARY}@db.example/crm?options=-csearch_path%3Dother",
        f"postgresql://apply:{CANARY}@db.example/crm?service=other",
    ],
)
def test_another_place_for_applying_is_refused_by_its_key_path(write_url):
    with pytest.raises(ConfigurationError) as refused:
        expect_same_place("crm", make_url("postgresql://plan@db.example/crm"), make_url(write_url))
    (problem,) = refused.value.problems
    assert problem.path == "location.crm.apply.url"
    told = f"{refused.value} {refused.value.next_step} {problem}"
    assert CANARY not in told
    assert "example" not in told
