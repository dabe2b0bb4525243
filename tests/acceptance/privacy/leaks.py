"""Looking for tokens in every byte that was written, also inside archives."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from checker import bytes_below


def contents(path: Path, content: bytes) -> Iterator[bytes]:
    """Yield a file's bytes, and those of what is packed in it (xlsx, compressed streams of a pdf)."""
    yield content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield archive.read(name)
    if content.startswith(b"%PDF"):
        for part in content.split(b"stream\n")[1:]:
            try:
                yield zlib.decompressobj().decompress(part)
            except zlib.error:
                continue


def tokens_in(content: bytes, tokens: Iterable[str]) -> list[str]:
    """Return the tokens that stand in some bytes, as they are or in capitals."""
    lower = content.lower()
    return [token for token in tokens if token.lower().encode() in lower]


def hits_below(folder: Path, tokens: Iterable[str], *, apart_from: Iterable[Path] = ()) -> list[str]:
    """Return "file: token" for every token in the bytes or in the name of a file below a folder."""
    searched, left_out = list(tokens), [os.path.realpath(path) for path in apart_from]
    found = []
    for path, content in bytes_below(folder):
        real = os.path.realpath(path)
        if any(real == other or real.startswith(other + os.sep) for other in left_out):
            continue
        name = path.relative_to(folder).as_posix()
        hits = {token for part in contents(path, content) for token in tokens_in(part, searched)}
        hits |= set(tokens_in(name.encode(), searched))
        found += [f"{name}: {token}" for token in sorted(hits)]
    return found
