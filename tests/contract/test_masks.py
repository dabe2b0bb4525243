"""What is left of a value when it is anonymised."""

from __future__ import annotations

import ipaddress
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.masks import REDACTED, is_masked, mask_value
from ropa.connector import Mask

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
        (19840517, None),
        (455630400.0, None),
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
