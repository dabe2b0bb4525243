"""The clouds Microsoft runs: where each issues tokens and where its Graph is.

Sources: learn.microsoft.com/graph/deployments and, below entra/identity-platform, authentication-national-cloud.
"""

from __future__ import annotations

from dataclasses import dataclass

from ropa.errors import ConfigurationError, Problem


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
    """Return the cloud of a name, the global one for None. Raises ConfigurationError for one that is unknown."""
    found = CLOUDS.get(str(name)) if name is not None else CLOUDS["global"]
    if found is None:
        raise wrong_option(location, "cloud", f"there is no cloud {str(name)[:40]!r}; write one of {', '.join(CLOUDS)}")
    return found


def wrong_option(location: str, key: str, message: str) -> ConfigurationError:
    """Return the error for an option of a location that cannot be used; nothing was asked of anybody."""
    return ConfigurationError(f"{location} cannot be opened", (Problem(f"location.{location}.{key}", message),))
