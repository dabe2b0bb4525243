"""Signing in: from the options of a location to an access token, through MSAL over the one HTTP library.

Invariant: a secret, an assertion or a token is never in an error, a log or a representation; a token is asked for one
scope, and handed only to ``Service``, which sends it to one origin. A token is used until shortly before it ends, also
where the service issues short ones, which MSAL itself would ask for anew with each call.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from connectors.microsoft365.clouds import Cloud, wrong_option
from connectors.microsoft365.refusals import refusal
from ropa import clock
from ropa.errors import LocationError

_SHARE_LEFT, _MOST_LEFT = 0.2, 300.0
"""A token is renewed when a fifth of its life is left, at most five minutes before its end."""
_CREDENTIALS = ("certificate", "client_secret", "assertion_file", "managed_identity")


@dataclass(frozen=True, slots=True)
class Credential:
    """Who signs in. Exactly one of the last five is given; none of it is ever shown."""

    client_id: str = ""
    tenant_id: str = ""
    certificate: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    assertion_file: Path | None = None
    managed_identity: str | None = None
    """``system`` or the client id of a user-assigned one."""


def read_credential(location: str, options: Mapping[str, Any]) -> Credential:
    """Return the credential of a location's options. Raises ConfigurationError naming what is missing or too much."""
    given = [name for name in _CREDENTIALS if options.get(name)]
    if len(given) != 1:
        what = f"{' and '.join(given)} are given, and one is needed" if given else "there is nothing to sign in with"
        raise wrong_option(location, given[0] if given else "certificate", f"{what}: {', '.join(_CREDENTIALS)}")
    if given == ["managed_identity"]:
        return Credential(managed_identity=str(options["managed_identity"]))
    for name in ("client_id", "tenant_id"):
        if not options.get(name) and not (name == "tenant_id" and options.get("authority")):
            raise wrong_option(location, name, "is missing; it stands on the overview page of the app registration")
    if options.get("certificate_password") and not options.get("certificate"):
        raise wrong_option(location, "certificate_password", "is given without a certificate")
    assertion = options.get("assertion_file")
    return Credential(
        client_id=str(options["client_id"]),
        tenant_id=str(options.get("tenant_id") or ""),
        certificate=options.get("certificate"),
        password=options.get("certificate_password"),
        secret=options.get("client_secret"),
        assertion_file=Path(str(assertion)) if assertion else None,
    )


def apply_options(location: str, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the options with what ``apply`` gives in place of the credential for planning; None without ``apply``.

    Raises ConfigurationError for a key of ``apply`` that means nothing.
    """
    other = options.get("apply")
    if not isinstance(other, Mapping):
        return None
    known = {*_CREDENTIALS, "client_id", "certificate_password"}
    if unknown := sorted(set(other) - known):
        raise wrong_option(location, f"apply.{unknown[0]}", f"is unknown; known are {', '.join(sorted(known))}")
    kept = {name: value for name, value in options.items() if name not in known - {"client_id"} and name != "apply"}
    return {**kept, **other}


class Tokens:
    """The access token for one resource; threads may share it."""

    def __init__(
        self,
        location: str,
        credential: Credential,
        *,
        resource: str,
        cloud: Cloud,
        authority: str | None,
        client: httpx.Client,
    ) -> None:
        """``resource``: whose token it is, such as ``https://graph.microsoft.com``; ``authority``: another token
        service than the cloud's, with its path. Asks nobody yet."""
        self._location = location
        self._credential = credential
        self._resource = resource
        self._authority = authority or f"{cloud.authority}/{credential.tenant_id}"
        self._is_foreign = authority is not None
        self._client = _MsalHttp(client)
        self._lock = threading.Lock()
        self._ask: Callable[[str | None], dict[str, Any]] | None = None
        self._token = ""
        self._ends = 0.0

    @property
    def app(self) -> str:
        """Who signs in: limits count by this."""
        return self._credential.client_id or f"managed identity {self._credential.managed_identity}"

    def get(self) -> str:
        """Return a token that is still good for a while. Raises LocationError that says which step is missing."""
        with self._lock:
            if not self._token or clock.monotonic() >= self._ends:
                self._renew(None)
            return self._token

    def renew(self, refused: str, challenge: str | None = None) -> str:
        """Return another token than one that the service refused; ``challenge``: the claims it asked for."""
        with self._lock:
            if self._token == refused:
                self._renew(challenge, is_forced=True)
            return self._token

    def claims(self) -> Mapping[str, Any]:
        """Return what the token says of itself (``aud``, ``roles``, ``appid`` …); {} where it cannot be read.

        For telling the user what was granted; nothing is decided by it, because nobody but the resource verifies it.
        """
        parts = self.get().split(".")
        if len(parts) != 3:
            return {}
        try:
            claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        except (binascii.Error, ValueError):
            return {}
        return claims if isinstance(claims, dict) else {}

    def certificate_ends_at(self) -> datetime | None:
        """Return when the certificate ends, None where there is none. Raises LocationError for one that is no PEM."""
        if self._credential.certificate is None:
            return None
        from cryptography import x509

        try:
            found = x509.load_pem_x509_certificate(self._credential.certificate.encode())
        except ValueError:
            raise self._error("certificate holds no certificate in PEM", "certificate", _PEM) from None
        return found.not_valid_after_utc

    def _renew(self, challenge: str | None, *, is_forced: bool = False) -> None:
        self._check_certificate()
        try:
            if self._ask is None or is_forced:  # MSAL keeps tokens of its own; a fresh application has none
                self._ask = self._application()
            answer = self._ask(challenge)
        except httpx.HTTPError as error:
            raise self._error("the token service does not answer", "unreachable", "Try again later.") from error
        except (ValueError, TypeError) as error:
            raise self._error("its credential cannot be used", "credential", _PEM) from error
        token = answer.get("access_token")
        if not isinstance(token, str) or not token:
            raise refusal(self._location, answer, self._resource)
        life = float(answer.get("expires_in") or 0)
        self._token, self._ends = token, clock.monotonic() + life - min(life * _SHARE_LEFT, _MOST_LEFT)

    def _application(self) -> Callable[[str | None], dict[str, Any]]:
        import msal

        credential = self._credential
        if credential.managed_identity is not None:
            is_system = credential.managed_identity == "system"
            identity = (
                msal.SystemAssignedManagedIdentity()
                if is_system
                else msal.UserAssignedManagedIdentity(client_id=credential.managed_identity)
            )
            managed = msal.ManagedIdentityClient(identity, http_client=self._client)
            return lambda challenge: dict(
                managed.acquire_token_for_client(resource=self._resource, claims_challenge=challenge) or {}
            )
        application = msal.ConfidentialClientApplication(
            credential.client_id,
            client_credential=self._msal_credential(),
            **({"oidc_authority": self._authority} if self._is_foreign else {"authority": self._authority}),
            instance_discovery=False,
            http_client=self._client,
        )
        scope = f"{self._resource.rstrip('/')}/.default"
        return lambda challenge: dict(application.acquire_token_for_client([scope], claims_challenge=challenge) or {})

    def _msal_credential(self) -> Any:
        credential = self._credential
        if credential.certificate is not None:
            found = {"private_key": self._private_key(), "public_certificate": credential.certificate}
            return found | ({"passphrase": credential.password} if credential.password else {})
        if credential.assertion_file is not None:
            return {"client_assertion": self._read_assertion}
        return credential.secret

    def _private_key(self) -> str:
        """Return the private key of the PEM. Raises LocationError where there is none that can be read."""
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        found = _PRIVATE_KEY.search(self._credential.certificate or "")
        if found is None:
            raise self._error("certificate holds no private key", "certificate", _PEM)
        password = self._credential.password
        try:
            load_pem_private_key(found[0].encode(), password.encode() if password else None)
        except (ValueError, TypeError):
            step = f"{_PEM} Its password, where it has one, is certificate_password."
            raise self._error("the private key cannot be read", "certificate", step) from None
        return found[0]

    def _read_assertion(self) -> str:
        path = self._credential.assertion_file
        try:
            return path.read_text("utf-8").strip() if path is not None else ""
        except (OSError, UnicodeDecodeError):
            step = "See that whatever issues the assertion writes the file, and that it may be read."
            raise self._error("assertion_file cannot be read", "credential", step) from None

    def _check_certificate(self) -> None:
        ends = self.certificate_ends_at()
        if ends is not None and ends <= datetime.now(UTC):
            step = "Make a new certificate, upload it to the app registration, and put it in place of this one."
            raise self._error(f"the certificate ended on {ends.date().isoformat()}", "certificate-expired", step)

    def _error(self, message: str, code: str, next_step: str) -> LocationError:
        return LocationError(f"location {self._location}: {message}", code=code, next_step=next_step)


_PRIVATE_KEY = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)
_PEM = "Give a PEM file with the certificate and its private key, one below the other."


class _MsalHttp:
    """What MSAL asks of an HTTP client, over ``httpx``. MSAL posts an assertion as bytes, of which httpx would write
    the representation; as text they arrive."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def post(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        data: Mapping[str, Any] | str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **_other: object,
    ) -> httpx.Response:
        """Send a form."""
        if isinstance(data, Mapping):
            form = {name: value.decode() if isinstance(value, bytes) else value for name, value in data.items()}
            return self._client.post(url, params=params, data=form, headers=headers)
        return self._client.post(url, params=params, content=data, headers=headers)

    def get(
        self,
        url: str,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        **_other: object,
    ) -> httpx.Response:
        """Read."""
        return self._client.get(url, params=params, headers=headers)

    def close(self) -> None:
        """Leave the client to whoever opened it."""
