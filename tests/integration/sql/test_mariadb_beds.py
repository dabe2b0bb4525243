"""Real schemas on MariaDB: Matomo, WordPress, phpList, Chinook; checked with SQL that shares nothing with the connector."""

from datetime import date

import pytest
from mariadb_bed import backend, opened, twice
from sql_bed import BEDS, NOW, ZONE, act, dataset, due, every, found, keys, purge, undated, words
from sqlalchemy import select

from connectors.sql.backend import Dating
from connectors.sql.catalogue import Kind
from connectors.sql.keys import is_faithful
from ropa.connector import AnchorPart, Parent

pytestmark = pytest.mark.skipif(not (BEDS / "databases").is_dir(), reason=f"beds absent: {BEDS}")
UTC_ZONE = type(ZONE)("UTC")


@pytest.fixture
def bed(mariadb, request):
    with mariadb.create() as database:
        database.load(BEDS / "databases" / f"{request.param}.mysql.sql")
        yield database


def column(database, statement):
    return [row[0] for row in database.execute(statement)]


ALL = ["matomo-omnifixture", "wordpress", "phplist", "chinook"]


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize("bed", ALL, indirect=True)
def test_every_table_is_read_the_same_by_either_way_with_keys_that_can_be_trusted(bed):
    with backend(bed) as made, made.reading() as connection:
        tables = made.read_catalogue(connection).tables
        assert set(tables) == set(bed.tables())
        for table in tables.values():
            own, versions = table.plain(), made.versions(table)
            key = [own.c[name] for name in table.key]
            rows = twice(made, connection, select(*key, *versions.columns(own)).order_by(*key))
            assert len(rows) == column(bed, f"SELECT COUNT(*) FROM `{table.name}`")[0]
            kinds = [table.column(name).kind for name in table.key]
            assert all(is_faithful(value, kind) for row in rows for value, kind in zip(row, kinds, strict=False))
            names = [c.name for c in table.columns]
            twice(made, connection, select(*(own.c[name] for name in names)).order_by(*key).limit(200))


@pytest.mark.sampled(one_in=2)
@pytest.mark.parametrize("bed", ALL, indirect=True)
def test_every_date_is_read_and_no_condition_leaves_one_out(bed):
    dated = 0
    with backend(bed) as made, made.reading() as connection:
        for table in made.read_catalogue(connection).tables.values():
            for each in table.columns:
                if each.kind not in {Kind.NAIVE, Kind.INSTANT, Kind.DATE} or not table.key:
                    continue
                own = table.plain()
                dates = made.dates(each, Dating(UTC_ZONE, None, ZONE, NOW))
                key = [own.c[name] for name in table.key]
                rows = made.fetch(connection, select(*key, dates.value(own.c[each.name])))
                numbers = [dates.number(row[-1]) for row in rows]
                undated_keys = {row[:-1] for row, n in zip(rows, numbers, strict=True) if not 0 < n < 1 << 23}
                dated += len(rows) - len(undated_keys)
                may = dates.may_be_undated(own.c[each.name])
                assert undated_keys <= {tuple(row) for row in made.fetch(connection, select(*key).where(may))}
    assert dated > 50


@pytest.mark.parametrize("bed", ["matomo-omnifixture"], indirect=True)
def test_exactly_the_old_visits_of_matomo_go_with_their_actions(bed):
    """No foreign key says so: the configuration does. Its dates are UTC without a zone, its ids and addresses binary."""
    day = date(2015, 1, 1)
    expected = column(
        bed, "SELECT idvisit FROM log_visit WHERE visit_last_action_time < '2014-12-31 23:00:00' ORDER BY idvisit"
    )
    everything = column(bed, "SELECT idvisit FROM log_visit ORDER BY idvisit")
    assert 0 < len(expected) < len(everything)
    visits = dataset("visits", "log_visit", zone=UTC_ZONE, anchors=("visit_last_action_time",))
    actions = dataset(
        "actions",
        "log_link_visit_action",
        zone=UTC_ZONE,
        anchors=("server_time",),
        parent=Parent("visits", ("idvisit",)),
    )
    selection = due("visits", "visit_last_action_time", day)
    with opened(bed, visits, actions, batch_size=100) as crm:
        assert crm.problems("visits", selection) == []
        assert [int(key[0]) for batch in crm.find(selection) for key in batch.keys] == expected
        told = words(act(crm, selection))
        with_actions = set(column(bed, "SELECT idvisit FROM log_link_visit_action"))
        assert {int(key) for key, word in told.items() if word == "blocked"} == set(expected) & with_actions
        assert {int(key) for key, word in told.items() if word == "purged"} == set(expected) - with_actions
    left = set(column(bed, "SELECT idvisit FROM log_visit"))
    assert left == set(everything) - (set(expected) - with_actions)


@pytest.mark.parametrize("bed", ["wordpress"], indirect=True)
def test_zero_dates_of_wordpress_are_told_and_stay(bed):
    posts = dataset("posts", "wp_posts", zone=UTC_ZONE, anchors=("post_date_gmt",))
    zero = column(bed, "SELECT ID FROM wp_posts WHERE YEAR(post_date_gmt) = 0 ORDER BY ID")
    assert zero
    with opened(bed, posts) as crm:
        told = [int(key[0]) for key in keys(crm, undated("posts", "post_date_gmt"))]
        assert set(zero) <= set(told)
        before = column(
            bed, "SELECT ID FROM wp_posts WHERE YEAR(post_date_gmt) > 0 AND post_date_gmt < '2013-12-31 23:00:00'"
        )
        selection = due("posts", "post_date_gmt", date(2014, 1, 1))
        assert {int(key[0]) for key in purge(crm, selection)} == set(before)
        assert {record.anchored for record in found(crm, every("posts", anchors=("post_date_gmt",), check_anchors=False))
                if int(record.key[0]) in zero} == {(None,)}  # fmt: skip
    assert set(zero) <= set(column(bed, "SELECT ID FROM wp_posts"))


@pytest.mark.parametrize("bed", ["chinook"], indirect=True)
def test_customers_of_chinook_who_ordered_since_are_kept(bed):
    invoices = dataset("invoices", "Invoice", anchors=("InvoiceDate",), parent=Parent("customers", ("CustomerId",)))
    customers = dataset(
        "customers", "Customer", subject=("Email",), anchors={"last": [AnchorPart("InvoiceDate", dataset="invoices")]}
    )
    day = column(bed, "SELECT MAX(InvoiceDate) - INTERVAL 200 DAY FROM Invoice")[0].date()
    expected = column(
        bed, f"SELECT CustomerId FROM Invoice GROUP BY 1 HAVING MAX(InvoiceDate) < '{day}' ORDER BY 1"
    )  # fmt: skip
    assert 0 < len(expected) < 59
    with opened(bed, invoices, customers) as crm:
        assert [int(key[0]) for key in keys(crm, due("customers", "last", day))] == expected
        assert set(words(act(crm, due("customers", "last", day))).values()) == {"blocked"}
    assert column(bed, "SELECT COUNT(*) FROM Customer") == [59]
