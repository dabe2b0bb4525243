"""Answers that were worked out elsewhere: RFC 6962, RFC 8032, RFC 8785, C2SP, openssl."""

from __future__ import annotations

import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledger_world import START

from ropa.ledger import merkle
from ropa.ledger.batches import format_batch
from ropa.ledger.canonical import canonical, parse_line
from ropa.ledger.keys import SigningKey, create_signing_key, key_id, public_pem, read_public_key
from ropa.ledger.leaf import leaf, leaves
from ropa.ledger.note import format_checkpoint, is_note_signed, parse_checkpoint
from ropa.ledger.store import Ledger

CT_LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
LINE = (
    b'{"at":"2026-11-21T01:30:00Z","hash":"sha256","origin":"ropa.example/webassur","prev":"'
    + b"0" * 64
    + b'","public_key":"11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=","run":"r1","seq":0,"tool":"ropa 0.1.0",'
    b'"type":"genesis","v":1}'
)
NOTE = """ropa.example/webassur
1
r7+3LLco5sISQubeE39bns00X/fFyat8awNEUXQf3xo=

— ropa.example/webassur vUaPZxwu/7RIxl0vD88NW2dBw/YJ4VoEJI+103Jz5njJoma0YwKqqA7zonrKYrGueuL3yAnPA4uIIlH4WdTSpDdZUQY=
""".encode()
ORIGIN = "ropa.example/webassur"


@pytest.fixture
def rfc_8032_key() -> SigningKey:
    private = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    return SigningKey(private.public_key().public_bytes_raw(), Path("nowhere"), private)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_roots_of_the_certificate_transparency_leaves_are_the_published_ones(size: int, expected: str) -> None:
    tree = merkle.Tree()
    for data in CT_LEAVES[:size]:
        tree.append(data)
    assert tree.root().hex() == expected
    assert merkle.root(CT_LEAVES[:size]).hex() == expected


def test_the_worked_example_has_its_line_hash_and_checkpoint(rfc_8032_key: SigningKey) -> None:
    event = parse_line(LINE)
    assert canonical(event) == LINE
    assert sha256(LINE).hexdigest() == "401e176c2da43e82b09ea1a9ed1a175f4b9b99483c857f26032d276979cf7c79"
    assert format_checkpoint(ORIGIN, 1, merkle.root([LINE]), rfc_8032_key) == NOTE
    note = parse_checkpoint(NOTE)
    assert (note.origin, note.size, note.root) == (ORIGIN, 1, merkle.root([LINE]))
    assert is_note_signed(note, ORIGIN, rfc_8032_key.public)
    assert key_id(ORIGIN, rfc_8032_key.public).hex() == "bd468f67"


def test_the_writer_writes_the_worked_example_byte_for_byte(tmp_path: Path, rfc_8032_key: SigningKey) -> None:
    from cryptography.hazmat.primitives import serialization

    keys = tmp_path / "keys"
    create_signing_key(keys)
    private = rfc_8032_key._private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (keys / "signing.pem").write_bytes(private)
    with Ledger.create(tmp_path / "ledger", keys, origin=ORIGIN, at=START, run="r1", tool="ropa 0.1.0") as ledger:
        assert ledger.last_hash == "401e176c2da43e82b09ea1a9ed1a175f4b9b99483c857f26032d276979cf7c79"
    assert (tmp_path / "ledger/events.jsonl").read_bytes() == LINE + b"\n"
    assert (tmp_path / "ledger/checkpoints/000000000001").read_bytes() == NOTE


def test_the_worked_leaf_and_batch_root_are_right() -> None:
    key = bytes(range(32))
    one = leaf(key, "crm", "contacts", ("42",))
    assert one.hex() == "6e51fd2fca032f7026d8043ede58914c7b606707b72fd897882acff96f21d972"
    assert leaves(key, "crm", "contacts", [("42",)]) == [one]
    name, content = format_batch([one])
    assert name == "84ea56b41dfd2d4655ac669e6c044270f1da86e89b146f8baafe4b1090906b99"
    assert content == one.hex().encode() + b"\n"


def test_strings_are_escaped_as_rfc_8785_says() -> None:
    text = '€$\u000f\nA\'B"\\\\"/\u007f\u0008\t\f\r\u2028\U0001f600é'
    assert canonical([text]).decode() == '["€$\\u000f\\nA\'B\\"\\\\\\\\\\"/\u007f\\b\\t\\f\\r\u2028\U0001f600é"]'


def test_openssl_confirms_a_checkpoint_and_writes_the_same_public_key(tmp_path: Path) -> None:
    key = create_signing_key(tmp_path / "keys")
    note = parse_checkpoint(format_checkpoint(ORIGIN, 3, merkle.root([b"a", b"b", b"c"]), key))
    pem, text, signature = tmp_path / "public.pem", tmp_path / "text", tmp_path / "signature"
    call = ["openssl", "pkey", "-in", str(key.path), "-pubout"]
    pem.write_bytes(subprocess.run(call, check=True, capture_output=True).stdout)
    assert pem.read_bytes() == public_pem(key.public)
    assert read_public_key(pem.read_bytes()) == read_public_key(key.public) == key.public
    text.write_bytes(note.text)
    signature.write_bytes(note.signatures[0].signature)
    verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-rawin", "-inkey", pem, "-in", text, "-sigfile", signature]
    assert subprocess.run(verify, check=False, capture_output=True).returncode == 0
    text.write_bytes(note.text.replace(b"3", b"4", 1))
    assert subprocess.run(verify, check=False, capture_output=True).returncode != 0
