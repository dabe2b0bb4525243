"""Why the token service gave no token, as an error that says which step is missing.

Invariant: of its answer nothing but Entra ID's number is told: its texts name people, applications and addresses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ropa.errors import LocationError

_STEPS: dict[int, tuple[str, str, str]] = {
    700027: (
        "credential",
        "the certificate is not one of the app registration's",
        "Upload it there, under Certificates.",
    ),
    1000502: ("certificate-expired", "the certificate is outside its time", "Make a new one and upload it."),
    7000215: ("credential", "the client secret is wrong", "Copy the secret's value, not its id."),
    7000222: ("secret-expired", "the client secret has ended", "Make a new one; a certificate is better."),
    7000218: ("credential", "the app registration asks for a secret or a certificate", "Give a certificate."),
    700016: ("no-app", "there is no such application in this tenant", "Compare client_id and tenant_id; consent once."),
    90002: ("no-tenant", "there is no such tenant", "Compare tenant_id with the directory id, and the cloud."),
    500011: (
        "wrong-audience",
        "the tenant does not know the service",
        "Correct url; the service must be in this tenant.",
    ),
    65001: ("no-consent", "an administrator has not consented", "Grant admin consent for the app's permissions."),
    7000112: ("app-disabled", "the application is disabled", "Enable its sign-in under Enterprise applications."),
    53003: ("conditional-access", "conditional access forbids it", "Allow this workload's address in the policy."),
    700213: (
        "credential",
        "no federated credential fits the assertion",
        "Compare issuer, subject and audience of both.",
    ),
    70021: (
        "credential",
        "no federated credential fits the assertion",
        "Compare issuer, subject and audience of both.",
    ),
    700024: ("clock", "the assertion is outside its time", "Set this machine's clock."),
}
"""Codes of Entra ID: learn.microsoft.com/entra/identity-platform/reference-error-codes."""

_NO_AUDIENCE = ("wrong-audience", "the token service issues no token for {resource}", "Correct url or resource.")
_ERRORS: dict[str, tuple[str, str, str]] = {
    "invalid_client": (
        "credential",
        "the token service refuses the credential",
        "Compare it with the app registration.",
    ),
    "unauthorized_client": ("no-app", "the application may not sign in so", "Compare client_id and tenant_id."),
    "invalid_scope": _NO_AUDIENCE,
    "invalid_target": _NO_AUDIENCE,
    "invalid_resource": _NO_AUDIENCE,
    "access_denied": ("no-consent", "an administrator has not consented", "Grant admin consent for the permissions."),
    "temporarily_unavailable": ("unreachable", "the token service is not available", "Try again later."),
}


def refusal(location: str, answer: Mapping[str, Any], resource: str) -> LocationError:
    """Return the error for an answer without a token; of its text only Entra ID's code is told."""
    codes = answer.get("error_codes")
    number = codes[0] if isinstance(codes, list) and codes and isinstance(codes[0], int) else None
    error = str(answer.get("error") or "")
    code, what, step = _STEPS.get(number or 0) or _ERRORS.get(error) or (
        "no-token", "the token service gave no token", "Compare tenant_id, client_id and the credential."
    )  # fmt: skip
    named = f" (AADSTS{number})" if number else ""
    return LocationError(f"location {location}: {what.format(resource=resource)}{named}", code=code, next_step=step)
