"""The clouds Microsoft runs: where each issues tokens and where its Graph is.

Sources: learn.microsoft.com/graph/deployments and, below entra/identity-platform, authentication-national-cloud.
"""

from __future__ import annotations

from dataclasses import dataclass

from ropa.errors import LocationError


@dataclass(frozen=True, slots=True)
class Cloud:
    """Addresses of one cloud, without a path."""

    authority: str
    graph: str


CLOUDS = {
    "global": Cloud("https://login.microsoftonline.com", "https://graph.microsoft.com"),
    "us-government": Cloud("https://login.microsoftonline.us", "https://graph.microsoft.us"),
    "us-government-dod": Cloud("https://login.microsoftonline.us", "https://dod-graph.microsoft.us"),
    "china": Cloud("https://login.partner.microsoftonline.cn", "https://microsoftgraph.chinacloudapi.cn"),
}


def cloud_of(location: str, name: object) -> Cloud:
    """Return the cloud of a name, the global one for None. Raises LocationError for one that is unknown."""
    found = CLOUDS.get(str(name)) if name is not None else CLOUDS["global"]
    if found is None:
        known = ", ".join(CLOUDS)
        raise LocationError(
            f"location {location}: there is no cloud {str(name)[:40]!r}",
            code="option",
            next_step=f"Write one of {known}.",
        )
    return found
