# ruff: noqa: DTZ001 - wall-clock times are what is tested
"""Dates in PostgreSQL say of every value what ``ropa.clock`` says, and the server's own conditions lose none of them."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from postgres_bed import backend_on, catalogue_of
from sqlalchemy import select

from connectors.sql.anchors import FUTURE, NO_DATE, UNREADABLE, number_of
from connectors.sql.backend import Dating
from ropa.clock import start_of_day
from ropa.connector import Before

ZONES = [
    ZoneInfo(name)
    for name in (
        "Europe/Brussels",
        "UTC",
        "America/New_York",
        "America/St_Johns",  # clocks were set back at 00:01 until 2011: a day that comes twice
        "Pacific/Apia",  # 30 December 2011 never was
        "America/Sao_Paulo",  # midnight did not exist once a year
        "Asia/Kathmandu",
        "Atlantic/Azores",
    )
]
NOW = datetime(2026, 11, 22, 2, 30, 0, 123456, tzinfo=UTC)
ODD = [
    datetime(2022, 3, 27, 0, 59, 59, 999999),
    datetime(2022, 3, 27, 2, 30),
    datetime(2022, 10, 30, 2, 30),
    datetime(2026, 3, 29, 2, 30),
    datetime(2026, 10, 25, 2, 30),
    datetime(2006, 10, 29, 0, 0, 30),
    datetime(2006, 10, 29, 2, 31, 30),
    datetime(2006, 10, 29, 2, 30, 59, 999999),
    datetime(2011, 12, 30, 12, 0),
    datetime(2011, 12, 30, 10, 0),
    datetime(2018, 11, 4, 0, 30),
    datetime(2018, 11, 4, 3, 0),
    datetime(1999, 12, 31, 23, 0),
    datetime(1999, 12, 31, 22, 59, 59, 999999),
    datetime(2000, 1, 1),
    datetime(1970, 1, 1),
    datetime(1900, 1, 1, 12, 34, 56, 1),
    datetime(1, 1, 1),
    datetime(1, 1, 3, 5),
    datetime(9999, 12, 31, 23, 59, 59, 999999),
    NOW.replace(tzinfo=None),
    NOW.replace(tzinfo=None) + timedelta(microseconds=1),
    NOW.replace(tzinfo=None) - timedelta(microseconds=1),
    NOW.replace(tzinfo=None) + timedelta(hours=1),
    NOW.replace(tzinfo=None) + timedelta(hours=1, microseconds=1),
    datetime(2026, 11, 22),
    datetime(2026, 11, 23),
    datetime(2026, 11, 21, 23, 0),
    datetime(2024, 2, 29, 23, 30),
]
CUTOFFS = [
    date(2026, 5, 21),
    date(2006, 10, 29),
    date(2011, 12, 31),
    date(2018, 11, 4),
    date(2022, 10, 31),
    date(2022, 3, 27),
]
STAMPS = ODD + [
    datetime.combine(day, datetime.min.time()) + timedelta(hours=h) for day in CUTOFFS for h in range(-26, 27, 1)
]
UNREADABLE_STAMPS = [
    "infinity",
    "-infinity",
    "0044-03-15 10:00:00 BC",
    "20000-01-01 00:00:00",
    "2022-06-01 00:00:00 BC",
]


def befores(local):
    return [Before("a", day, start_of_day(day, local)) for day in CUTOFFS]


@pytest.fixture(scope="module")
def stamps(postgres):
    with postgres.create() as database:
        database.execute(
            "CREATE TABLE stamps (id int PRIMARY KEY, instant timestamptz, wall timestamp, day date);"
            "CREATE TABLE texts (id int PRIMARY KEY, plain text, padded char(40), short varchar(30));"
            "CREATE TABLE numbers (id int PRIMARY KEY, seconds bigint, exact numeric, double double precision)"
        )
        rows = [None, *UNREADABLE_STAMPS, *(moment.isoformat() for moment in STAMPS)]
        for number, text in enumerate(rows):
            wall = None if text is None else text
            instant = None if text is None else f"{text} UTC" if "BC" not in text and "inf" not in text else text
            if instant is not None and "BC" in instant:
                instant = instant.replace(" BC", "+00 BC")
            database.execute("INSERT INTO stamps VALUES (%s, %s, %s, %s)", (number, instant, wall, wall))
        with backend_on(database.url) as backend:
            yield database, backend, rows


def fetched(backend, table, name, dating, *conditions):
    """Return {id: number} of the rows for which the conditions hold."""
    own = catalogue_of(backend).tables[table]
    plain = own.plain()
    dates = backend.dates(own.column(name), dating)
    where = [condition(dates, plain.c[name]) for condition in conditions]
    with backend.reading() as connection:
        statement = select(plain.c.id, dates.value(plain.c[name])).where(*(w for w in where if w is not None))
        first = backend.fetch(connection, statement)
        again = backend.fetch(connection, statement)
    assert repr(first) == repr(again), "in binary, the second time, it must be the same"
    return {number: dates.number(raw) for number, raw in first}


def expected(text, zone, dating, *, is_day=False):
    if text is None:
        return NO_DATE
    if text in UNREADABLE_STAMPS:
        return UNREADABLE
    moment = datetime.fromisoformat(text)
    if is_day:
        return number_of(moment.date(), dating)
    return number_of(moment.replace(tzinfo=zone) if zone else moment, dating)


@pytest.mark.parametrize("local", ZONES, ids=str)
@pytest.mark.parametrize("zone", ZONES[:6], ids=str)
def test_every_moment_has_the_day_that_the_clock_says(stamps, zone, local):
    _, backend, rows = stamps
    dating = Dating(zone, None, local, NOW)
    for name, fixed, is_day in (("instant", UTC, False), ("wall", None, False), ("day", None, True)):
        if name == "instant" and zone is not ZONES[0]:
            continue
        found = fetched(backend, "stamps", name, dating)
        wrong = {
            rows[n]: (number, expected(rows[n], fixed, dating, is_day=is_day))
            for n, number in found.items()
            if number != expected(rows[n], fixed, dating, is_day=is_day)
        }
        assert not wrong, name


@pytest.mark.sampled(one_in=3)
@pytest.mark.parametrize("local", ZONES, ids=str)
@pytest.mark.parametrize("zone", ZONES[:6], ids=str)
def test_the_conditions_of_the_server_lose_no_row_that_is_meant_and_let_few_others_through(stamps, zone, local):
    _, backend, _ = stamps
    dating = Dating(zone, None, local, NOW)
    for name in ("instant", "wall", "day"):
        numbers = fetched(backend, "stamps", name, dating)
        for before in befores(local):
            meant = {n for n, number in numbers.items() if 0 < number < before.day.toordinal()}
            let = fetched(backend, "stamps", name, dating, lambda d, c, before=before: d.may_be_before(c, before))
            assert meant <= set(let), (name, before)
            near = before.day.toordinal() + 2
            assert all(number < near or number == UNREADABLE for number in let.values()), (name, before)
        undated = {n for n, number in numbers.items() if not 0 < number < FUTURE}
        let = fetched(backend, "stamps", name, dating, lambda d, c: d.may_be_undated(c))
        assert undated <= set(let), name
        assert len(let) < len(numbers) / 2, name


def test_in_ordinary_zones_the_close_condition_is_exact(stamps):
    _, backend, _ = stamps
    local = ZoneInfo("Europe/Brussels")
    dating = Dating(local, None, local, NOW)
    for name in ("instant", "wall", "day"):
        numbers = fetched(backend, "stamps", name, dating)
        for before in befores(local):
            meant = {n for n, number in numbers.items() if 0 < number < before.day.toordinal()}
            let = fetched(backend, "stamps", name, dating, lambda d, c, before=before: d.is_likely_before(c, before))
            assert {n for n, number in let.items() if number != UNREADABLE} == meant, (name, before)


@pytest.mark.sampled(one_in=8)
@pytest.mark.parametrize("local", ZONES, ids=str)
def test_of_a_group_the_latest_is_the_greatest(stamps, local):
    _, backend, rows = stamps
    groups = [[0], [0, 1], [0, 2, 9], [3, 12, 13], list(range(6, len(rows))), list(range(20, 60))]
    groups += [[n, n + 1, n + 2] for n in range(6, len(rows) - 2, 3)]
    for zone in (ZONES[0], ZONES[3], ZONES[4]):
        dating = Dating(zone, None, local, NOW)
        for name in ("instant", "wall", "day"):
            numbers = fetched(backend, "stamps", name, dating)
            own = catalogue_of(backend).tables["stamps"]
            plain = own.plain()
            dates = backend.dates(own.column(name), dating)
            with backend.reading() as connection:
                for group in groups:
                    statement = select(dates.gathered(plain.c[name])).where(plain.c.id.in_(group))
                    ((raw,),) = backend.fetch(connection, statement)
                    assert dates.latest(raw) == max(numbers[n] for n in group), (name, zone, group)
                ((raw,),) = backend.fetch(connection, select(dates.gathered(plain.c[name])).where(plain.c.id < 0))
                assert dates.latest(raw) == NO_DATE


@given(
    micros=st.integers(-(2**63), 2**63 - 1) | st.integers(-(10**15), 10**15),
    local=st.sampled_from(ZONES),
    zone=st.sampled_from(ZONES),
)
def test_any_microsecond_is_read_as_the_clock_reads_it(micros, local, zone):
    from connectors.sql.postgres_dates import Moments

    dating = Dating(zone, None, local, NOW)
    raw = micros.to_bytes(8, "big", signed=True)
    try:
        naive = datetime(2000, 1, 1) + timedelta(microseconds=micros)
    except OverflowError:
        assert Moments(dating, None).number(raw) == Moments(dating, zone).number(raw) == UNREADABLE
        return
    assert Moments(dating, None).number(raw) == number_of(naive.replace(tzinfo=UTC), dating)
    assert Moments(dating, zone).number(raw) == number_of(naive, dating)


@given(
    value=st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2 * 10**9) | st.integers(0, 2 * 10**12),
    form=st.sampled_from(["epoch", "epoch-ms"]),
    local=st.sampled_from(ZONES),
)
def test_any_number_is_read_as_the_clock_reads_it(value, form, local):
    from connectors.sql.postgres_dates import Epochs

    dating = Dating(ZONES[0], form, local, NOW)
    assert Epochs(dating, is_whole=True).number(value) == number_of(value, dating)


TEXTS = [
    None, "", "2022-05-20", "2022-05-20 23:30:00", "2022-05-20T21:59:59.999Z", "2022-05-21T00:00:00+02:00", "20-05-2022",
    "0000-00-00", "9999-12-31", "2022-02-30", "2022-13-01", "2021-02-28 24:00:00", "2026-11-22", "2026-11-23", "1700000000",
    "2022-05-20T21:59:59.123456789", "2022-02-29", "2024-02-29", "2022-04-31", "2022-05-31T23:59:59Z", " 2022-05-20",
    "2022-05-20\n", "0001-01-01", "2022-05-20T12:00", "infinity", "２０２２-05-20",
]  # fmt: skip


@pytest.mark.parametrize("form", [None, "%d-%m-%Y", "epoch"])
def test_dates_in_text_are_read_whatever_the_width_of_the_column(stamps, form):
    database, backend, _ = stamps
    database.execute("TRUNCATE texts")
    for number, text in enumerate(TEXTS):
        database.execute("INSERT INTO texts VALUES (%s, %s, %s, %s)", (number, text, text, text))
    dating = Dating(ZONES[0], form, ZONES[0], NOW)
    for name in ("plain", "padded", "short"):
        numbers = fetched(backend, "texts", name, dating)
        # char(n) gives back no blanks at the end, and keeps none.
        clean = (lambda text: text and text.rstrip(" ")) if name == "padded" else (lambda text: text)
        assert numbers == {n: number_of(clean(text), dating) for n, text in enumerate(TEXTS)}
        undated = {n for n, number in numbers.items() if not 0 < number < FUTURE}
        assert undated <= set(fetched(backend, "texts", name, dating, lambda d, c: d.may_be_undated(c)))
        for before in befores(ZONES[0]):
            meant = {n for n, number in numbers.items() if 0 < number < before.day.toordinal()}
            let = fetched(backend, "texts", name, dating, lambda d, c, before=before: d.may_be_before(c, before))
            assert meant <= set(let), (name, before)
        own = catalogue_of(backend).tables["texts"]
        plain, dates = own.plain(), backend.dates(own.column(name), dating)
        with backend.reading() as connection:
            ((raw,),) = backend.fetch(connection, select(dates.gathered(plain.c[name])))
            assert dates.latest(raw) == UNREADABLE
            ((raw,),) = backend.fetch(connection, select(dates.gathered(plain.c[name])).where(plain.c.id < 1))
            assert dates.latest(raw) == NO_DATE


@pytest.mark.parametrize("form", ["epoch", "epoch-ms", None])
def test_dates_in_numbers_are_read_by_their_declared_form_alone(stamps, form):
    database, backend, _ = stamps
    database.execute("TRUNCATE numbers")
    unit = 1000 if form == "epoch-ms" else 1
    values = [
        None,
        "0",
        "-1",
        "1653083999",
        "1653084000",
        "1653083999.5",
        "1653083999.50",
        "NaN",
        "99999999999999999999999",
    ]
    for number, value in enumerate(values):
        whole = None if value is None or not value.lstrip("-").isdigit() or len(value) > 18 else int(value) * unit
        exact = value if value is None or value == "NaN" or unit == 1 else str(unit * float(value))
        database.execute("INSERT INTO numbers VALUES (%s, %s, %s::numeric, %s::float8)", (number, whole, exact, exact))
    dating = Dating(ZONES[0], form, ZONES[0], NOW)
    numbers = {name: fetched(backend, "numbers", name, dating) for name in ("seconds", "exact", "double")}
    if form is None:
        assert set(numbers["seconds"].values()) == {NO_DATE, UNREADABLE}
        return
    last = date(2022, 5, 20).toordinal()
    assert [numbers["seconds"][n] for n in (0, 1, 3, 4)] == [NO_DATE, date(1970, 1, 1).toordinal(), last, last + 1]
    assert [numbers["exact"][n] for n in (3, 4, 5, 6, 7, 8)] == [last, last + 1, last, last, UNREADABLE, UNREADABLE]
    assert [numbers["double"][n] for n in (3, 4, 5)] == [last, last + 1, last]
    for name, own_numbers in numbers.items():
        undated = {n for n, number in own_numbers.items() if not 0 < number < FUTURE}
        assert undated <= set(fetched(backend, "numbers", name, dating, lambda d, c: d.may_be_undated(c)))
        for before in befores(ZONES[0]):
            meant = {n for n, number in own_numbers.items() if 0 < number < before.day.toordinal()}
            assert meant <= set(
                fetched(backend, "numbers", name, dating, lambda d, c, before=before: d.may_be_before(c, before))
            )
        own = catalogue_of(backend).tables["numbers"]
        plain, dates = own.plain(), backend.dates(own.column(name), dating)
        with backend.reading() as connection:
            few = select(dates.gathered(plain.c[name])).where(plain.c.id.in_([0, 3, 4]))
            ((raw,),) = backend.fetch(connection, few)
            assert dates.latest(raw) == last + 1


def test_what_has_no_date_in_it_is_unreadable(postgres):
    with postgres.create() as database:
        database.execute("CREATE TABLE odd (id int PRIMARY KEY, blob bytea, doc json, flag boolean, span daterange)")
        database.execute(
            "INSERT INTO odd VALUES (1, '\\x00', '{}', true, '[2020-01-01,2020-02-01)'), (2, NULL, NULL, NULL, NULL)"
        )
        with backend_on(database.url) as backend:
            for name in ("blob", "doc", "flag", "span"):
                dating = Dating(ZONES[0], None, ZONES[0], NOW)
                assert fetched(backend, "odd", name, dating) == {1: UNREADABLE, 2: NO_DATE}
                before = befores(ZONES[0])[0]
                assert (
                    fetched(backend, "odd", name, dating, lambda d, c, before=before: d.may_be_before(c, before)) == {}
                )
