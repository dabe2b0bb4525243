"""Signing keys (Ed25519): made, kept to their owner, loaded, rotated; and public keys as openssl writes them.

Invariant: a private key is readable by its owner alone, or it is not used; it is never overwritten and never printed.
The signing keys live in the state folder's ``keys/``: ``signing.pem`` first, ``signing-<key id>.pem`` after a rotation.
"""

from __future__ import annotations

import base64
import binascii
import os
import stat
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from ropa.errors import CallError
from ropa.ledger.files import make_private_folder, names_in, read_bounded, sync_folder, write_new

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FIRST_KEY = "signing.pem"
_MAX_PEM = 4096
_HEADER, _FOOTER = b"-----BEGIN PUBLIC KEY-----\n", b"\n-----END PUBLIC KEY-----\n"
# SubjectPublicKeyInfo of an Ed25519 key up to its 32 bytes (RFC 8410 section 4).
_SPKI = bytes.fromhex("302a300506032b6570032100")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and where it is kept."""

    public: bytes
    """The 32 raw bytes of the public key."""
    path: Path
    _private: Ed25519PrivateKey = field(repr=False, compare=False)

    def sign(self, message: bytes) -> bytes:
        """Return the 64 bytes of the signature."""
        return self._private.sign(message)


def key_id(origin: str, public: bytes) -> bytes:
    """Return the 4 bytes that name a key in a signed note (C2SP signed-note: SHA-256(name || LF || 0x01 || key))."""
    return sha256(origin.encode() + b"\n\x01" + public).digest()[:4]


def is_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether an Ed25519 signature over ``message`` is by ``public`` (32 raw bytes)."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_pem(public: bytes) -> bytes:
    """Return a public key as ``openssl pkey -pubout`` writes it, byte for byte."""
    return _HEADER + base64.b64encode(_SPKI + public) + _FOOTER


def read_public_key(data: bytes) -> bytes:
    """Return the 32 raw bytes of a public key given as such or as PEM. Raises ValueError for anything else."""
    if len(data) == 32:
        return data
    body = data.replace(b"\r\n", b"\n").strip() + b"\n"
    if body.startswith(_HEADER) and body.endswith(_FOOTER):
        try:
            raw = base64.b64decode(body[len(_HEADER) : -len(_FOOTER)], validate=True)
        except binascii.Error:
            raw = b""
        if raw.startswith(_SPKI) and len(raw) == len(_SPKI) + 32:
            return raw[len(_SPKI) :]
    raise ValueError("not an Ed25519 public key in PEM")


def decode_base64(text: str, length: int) -> bytes:
    """Read standard, padded base64 of exactly ``length`` bytes. Raises ValueError also where pad bits are not zero."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None
    if len(raw) != length or base64.b64encode(raw).decode() != text:
        raise ValueError("not base64 as it is written here")
    return raw


def encode_base64(raw: bytes) -> str:
    """Return standard, padded base64."""
    return base64.b64encode(raw).decode()


def create_signing_key(keys: Path, *, rotated_for: str | None = None) -> SigningKey:
    """Make a new key in ``keys/`` (0600) and bring it to the disk.

    ``rotated_for``: the ledger's origin where the key is to follow another; its file then carries the key id. Raises
    FileExistsError where a key already stands under that name.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    make_private_folder(keys)
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    name = FIRST_KEY if rotated_for is None else f"signing-{key_id(rotated_for, public).hex()}.pem"
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_new(keys / name, pem)
    sync_folder(keys)
    return SigningKey(public, keys / name, private)


def load_signing_keys(keys: Path) -> dict[bytes, SigningKey]:
    """Return every signing key in ``keys/``, by its public key.

    Raises CallError (``key-permissions``) when the folder or a key is open to others or belongs to someone else, and
    CallError (``key-unreadable``) when a file is not an Ed25519 key.
    """
    names = [name for name in names_in(keys) if name.startswith("signing") and name.endswith(".pem")]
    if names:
        _check_private(keys, others=0o022)
    loaded = [_load(keys / name) for name in names]
    return {key.public: key for key in loaded}


def _load(path: Path) -> SigningKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    _check_private(path, others=0o077)
    try:
        private = load_pem_private_key(read_bounded(path, _MAX_PEM), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise CallError(
            f"{path} cannot be read as an Ed25519 private key",
            next_step="Put the key back from its own safekeeping.",
            code="key-unreadable",
        )
    return SigningKey(private.public_key().public_bytes_raw(), path, private)


def _check_private(path: Path, *, others: int) -> None:
    try:
        found = os.lstat(path)
    except OSError as error:
        raise CallError(f"{path} cannot be read ({error.strerror})", code="key-unreadable") from error
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & others:
        raise CallError(
            f"{path} must belong to the user who runs this and be closed to everyone else",
            next_step=f"Look who could read or replace it, then chmod {'600' if others == 0o077 else '700'} it.",
            code="key-permissions",
        )
