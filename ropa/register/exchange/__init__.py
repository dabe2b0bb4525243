"""The register from and to other people's forms: workbooks, Art. 30 spreadsheets, fideslang manifests, DPV.

``reading`` chooses the reader of a file, ``writing`` the writer of a form; one module reads or writes one form.
Invariant: a reader guesses nothing and drops nothing in silence: what the register has no key for comes back as
``NotCarried``.
"""

from ropa.register.exchange.incoming import Incoming, NotCarried, merged
from ropa.register.exchange.reading import read_incoming
from ropa.register.exchange.writing import FORMS, write_register

__all__ = ["FORMS", "Incoming", "NotCarried", "merged", "read_incoming", "write_register"]
