"""Retell's API of phone numbers, with the rules that its documents and its SDK tell; "strict" is
what they leave open, and what we must not rely on."""

from typing import Any

from aiohttp import web

from tests.gateway.provisioning.faults import Faults

KEY = "key_of_the_test_workspace"
AGENTS = {"agent_1", "agent_2", "agent_3"}

# docs.retellai.com/api-references/import-phone-number, SDK phone_number_import_params
_IMPORT: dict[str, type] = {
    "phone_number": str,
    "termination_uri": str,
    "sip_trunk_auth_username": str,
    "sip_trunk_auth_password": str,
    "transport": str,
    "codecs": list,
    "ignore_e164_validation": bool,
    "inbound_agents": list,
    "outbound_agents": list,
    "inbound_webhook_url": str,
    "nickname": str,
}
# docs.retellai.com/api-references/update-phone-number: the login's names are others here
_UPDATE: dict[str, type] = {
    "termination_uri": str,
    "auth_username": str,
    "auth_password": str,
    "transport": str,
    "codecs": list,
    "inbound_agents": list,
    "outbound_agents": list,
    "inbound_webhook_url": str,
    "nickname": str,
}
_TRUNK = ("termination_uri", "auth_username", "transport", "codecs")


class RetellDouble:
    """Numbers of one workspace, by number. `passwords` are what Retell never tells."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.numbers: dict[str, dict[str, Any]] = {}
        self.passwords: dict[str, str] = {}

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.faults.middleware(), _authorized])
        app.router.add_get("/v2/list-phone-numbers", self._list)
        app.router.add_post("/import-phone-number", self._import)
        app.router.add_patch("/update-phone-number/{number}", self._update)
        app.router.add_delete("/delete-phone-number/{number}", self._delete)
        return app

    def has(self, number: str, **own: Any) -> dict[str, Any]:
        """A number that is there before."""
        told = {"phone_number": number, "phone_number_type": "custom", "nickname": "Office", **own}
        self.numbers[number] = told
        return told

    async def _list(self, request: web.Request) -> web.Response:
        """SDK phone_number_list_response: a page of `items`, `has_more`, `pagination_key`. The
        page is shorter than was asked for, as `limit` is the most."""
        after = request.query.get("pagination_key", "")
        every = sorted(number for number in self.numbers if number > after)
        page = every[:2]
        body: dict[str, Any] = {
            "items": [self.numbers[one] for one in page],
            "has_more": len(every) > len(page),
        }
        if body["has_more"]:
            body["pagination_key"] = page[-1]
        return web.json_response(body)

    async def _import(self, request: web.Request) -> web.Response:
        body = await request.json()
        if (wrong := _wrong(body, _IMPORT)) is not None:
            return wrong
        number = body.get("phone_number")
        # import-phone-number: both are required; 400, 401 and 500 are its errors
        if not isinstance(number, str) or not body.get("termination_uri"):
            return _refused(400, "phone_number and termination_uri are required")
        if number in self.numbers:  # strict
            return _refused(400, f"Phone number {number} already exists")
        told = {"phone_number": number, "phone_number_type": "custom"}
        self.numbers[number] = told
        if "sip_trunk_auth_password" in body:
            self.passwords[number] = body["sip_trunk_auth_password"]
        body["auth_username"] = body.pop("sip_trunk_auth_username", None)
        body.setdefault("transport", "TCP")  # its default
        self._put(told, body)
        return web.json_response(told, status=201)

    async def _update(self, request: web.Request) -> web.Response:
        body = await request.json()
        if (wrong := _wrong(body, _UPDATE)) is not None:
            return wrong
        told = self.numbers.get(request.match_info["number"])
        if told is None:  # update-phone-number: 422
            return _refused(422, "Phone number not found")
        # SDK: only custom numbers have a trunk and codecs
        if told["phone_number_type"] != "custom" and {*_TRUNK} & body.keys():
            return _refused(400, "Not a custom phone number")
        if "auth_password" in body:
            self.passwords[told["phone_number"]] = body["auth_password"]
        self._put(told, body)
        return web.json_response(told)

    async def _delete(self, request: web.Request) -> web.Response:
        if self.numbers.pop(request.match_info["number"], None) is None:  # strict
            return _refused(422, "Phone number not found")
        return web.Response(status=204)

    @staticmethod
    def _put(told: dict[str, Any], body: dict[str, Any]) -> None:
        """get-phone-number, SDK phone_number_response: the trunk's properties are told in an object
        of their own, without the password."""
        trunk = told.setdefault("sip_outbound_trunk_config", {})
        trunk |= {name: body[name] for name in _TRUNK if body.get(name) is not None}
        plain = ("inbound_agents", "outbound_agents", "inbound_webhook_url", "nickname")
        told |= {name: body[name] for name in plain if name in body}


@web.middleware
async def _authorized(request: web.Request, handler: Any) -> web.StreamResponse:
    """docs.retellai.com/api-references/overview: Bearer, and 401."""
    if request.headers.get("Authorization") != f"Bearer {KEY}":
        return _refused(401, "Invalid API key")
    return await handler(request)  # type: ignore[no-any-return]


def _wrong(body: Any, known: dict[str, type]) -> web.Response | None:
    """Types are those of the SDK's parameters; strict: what is not known is refused."""
    for name, value in body.items():
        if name not in known:
            return _refused(400, f"{name} is not known")
        if not isinstance(value, known[name]):
            return _refused(400, f"{name} is no {known[name].__name__}")
    if body.get("transport", "TCP") not in ("TLS", "TCP", "UDP"):
        return _refused(400, "transport must be TLS, TCP or UDP")
    for name in ("inbound_agents", "outbound_agents"):
        if agents := body.get(name):
            # import-phone-number: total weights must add up to 1
            if abs(sum(one["weight"] for one in agents) - 1) > 1e-9:
                return _refused(400, "weights must add up to 1")
            if not {one["agent_id"] for one in agents} <= AGENTS:  # strict
                return _refused(422, "Agent not found")
    return None


def _refused(status: int, message: str) -> web.Response:
    """docs.retellai.com/api-references/overview: an error's body."""
    return web.json_response({"status": "error", "message": message}, status=status)
