"""The reference of ``retention.toml`` as Markdown, made from the keys that the loader accepts.

Invariant: nothing is described that is not read, and nothing is read that is not described.
"""

from __future__ import annotations

from collections.abc import Mapping

from ropa.config.keys import SECTIONS
from ropa.connector import ConnectorType, Option

_HEAD = ("| key | takes | default | meaning |", "|---|---|---|---|")
_TYPES = {
    str: "text",
    int: "integer",
    float: "number",
    bool: "true or false",
    list: "list",
    tuple: "list",
    dict: "table",
}


def reference(types: Mapping[str, ConnectorType] | None = None) -> str:
    """Return Markdown tables of every key: path, type, default, meaning; with ``types`` also each connector's own."""
    lines = [*_HEAD]
    for section, keys in SECTIONS.items():
        for name, key in keys.items():
            default = "**required**" if key.is_required else key.default or "none"
            lines.append(_row(f"{section}.{name}" if section else name, key.takes, default, key.meaning))
    for name in sorted(types or {}):
        kind = (types or {})[name]
        rows = [
            _row(f"{prefix}.{key}", _takes(option), _default(prefix, option), option.help)
            for prefix, options in (
                ("location.X", kind.options),
                ("location.X.apply", {key: option for key, option in kind.options.items() if option.is_identity}),
                ("location.X.dataset.Y", kind.dataset_options),
            )
            for key, option in options.items()
        ]
        lines += ["", f"### Connector `{name}`", "", *(([*_HEAD, *rows]) if rows else ["No keys of its own."])]
        if kind.default_anchors:
            anchors = ", ".join(f"`{anchor}`" for anchor in kind.default_anchors)
            lines += ["", f"Anchors that every dataset has: {anchors}."]
    return "\n".join(lines) + "\n"


def _default(prefix: str, option: Option) -> str:
    if prefix == "location.X.apply":
        return "none"
    return "**required**" if option.is_required else "none"


def _row(path: str, takes: str, default: str, meaning: str) -> str:
    cells = (f"`{path}`", takes, default, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _takes(option: Option) -> str:
    takes = " or ".join(_TYPES.get(kind, kind.__name__) for kind in option.types)
    if option.is_secret:
        return "secret: `env:NAME`, `file:PATH`, `credential:NAME` or `keyring:SERVICE/USER`"
    return f"path ({takes})" if option.is_path else takes
