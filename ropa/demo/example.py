"""Where the worked examples stand: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from ropa.errors import CallError


def example_folder(name: str) -> Path:
    """Return the folder of a worked example: ``webassur`` or ``we-assist``.

    A wheel carries the examples as ``ropa/examples``; a checkout has them beside the package. Raises CallError, with
    the names there are, when there is no such example.
    """
    package = Path(str(files("ropa")))
    roots = [root for root in (package / "examples", package.parent / "examples") if root.is_dir()]
    for root in roots:
        # Compared with what the folder lists, so that a name with a path in it finds nothing.
        for folder in root.iterdir():
            if folder.name == name and (folder / "register.toml").is_file():
                return folder
    known = sorted({path.parent.name for root in roots for path in root.glob("*/register.toml")})
    raise CallError(
        f"there is no example of the name {name!r}",
        next_step=f"use one of: {', '.join(known)}" if known else "install ropa with its examples",
    )
