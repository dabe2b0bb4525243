"""The Merkle tree of RFC 6962 section 2.1 (the same in RFC 9162): roots and proofs, over SHA-256.

Invariant: a root commits to every leaf and their order; an inclusion proof shows one leaf under a root, a consistency
proof shows that a larger tree begins with a smaller one. Hashes are 32 raw bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves."""


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || data)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right)."""
    return sha256(b"\x01" + left + right).digest()


class Tree:
    """A tree that only grows; keeps one hash per level, so a root costs O(log n) at any size."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        self._peaks: list[bytes] = []

    def append(self, data: bytes) -> None:
        """Add a leaf."""
        digest, size = leaf_hash(data), self.size
        while size & 1:
            digest = node_hash(self._peaks.pop(), digest)
            size >>= 1
        self._peaks.append(digest)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        digest = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            digest = node_hash(peak, digest)
        return digest


def root(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaves (the data itself, not yet hashed)."""
    digest = sha256
    return root_of_hashes([digest(b"\x00" + data).digest() for data in leaves])


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes."""
    if not hashes:
        return EMPTY_ROOT
    level = hashes
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def _next_level(level: Sequence[bytes]) -> list[bytes]:
    # Pairing neighbours and passing an odd last one upwards is the same tree as splitting at the largest power of two.
    digest, nodes = sha256, iter(level)
    above = [digest(b"\x01%b%b" % pair).digest() for pair in zip(nodes, nodes, strict=False)]
    if len(level) & 1:
        above.append(level[-1])
    return above


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """Return the audit path of the leaf at ``index``, lowest sibling first. Raises IndexError outside the tree."""
    if not 0 <= index < len(hashes):
        raise IndexError("no such leaf")
    path, level = [], hashes
    while len(level) > 1:
        if (sibling := index ^ 1) < len(level):
            path.append(level[sibling])
        level, index = _next_level(level), index >> 1
    return path


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], expected_root: bytes) -> bool:
    """Tell whether the leaf hash ``leaf`` stands at ``index`` in the tree of ``size`` leaves (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, digest = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if node & 1 or node == last:
            digest = node_hash(sibling, digest)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            digest = node_hash(digest, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and digest == expected_root


def consistency_proof(hashes: Sequence[bytes], first: int) -> list[bytes]:
    """Return the proof that the tree over ``hashes`` begins with that over ``hashes[:first]`` (RFC 6962, 2.1.2).

    Raises ValueError unless 1 <= first <= len(hashes).
    """
    if not 1 <= first <= len(hashes):
        raise ValueError("no such smaller tree")
    return _subproof(hashes, first, is_known=True)


def _subproof(hashes: Sequence[bytes], first: int, *, is_known: bool) -> list[bytes]:
    size = len(hashes)
    if first == size:
        return [] if is_known else [root_of_hashes(hashes)]
    split = 1 << ((size - 1).bit_length() - 1)
    if first <= split:
        return [*_subproof(hashes[:split], first, is_known=is_known), root_of_hashes(hashes[split:])]
    return [*_subproof(hashes[split:], first - split, is_known=False), root_of_hashes(hashes[:split])]


def verify_consistency(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether the tree of ``second`` leaves begins with that of ``first`` (RFC 9162, 2.1.4.2)."""
    if first == second:
        return first > 0 and not proof and first_root == second_root
    if not 0 < first < second:
        return False
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        return False
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for step in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, step)
        node, last = node >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root
