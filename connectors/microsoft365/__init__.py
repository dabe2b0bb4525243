"""The Microsoft 365 CRM: Dataverse, Outlook and SharePoint, as three connectors that share how they sign in and speak.

- ``dataverse``: tables of Dataverse and Dynamics 365 (contact, lead, account, annotation and one's own);
- ``outlook``: messages and contacts in mailboxes;
- ``sharepoint``: document libraries, OneDrive and lists.

Invariant: importing a package of these loads neither ``httpx`` nor ``msal``; that happens when a location is opened.
How it is built, and why: docs/decisions/0004-microsoft-365.md.
"""

from __future__ import annotations

from importlib.util import find_spec

from ropa.connector import Option
from ropa.errors import LocationError

OPTIONS = {
    "tenant_id": Option(help="directory (tenant) id or domain; not needed with a managed identity"),
    "client_id": Option(is_identity=True, help="application (client) id of the app registration"),
    "certificate": Option(
        is_secret=True, is_identity=True, help="PEM with the certificate and its private key; preferred"
    ),
    "certificate_password": Option(
        is_secret=True, is_identity=True, help="password of the private key, where it has one"
    ),
    "client_secret": Option(is_secret=True, is_identity=True, help="client secret, where there is no certificate"),
    "assertion_file": Option(
        is_path=True, is_identity=True, help="file with a signed assertion, read anew for each token (federation)"
    ),
    "managed_identity": Option(is_identity=True, help='"system", or the client id of a user-assigned managed identity'),
    "cloud": Option(help='"global" unless given; "us-government", "us-government-dod" or "china"'),
    "authority": Option(help="address of the token service with the tenant, where it is not Microsoft's own"),
    "resource": Option(help="whose token is asked for, where it is not the service's own address"),
    "ca_file": Option(is_path=True, help="PEM of the authorities to trust besides the usual ones (a proxy's)"),
    "max_wait": Option(
        (int, float), help="seconds that one request may be made to wait by the service; 900 unless given"
    ),
}
"""What each of the three takes: how to sign in, and how long to wait."""


def expect_libraries(location: str) -> None:
    """Raise LocationError where the libraries that these connectors need are not installed."""
    missing = [name for name in ("httpx", "msal") if find_spec(name) is None]
    if missing:
        raise LocationError(
            f"location {location}: {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            code="driver",
            next_step="Run: pip install 'ropa[microsoft365]'",
        )
