"""One side of a dialog in a scenario: how its requests look, and what it does in a call."""

from collections.abc import Sequence

from tests.interop.profiles.script import VIA, Check, Script, Sdp, has
from tests.interop.profiles.system import Step, System

_COMPACT = {
    "Via": "v",
    "From": "f",
    "To": "t",
    "Call-ID": "i",
    "Contact": "m",
    "Content-Type": "c",
    "Content-Length": "l",
    "Supported": "k",
}


def spelt(system: System, name: str) -> str:
    """A header name as the system writes it."""
    if system.letters == "compact":
        return _COMPACT.get(name, name)
    return name.upper() if system.letters == "upper" else name


def lines(system: System, *headers: str) -> list[str]:
    """Header lines with their names as the system writes them; empty ones are left out."""
    found = []
    for header in headers:
        if not header:
            continue
        name, colon, value = header.partition(":")
        found.append(f"{spelt(system, name)}{colon}{value}" if colon else header)
    return found


class Party:
    """The system's half of a dialog: `local` and `remote` are its From and To, with their tags."""

    def __init__(
        self,
        script: Script,
        system: System,
        local: str,
        remote: str,
        cseq: int,
        contact: str = "",
    ) -> None:
        self.script = script
        self.system = system
        self.local = local
        self.remote = remote
        self.contact = contact or system.contact
        self.cseq = cseq
        #: of the INVITE whose 2xx an ACK acknowledges
        self.invite_cseq = cseq
        self._version = 1
        self._transactions = 0

    def request(self, method: str, *headers: str, sdp: Sdp | None = None, ack: str = "") -> str:
        """Send a request in the dialog; its transaction's name."""
        self._transactions += 1
        name = f"t{self._transactions}"
        if method != "ACK":
            self.cseq += 1
        if method == "INVITE":
            self.invite_cseq = self.cseq
        number = self.invite_cseq if method == "ACK" else self.cseq
        fields = lines(
            self.system,
            f"Via: {VIA}",
            f"From: {self.local}",
            f"To: {self.remote}",
            "[routes]",
            "Call-ID: [call_id]",
            f"CSeq: {number} {method}",
            "Max-Forwards: 70",
            f"Contact: {self.contact}" if method in ("INVITE", "UPDATE", "REFER") else "",
            f"User-Agent: {self.system.agent}",
            *headers,
        )
        self.script.send(
            f"{method} [next_url] SIP/2.0",
            fields,
            sdp,
            length=spelt(self.system, "Content-Length"),
            content_type=spelt(self.system, "Content-Type"),
            retrans=method != "ACK",
            txn="" if method == "ACK" else name,
            ack=ack,
        )
        return name

    def does(self, step: Step) -> None:
        """One thing that the system does in a talking call."""
        match step:
            case "options":
                self._ask("OPTIONS", 200, has("Allow", "INVITE"))
            case "update":
                self._ask("UPDATE", 200, has("Session-Expires", "[0-9]"), timer=True)
            case "reinvite":
                self._offer(self.system.sdp(self._version), has("Session-Expires", "[0-9]"))
            case "moves":
                self._change(connection="[media_ip]", direction="sendrecv")
            case "hold-sendonly":
                self._change(direction="sendonly", check=_says("a=(recvonly|inactive)"))
            case "hold-inactive":
                self._change(direction="inactive", check=_says("a=inactive"))
            case "hold-zero":
                self._change(connection="0.0.0.0", direction="")
            case "resume":
                self._change(direction="sendrecv")
            case "reinvite-empty":
                self._offer(None)
            case "refer":
                self.script.note("to somebody whom our directory does not name: the call goes on")
                target = "Refer-To: <sip:+12125550199@[remote_ip]>"
                self._ask("REFER", self.system.refer_refused, headers=(target,))
            case "info":
                self.script.note("without a body: the PBX asks whether the call lives")
                self._ask("INFO", 200)
            case "message":
                self._ask("MESSAGE", 405, has("Allow", "INVITE"), headers=())

    def _ask(
        self,
        method: str,
        status: int,
        *checks: Check,
        headers: Sequence[str] = (),
        timer: bool = False,
    ) -> None:
        if timer:
            headers = (*headers, "Supported: timer", f"Session-Expires: {self._expires}")
        txn = self.request(method, *headers)
        self.script.receive(status, *checks, txn=txn)

    def _change(
        self, *, connection: str = "[media_ip]", direction: str, check: Check | None = None
    ) -> None:
        self._version += 1
        sdp = self.system.sdp(self._version, connection=connection, direction=direction)
        self._offer(sdp, *([check] if check else []))

    def _offer(self, sdp: Sdp | None, *checks: Check) -> None:
        timer = (
            ("Supported: timer", f"Session-Expires: {self._expires}")
            if self.system.session_expires
            else ()
        )
        txn = self.request("INVITE", f"Allow: {self.system.allow}", *timer, sdp=sdp)
        self.script.receive(100, txn=txn, optional=True)
        self.script.receive(200, _says("m=audio [1-9]"), *checks, txn=txn)
        answer = None if sdp is not None else self.system.sdp(self._version)
        self.request("ACK", sdp=answer, ack=txn)

    @property
    def _expires(self) -> str:
        return f"{self.system.session_expires.partition(';')[0] or 1800};refresher=uac"


def _says(pattern: str) -> Check:
    return Check(pattern=pattern)
