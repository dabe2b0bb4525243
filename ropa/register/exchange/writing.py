"""The register in the forms that `ropa register export` writes: our own without loss, others telling what is left."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ropa.register.exchange.incoming import NotCarried
from ropa.register.models import Register
from ropa.register.text import to_json, to_toml


def write_register(register: Register, form: str) -> tuple[str | bytes, tuple[NotCarried, ...]]:
    """Return the register as text, or as the bytes of a workbook, and what the form cannot say.

    ``form``: one of ``FORMS``. Raises KeyError for another.
    """
    return _WRITERS[form](register)


def _toml(register: Register) -> tuple[str, tuple[NotCarried, ...]]:
    return to_toml(register), ()


def _json(register: Register) -> tuple[str, tuple[NotCarried, ...]]:
    return to_json(register), ()


def _workbook(register: Register) -> tuple[bytes, tuple[NotCarried, ...]]:
    from ropa.register.exchange.workbook import to_workbook

    return to_workbook(register), ()


def _fideslang(register: Register) -> tuple[str, tuple[NotCarried, ...]]:
    from ropa.register.exchange.fideslang import not_in_fideslang, to_fideslang

    return to_fideslang(register), not_in_fideslang(register)


_WRITERS: Mapping[str, Callable[[Register], tuple[str | bytes, tuple[NotCarried, ...]]]] = {
    "toml": _toml,
    "json": _json,
    "xlsx": _workbook,
    "fideslang": _fideslang,
}

FORMS = tuple(_WRITERS)
