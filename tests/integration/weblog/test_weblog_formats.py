"""Reading lines: formats, dates, what is masked. The fast reading is held against a slow one."""

from __future__ import annotations

import json
import random
import re
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from log_place import BEDS, IP, ZONE, bare, days, line, mask

from connectors.weblog import streams
from connectors.weblog.fields import truncate
from connectors.weblog.readers import CommonReader, two_digits
from connectors.weblog.stamps import Days
from ropa.clock import calendar_day, in_zone, read_moment
from ropa.connector import FieldChange, Mask

BED = BEDS / "logs"
needs_beds = pytest.mark.skipif(not BED.exists(), reason=f"beds absent: {BED}")
ALL = (*IP, *(FieldChange(name, Mask.REDACT) for name in ("user", "referer", "user-agent", "request")))


# --- the samples --------------------------------------------------------------------------------------------------

SAMPLES = {
    "amazon_cloudfront_web": (["#", "#", "2014-05-23"], ["192.0.2.10"]),
    "caddy_json": (["2023-12-24"] * 3, ["1.2.3.4"]),
    "common": (["2012-02-10"], ["1.2.3.4", "theuser"]),
    "common_complete": (["2012-02-10"], ["1.2.3.4", "theuser"]),
    "common_encoding_big5": (["2012-02-10"], ["1.2.3.4", "theuser"]),
    "elb": (["2015-05-14", None, "2015-05-14"], ["1.2.3.4", "192.168.131.39"]),
    "haproxy": (["2018-09-25"], ["4.3.2.1"]),
    "iis": (["#"] * 4 + ["2012-04-01"], ["1.2.3.4", "theuser"]),
    "incapsula_w3c": (["#"] * 4 + ["2017-06-28", "2017-06-26"], ["123.123.123.123"]),
    "ncsa_extended": (["2012-02-10"], ["1.2.3.4", "theuser"]),
    "nginx_json": (["2013-10-10"] * 2, ["1.2.3.4"]),
    "s3": (["2012-02-10"], ["1.2.3.4", "phillip.boss"]),
    "traefik_json": (["2023-08-11"], ["1.2.3.4"]),
}


@needs_beds
@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_each_format_is_recognised_dated_and_masked_once(name):
    text = (BED / f"matomo_{name}.log").read_bytes()
    expected, personal = SAMPLES[name]
    assert days(text) == expected
    masked = mask(text, ALL)
    assert not any(word.encode() in masked for word in personal)
    assert mask(masked, ALL) == masked
    assert days(masked) == expected
    only_addresses = mask(text)
    # Whatever was changed was an address: the rest, put back, is the sample.
    assert len(re.findall(rb"\n", only_addresses)) == len(re.findall(rb"\n", text))
    assert re.sub(rb"[0-9.]+", b"", only_addresses) == re.sub(rb"[0-9.]+", b"", text)


@needs_beds
def test_every_sample_is_there():
    assert {path.name for path in BED.glob("*.log")} == {f"matomo_{name}.log" for name in SAMPLES}


@needs_beds
def test_addresses_are_masked_to_24_and_64_bits_as_the_vectors_say():
    vectors = json.loads((BEDS / "vectors" / "ip_mask_matomo.json").read_text())["vectors"]
    compared = 0
    for vector in vectors:
        address = vector["ip"]
        # Theirs masks whole bytes of IPv4 ("1": the last one), and 64 bits of IPv6 at "1".
        expected = vector["masked"]["1"]
        assert truncate(address.encode()).decode() == expected, address
        assert truncate(expected.encode()).decode() == expected
        compared += 1
    assert compared


# --- dates --------------------------------------------------------------------------------------------------------


def test_the_day_is_the_controllers_and_an_offset_counts():
    text = b"".join(
        line(day, clock, zone=zone).encode()
        for day, clock, zone in (
            ("31/Dec/2025", "23:30:00", "-0500"),
            ("31/Dec/2025", "23:30:00", "+0100"),
            ("01/Jan/2026", "04:29:59", "+0530"),
            ("01/Jan/2026", "04:30:00", "+0530"),
            ("01/Jul/2026", "00:30:00", "+0000"),
            ("30/Jun/2026", "22:00:00", "+0000"),
            ("30/Jun/2026", "21:59:59", "+0000"),
        )
    )
    assert days(text) == [
        "2026-01-01",
        "2025-12-31",
        "2025-12-31",
        "2026-01-01",
        "2026-07-01",
        "2026-07-01",
        "2026-06-30",
    ]


@pytest.mark.parametrize(
    ("day", "clock", "zone"),
    [
        ("30/Feb/2026", "10:00:00", "+0100"),
        ("01/Feb/2026", "24:00:00", "+0100"),
        ("01/Feb/2026", "10:60:00", "+0100"),
        ("01/Feb/2026", "10:00:60", "+0100"),
        ("01/Fev/2026", "10:00:00", "+0100"),
        ("01/Feb/2026", "10:00:00", "+0199"),
        ("01/Feb/2026", "10:00:00", "CET"),
    ],
)
def test_a_date_that_cannot_be_is_no_date(day, clock, zone):
    good = line().encode()
    assert days(good + line(day, clock, zone=zone).encode() + good, "combined") == ["2026-02-01", None, "2026-02-01"]


def test_a_date_that_a_stranger_wrote_into_a_field_is_not_the_lines_date():
    forged = "[01/Jan/1990:00:00:00 +0000] "
    text = (
        line(agent=f"x {forged}")
        + line(agent=forged)
        + line(user=f"x {forged[:-1]}")
        + f'192.0.2.7 - - no date "GET /{forged}" 200 5 "-" "{forged}"\n'
        + line()
    ).encode()
    assert days(text, "combined") == ["2026-02-01", "2026-02-01", "2026-02-01", None, "2026-02-01"]


_ZONES = ("+0100", "+0200", "+0000", "-0500", "+0530", "+1400")
_LINES = st.one_of(
    st.builds(
        lambda minutes, zone, user, agent, ip: (minutes, zone, user, agent, ip),
        st.integers(-3000, 3000),
        st.sampled_from(_ZONES),
        st.sampled_from(["-", "bob", "Jan [x] Peeters", "a, b"]),
        st.sampled_from(["Mozilla", "[01/Jan/2026:00:00:00 +0100] ", "]", 'a\\" [02/Jan/2026:00:00:00 +0100] ']),
        st.sampled_from(["192.0.2.7", "2001:db8::1", "a.example", "1.2.3.4, 5.6.7.8"]),
    ),
    st.sampled_from([b"garbage\n", b"\n", b"\r\n", b"\0\0\n", b'no date "[x" here\n', b"[\n", b'] "\n', b" - - \n"]),
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(_LINES, min_size=1, max_size=40),
    st.booleans(),
    st.sampled_from(["Europe/Brussels", "America/St_Johns", "UTC"]),
)
def test_the_fast_reading_says_of_every_line_what_reading_it_alone_says(parts, is_cut, zone):
    texts, expected = [], []
    start = datetime(2026, 3, 29, tzinfo=ZONE)
    for part in parts:
        if isinstance(part, bytes):
            texts.append(part)
            expected.append("#" if not part.strip(b"\r\n\0") else None)
            continue
        minutes, offset, user, agent, ip = part
        sign = -1 if offset[0] == "-" else 1
        distance = sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[3:]))
        moment = (start + timedelta(minutes=minutes)).astimezone(timezone(distance))
        texts.append(
            f'{ip} - {user} [{moment:%d/%b/%Y:%H:%M:%S} {offset}] "GET / HTTP/1.1" 200 5 "-" "{agent}"\n'.encode()
        )
        read = read_moment(f"{moment:%d/%b/%Y:%H:%M:%S} {offset}", zone=ZONE, form="%d/%b/%Y:%H:%M:%S %z")
        expected.append(calendar_day(read, ZoneInfo(zone)).isoformat())
    text = b"".join(texts)
    if is_cut and len(texts[-1].strip()) > 1:
        text = text[:-1]
    assert days(text, "combined", zone=ZoneInfo(zone)) == expected


@settings(max_examples=300, deadline=None)
@given(
    st.datetimes(datetime(2023, 12, 25), datetime(2024, 3, 5)),  # noqa: DTZ001 - as written in a log
    st.sampled_from([*_ZONES, "-1200", "+2359", "-2359"]),
    st.sampled_from(["Europe/Brussels", "Pacific/Kiritimati", "Pacific/Pago_Pago"]),
)
def test_no_line_of_a_day_is_without_the_trace_that_is_looked_for(naive, offset, zone):
    stamps = Days(ZoneInfo(zone), ZoneInfo(zone))
    text = f'192.0.2.7 - - [{naive:%d/%b/%Y:%H:%M:%S} {offset}] "GET / HTTP/1.1" 200 5\n'.encode()
    ((day, *_),) = CommonReader(stamps, "combined").pieces(text, 0, len(text))
    trace = CommonReader(stamps, "combined").trace([day])
    assert trace.search(text)
    far = f"x [{date.fromordinal(day + 5):%d/%b/%Y}:00:00:00 +0000] [{date.fromordinal(day - 5):%d/%b/%Y}:".encode()
    assert trace.search(far) is None, "it would be of no use"


@pytest.mark.parametrize("wanted", [range(24), range(1, 32), (5, 6, 17, 31), (0,), (9, 19, 20)])
def test_an_expression_for_numbers_matches_them_and_no_others(wanted):
    expression = re.compile(two_digits(wanted))
    assert [number for number in range(100) if expression.fullmatch(b"%02d" % number)] == list(wanted)


@pytest.mark.parametrize("local", ["Europe/Brussels", "America/New_York", "Australia/Lord_Howe", "UTC"])
def test_times_without_a_zone_are_read_in_the_datasets_also_when_clocks_change(local):
    chance = random.Random(local)
    zone = ZoneInfo(local)
    texts, expected = [], []
    for start in (date(2026, 3, 28), date(2026, 10, 24), date(2026, 4, 4), date(2026, 10, 3)):
        for minutes in sorted(chance.sample(range(4000), 150)):
            naive = datetime.combine(start, time()) + timedelta(minutes=minutes)
            texts.append(f"x haproxy[1]: 4.3.2.1:55 [{naive:%d/%b/%Y:%H:%M:%S}.584] ft bk/a 0/0 200\n")
            expected.append(calendar_day(in_zone(naive, zone), ZONE).isoformat())
    assert days("".join(texts).encode(), "haproxy", local=zone) == expected


def test_w3c_fields_say_what_stands_where_and_may_change():
    text = (
        b"2026-02-01 10:00:00 192.0.2.7\n"
        b"#Fields: date time c-ip\n2026-02-01 10:00:00 192.0.2.7\n\n2026-02-01 23:30:00 192.0.2.7\n"
        b"#Fields: c-ip s-ip date time x\n198.51.100.9 10.0.0.1 2026-02-03 10:00:00 -\n"
        b"2026-02-03 10:00:00 192.0.2.7\n#Fields: time c-ip\n10:00:00 192.0.2.7\n"
    )
    assert days(text, "iis") == [None, "#", "2026-02-01", "#", "2026-02-02", "#", "2026-02-03", None, "#", None]
    assert mask(text, form="iis") == text.replace(
        b":00 192.0.2.7\n\n2026-02-01 23:30:00 192.0.2.7", b":00 192.0.2.0\n\n2026-02-01 23:30:00 192.0.2.0"
    ).replace(b"198.51.100.9", b"198.51.100.0")


_W3C = b"#Fields: date time cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) sc-status\n"
_CLIENT_WROTE = [b"-", b'"', b'""', b'"x', b'x"', b'"x"', b'a="b"', b'"a"b', b'""a', b'"a""', b'a""b"']


@pytest.mark.parametrize("form", ["iis", "auto", "cloudfront"])
def test_no_quote_of_a_visitor_hides_the_address_in_a_w3c_log(form):
    gap = b"\t" if form == "cloudfront" else b" "
    for query in _CLIENT_WROTE:
        for agent in _CLIENT_WROTE:
            for referer in _CLIENT_WROTE:
                parts = (b"2026-02-01", b"10:00:00", query, b"443", b"jan", b"192.0.2.77", agent, referer, b"200\r\n")
                text = _W3C + gap.join(parts)
                assert days(text, form) == ["#", "2026-02-01"], text
                assert mask(text, form=form) == text.replace(b"2.77", b"2.0")


def test_a_w3c_log_that_quotes_its_fields_is_read_too():
    text = _W3C + b'"2026-02-01" "10:00:00" "a b" "443" "" "192.0.2.77" "UA ""x"" y" "" "200"\n'
    assert days(text, "incapsula") == ["#", "2026-02-01"]
    assert mask(text, ALL, "incapsula") == (
        text.replace(b"2.77", b"2.0").replace(b'"a b"', b'"-"').replace(b'UA ""x"" y', b"-")
    )


@pytest.mark.parametrize(
    "rest", [b"192.0.2.77 UA - 200 1", b"192.0.2.77 UA 200", b'192.0.2.77 "UA - 200 x', b'192.0.2.77 "UA - 200 1"']
)
def test_a_w3c_line_with_more_or_fewer_fields_than_said_is_not_read_and_not_half_masked(rest):
    text = _W3C + b"2026-02-01 10:00:00 - 443 - " + rest + b"\n2026-02-01 10:00:00 - 443 - 192.0.2.77 UA - 200\n"
    assert days(text, "w3c") == ["#", None, "2026-02-01"]
    assert mask(text, ALL, "w3c").splitlines()[1] == text.splitlines()[1]


def test_a_w3c_date_behind_other_fields_is_read_where_the_line_is_cut():
    text = (
        b"#Fields: cs(User-Agent) date time c-ip\n"
        b'"x 2026-02-01 10:00:00 192.0.2.77\n"a b" "2026-02-02" "10:00:00" "192.0.2.77"\n'
        b'"2026-01-01 10:00:00 x" 2026-02-03 10:00:00 192.0.2.77\nx y 2026-01-01 10:00:00 192.0.2.77\n'
    )
    assert days(text, "w3c") == ["#", "2026-02-01", "2026-02-02", "2026-02-03", None]
    masked = mask(text, form="w3c")
    assert masked.count(b"192.0.2.0") == 3
    assert masked.count(b"192.0.2.77") == 1


def test_json_that_says_a_date_twice_or_is_no_json_has_no_date():
    text = (
        b'{"ts": 1700000000.5, "remote_ip": "1.2.3.4"}\n{"ts": 1700000000, "ts": 1}\n{"ts": 17\n'
        b'{"time_local": "10/Oct/2013:23:30:00 -0500", "msg": "\xff"}\n{"time": "2026-02-01T10:00:00"}\n[1]\n{"time": 5}\n'
    )
    assert days(text, "json") == ["2023-11-14", None, None, "2013-10-11", "2026-02-01", None, None]


# --- masking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"192.0.2.77 - - [", b"192.0.2.0 - - ["),
        (b"2001:db8:1:2:3:4:5:6 - - [", b"2001:db8:1:2:: - - ["),
        (b"::ffff:192.0.2.77 - - [", b"::ffff:192.0.2.0 - - ["),
        (b"192.0.2.77, 198.51.100.7 - - [", b"192.0.2.0, 198.51.100.0 - - ["),
        (b"www.example.org:443 192.0.2.77 - bob [", b"www.example.org:443 192.0.2.0 - bob ["),
        (b"pc7.isp.example - - [", b"- - - ["),
        (b"198.51.100.4 client.isp.example - jan [", b"198.51.100.0 - - jan ["),
        (b"198.51.100.4:443 client.isp.example - Jan Peeters [", b"198.51.100.0:443 - - Jan Peeters ["),
        (b"www.example.org 192.0.2.77, host.x ident bob [", b"www.example.org 192.0.2.0, - ident bob ["),
        (b"unix: - - [", b"unix: - - ["),
        (b"\x00\x00192.0.2.77 - - [", b"\x00\x00192.0.2.0 - - ["),
        (b"\xef\xbb\xbf192.0.2.77 - - [", b"\xef\xbb\xbf192.0.2.0 - - ["),
        (b"192.0.2.77:8080 - - [", b"192.0.2.0:8080 - - ["),
        (b"[2001:db8::7]:8080 - - [", b"[2001:db8::]:8080 - - ["),
    ],
)
def test_the_client_is_masked_and_every_other_byte_stays(before, after):
    rest = b'01/Feb/2026:10:00:00 +0100] "GET /?ip=192.0.2.77\xff\r HTTP/1.1" 200 5 "-" "\xb8\xea"\r\n'
    masked = mask(before + rest, form="combined")
    assert masked == after + rest
    assert mask(masked, form="combined") == masked


def test_a_list_of_proxies_behind_the_user_agent_is_masked_too():
    head = b'192.0.2.77 - - [01/Feb/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "1.2.3.4" '
    assert mask(head + b'"192.0.2.77, 2001:db8::5" "x" 1.5\n', form="combined") == (
        head.replace(b"2.77", b"2.0").replace(b"1.2.3.4", b"1.2.3.0") + b'"192.0.2.0, 2001:db8::" "x" 1.5\n'
    )


@pytest.mark.parametrize(
    ("written", "masked"),
    [
        (b"192.0.2.88, host.x", b"192.0.2.0, -"),
        (b"10.0.0.1, 192.0.2.88, <script>", b"10.0.0.0, 192.0.2.0, -"),
        (b"<b>, 2001:db8:1:2:3::9", b"-, 2001:db8:1:2::"),
        (b"unknown, 192.0.2.88:1234", b"unknown, 192.0.2.0:1234"),
        (b"for=192.0.2.88;proto=http", b"-"),
        (b"for=\\x22[2001:db8::9]:80\\x22, for=x", b"-, -"),
        (b"x 192.0.2.88 (a proxy)", b"-"),
        (b"-", b"-"),
        (b"https://192.0.2.88/a, b", b"https://192.0.2.88/a, b"),
        (b"Chrome/120.0.0.0 std::x 10:00:00", b"Chrome/120.0.0.0 std::x 10:00:00"),
    ],
)
def test_what_a_visitor_adds_to_a_list_of_proxies_saves_no_address_of_it(written, masked):
    head = b'192.0.2.0 - - [01/Feb/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "UA" '
    once = mask(head + b'"' + written + b'" 0.5\n', form="combined")
    assert once == head + b'"' + masked + b'" 0.5\n'
    assert mask(once, form="combined") == once
    haproxy = b'x haproxy[1]: 192.0.2.0:55 [25/Sep/2018:06:05:27.584] f b/a 0/0 200 {%b|UA} "GET / HTTP/1.1"\n'
    assert mask(haproxy % written, form="haproxy") == haproxy % masked


@pytest.mark.parametrize("column", ["ip", "user"])
def test_a_line_is_recognised_without_its_fields_also_after_masking(column):
    texts = [
        b'192.0.2.7 - - [01/Feb/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "UA" "for=192.0.2.8" "192.0.2.9, x"\n',
        b'1.2.3.4 client.isp.net - jan [01/Feb/2026:10:00:00 +0100] "GET / HTTP/1.1" 200 5 "-" "UA" 192.0.2.8\n',
    ]
    for text in texts:
        for how in (Mask.TRUNCATE_IP, Mask.CLEAR) if column == "ip" else (Mask.CLEAR,):
            assert bare(mask(text, (FieldChange(column, how),), "combined")) == bare(text)


_OWN = {
    "line_pattern": r"(?P<date>\S+ \S+)\|(?P<ip>[^|]*)\|(?P<user>[^|]*)\|é+(?P<request>.*)",
    "date_format": "%Y-%m-%d %H:%M:%S",
}


@pytest.mark.parametrize("user", [b"Jan", b"J\xe9r\xf4me", b"J\xc3\xa9", b"\xff\xc3", b"\xed\xa0\x80"])
def test_a_byte_that_is_not_utf_8_ends_no_field_of_a_pattern_of_ones_own(user):
    head, tail = b"2026-02-01 10:00:00|192.0.2.77|", "|éé".encode()
    text = head + user + tail + b"GET /caf\xe9?name=CANARY\n"
    assert days(text, "pattern", **_OWN) == ["2026-02-01"]
    assert mask(text, ALL, "pattern", **_OWN) == head.replace(b"2.77", b"2.0") + b"-" + tail + b"-\n"


@pytest.mark.parametrize(
    ("client", "masked"),
    [
        (b"192.0.2.77:4711", b"192.0.2.0:4711"),
        (b"2001:db8:1:2:3:4:5:6:33317", b"2001:db8:1:2:::33317"),
        (b"2001:db8::9:4711", b"2001:db8:::4711"),
        (b"::ffff:192.0.2.77:80", b"::ffff:192.0.2.0:80"),
        (b"[2001:db8::9]:4711", b"[2001:db8::]:4711"),
        (b"unix:1", b"unix:1"),
    ],
)
def test_haproxys_client_keeps_its_port_so_that_the_line_keeps_its_day(client, masked):
    text = b'x haproxy[1]: %b [25/Sep/2018:06:05:27.584] f b/a 0/0 200 - - "GET / HTTP/1.1"\n'
    for once, expected in (
        (mask(text % client, form="haproxy"), masked),
        (mask(text % client, (FieldChange("ip"),), "haproxy"), b"-:" + client.rpartition(b":")[2]),
    ):
        assert once == text % expected
        assert days(once, "haproxy") == ["2018-09-25"]
        assert bare(once, "haproxy") == bare(text % client, "haproxy")
    assert mask(text % masked, form="haproxy") == text % masked


def test_named_fields_are_replaced_and_others_are_not():
    text = b'192.0.2.7 ident Jan Peeters [01/Feb/2026:10:00:00 +0100] "GET /a\\"b HTTP/1.1" 200 5 "http://r/" "UA"\n'
    got = {
        name: mask(text, (FieldChange(name),), "combined")
        for name in ("ip", "user", "referer", "user-agent", "request")
    }
    assert got == {
        "ip": text.replace(b"192.0.2.7", b"-"),
        "user": text.replace(b"ident Jan Peeters", b"- -"),
        "referer": text.replace(b"http://r/", b"-"),
        "user-agent": text.replace(b"UA", b"-"),
        "request": text.replace(b'GET /a\\"b HTTP/1.1', b"-"),
    }


def test_json_values_are_masked_in_place_and_names_in_values_are_no_names():
    text = (
        b'{"ts":1700000000,"a":"\\"client_ip\\":\\"9.9.9.9\\"","request":{"client_ip":"192.0.2.77","uri":"/x",'
        b'"headers":{"X-Forwarded-For":["192.0.2.9, 198.51.100.7","2001:db8::7"],"User-Agent":["UA \xff"]}},"port":"9.9.9.9"}\n'
    )
    assert mask(text, form="json") == (
        text.replace(b"2.77", b"2.0")
        .replace(b"192.0.2.9, 198.51.100.7", b"192.0.2.0, 198.51.100.0")
        .replace(b"db8::7", b"db8::")
    )
    assert mask(text, (FieldChange("user-agent"), FieldChange("request")), "json") == text.replace(
        b"UA \xff", b"-"
    ).replace(b'"/x"', b'"-"')


@pytest.mark.parametrize(
    ("written", "masked"),
    [
        ('"user_id":4711', '"user_id":null'),
        ('"user_id": -4.7e+1 ', '"user_id": null '),
        ('"user":true', '"user":null'),
        ('"user":null', '"user":null'),
        ('"user":[1,"jan",[2]],"x":3', '"user":[null,"-",[null]],"x":3'),
        ('"user":{"id":"jan","n":[1,{"mail":"j@x.be"}],"ip":"192.0.2.7"},"x":"y"',
         '"user":{"id":"-","n":[null,{"mail":"-"}],"ip":"192.0.2.0"},"x":"y"'),
        ('"client_ip":3221225985', '"client_ip":null'),
        ('"client":{"ip":"192.0.2.7","name":"pc7"}', '"client":{"ip":"192.0.2.0","name":"-"}'),
        ('"request":{"id":7,"host":"h","client_ip":"192.0.2.7"}', '"request":{"id":7,"host":"h","client_ip":"192.0.2.0"}'),
        ('"user":"\\"","y":{"user":{}},"x":5', '"user":"-","y":{"user":{}},"x":5'),
    ],
)  # fmt: skip
def test_all_below_a_name_in_json_is_masked_and_the_line_stays_json(written, masked):
    text = f'{{"ts":1769940000,{written},"status":200}}\n'.encode()
    fields = (*IP, FieldChange("user"))
    once = mask(text, fields, "json")
    assert once == f'{{"ts":1769940000,{masked},"status":200}}\n'.encode()
    assert json.loads(once)["status"] == 200
    assert mask(once, fields, "json") == once
    assert bare(once, "json") == bare(text, "json")
    assert days(once, "json") == days(text, "json") == ["2026-02-01"]


def test_headers_that_haproxy_captured_are_masked():
    text = b'x haproxy[6801]: 4.3.2.1:55008 [25/Sep/2018:06:05:27.584] f b/a 0/0 200 7 - - {192.0.2.77|UA} {|x} "GET /{192.0.2.77} HTTP/1.1"\n'
    assert mask(text, form="haproxy") == text.replace(b"4.3.2.1", b"4.3.2.0").replace(b"{192.0.2.77|", b"{192.0.2.0|")


# --- blocks -------------------------------------------------------------------------------------------------------


class _Text:
    def __init__(self, text):
        self.text, self.at = text, 0

    def read(self, size):
        self.at += size
        return self.text[self.at - size : self.at]

    def take_back(self, data, start):
        return data[start:]


@given(
    st.lists(st.sampled_from([b"a\n", b"\n", b"bb\r\n", b"x" * 50 + b"\n", b"y" * 7]), max_size=20), st.integers(1, 30)
)
def test_blocks_hold_whole_lines_and_nothing_is_lost(parts, size):
    text = b"".join(parts)
    saved = streams.BLOCK, streams.LONGEST_LINE
    streams.BLOCK, streams.LONGEST_LINE = size, 20
    try:
        found = [(block[:end], is_fragment) for block, end, is_fragment in streams.blocks(_Text(text))]
    finally:
        streams.BLOCK, streams.LONGEST_LINE = saved
    assert b"".join(block for block, _ in found) == text
    for number, (block, is_fragment) in enumerate(found):
        assert is_fragment or block.endswith(b"\n") or number == len(found) - 1
        assert is_fragment or max(map(len, block.split(b"\n"))) <= 20 + 2 * size


# --- what other logs write -----------------------------------------------------------------------------------------

ALB = b'h2 2026-02-01T10:00:00.1Z app/lb/50dc %b 10.0.0.66:9000 0 0 0 200 200 5 257 "GET https://x/ HTTP/2.0" "curl" - -\n'


@pytest.mark.parametrize(
    ("client", "masked"),
    [
        (b"192.0.2.7:99", b"192.0.2.0:99"),
        (b"[2001:db8::1]:54321", b"[2001:db8::]:54321"),
        (b"2001:db8::b:c:d:e:4431", b"2001:db8:::4431"),
        (b"2001:db8:1:2:3:4:5:6:54321", b"2001:db8:1:2:::54321"),
        (b"-", b"-"),
    ],
)
def test_the_client_of_a_load_balancer_keeps_its_port(client, masked):
    assert mask(ALB % client, form="elb") == ALB % masked
    assert mask(ALB % masked, form="elb") == ALB % masked
    network = b"tls 2.0 2026-02-01T10:00:00 net/lb/c6e7 g3d4 %b 10.0.0.66:443 5 2 98 246 - arn - ECDHE tlsv12 - - - -\n"
    assert days(network % client) == days(network % client, "nlb") == ["2026-02-01"]
    assert mask(network % client) == network % masked


def test_in_a_log_of_connections_the_client_stands_first():
    text = (
        b'2026-02-01T17:05:15.5Z %b 36280 443 TLSv1.2 ECDHE 4.036 "CN=x" NotBefore=2023;NotAfter=2024 FEF2 Success T\n'
    )
    for form in ("auto", "alb"):
        assert days(text % b"203.0.113.7", form) == ["2026-02-01"]
        assert mask(text % b"203.0.113.7", form=form) == text % b"203.0.113.0"
    cleared = mask(text % b"203.0.113.7", (FieldChange("ip", Mask.CLEAR),))
    # Only truncate-ip keeps a part of an address; the placeholder of another time stays as it is.
    assert mask(text % b"-") == text % b"-"
    assert mask(cleared, ALL) == cleared


@pytest.mark.parametrize(
    ("behind", "masked"),
    [
        (b'"198.51.100.7"', b'"198.51.100.0"'),
        (b"198.51.100.7", b"198.51.100.0"),
        (b'"-" "UA" [198.51.100.7]', b'"-" "UA" [198.51.100.0]'),
        (b'"-" "UA" [198.51.100.7, 198.51.100.8]', b'"-" "UA" [198.51.100.0, 198.51.100.0]'),
        (b'"-" "UA" [2001:db8::77]:443', b'"-" "UA" [2001:db8::]:443'),
        (b'"-" "UA" xff=198.51.100.7', b'"-" "UA" xff=198.51.100.0'),
        (b'"-" "UA" (198.51.100.7)', b'"-" "UA" (198.51.100.0)'),
        (b'"-" "UA" 198.51.100.7; x', b'"-" "UA" 198.51.100.0; x'),
        (b'"-" "UA" "198.51.100.7|198.51.100.8"', b'"-" "UA" "-"'),
        (b'"-" "UA" "198.51.100.7/32"', b'"-" "UA" "-"'),
        (b'"-" "UA" "198.51.100.7\\t"', b'"-" "UA" "-"'),
        (b'"-" "Mozilla/5.0 (KHTML, like Gecko) Chrome/1.2.3.4" 0.003', None),
        (b'"https://example.org/1.2.3.4" "UA" rt=0.003 [0.5]', None),
    ],
)
def test_an_address_behind_the_request_is_masked_wherever_it_stands(behind, masked):
    head = b'192.0.2.0 - - [01/Feb/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 - '
    text = head + behind + b"\n"
    expected = text if masked is None else head + masked + b"\n"
    for form in ("auto", "common"):
        assert mask(text, form=form) == expected
        cleared = mask(text, ALL, form=form)
        assert mask(cleared, ALL, form=form) == cleared
        assert b"198.51.100.7" not in cleared
        assert bare(cleared) == bare(text)


def test_headers_that_name_the_client_are_masked_by_any_of_their_names():
    names = (
        "X-Client-Ip",
        "X-Cluster-Client-Ip",
        "X-Original-Forwarded-For",
        "Fastly-Client-Ip",
        "origin_X-Forwarded-For",
    )
    members = dict.fromkeys(names, "198.51.100.7") | {"request_Forwarded": "for=198.51.100.7"}
    text = json.dumps({"time": "2026-02-01T10:00:00Z", **members}).encode() + b"\n"
    assert json.loads(mask(text, form="traefik")) == {
        "time": "2026-02-01T10:00:00Z", **dict.fromkeys(names, "198.51.100.0"), "request_Forwarded": "-"
    }  # fmt: skip


def test_traefik_writes_either_json_or_the_common_format():
    assert days(line().encode(), "traefik") == ["2026-02-01"]
    assert days(b'{"StartUTC":"2026-02-01T10:00:00Z"}\n', "traefik") == ["2026-02-01"]


def test_what_only_begins_as_a_log_of_a_bucket_is_not_guessed_to_be_one():
    assert days(b'192.0.2.7 - [01/Feb/2026:10:00:00 +0000] 200 GET /x "UA"\n') == [None]


@pytest.mark.parametrize("form", ["combined", "w3c", "json", "pattern"])
def test_a_line_with_a_carriage_return_in_it_has_no_day(form):
    texts = {
        "combined": [line().encode()] * 3,
        "w3c": [b"2026-02-01 10:00:00 192.0.2.7\n"] * 3,
        "json": [b'{"time":"2026-02-01T10:00:00Z"}\n'] * 3,
        "pattern": [b"2026-02-01 192.0.2.7\n"] * 3,
    }
    options = {"line_pattern": r"(?P<date>\S+) (?P<ip>\S+)"} if form == "pattern" else {}
    head = b"#Fields: date time c-ip\n" if form == "w3c" else b""
    lines = texts[form]
    found = days(head + lines[0] + lines[0][:-1] + b"\r" + lines[1] + lines[2], form, **options)
    assert found[-3:] == ["2026-02-01", None, "2026-02-01"]
    windows = b"".join(one[:-1] + b"\r\n" for one in lines)
    assert days(head + windows, form, **options)[-3:] == ["2026-02-01"] * 3


def test_a_quoted_line_is_never_cut_at_the_blanks_in_its_fields():
    text = b'#Fields: date time cs-username c-ip cs(User-Agent) sc-status\n"2026-02-01" "10:00:00" "My Name" "192.0.2.7" "200"\n'
    assert days(text, "w3c") == ["#", None]


@pytest.mark.parametrize(
    "prefix",
    [
        "Feb  1 10:00:00 web1 nginx: ",
        "2026-02-01T10:00:00.1Z stdout F ",
        "web-1  | ",
        "<190>Feb 1 10:00:00 web1 nginx[12]: ",
        "<190>1 2026-02-01T10:00:00Z web1 nginx - - - ",
    ],
)
def test_behind_a_prefix_of_syslog_or_a_container_client_and_user_are_found(prefix):
    text = (prefix + line(user="frank")).encode()
    assert days(text) == ["2026-02-01"]
    assert mask(text) == text.replace(b"192.0.2.7", b"192.0.2.0")
    user = (FieldChange("user", Mask.REDACT),)
    assert mask(text, user) == text.replace(b"frank", b"-")
    cleared = mask(text, (FieldChange("ip", Mask.CLEAR),))
    assert cleared == text.replace(b"192.0.2.7", b"-")
    assert mask(cleared, ALL) == mask(mask(cleared, ALL), ALL)
    assert bare(cleared) == bare(text)
