"""pyVoIP's SIP client, made to place a call without a registrar and to hang up properly.

Where pyVoIP 1.6.8 is at fault, and what is done here instead:

- it must register before it may call: it only binds its port;
- its Call-IDs and branches are hashes of a counter, the same in each run: random ones;
- it sends INVITE and BYE once: repeated as RFC 3261 17.1 says;
- it waits for a 100 or 180 with its receiving locked, and takes any 183, 486 or late 100 amiss:
  one receiving loop, and every response has an outcome;
- its ACK goes to the To URI under a new To tag, and no failure but 404 and 503 gets one: RFC 3261
  13.2.2.4 and 17.1.1.3; its BYE repeats the INVITE's branch and knows no route: both mended;
- it cannot cancel: RFC 3261 9.1;
- it answers a BYE with a new To tag, and other requests not at all: RFC 3261 8.2.6.
"""

import contextlib
import select
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from testkit.phone import digest, wire
from testkit.phone.library import SIP

T1_S, T2_S = 0.5, 4.0  # RFC 3261 17.1.1.1
TRANSACTION_S = 64 * T1_S
_POLL_S = 0.05


@dataclass(slots=True)
class _Repeated:
    """A request that is sent again until something comes back."""

    data: bytes
    interval_s: float
    next_at: float
    give_up_at: float
    may_double_past_t2: bool


class SipClient(SIP.SIPClient):
    """The signalling of one call. `on_response` gets every response to our INVITE."""

    def __init__(
        self,
        *,
        remote: tuple[str, int],
        own: tuple[str, int],
        from_user: str,
        login: tuple[str, str] | None,
        phone: Any,
        on_message: Callable[[SIP.SIPMessage], None],
        on_response: Callable[[wire.Message], None],
    ) -> None:
        super().__init__(
            *remote, from_user, "", phone, myIP=own[0], myPort=own[1], callCallback=on_message
        )
        self._login = login
        self._on_response = on_response
        self._repeats: dict[str, _Repeated] = {}
        self._repeats_lock = threading.Lock()
        self._invite = b""
        self._remote_target = ""
        self._to = ""
        self._route: list[str] = []
        self.ended = threading.Event()  # the BYE is answered, or the INVITE is finished
        self._thread = threading.Thread(target=self.recv_loop, daemon=True)

    # --- life -------------------------------------------------------------------------------

    def start(self) -> None:
        self.s = self.out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.s.bind((self.myIP, self.myPort))
        except OSError:
            self._close_sockets()
            raise
        self.s.setblocking(False)
        self.myPort = self.s.getsockname()[1]
        self.NSD = True
        self._thread.start()

    def stop(self) -> None:
        self.NSD = False
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        self._close_sockets()

    def recv_loop(self) -> None:
        while self.NSD:
            self._repeat_what_is_due()
            if not select.select([self.s], [], [], _POLL_S)[0]:
                continue
            try:
                data, source = self.s.recvfrom(65535)
                message = wire.parse(data)
            except (OSError, wire.WireError):
                continue  # a closed port's ICMP error, a keep-alive, or not SIP
            if message.status is None:
                self._request(message, source)
            else:
                self._response(message)

    # --- what we send -----------------------------------------------------------------------

    def gen_call_id(self) -> str:
        return f"{uuid4().hex}@{self.myIP}"

    def invite_text(self, number: str, media: Any, direction: Any) -> tuple[str, str, int]:
        """The INVITE, its Call-ID and its session id; `send_invite` sends it."""
        call_id, session = self.gen_call_id(), self.sessID.next()
        branch = self.gen_branch()
        text = str(self.gen_invite(number, str(session), media, direction, branch, call_id))
        if self.port != 5060:
            text = text.replace(f"sip:{number}@{self.server} ", f"sip:{number}@{self._host()} ", 1)
        # RFC 3581: answered to where it came from
        return text.replace(f"branch={branch}", f"branch={branch};rport", 1), call_id, session

    def send_invite(self, text: str) -> None:
        self._invite = text.encode()
        self._send_again_and_again("INVITE", self._invite, may_double_past_t2=True)

    def cancel(self) -> None:
        """RFC 3261 9.1: the INVITE's own identity under another method."""
        invite = wire.parse(self._invite)
        uri = invite.start.split(" ")[1]
        text = self._head(f"CANCEL {uri} SIP/2.0", invite, invite.get("via"), invite.get("to"))
        self._send_again_and_again("CANCEL", text)

    def gen_ack(self, request: SIP.SIPMessage) -> str:
        """pyVoIP asks for it after a 200: RFC 3261 13.2.2.4, a request of its own."""
        return self._in_dialog("ACK").decode()

    def bye(self, request: SIP.SIPMessage) -> None:
        self._send_again_and_again("BYE", self._in_dialog("BYE"))

    def _in_dialog(self, method: str) -> bytes:
        invite = wire.parse(self._invite)
        via = f"SIP/2.0/UDP {self.myIP}:{self.myPort};branch={self.gen_branch()};rport"
        start = f"{method} {self._remote_target} SIP/2.0"
        return self._head(start, invite, via, self._to, self._route)

    def _head(
        self,
        start: str,
        invite: wire.Message,
        via: str,
        to: str,
        route: list[str] | None = None,
    ) -> bytes:
        method = start.split(" ", 1)[0]
        number = int(invite.get("cseq").split()[0]) + (method == "BYE")
        lines = [start, f"Via: {via}", "Max-Forwards: 70"]
        lines += [f"Route: {one}" for one in route or []]
        lines += [f"From: {invite.get('from')}", f"To: {to}", f"Call-ID: {invite.get('call-id')}"]
        lines += [f"CSeq: {number} {method}", "Content-Length: 0", "", ""]
        return "\r\n".join(lines).encode()

    def _host(self) -> str:
        return f"{self.server}:{self.port}"

    def _send(self, data: bytes) -> None:
        # No route just now, perhaps: what matters is sent again, and timed out.
        with contextlib.suppress(OSError):
            self.out.sendto(data, (self.server, self.port))

    def _send_again_and_again(
        self, method: str, data: bytes, *, may_double_past_t2: bool = False
    ) -> None:
        now = time.monotonic()
        with self._repeats_lock:
            self._repeats[method] = _Repeated(
                data, T1_S, now + T1_S, now + TRANSACTION_S, may_double_past_t2
            )
        self._send(data)

    def _repeat_what_is_due(self) -> None:
        now = time.monotonic()
        with self._repeats_lock:
            for method, repeated in list(self._repeats.items()):
                if now >= repeated.give_up_at:
                    del self._repeats[method]
                elif now >= repeated.next_at:
                    limit = TRANSACTION_S if repeated.may_double_past_t2 else T2_S
                    repeated.interval_s = min(2 * repeated.interval_s, limit)
                    repeated.next_at = now + repeated.interval_s
                    self._send(repeated.data)

    def _no_more(self, method: str) -> None:
        with self._repeats_lock:
            self._repeats.pop(method, None)

    # --- what comes back --------------------------------------------------------------------

    def _response(self, message: wire.Message) -> None:
        status, method = message.status or 0, message.method
        if not self._invite or message.get("call-id") != wire.parse(self._invite).get("call-id"):
            return
        if status >= 200 or method == "INVITE":
            self._no_more(method)
        if method == "BYE" and status >= 200:
            self.ended.set()
        if method != "INVITE" or message.get("cseq") != wire.parse(self._invite).get("cseq"):
            return
        if 200 <= status < 300:
            self._remote_target = message.contact_uri or self._remote_target
            self._to = message.get("to")
            self._route = [
                one.strip() for value in message.all("record-route") for one in value.split(",")
            ][::-1]
            if self.callCallback is not None:
                self.callCallback(SIP.SIPMessage(wire.tidied(message)))  # starts audio, sends ACK
        elif status >= 300:
            self._acknowledge_failure(message)
            if status in {401, 407} and self._answer_challenge(message, status):
                return
        self._on_response(message)

    def _acknowledge_failure(self, message: wire.Message) -> None:
        """RFC 3261 17.1.1.3: to where the INVITE went, under its branch, with the answer's To."""
        invite = wire.parse(self._invite)
        start = f"ACK {invite.start.split(' ')[1]} SIP/2.0"
        self._send(self._head(start, invite, invite.get("via"), message.get("to")))

    def _answer_challenge(self, message: wire.Message, status: int) -> bool:
        asked, answered = (
            ("www-authenticate", "Authorization")
            if status == 401
            else ("proxy-authenticate", "Proxy-Authorization")
        )
        invite = wire.parse(self._invite)
        if self._login is None or invite.get(answered.lower()):
            return False
        value = digest.answer(
            message.all(asked),
            method="INVITE",
            uri=invite.start.split(" ")[1],
            user=self._login[0],
            password=self._login[1],
        )
        if value is None:
            return False
        number = int(invite.get("cseq").split()[0])
        branch = invite.get("via").partition("branch=")[2].partition(";")[0]
        text = self._invite.decode()
        text = text.replace(f"branch={branch}", f"branch={self.gen_branch()}", 1)
        text = text.replace(f"CSeq: {number} INVITE", f"CSeq: {number + 1} INVITE", 1)
        text = text.replace("\r\nContent-Type:", f"\r\n{answered}: {value}\r\nContent-Type:", 1)
        self.send_invite(text)
        return True

    def _request(self, message: wire.Message, source: tuple[str, int]) -> None:
        method = message.method
        if method == "ACK":
            return
        if method in {"BYE", "INVITE"}:
            ours = wire.parse(self._invite).get("call-id") if self._invite else ""
            if message.get("call-id") != ours:
                unknown = "481 Call/Transaction Does Not Exist" if method == "BYE" else "486 Busy"
                self.out.sendto(message.response(unknown), source)
                return
            if self.callCallback is not None:
                self.callCallback(SIP.SIPMessage(wire.tidied(message)))
            if method == "INVITE":
                return  # pyVoIP's renegotiation has answered it
        answered = method in {"BYE", "OPTIONS", "INFO"}
        self.out.sendto(message.response("200 OK" if answered else "501 Not Implemented"), source)
