"""Who our user is and what its security roles allow, as far as the service says.

Invariant: what is not told is unknown (None), never taken for granted and never for missing.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from connectors.microsoft365.dataverse.columns import spell_guid
from connectors.microsoft365.http import Service

DELETE_HISTORY = "prvDeleteRecordChangeHistory"
WHOLE = "Global"
"""The depth that reaches every row of the organisation."""


class Rights:
    """The user behind one service; asked once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._lock = threading.Lock()
        self._user: str | None = None
        self._depths: Mapping[str, str] | None = None
        self._is_asked = False

    @property
    def user(self) -> str | None:
        """The user's id; None where the service does not tell."""
        self._ask()
        return self._user

    @property
    def depths(self) -> Mapping[str, str] | None:
        """Privilege to its depth (``Basic``, ``Local``, ``Deep``, ``Global``); None where that is not told."""
        self._ask()
        return self._depths

    def has(self, privilege: str) -> bool | None:
        """Tell whether a privilege is there; None where it is not known."""
        depths = self.depths
        return None if depths is None else privilege.lower() in {name.lower() for name in depths}

    def _ask(self) -> None:
        with self._lock:
            if self._is_asked:
                return
            self._user = spell_guid((self._get("WhoAmI") or {}).get("UserId"))
            if self._user is not None:
                told = self._get(f"systemusers({self._user})/Microsoft.Dynamics.CRM.RetrieveUserPrivileges")
                found = (told or {}).get("RolePrivileges")
                if isinstance(found, list):
                    named = {
                        str(one.get("PrivilegeName")): str(one.get("Depth")) for one in found if isinstance(one, dict)
                    }
                    self._depths = named if "None" not in named else None
            self._is_asked = True

    def _get(self, url: str) -> dict[str, Any] | None:
        """Return an answer, None where there is none to be had. Raises LocationError where nobody answers, or 401."""
        answer = self._service.send("GET", url, headers={"Accept": "application/json"})
        if answer.status == 401:
            raise self._service.refusal(answer)
        if not answer.is_ok:
            return None
        try:
            found = answer.json()
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
