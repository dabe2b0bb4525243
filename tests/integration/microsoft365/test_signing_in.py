"""Signing in: certificate, secret, assertion file and managed identity, against a provider that verifies for real."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from microsoft365_bed import CLIENT, SECRET, SECRET_CLIENT, TENANT, Bed

from connectors.microsoft365.auth import Credential, Tokens, apply_options, read_credential
from connectors.microsoft365.clouds import CLOUDS, cloud_of
from connectors.microsoft365.http import open_client
from ropa.connector import LocationSpec
from ropa.errors import ConfigurationError, LocationError

GRAPH = "https://graph.microsoft.com"
AUTHORITY = f"https://login.test/{TENANT}/v2.0"


@pytest.fixture
def ask(microsoft365: Bed) -> Iterator[Callable[..., Tokens]]:
    """Tokens of the real provider."""
    client = open_client(str(microsoft365.ca_file))

    def made(resource: str = GRAPH, **given: Any) -> Tokens:
        credential = read_credential("crm", {"tenant_id": TENANT, **given})
        return Tokens(
            "crm",
            credential,
            resource=resource,
            cloud=CLOUDS["global"],
            authority=microsoft365.authority,
            client=client,
        )

    yield made
    client.close()


def test_a_certificate_is_verified_by_the_provider(ask, microsoft365):
    tokens = ask(client_id=CLIENT, certificate=microsoft365.certificate)
    claims = tokens.claims()
    assert (claims["aud"], claims["client_id"]) == (GRAPH, CLIENT)
    assert tokens.get() == tokens.get()
    assert tokens.certificate_ends_at() > datetime.now(UTC)


def test_a_secret_works_too_and_a_wrong_one_is_named_as_such(ask):
    assert ask(client_id=SECRET_CLIENT, client_secret=SECRET).claims()["aud"] == GRAPH
    with pytest.raises(LocationError, match="refuses the credential") as caught:
        ask(client_id=SECRET_CLIENT, client_secret="canary-" + "x" * 30).get()
    assert caught.value.code == "credential"
    assert "canary" not in f"{caught.value} {caught.value.next_step} {caught.value.__cause__}"


def test_another_certificate_than_the_registered_one_is_refused(ask):
    with pytest.raises(LocationError) as caught:
        ask(client_id=CLIENT, certificate=_certificate()).get()
    assert caught.value.code == "credential"
    assert caught.value.next_step


def test_a_certificate_that_ended_is_told_before_anybody_is_asked():
    tokens, provider = _tokens(certificate=_certificate(days=-1))
    with pytest.raises(LocationError, match=r"the certificate ended on \d{4}-\d\d-\d\d") as caught:
        tokens.get()
    assert caught.value.code == "certificate-expired"
    assert provider.asked == []


@pytest.mark.parametrize("text", ["no PEM at all", "-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----"])
def test_a_certificate_that_is_none_is_told(text):
    with pytest.raises(LocationError, match="no certificate in PEM"):
        _tokens(certificate=text)[0].get()


def test_a_certificate_without_its_key_is_told():
    whole = _certificate()
    alone = whole[: whole.index("-----END CERTIFICATE-----") + 26]
    with pytest.raises(LocationError) as caught:
        _tokens(certificate=alone)[0].get()
    assert caught.value.code == "certificate"
    assert caught.value.next_step


def test_the_assertion_arrives_as_text_and_verifies():
    pem = _certificate()
    tokens, provider = _tokens(certificate=pem)
    tokens.get()
    sent = provider.forms[0]["client_assertion"]
    assert sent.count(".") == 2
    assert not sent.startswith("b'")
    header = json.loads(base64.urlsafe_b64decode(sent.split(".")[0] + "=="))
    assert header["alg"] == "PS256"


def test_an_assertion_file_is_read_anew_for_each_token(tmp_path):
    file = tmp_path / "assertion"
    file.write_text("first.first.first\n")
    tokens, provider = _tokens(assertion_file=file, life=0)
    tokens.get()
    file.write_text("second.second.second")
    tokens.get()
    assert [form["client_assertion"] for form in provider.forms] == ["first.first.first", "second.second.second"]
    file.unlink()
    with pytest.raises(LocationError, match="assertion_file cannot be read"):
        tokens.get()


def test_a_managed_identity_asks_the_machine_and_sends_no_secret(monkeypatch):
    for name in [name for name in os.environ if name.startswith(("IDENTITY_", "IMDS_", "MSI_", "AZURE_"))]:
        monkeypatch.delenv(name)
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, json={"access_token": "m", "expires_in": "3600", "resource": GRAPH})

    client = httpx.Client(transport=httpx.MockTransport(answer))
    tokens = Tokens(
        "crm",
        Credential(managed_identity="system"),
        resource=GRAPH,
        cloud=CLOUDS["global"],
        authority=None,
        client=client,
    )
    assert tokens.get() == "m"
    assert asked[0].url.host == "169.254.169.254"
    assert asked[0].url.params["resource"] == GRAPH
    assert tokens.app == "managed identity system"


def test_a_short_token_is_used_until_shortly_before_its_end():
    tokens, provider = _tokens(life=240)
    assert len({tokens.get() for _ in range(20)}) == 1
    assert len(provider.forms) == 1


def test_a_token_is_renewed_before_it_ends(monkeypatch):
    tokens, provider = _tokens(life=240)
    first = tokens.get()
    monkeypatch.setattr("ropa.clock.monotonic", lambda: time.monotonic() + 200)
    assert tokens.get() != first
    assert len(provider.forms) == 2


def test_a_refused_token_is_replaced_once_for_all_threads_that_had_it():
    tokens, provider = _tokens()
    first = tokens.get()
    second = tokens.renew(first)
    assert second != first
    assert tokens.renew(first) == second
    assert len(provider.forms) == 2


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ({"error": "invalid_client", "error_codes": [700027]}, "credential", "not one of the app registration's"),
        ({"error": "invalid_client", "error_codes": [7000222]}, "secret-expired", "secret has ended"),
        ({"error": "unauthorized_client", "error_codes": [700016]}, "no-app", "no such application in this tenant"),
        ({"error": "invalid_resource", "error_codes": [500011]}, "wrong-audience", "does not know the service"),
        ({"error": "invalid_grant", "error_codes": [65001]}, "no-consent", "has not consented"),
        ({"error": "something_new", "error_codes": [123]}, "no-token", "gave no token"),
        ({"error": "invalid_scope"}, "wrong-audience", "issues no token for"),
    ],
)
def test_a_refusal_says_which_step_is_missing(answer, code, words):
    canary = {"error_description": "AADSTS1: canary-person@contoso.example", **answer}
    tokens, _ = _tokens(refusal=canary)
    with pytest.raises(LocationError, match=words) as caught:
        tokens.get()
    assert caught.value.code == code
    assert caught.value.next_step
    assert "canary" not in str(caught.value)


def test_a_token_service_that_does_not_answer_is_unreachable():
    def answer(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no")

    client = httpx.Client(transport=httpx.MockTransport(answer))
    credential = Credential(client_id="a", tenant_id=TENANT, secret="s")
    tokens = Tokens("crm", credential, resource=GRAPH, cloud=CLOUDS["global"], authority=AUTHORITY, client=client)
    with pytest.raises(LocationError) as caught:
        tokens.get()
    assert caught.value.code == "unreachable"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "location.crm.certificate: there is nothing to sign in with"),
        (
            {"certificate": "x", "client_secret": "y", "client_id": "a", "tenant_id": "t"},
            "certificate and client_secret",
        ),
        ({"client_secret": "y", "tenant_id": "t"}, "location.crm.client_id: is missing"),
        ({"client_secret": "y", "client_id": "a"}, "location.crm.tenant_id: is missing"),
        (
            {"client_secret": "y", "client_id": "a", "tenant_id": "t", "certificate_password": "p"},
            "location.crm.certificate_password: is given without a certificate",
        ),
    ],
)
def test_options_that_do_not_go_together_are_named(options, words):
    with pytest.raises(ConfigurationError, match="crm cannot be opened") as caught:
        read_credential("crm", options)
    assert words in str(caught.value.problems[0])


def test_applying_has_credentials_of_its_own_and_nothing_of_the_others():
    options = {
        "tenant_id": "t",
        "client_id": "a",
        "client_secret": "s",
        "cloud": "china",
        "apply": {"client_id": "b", "certificate": "pem"},
    }
    other = apply_options("crm", options)
    assert other == {"tenant_id": "t", "cloud": "china", "client_id": "b", "certificate": "pem"}
    assert apply_options("crm", {"client_secret": "s"}) is None
    with pytest.raises(ConfigurationError) as caught:
        apply_options("crm", {"apply": {"tenant": "x"}})
    assert str(caught.value.problems[0]).startswith("location.crm.apply.tenant: is unknown")


def test_an_unknown_cloud_is_refused_with_those_there_are():
    assert cloud_of("crm", "china").graph == "https://microsoftgraph.chinacloudapi.cn"
    with pytest.raises(ConfigurationError) as caught:
        cloud_of("crm", "germany")
    assert "location.crm.cloud: there is no cloud 'germany'; write one of global, us-government" in str(
        caught.value.problems[0]
    )


def test_nothing_of_a_credential_is_in_its_representation():
    credential = Credential(client_id="a", tenant_id="t", certificate="canary", password="canary", secret="canary")
    assert "canary" not in repr(credential)


class _Provider:
    """A token service that notes what it was asked."""

    def __init__(self, life: int, refusal: dict[str, Any] | None) -> None:
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self._life = life
        self._refusal = refusal

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if request.method == "GET":
            here = str(request.url).removesuffix("/.well-known/openid-configuration")
            return httpx.Response(
                200, json={"issuer": here, "authorization_endpoint": f"{here}/a", "token_endpoint": f"{here}/token"}
            )
        self.forms.append(dict(httpx.QueryParams(request.content.decode())))
        if self._refusal is not None:
            return httpx.Response(400, json=self._refusal)
        token = f"token-{len(self.forms)}"
        return httpx.Response(200, json={"access_token": token, "expires_in": self._life, "token_type": "Bearer"})


def _tokens(life: int = 3600, refusal: dict[str, Any] | None = None, **given: Any) -> tuple[Tokens, _Provider]:
    provider = _Provider(life, refusal)
    credential = Credential(client_id="app", tenant_id=TENANT, **(given or {"secret": "s"}))
    client = httpx.Client(transport=httpx.MockTransport(provider))
    tokens = Tokens("crm", credential, resource=GRAPH, cloud=CLOUDS["global"], authority=AUTHORITY, client=client)
    return tokens, provider


def _certificate(days: int = 2) -> str:
    """Return a certificate that ends in so many days, with its key, in PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    ends = datetime.now(UTC) + timedelta(days=days)
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = built.not_valid_before(ends - timedelta(days=9)).not_valid_after(ends).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM).decode() + private.decode()


def test_importing_the_package_loads_no_library_of_http_or_tokens():
    code = "import sys, connectors.microsoft365; print([m for m in ('httpx', 'msal') if m in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["dataverse", "outlook", "sharepoint"])
def test_a_missing_library_is_named_with_what_installs_it(name, monkeypatch):
    from importlib import import_module

    kind = import_module(f"connectors.microsoft365.{name}").TYPE
    monkeypatch.setattr("connectors.microsoft365.find_spec", lambda library: None if library == "msal" else library)
    with pytest.raises(LocationError, match="location crm: msal is not installed") as caught:
        kind.open(LocationSpec("crm", name, ZoneInfo("UTC")))
    assert "ropa[microsoft365]" in (caught.value.next_step or "")
