"""Twilio's two APIs of trunks and numbers, with the rules that its documents tell.

A rule marked "strict" is not documented: the double is stricter than Twilio may be, so that an
order of requests that needs no such leniency is proved.
"""

import re
from itertools import count
from typing import Any

from aiohttp import web

from tests.gateway.provisioning.faults import Faults
from tests.gateway.provisioning.stage import SID
from tests.gateway.provisioning.twilio_rules import (
    TRUNK,
    URL,
    Resource,
    authorized,
    form_of,
    refused,
    snake,
    told_of,
    weak,
    wrong_url,
)

#: `PageSize` is the most (twilio.com/docs/usage/twilios-response#paging): pages may be shorter.
PAGE = 2
#: What a number has that nobody has set up (seen on accounts; the console shows it).
DEMO = "https://demo.twilio.com/welcome/voice/"


class TwilioDouble:
    """One account. Resources by SID; `passwords` are what Twilio never tells."""

    def __init__(self, kind: str = "Full") -> None:
        self.faults = Faults()
        self.kind = kind
        self.trunks: dict[str, Resource] = {}
        self.urls: dict[str, Resource] = {}
        self.lists: dict[str, Resource] = {}
        self.credentials: dict[str, Resource] = {}
        self.passwords: dict[str, str] = {}
        #: pairs of trunk and credential list
        self.attached: set[tuple[str, str]] = set()
        self.numbers: dict[str, Resource] = {}
        self.offers: list[Resource] = []
        self._count = count(1)

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.faults.middleware(), authorized])
        account = f"/2010-04-01/Accounts/{SID}"
        lists, numbers = f"{account}/SIP/CredentialLists", f"{account}/IncomingPhoneNumbers"
        trunk = "/v1/Trunks/{trunk}"
        app.router.add_get(f"{account}.json", self._account)
        app.router.add_get(f"{numbers}.json", self._list_numbers)
        app.router.add_post(f"{numbers}.json", self._buy)
        app.router.add_post(numbers + "/{sid}.json", self._set_number)
        app.router.add_delete(numbers + "/{sid}.json", self._give_back)
        app.router.add_get(f"{account}/AvailablePhoneNumbers/US/Local.json", self._available)
        app.router.add_get(f"{lists}.json", self._list_lists)
        app.router.add_post(f"{lists}.json", self._make_list)
        app.router.add_delete(lists + "/{sid}.json", self._remove_list)
        app.router.add_get(lists + "/{list}/Credentials.json", self._list_credentials)
        app.router.add_post(lists + "/{list}/Credentials.json", self._make_credential)
        app.router.add_post(lists + "/{list}/Credentials/{sid}.json", self._set_credential)
        app.router.add_delete(lists + "/{list}/Credentials/{sid}.json", self._remove_credential)
        app.router.add_get("/v1/Trunks", self._list_trunks)
        app.router.add_post("/v1/Trunks", self._make_trunk)
        app.router.add_post(trunk, self._set_trunk)
        app.router.add_delete(trunk, self._remove_trunk)
        app.router.add_get(f"{trunk}/OriginationUrls", self._list_urls)
        app.router.add_post(f"{trunk}/OriginationUrls", self._make_url)
        app.router.add_post(trunk + "/OriginationUrls/{sid}", self._set_url)
        app.router.add_delete(trunk + "/OriginationUrls/{sid}", self._remove_url)
        app.router.add_get(f"{trunk}/CredentialLists", self._list_attached)
        app.router.add_post(f"{trunk}/CredentialLists", self._attach_list)
        app.router.add_delete(trunk + "/CredentialLists/{sid}", self._detach_list)
        app.router.add_post(f"{trunk}/PhoneNumbers", self._attach_number)
        app.router.add_delete(trunk + "/PhoneNumbers/{sid}", self._detach_number)
        return app

    # --- what is there before ---------------------------------------------------------------------

    def owns(self, number: str, **own: Any) -> Resource:
        """A number of the account."""
        sid = self._sid("PN")
        one = {
            "sid": sid,
            "phone_number": number,
            "friendly_name": number,
            "trunk_sid": None,
            "voice_url": DEMO,
            "voice_method": "POST",
            "voice_application_sid": "",
            "status_callback": "",
            "status_callback_method": "POST",
            **own,
        }
        self.numbers[sid] = one
        return one

    def trunk(self, domain: str, name: str) -> Resource:
        """A trunk that somebody made by hand."""
        sid = self._sid("TK")
        self.trunks[sid] = {
            "sid": sid,
            "friendly_name": name,
            "domain_name": domain,
            "secure": False,
            "transfer_mode": "disable-all",
            "transfer_caller_id": "from-transferee",
        }
        return self.trunks[sid]

    def number(self, number: str) -> Resource:
        return next(one for one in self.numbers.values() if one["phone_number"] == number)

    def state(self) -> Any:
        """All of it without SIDs, to be compared."""
        names = {sid: one["friendly_name"] for sid, one in (self.trunks | self.lists).items()}
        plain = [{k: v for k, v in one.items() if k != "sid"} for one in self.trunks.values()]
        urls = [
            (
                names[one["trunk_sid"]],
                one["friendly_name"],
                one["sip_url"],
                one["priority"],
                one["weight"],
                one["enabled"],
            )
            for one in self.urls.values()
        ]
        logins = [
            (names[one["credential_list_sid"]], one["username"], self.passwords[sid])
            for sid, one in self.credentials.items()
        ]
        bound = [
            (one["phone_number"], names.get(one["trunk_sid"]), one["voice_url"])
            for one in self.numbers.values()
        ]
        attached = sorted((names[trunk], names[one]) for trunk, one in self.attached)
        named = sorted(one["friendly_name"] for one in self.lists.values())
        return plain, sorted(urls), named, sorted(logins), attached, sorted(bound)

    # --- the account and its numbers --------------------------------------------------------------

    async def _account(self, request: web.Request) -> web.Response:
        """twilio.com/docs/iam/api/account: type is Trial or Full."""
        return web.json_response({"sid": SID, "status": "active", "type": self.kind})

    async def _list_numbers(self, request: web.Request) -> web.Response:
        return self._page(request, "incoming_phone_numbers", self.numbers)

    async def _available(self, request: web.Request) -> web.Response:
        code = request.query["AreaCode"]
        fit = [one for one in self.offers if one["phone_number"].startswith(f"+1{code}")]
        most = int(request.query["PageSize"])
        return web.json_response({"available_phone_numbers": fit[:most]})

    async def _buy(self, request: web.Request) -> web.Response:
        form = await form_of(request, "PhoneNumber", "FriendlyName")
        offer = next((o for o in self.offers if o["phone_number"] == form["PhoneNumber"]), None)
        if offer is None:
            # twilio.com/docs/api/errors/21422
            return refused(400, "PhoneNumber Requested is not available", 21422)
        if self.kind == "Trial" and self.numbers:
            # strict: how many a trial account may have is not in the API's documents
            return refused(400, "Trial accounts are allowed only one Twilio number", 21404)
        self.offers.remove(offer)
        bought = self.owns(form["PhoneNumber"], friendly_name=form["FriendlyName"])
        return web.json_response(bought, status=201)

    async def _set_number(self, request: web.Request) -> web.Response:
        form = await form_of(
            request,
            "VoiceUrl",
            "VoiceMethod",
            "VoiceApplicationSid",
            "StatusCallback",
            "StatusCallbackMethod",
        )
        one = self.numbers.get(request.match_info["sid"])
        if one is None:
            return refused(404, "The requested resource was not found", 20404)
        one |= {snake(name): value for name, value in form.items()}
        if form.get("VoiceApplicationSid"):
            one["trunk_sid"] = None  # incomingphonenumber-resource: one deletes the other
        return web.json_response(one)

    async def _give_back(self, request: web.Request) -> web.Response:
        """incomingphonenumber-resource#delete: 204; the number is nobody's then."""
        return self._gone(self.numbers, request.match_info["sid"])

    # --- credential lists -------------------------------------------------------------------------

    async def _list_lists(self, request: web.Request) -> web.Response:
        return self._page(request, "credential_lists", self.lists)

    async def _make_list(self, request: web.Request) -> web.Response:
        form = await form_of(request, "FriendlyName")
        # sip-credentiallist-resource: up to 64 characters
        if not 0 < len(form["FriendlyName"]) <= 64:
            return refused(400, "FriendlyName is too long")
        if any(one["friendly_name"] == form["FriendlyName"] for one in self.lists.values()):
            return refused(400, "The name is in use", 21240)  # seen in others' code
        sid = self._sid("CL")
        self.lists[sid] = {"sid": sid, "friendly_name": form["FriendlyName"]}
        return web.json_response(self.lists[sid], status=201)

    async def _remove_list(self, request: web.Request) -> web.Response:
        sid = request.match_info["sid"]
        if any(one == sid for _, one in self.attached):
            return refused(409, "Credential list is in use")  # strict
        self._gone(self.lists, sid)
        for one in [k for k, v in self.credentials.items() if v["credential_list_sid"] == sid]:
            del self.credentials[one]
        return web.Response(status=204)

    async def _list_credentials(self, request: web.Request) -> web.Response:
        its = request.match_info["list"]
        mine = {k: v for k, v in self.credentials.items() if v["credential_list_sid"] == its}
        return self._page(request, "credentials", mine)

    async def _make_credential(self, request: web.Request) -> web.Response:
        form = await form_of(request, "Username", "Password")
        its = request.match_info["list"]
        if its not in self.lists:
            return refused(404, "The requested resource was not found", 20404)
        taken = (
            v["username"] for v in self.credentials.values() if v["credential_list_sid"] == its
        )
        if form["Username"] in taken or len(form["Username"]) > 32:  # sip-credential-resource
            return refused(400, "Username is taken or too long")
        if (wrong := weak(form["Password"])) is not None:
            return wrong
        sid = self._sid("CR")
        told = {"sid": sid, "username": form["Username"], "credential_list_sid": its}
        self.credentials[sid], self.passwords[sid] = told, form["Password"]
        return web.json_response(told, status=201)

    async def _set_credential(self, request: web.Request) -> web.Response:
        form = await form_of(request, "Password")
        if (wrong := weak(form["Password"])) is not None:
            return wrong
        sid = request.match_info["sid"]
        self.passwords[sid] = form["Password"]
        return web.json_response(self.credentials[sid])

    async def _remove_credential(self, request: web.Request) -> web.Response:
        return self._gone(self.credentials, request.match_info["sid"])

    # --- trunks -----------------------------------------------------------------------------------

    async def _list_trunks(self, request: web.Request) -> web.Response:
        return self._page(request, "trunks", self.trunks)

    async def _make_trunk(self, request: web.Request) -> web.Response:
        form = await form_of(request, *TRUNK, "FriendlyName")
        if (wrong := self._wrong_trunk(form, "")) is not None:
            return wrong
        one = self.trunk(form["DomainName"], form["FriendlyName"])
        one |= told_of(form)
        return web.json_response(one, status=201)

    async def _set_trunk(self, request: web.Request) -> web.Response:
        form = await form_of(request, *TRUNK)
        one = self.trunks.get(request.match_info["trunk"])
        if one is None:
            return refused(404, "The requested resource was not found", 20404)
        if (wrong := self._wrong_trunk(form, one["sid"])) is not None:
            return wrong
        one |= told_of(form)
        return web.json_response(one)

    def _wrong_trunk(self, form: dict[str, str], own: str) -> web.Response | None:
        """trunk-resource: names end with pstn.twilio.com; each is one account's trunk's alone."""
        domain = form.get("DomainName")
        if domain is not None and not re.fullmatch(r"[a-z0-9-]+\.pstn\.twilio\.com", domain):
            return refused(400, "DomainName must end with pstn.twilio.com")
        if any(one["domain_name"] == domain and sid != own for sid, one in self.trunks.items()):
            return refused(400, "DomainName is taken")
        modes = ("disable-all", "enable-all", "sip-only")
        if form.get("TransferMode", "enable-all") not in modes:
            return refused(400, "TransferMode is not known")
        if form.get("Secure", "true") not in ("true", "false"):
            return refused(400, "Secure is no boolean")
        return None

    async def _remove_trunk(self, request: web.Request) -> web.Response:
        sid = request.match_info["trunk"]
        used = any(one["trunk_sid"] == sid for one in self.numbers.values())
        if used or any(trunk == sid for trunk, _ in self.attached):
            return refused(409, "Trunk is in use")  # strict
        for one in [key for key, url in self.urls.items() if url["trunk_sid"] == sid]:
            del self.urls[one]
        return self._gone(self.trunks, sid)

    async def _list_urls(self, request: web.Request) -> web.Response:
        its = request.match_info["trunk"]
        mine = {sid: one for sid, one in self.urls.items() if one["trunk_sid"] == its}
        return self._page(request, "origination_urls", mine)

    async def _make_url(self, request: web.Request) -> web.Response:
        form = await form_of(request, *URL, "FriendlyName")
        its = request.match_info["trunk"]
        if its not in self.trunks:
            return refused(404, "The requested resource was not found", 20404)
        # originationurl-resource: all of them are required
        if {*form} != {*URL, "FriendlyName"}:
            return refused(400, "Weight, Priority, Enabled, FriendlyName and SipUrl are required")
        if sum(one["trunk_sid"] == its for one in self.urls.values()) >= 10:
            return refused(400, "A trunk has 10 origination URLs at most")  # sip-trunking
        if (wrong := wrong_url(form)) is not None:
            return wrong
        sid = self._sid("OU")
        named = {"sid": sid, "trunk_sid": its, "friendly_name": form["FriendlyName"]}
        self.urls[sid] = named | told_of(form)
        return web.json_response(self.urls[sid], status=201)

    async def _set_url(self, request: web.Request) -> web.Response:
        form = await form_of(request, *URL)
        if (wrong := wrong_url(form)) is not None:
            return wrong
        one = self.urls[request.match_info["sid"]]
        one |= told_of(form)
        return web.json_response(one)

    async def _remove_url(self, request: web.Request) -> web.Response:
        return self._gone(self.urls, request.match_info["sid"])

    async def _list_attached(self, request: web.Request) -> web.Response:
        its = request.match_info["trunk"]
        mine = {one: self.lists[one] for trunk, one in self.attached if trunk == its}
        return self._page(request, "credential_lists", mine)

    async def _attach_list(self, request: web.Request) -> web.Response:
        form = await form_of(request, "CredentialListSid")
        pair = request.match_info["trunk"], form["CredentialListSid"]
        if pair[0] not in self.trunks or pair[1] not in self.lists:
            return refused(404, "The requested resource was not found", 20404)
        if pair in self.attached:
            return refused(409, "The list is attached already")  # strict
        self.attached.add(pair)
        return web.json_response(self.lists[pair[1]], status=201)

    async def _detach_list(self, request: web.Request) -> web.Response:
        pair = request.match_info["trunk"], request.match_info["sid"]
        if pair not in self.attached:
            return refused(404, "The requested resource was not found", 20404)
        self.attached.remove(pair)
        return web.Response(status=204)

    async def _attach_number(self, request: web.Request) -> web.Response:
        form = await form_of(request, "PhoneNumberSid")
        one, trunk = self.numbers.get(form["PhoneNumberSid"]), request.match_info["trunk"]
        if one is None or trunk not in self.trunks:
            return refused(404, "The requested resource was not found", 20404)
        if one["trunk_sid"] is not None:
            return refused(409, "The number is attached to a trunk")  # strict
        # incomingphonenumber-resource: a trunk_sid deletes voice_application_sid
        one["trunk_sid"], one["voice_application_sid"] = trunk, ""
        return web.json_response(one, status=201)

    async def _detach_number(self, request: web.Request) -> web.Response:
        one = self.numbers.get(request.match_info["sid"])
        if one is None or one["trunk_sid"] != request.match_info["trunk"]:
            return refused(404, "The requested resource was not found", 20404)
        one["trunk_sid"] = None
        return web.Response(status=204)

    # --- what they share --------------------------------------------------------------------------

    def _sid(self, kind: str) -> str:
        return f"{kind}{next(self._count):032x}"

    @staticmethod
    def _gone(resources: dict[str, Resource], sid: str) -> web.Response:
        if resources.pop(sid, None) is None:
            return refused(404, "The requested resource was not found", 20404)
        return web.Response(status=204)

    @staticmethod
    def _page(request: web.Request, key: str, resources: dict[str, Resource]) -> web.Response:
        """The two APIs name the following page each in its own way (twilios-response#paging)."""
        number = int(request.query.get("Page", "0"))
        every = [resources[sid] for sid in sorted(resources)]
        page = every[number * PAGE : (number + 1) * PAGE]
        more = len(every) > (number + 1) * PAGE
        following = f"{request.path}?PageSize={PAGE}&Page={number + 1}" if more else None
        if request.path.startswith("/v1/"):
            # the real one names its own host, whichever was asked
            url = following and f"https://trunking.twilio.com{following}"
            return web.json_response({key: page, "meta": {"key": key, "next_page_url": url}})
        return web.json_response({key: page, "next_page_uri": following, "page": number})
