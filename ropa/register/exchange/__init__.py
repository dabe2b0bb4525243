"""The register from and to other people's forms: workbooks, Art. 30 spreadsheets, fideslang manifests, DPV.

``reading`` chooses the reader of a file and merges what it says; one module reads or writes one form. Invariant: a
reader guesses nothing and drops nothing in silence: what the register has no key for comes back as ``NotCarried``.
"""

from ropa.register.exchange.incoming import Incoming, NotCarried, merged
from ropa.register.exchange.reading import read_incoming

__all__ = ["Incoming", "NotCarried", "merged", "read_incoming"]
