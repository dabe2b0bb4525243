"""From a location's options to the services it speaks to: one for planning, one for applying.

Invariant: nothing is asked while opening; a token is never sent over a connection that is not encrypted, but to this
very machine.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from connectors.microsoft365.auth import Tokens, apply_options, read_credential
from connectors.microsoft365.clouds import cloud_of, wrong_option
from connectors.microsoft365.http import MAX_WAIT, Service, open_client
from connectors.microsoft365.pace import pace_of
from ropa.connector import LocationSpec


def graph_root(spec: LocationSpec) -> str:
    """Return the address of Graph: of ``graph_url`` (another than Microsoft's), else of the cloud; with its version."""
    named = spec.options.get("graph_url")
    if named is not None:
        return root_of(spec.name, "graph_url", named)
    return f"{cloud_of(spec.name, spec.options.get('cloud')).graph}/v1.0/"


def root_of(location: str, option: str, address: object) -> str:
    """Return an address with a slash at its end. Raises ConfigurationError where it is none, has a query, or no https.

    Only to this machine (localhost, 127.0.0.0/8, ::1) may a token go unencrypted.
    """
    parts = urlsplit(str(address))
    is_plain = parts.scheme == "http" and _is_here(parts.hostname or "")
    if (
        not parts.hostname
        or parts.username
        or parts.query
        or parts.fragment
        or not (parts.scheme == "https" or is_plain)
    ):
        raise wrong_option(
            location, option, "is no address of a service, such as https://contoso.crm4.dynamics.com without a query"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}/"


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def open_services(
    spec: LocationSpec,
    *,
    root: str,
    resource: str,
    kind: str,
    at_once: int,
    transport: httpx.BaseTransport | None = None,
) -> tuple[Service, Service]:
    """Return the service for planning and the one for applying: the same where ``apply`` names no other credential.

    ``root``: where it is; ``resource``: whose token it wants (option ``resource`` stands in for it); ``kind`` and
    ``at_once``: the limit that counts, by application. Raises ConfigurationError for options that cannot be used.
    """
    other = apply_options(spec.name, spec.options)

    def opened(options: Mapping[str, Any]) -> Service:
        tokens, client = _sign_in(spec, options, resource, transport)
        parts = urlsplit(root)
        pace = pace_of(f"{parts.scheme}://{parts.netloc}", tokens.app, kind, at_once)
        return Service(spec.name, root, tokens, client, pace=pace, max_wait=float(options.get("max_wait") or MAX_WAIT))

    planning = opened(spec.options)
    return planning, planning if other is None else opened(other)


def _sign_in(
    spec: LocationSpec, options: Mapping[str, Any], resource: str, transport: httpx.BaseTransport | None
) -> tuple[Tokens, httpx.Client]:
    credential = read_credential(spec.name, options)
    client = open_client(options.get("ca_file"), transport=transport)
    authority = options.get("authority")
    tokens = Tokens(
        spec.name,
        credential,
        resource=str(options.get("resource") or resource),
        cloud=cloud_of(spec.name, options.get("cloud")),
        authority=root_of(spec.name, "authority", authority).rstrip("/") if authority is not None else None,
        client=client,
    )
    return tokens, client


def certificate_notes(planning: Service, applying: Service) -> list[str]:
    """Return when the certificates of a location end, one sentence each; none where it signs in otherwise.

    Raises LocationError for a certificate that is no PEM.
    """
    who = {"planning": planning, "applying": applying} if planning is not applying else {"": planning}
    ends = {name: service.tokens.certificate_ends_at() for name, service in who.items()}
    return [
        f"{name}: the certificate ends on {at.date().isoformat()}".removeprefix(": ")
        for name, at in ends.items()
        if at is not None
    ]
