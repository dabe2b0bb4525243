"""What is left of a value when it is anonymised."""

from __future__ import annotations

import ipaddress
import json
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.masks import REDACTED, is_masked, mask_value
from ropa.connector import Mask

VECTORS = (
    Path(os.environ.get("ROPA_BEDS") or Path(__file__).parents[3] / "shared" / "beds") / "vectors/ip_mask_matomo.json"
)

# Vectors for one masked byte (IPv6: the last 64 bits), as published with the Matomo web analytics' own tests.
ADDRESSES = {
    "0.0.0.0": "0.0.0.0",
    "0.0.0.1": "0.0.0.0",
    "0.0.0.255": "0.0.0.0",
    "0.0.1.0": "0.0.1.0",
    "0.0.1.1": "0.0.1.0",
    "0.0.255.255": "0.0.255.0",
    "0.1.0.0": "0.1.0.0",
    "0.1.1.1": "0.1.1.0",
    "0.255.255.255": "0.255.255.0",
    "1.0.0.0": "1.0.0.0",
    "127.255.255.255": "127.255.255.0",
    "128.0.0.0": "128.0.0.0",
    "255.255.255.255": "255.255.255.0",
    "2001:db8:0:8d3:0:8a2e:70:7344": "2001:db8:0:8d3::",
    "2001:6f8:900:724::2": "2001:6f8:900:724::",
    "::ffff:192.0.2.128": "::ffff:192.0.2.0",
    "fe80::1%eth0": "fe80::",
}


@pytest.mark.parametrize(("address", "expected"), ADDRESSES.items())
def test_an_address_loses_its_host(address, expected):
    assert mask_value(Mask.TRUNCATE_IP, address) == expected
    assert is_masked(Mask.TRUNCATE_IP, address) is (address == expected)


@given(st.ip_addresses())
def test_a_truncated_address_keeps_the_network_and_nothing_else(address):
    masked = ipaddress.ip_address(mask_value(Mask.TRUNCATE_IP, str(address)))
    is_four = address.version == 4 or address.ipv4_mapped is not None
    host = 8 if is_four else 64
    assert int(masked) == int(address) >> host << host


@pytest.mark.parametrize(
    "text", ["unknown", "10.0.0.1:8080", "10.0.0.1, 10.0.0.2", "10.0.0.1/32", "010.0.0.1", " 10.0.0.1"]
)
def test_what_is_no_address_is_cleared(text):
    assert mask_value(Mask.TRUNCATE_IP, text) is None
    assert mask_value(Mask.TRUNCATE_IP, 167772161) is None
    assert mask_value(Mask.TRUNCATE_IP, b"10.0.0.1!") is None


@pytest.mark.parametrize(("address", "expected"), ADDRESSES.items())
def test_an_address_in_bytes_loses_its_host_too(address, expected):
    packed, masked = (ipaddress.ip_address(text.partition("%")[0]).packed for text in (address, expected))
    assert mask_value(Mask.TRUNCATE_IP, packed) == masked
    assert is_masked(Mask.TRUNCATE_IP, packed) is (packed == masked)


@pytest.mark.skipif(not VECTORS.is_file(), reason=f"beds absent: {VECTORS}")
def test_addresses_are_masked_as_the_published_vectors_say():
    vectors = json.loads(VECTORS.read_text())["vectors"]
    assert vectors
    for vector in vectors:
        address = ipaddress.ip_address(vector["ip"])
        is_four = address.version == 4 or address.ipv4_mapped is not None
        if not is_four or vector["ip"].count(":") != 1:
            masked = ipaddress.ip_address(vector["masked"]["1"])
            assert ipaddress.ip_address(mask_value(Mask.TRUNCATE_IP, vector["ip"])) == masked
            assert mask_value(Mask.TRUNCATE_IP, address.packed) == masked.packed


@pytest.mark.parametrize(
    "text", ["1984-01-01", "1984-01-01 00:00:00", "1984-01-01T00:00:00Z", "1984-01-01 00:00:00.000000+00"]
)
def test_the_first_of_a_year_holds_nothing_but_the_year_however_it_is_written(text):
    assert mask_value(Mask.YEAR, text) == text
    assert mask_value(Mask.YEAR, text.replace("01-01", "01-02")) == "1984-01-01"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(1984, 5, 17), date(1984, 1, 1)),
        (datetime(1984, 12, 31, 23, 30, tzinfo=UTC), datetime(1984, 1, 1, tzinfo=UTC)),
        ("1984-05-17", "1984-01-01"),
        ("1984-12-31T23:30:00-05:00", "1984-01-01"),
        ("1984-05-17 10:11:12", "1984-01-01"),
        ("1984", "1984"),
        (1984, 1984),
        ("17/05/1984", None),
        ("1984-02-30", None),
        (19840517, 19840101),
        (19841345, None),
        (455630400.0, 441763200),
        (455630400123, 441763200000),
        (-415630400, -441849600),
        (100000000, None),
        (12345, None),
        (float("inf"), None),
        (True, None),
    ],
)
def test_a_date_keeps_its_year(value, expected):
    assert mask_value(Mask.YEAR, value) == expected
    assert is_masked(Mask.YEAR, value) is (value == expected)


def test_text_is_redacted_and_anything_else_cleared():
    assert mask_value(Mask.REDACT, "Zoé") == REDACTED
    assert mask_value(Mask.REDACT, 12) is None


def test_random_text_has_nothing_of_the_value_and_never_repeats():
    made = {mask_value(Mask.RANDOM, "85.07.30-001.84") for _ in range(500)}
    assert len(made) == 500
    assert all(is_masked(Mask.RANDOM, text) for text in made)
    assert mask_value(Mask.RANDOM, 85073000184) is None


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.dates(),
    st.dates().map(str),
    st.datetimes(timezones=st.just(UTC)),
    st.ip_addresses().map(str),
    st.ip_addresses().map(lambda address: address.packed),
    st.binary(max_size=17),
)


@given(st.sampled_from(Mask), VALUES)
def test_a_masked_value_is_masked_and_stays_as_it_is(mask, value):
    once = mask_value(mask, value)
    assert is_masked(mask, once)
    assert mask_value(mask, once) == once
    assert is_masked(mask, value) is (once == value)


@pytest.mark.parametrize("mask", Mask)
def test_nothing_is_masked_already(mask):
    assert is_masked(mask, None)
    assert is_masked(mask, "")
