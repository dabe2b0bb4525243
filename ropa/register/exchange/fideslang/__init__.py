"""fideslang manifests (YAML, https://github.com/IABTechLab/fideslang) in and out.

``nodes`` reads YAML within bounds, ``entry`` takes a table key by key and lists what nobody took, ``reading``,
``systems`` and ``datasets`` make a register of it, ``writing`` makes a manifest of a register, ``terms`` are the words
of both. Invariant: what one side cannot say is listed for a person, never dropped and never guessed.
"""

from ropa.register.exchange.fideslang.reading import read_fideslang
from ropa.register.exchange.fideslang.writing import not_in_fideslang, to_fideslang

__all__ = ["not_in_fideslang", "read_fideslang", "to_fideslang"]
