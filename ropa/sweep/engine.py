"""The engine of a fleet, Dask distributed: where its scheduler may be, with what it is reached, whom it serves.

Invariant: over a network only with certificates of both sides; nothing of the engine is loaded before it is asked for.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session
from sqlmodel import col

from ropa.errors import CallError, ConfigurationError
from ropa.sweep.site import Site
from ropa.sweep.tables import IssuedId

_ADDRESS = re.compile(r"(?P<scheme>tcp|tls)://(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(?P<port>\d{1,5})")
CONNECT_SECONDS = 10


def check_address(address: str) -> str:
    """Return the address of a scheduler. Raises CallError for one that cannot be used: whoever reaches a scheduler over
    ``tcp://`` can make its workers do anything, so that is for this machine alone
    (https://distributed.dask.org/en/stable/tls.html)."""
    found = _ADDRESS.fullmatch(address)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise CallError(
            "the address of a fleet is tls://HOST:PORT, or tcp://127.0.0.1:PORT on one machine",
            next_step="Start its scheduler with `dask scheduler`, and give what it prints.",
            code="fleet-address",
        )
    if found["scheme"] == "tcp" and not _is_loopback(found["host"].strip("[]")):
        raise CallError(
            "a fleet of several machines is reached over tls:// only",
            next_step="Give the scheduler, the workers and this process certificates; see docs/how-to/fleet.md.",
            code="fleet-address",
        )
    return address


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def load() -> Any:
    """Return the package. Raises ConfigurationError where the extra is not installed."""
    try:
        import dask
        import distributed
    except ImportError as error:
        raise ConfigurationError(
            "a fleet needs the package distributed", (), next_step="`pip install 'ropa[fleet]'`."
        ) from error
    logging.getLogger("distributed").setLevel(logging.WARNING)
    dask.config.set({"distributed.worker.http.routes": []})  # its pages would show the work to whoever asks
    return distributed


def security(engine: Any, address: str, part: str) -> Any:
    """Return what an address is reached with, as ``part``: client, worker; None for an address of this machine.

    Certificates come from Dask's own settings. Raises ConfigurationError where one is not named or cannot be read.
    """
    if not address.startswith("tls://"):
        return None
    import dask

    for setting in ("ca-file", f"{part}.cert", f"{part}.key"):
        name = f"distributed.comm.tls.{setting}"
        variable = "DASK_" + name.upper().replace(".", "__").replace("-", "_")
        path = dask.config.get(name, None)
        if not path or not Path(path).is_file():
            problem = "names no file that is there" if path else "is not set"
            raise ConfigurationError(
                f"a fleet over tls:// needs certificates: {variable} {problem}",
                (),
                next_step="docs/how-to/fleet.md shows how to make them.",
                code="fleet-certificates",
            )
    return engine.Security(require_encryption=True)


def label(site: Site) -> str:
    """Return the word by which the workers of this project are known to a scheduler that may serve several."""
    with Session(site.engine) as session:  # the id under which its ledger was begun
        first = session.scalar(select(col(IssuedId.id)).order_by(col(IssuedId.at), col(IssuedId.id)).limit(1))
    return f"ropa-{first}"
