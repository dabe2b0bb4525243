"""The verifier for strangers: one file that is handed over with the evidence.

Invariant: ``verify_ledger.py`` runs alone, on Python and openssl; it imports nothing of ropa, and nothing of ropa
imports it: it is read and copied.
"""

from __future__ import annotations

from importlib.resources import files

NAME = "verify_ledger.py"


def program() -> bytes:
    """Return the verifier's text."""
    return (files("ropa.ledger.verifier") / NAME).read_bytes()
