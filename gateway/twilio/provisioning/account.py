"""A Twilio account, read as far as it matters, and what it shall have.

Plain requests in place of Twilio's SDK: it takes a second to import, and its calls block.
"""

from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from config.settings import Settings
from config.trunk_settings import TrunkSettings
from config.twilio_settings import TwilioSettings
from gateway.provisioning.api import Api, Sleep
from gateway.provisioning.changes import Plan, Wishes, joined
from gateway.provisioning.failures import ApiError
from gateway.twilio.provisioning import buying, numbers, trunk
from gateway.twilio.provisioning.buying import Purchase
from gateway.twilio.provisioning.found import Found, Resource
from gateway.twilio.provisioning.trunk import API, TRIAL_NOTES, TRUNKING
from gateway.twilio.provisioning.wanted import (
    WantedTrunk,
    our_urls,
    used_numbers,
    wanted_numbers,
    wanted_trunk,
)

PAGE: Final = 200
#: Of `PAGE` resources each; an API that never ends would hold us for ever.
MOST_PAGES: Final = 100


class TwilioAccount:
    """What is there."""

    def __init__(
        self,
        settings: Settings,
        twilio: TwilioSettings,
        wanted: WantedTrunk | None,
        session: aiohttp.ClientSession,
        *,
        sleep: Sleep,
    ) -> None:
        """`wanted` is the trunk that is looked for."""
        self.sid, self.wanted = twilio.account_sid, wanted
        token = twilio.auth_token.get_secret_value()
        login = b64encode(f"{self.sid}:{token}".encode()).decode()
        secrets = [token, login]
        if wanted is not None:
            urls = wanted.originations
            secrets += [wanted.password, *(part for url in urls for part in url.secrets)]
        bases = {API: twilio.api_url, TRUNKING: settings.provision.twilio.trunking_url}
        self.api = Api(
            "Twilio",
            session,
            bases,
            authorization=f"Basic {login}",
            secrets=secrets,
            form=True,
            sleep=sleep,
        )

    @property
    def base(self) -> str:
        return f"/2010-04-01/Accounts/{self.sid}"

    async def found(self) -> Found:
        """Everything that a plan needs. Raises ApiError."""
        account = await self.api.read(API, f"{self.base}.json")
        if (status := account.get("status")) not in ("active", None):
            raise ApiError(self.api.name, 403, f"the account is {status}")
        listed = self._each(API, f"{self.base}/IncomingPhoneNumbers.json")
        owned = {str(one.get("phone_number")): one async for one in listed}
        if self.wanted is None:
            return Found(account, numbers=owned)
        trunks = tuple([one async for one in self._each(TRUNKING, "/v1/Trunks")])
        there = trunk.meant(self.wanted, trunks)
        urls: tuple[Resource, ...] = ()
        lists: frozenset[str] = frozenset()
        if there is not None:
            path = f"/v1/Trunks/{there['sid']}"
            urls = tuple([one async for one in self._each(TRUNKING, f"{path}/OriginationUrls")])
            attached = self._each(TRUNKING, f"{path}/CredentialLists")
            lists = frozenset([str(one["sid"]) async for one in attached])
        ours = await self._list_of_ours(self.wanted.name, lists)
        credentials: tuple[Resource, ...] = ()
        if ours is not None:
            path = f"{self.base}/SIP/CredentialLists/{ours['sid']}/Credentials.json"
            credentials = tuple([one async for one in self._each(API, path)])
        return Found(
            account=account,
            trunks=trunks,
            trunk=there,
            trunk_is_ours=there is not None and trunk.is_ours(self.wanted, there),
            originations=urls,
            attached_lists=lists,
            list_of_ours=ours,
            credentials=credentials,
            numbers=owned,
        )

    async def _list_of_ours(self, name: str, attached: frozenset[str]) -> Resource | None:
        """That of our name: of several, the one that is attached."""
        every = self._each(API, f"{self.base}/SIP/CredentialLists.json")
        named = [one async for one in every if one.get("friendly_name") == name]
        named.sort(key=lambda one: (one["sid"] not in attached, str(one["sid"])))
        return named[0] if named else None

    async def _each(self, service: str, target: str) -> AsyncIterator[dict[str, Any]]:
        """Every resource of a list; the two APIs name the next page each in its own way."""
        following = f"{target}?PageSize={PAGE}"
        for _ in range(MOST_PAGES):
            page = await self.api.read(service, following)
            meta = page.get("meta") or {}
            key = meta.get("key") or target.rpartition("/")[2].removesuffix(".json")
            listed = page.get(key) or page.get(_underlined(key)) or ()
            for one in listed:
                if isinstance(one, dict) and "sid" in one:
                    yield one
            told = meta.get("next_page_url") or page.get("next_page_uri")
            if not told:
                return
            # to the service that was asked, whichever host the answer names
            parts = urlsplit(str(told))
            following = f"{parts.path}?{parts.query}"
        raise ApiError(self.api.name, 200, f"{target} has more than {PAGE * MOST_PAGES} entries")

    async def offers(self, purchase: Purchase) -> list[dict[str, Any]]:
        """Numbers on sale. Raises ApiError."""
        page = await self.api.read(API, f"{self.base}/{purchase.target}")
        told = page.get("available_phone_numbers") or ()
        return [one for one in told if isinstance(one, dict) and "phone_number" in one]


class TrunkTarget:
    """The elastic trunk, and where numbers are bound to it, those."""

    def __init__(self, account: TwilioAccount, settings: Settings) -> None:
        """The account looks for a trunk."""
        self.api = account.api
        self._account, self._settings = account, settings

    async def plan(self, wishes: Wishes) -> Plan:
        """By what is there now. Raises ApiError."""
        account, wanted = self._account, self._account.wanted
        assert wanted is not None, "the account looks for a trunk"
        found = await account.found()
        its = trunk.plan(account.sid, wanted, found, wishes)
        bound = wanted_numbers(self._settings)
        if wishes.destroy or its.conflicts or not bound.by_trunk:
            return its
        urls = our_urls(self._settings)
        to_come = found.trunk is None
        its_numbers = numbers.plan(
            account.sid, bound, found, wishes, our_urls=urls, trunk_to_come=to_come
        )
        return joined((its, its_numbers))


class NumbersTarget:
    """How the account's numbers are bound, and those that are bought."""

    def __init__(
        self,
        account: TwilioAccount,
        settings: Settings,
        purchase: Purchase | None,
    ) -> None:
        self.api = account.api
        self._account, self._settings = account, settings
        self._purchase = purchase

    async def plan(self, wishes: Wishes) -> Plan:
        """By what is there now. Raises ApiError."""
        account, bound = self._account, wanted_numbers(self._settings)
        found = await account.found()
        urls = our_urls(self._settings)
        if wishes.release:
            used, mark = used_numbers(self._settings), self._settings.provision.mark
            return buying.given_back(
                account.sid, wishes.release, found, used, mark=mark, our_urls=urls
            )
        plan = numbers.plan(account.sid, bound, found, wishes, our_urls=urls)
        if found.on_trial and not wishes.destroy:
            notes = TRIAL_NOTES[:1] if bound.by_trunk else TRIAL_NOTES
            plan = joined((plan, Plan(notes=notes)))
        if self._purchase is None:
            return plan
        return joined((plan, await self._bought(self._purchase, found)))

    async def _bought(self, purchase: Purchase, found: Found) -> Plan:
        mark = self._settings.provision.mark
        spare = buying.at_hand(purchase, found, self._settings.numbers, mark)
        notes = [f"{one} is bought: name it in numbers, and run the command again" for one in spare]
        missing = purchase.count - len(spare)
        if missing <= 0:
            return Plan(notes=tuple(notes))
        if buying.too_many_on_trial(found, missing):
            notes.append(
                "the account is on trial: Twilio lets it have one number, and refuses more"
            )
        offers = await self._account.offers(purchase)
        changes, told = buying.purchases(self._account.sid, missing, offers, mark)
        return Plan(changes, notes=(*notes, *told))


def account_of(
    settings: Settings,
    twilio: TwilioSettings,
    entry: TrunkSettings | None,
    session: aiohttp.ClientSession,
    *,
    sleep: Sleep,
) -> TwilioAccount:
    """The account of the configuration; `entry` describes its trunk."""
    wanted = None if entry is None else wanted_trunk(settings, entry)
    return TwilioAccount(settings, twilio, wanted, session, sleep=sleep)


def _underlined(key: str) -> str:
    """`IncomingPhoneNumbers` is `incoming_phone_numbers` in an answer."""
    letters = (f"_{c.lower()}" if c.isupper() else c for c in key)
    return "".join(letters).lstrip("_")
