"""The options of a location and its datasets, read and found sound before anything is asked.

Invariant: every problem is told at once with its key path; an option that would be passed over is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from connectors.microsoft365.sharepoint.catalogue import address_error
from connectors.microsoft365.sharepoint.sources import Source, parse_source
from ropa.connector import LocationSpec
from ropa.errors import ConfigurationError, Problem

BIN_DAYS = 93
"""What SharePoint keeps in its recycle bin unless it was told otherwise (learn.microsoft.com: recycleBinSettings)."""
_LEAST_DAYS, _MOST_DAYS = 1, 3650


@dataclass(frozen=True, slots=True)
class Settings:
    """What was configured."""

    sources: Mapping[str, Source]
    site: str | None
    site_id: str | None
    user: str | None
    is_permanent: bool
    is_rest: bool
    bin_days: int

    @property
    def has_site(self) -> bool:
        """Whether a site is named."""
        return self.site is not None or self.site_id is not None


def read_settings(spec: LocationSpec) -> Settings:
    """Return the settings of a location. Raises ConfigurationError with every problem."""
    options, at = spec.options, f"location.{spec.name}"
    problems = []
    sources: dict[str, Source] = {}
    for name, dataset in spec.datasets.items():
        try:
            sources[name] = parse_source(dataset.source)
        except ValueError as error:
            problems.append(Problem(f"{at}.dataset.{name}.source", str(error)))
        if dataset.options.get("pattern") and name in sources and sources[name].is_list:
            problems.append(Problem(f"{at}.dataset.{name}.pattern", "is for files; a list has none"))
        if "flag_value" in dataset.options and not dataset.options.get("flag_column"):
            problems.append(Problem(f"{at}.dataset.{name}.flag_value", "is of no use without flag_column"))
    site, site_id, user = (_text(options.get(name)) for name in ("site", "site_id", "user"))
    if site is not None and (reason := address_error(site)):
        problems.append(Problem(f"{at}.site", reason))
    if site is not None and site_id is not None:
        problems.append(Problem(f"{at}.site_id", "stands in place of site; give one of them"))
    for name, source in sources.items():
        if source.kind in {"list", "library"} and site is None and site_id is None:
            problems.append(Problem(f"{at}.dataset.{name}.source", "needs site, the address of the site"))
        if source.kind == "onedrive" and user is None:
            problems.append(Problem(f"{at}.dataset.{name}.source", "needs user, whose OneDrive it is"))
    removal = options.get("removal", "permanent")
    if removal not in {"permanent", "recycle-bin"}:
        problems.append(Problem(f"{at}.removal", 'is "permanent" or "recycle-bin"'))
    days = options.get("recycle_bin_days", BIN_DAYS)
    if not isinstance(days, int) or not _LEAST_DAYS <= days <= _MOST_DAYS:
        problems.append(Problem(f"{at}.recycle_bin_days", "is a number of days"))
        days = BIN_DAYS
    is_rest = options.get("sharepoint_rest") is True
    applying = options.get("apply")
    if is_rest and (applying if isinstance(applying, Mapping) else options).get("client_secret"):
        problems.append(Problem(f"{at}.sharepoint_rest", "SharePoint takes no client secret; give a certificate"))
    if problems:
        raise ConfigurationError(f"{spec.name} cannot be opened", tuple(problems))
    return Settings(sources, site, site_id, user, removal == "permanent", is_rest, days)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
