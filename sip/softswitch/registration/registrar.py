"""The registrar: PBXs and phones register with us (RFC 3261 10.3), those with a login of a trunk.

Who a request is from has been proven before it comes here: the gatekeeper challenges every
REGISTER, and unknown users meet the same challenge as wrong passwords.
"""

from dataclasses import replace
from email.utils import formatdate

import structlog

from config.settings import RegistrarSettings
from sip.clock import Timer
from sip.core.header_values import parse_name_addrs
from sip.core.message import Request
from sip.core.register_request import ContactWish, asks_for_removal_of_all, wishes
from sip.errors import Fault, ParseError, SipError
from sip.softswitch.registration.bindings import Binding, Bindings, OutOfOrderError
from sip.softswitch.trunks.trunk import Trunk, Trunks
from sip.transport.endpoint import Target
from sip.ua.server_transaction import ServerTransaction
from sip.ua.user_agent import UserAgent

log = structlog.get_logger(__name__)

#: Contacts of one address of record: a phone or two on each desk is plenty. Of more, the one that
#: was not refreshed for longest gives way: softphones leave one behind at each start.
MAX_CONTACTS = 10
#: And of all addresses of record of one trunk together. More are told to come again.
MAX_TRUNK_CONTACTS = 200
#: Characters of a User-Agent that are remembered, and the longest Contact.
MAX_USER_AGENT = 128
MAX_CONTACT = 512
#: Holds a NAT's mapping open (RFC 5626 4.4.1's ping; peers over UDP ignore it).
KEEPALIVE = b"\r\n\r\n"


class RegisterError(SipError):
    """Why a REGISTER is not served: status, reason phrase and further headers."""

    fault = Fault.PEER

    def __init__(self, status: int, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


class Registrar:
    """Answers REGISTER and keeps the way to NATed peers open."""

    def __init__(
        self, ua: UserAgent, trunks: Trunks, bindings: Bindings, settings: RegistrarSettings
    ) -> None:
        self.bindings = bindings
        self._ua = ua
        self._settings = settings
        self._trunks = trunks
        self._keepalive: Timer | None = None

    def configure(self, trunks: Trunks) -> None:
        """Serve the peers of these trunks from now on; contacts of others are forgotten."""
        self._trunks = trunks
        self.bindings.keep(trunk.name for trunk in trunks if trunk.registrar)
        if self._keepalive is None:
            self.start()

    async def restore(self) -> None:
        """Take over the bindings of the last run, before any call needs them."""
        found = await self.bindings.restore(t.name for t in self._trunks if t.registrar)
        if found:
            log.info("contacts.restored", contacts=found)

    def start(self) -> None:
        """Begin to keep peers behind NAT reachable."""
        if any(trunk.registrar for trunk in self._trunks):
            self._plan_keepalive()

    def close(self) -> None:
        """Stop all timers."""
        if self._keepalive is not None:
            self._keepalive.cancel()
        self.bindings.close()

    def on_register(self, transaction: ServerTransaction, trunk: Trunk) -> None:
        """Answer a REGISTER that was proven to be of `trunk`."""
        request = transaction.request
        try:
            given = self._given(request, trunk, transaction)
            self._change(request, given, transaction)
        except ParseError as error:
            self._answer(transaction, error.status, error.reason)
        except RegisterError as error:
            self._answer(transaction, error.status, error.reason, *error.headers)
        except OutOfOrderError:
            self._answer(transaction, 400, "CSeq Out Of Order")
        else:
            self._answer(transaction, 200, None, *self._listing(request, given))

    # what is asked

    def _given(self, request: Request, trunk: Trunk, transaction: ServerTransaction) -> Binding:
        """What all contacts of this request share."""
        aor = request.to.uri
        if aor.scheme not in ("sip", "sips") or not aor.user:
            raise RegisterError(404, "Address Of Record Has No User")
        if any(aor.user == user for user in self._users_of_others(trunk)):
            raise RegisterError(403, "Address Of Record Is Another's")  # RFC 3261 10.3 step 4
        path = request.headers.values("path")
        parse_name_addrs(path)
        return Binding(
            trunk=trunk.name,
            aor=f"{aor.user}@{aor.host.lower()}"[:255],
            contact="",
            params="",
            q=1.0,
            instance="",
            source=transaction.flow.remote,
            path=tuple(path),
            sip_call_id=request.call_id[:255],
            cseq=request.cseq.number,
            user_agent=(request.headers.get("user-agent") or "")[:MAX_USER_AGENT],
            registered_at=0.0,
            expires_at=0.0,
        )

    def _users_of_others(self, trunk: Trunk) -> list[str]:
        return [
            other.login[0]
            for other in self._trunks
            if other.registrar and other.login is not None and other.name != trunk.name
        ]

    def _change(self, request: Request, given: Binding, transaction: ServerTransaction) -> None:
        if asks_for_removal_of_all(request):
            self.bindings.clear(given)
            return
        wished = [self._granted(wish) for wish in wishes(request)]
        self._check_room(given, wished)
        if wished:
            self.bindings.bind(given, wished, transaction.flow, most=MAX_CONTACTS)

    def _granted(self, wish: ContactWish) -> ContactWish:
        """The wish with the time that it gets (RFC 3261 10.3 step 7)."""
        if len(wish.text) + len(wish.params) > MAX_CONTACT:
            raise RegisterError(400, "Contact Too Long")
        longest, least = self._settings.max_expires_s, self._settings.min_expires_s
        wanted = longest if wish.expires_s is None else min(wish.expires_s, longest)
        if 0 < wanted < min(least, longest):
            raise RegisterError(423, "Interval Too Brief", ("Min-Expires", str(least)))
        return replace(wish, expires_s=wanted)

    def _check_room(self, given: Binding, wished: list[ContactWish]) -> None:
        now = self._ua.clock.now()
        wanted = {wish.text for wish in wished if wish.expires_s}
        if len(wanted) > MAX_CONTACTS:
            raise RegisterError(403, "Too Many Contacts")
        of_trunk = [b for b in self.bindings.live(now) if b.trunk == given.trunk]
        of_aor = {b.contact for b in of_trunk if b.aor == given.aor}
        after = len(of_aor.difference(wish.text for wish in wished) | wanted)
        more = min(after, MAX_CONTACTS) - len(of_aor)
        if more > 0 and len(of_trunk) + more > MAX_TRUNK_CONTACTS:
            wait_s = max(round(min(b.expires_at for b in of_trunk) - now), 1)
            raise RegisterError(503, "Too Many Contacts", ("Retry-After", str(wait_s)))

    # answers

    def _listing(self, request: Request, given: Binding) -> list[tuple[str, str]]:
        """Every current binding with what is left of it, and the time (RFC 3261 10.3 step 8)."""
        now = self._ua.clock.now()
        headers = [("Date", formatdate(self._ua.clock.epoch(), usegmt=True))]
        headers += [
            ("Contact", f"<{b.contact}>{b.params};expires={max(round(b.expires_at - now), 1)}")
            for b in self.bindings.at(given.trunk, given.aor, now)
        ]
        if "path" in request.headers.values("supported"):  # RFC 3327 5.3
            headers += [("Path", value) for value in given.path]
        return headers

    def _answer(
        self,
        transaction: ServerTransaction,
        status: int,
        reason: str | None,
        *headers: tuple[str, str],
    ) -> None:
        response = self._ua.response(
            transaction.request, status, reason, to_tag=self._ua.ids.tag(), headers=headers
        )
        transaction.respond(response)

    # NAT

    def _plan_keepalive(self) -> None:
        delay_s = self._settings.keepalive_s
        self._keepalive = self._ua.clock.call_later(delay_s, self._keep_awake)

    def _keep_awake(self) -> None:
        """A NAT drops a mapping that nothing goes through, and with it every call to the peer."""
        for binding in self.bindings.live(self._ua.clock.now()):
            if binding.behind_nat and binding.source.transport == "udp":
                target = Target(binding.source, binding.source.host)
                try:
                    self._ua.flow_at(target).send(KEEPALIVE)
                except OSError:
                    continue  # no listener of that family any more
        self._plan_keepalive()
