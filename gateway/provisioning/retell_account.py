"""One workspace at Retell: its numbers, read page by page."""

from typing import Any, Final
from urllib.parse import quote

import aiohttp

from config.settings import Settings
from config.workspace_settings import WorkspaceSettings
from gateway.provisioning.api import Api, Sleep
from gateway.provisioning.changes import Plan, Wishes
from gateway.provisioning.failures import ApiError
from gateway.provisioning.retell_numbers import SERVICE, plan, wanted_numbers

PAGE: Final = 100
#: Of `PAGE` numbers each; an API that never ends would hold us for ever.
MOST_PAGES: Final = 100


class RetellAccount:
    """A workspace, and the numbers that it shall have."""

    def __init__(
        self,
        settings: Settings,
        workspace: WorkspaceSettings,
        session: aiohttp.ClientSession,
        *,
        sleep: Sleep,
    ) -> None:
        """The workspace has an `api_key`, and `provision.sip_uris` are told."""
        assert workspace.api_key is not None, "asked only of those with a key"
        key = workspace.api_key.get_secret_value()
        self._mark = settings.provision.mark
        self._wanted = wanted_numbers(settings, workspace)
        passwords = [one.password or "" for one in self._wanted.values()]
        self.api = Api(
            f"Retell ({workspace.name})" if settings.retell.workspaces else "Retell",
            session,
            {SERVICE: settings.retell.base_url},
            authorization=f"Bearer {key}",
            secrets=(key, *passwords),
            sleep=sleep,
        )

    async def plan(self, wishes: Wishes) -> Plan:
        """By the numbers that are there now. Raises ApiError."""
        return plan(self._wanted, await self._numbers(), self._mark, wishes)

    async def _numbers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        key = ""
        for _ in range(MOST_PAGES):
            more = f"&pagination_key={quote(key, safe='')}" if key else ""
            page = await self.api.read(SERVICE, f"/v2/list-phone-numbers?limit={PAGE}{more}")
            found += [one for one in page.get("items") or () if isinstance(one, dict)]
            key = str(page.get("pagination_key") or "")
            if not page.get("has_more") or not key:
                return found
        raise ApiError(self.api.name, 200, f"there are more than {PAGE * MOST_PAGES} numbers")
