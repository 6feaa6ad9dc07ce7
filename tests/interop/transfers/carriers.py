"""The caller's side of a transfer: a carrier or PBX with one of the ways to take a REFER."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.interop.profiles.script import VIA, Script, has
from tests.interop.transfers.dialog import Dialog

_SIPFRAG = "Content-Type: message/sipfrag;version=2.0"


@dataclass(frozen=True, slots=True)
class Carrier:
    """One way to take a REFER: what it does, and the story in words."""

    story: str
    refer: Callable[[Dialog], None] | None = None
    """from the REFER on; None: it has none coming"""
    keys: str = ""
    first: Callable[[Dialog], None] | None = None
    """what it does as soon as it is answered"""


def caller(name: str, carrier: Carrier) -> str:
    """The scenario file: called through the gateway, answered, and then what may come."""
    script = Script(carrier.story)
    tag = "[pid]-carrier-[call_number]"
    local = f" <sip:[caller]@[local_ip]:[local_port]>;tag={tag}"
    to = " <sip:[service]@[remote_ip]:[remote_port]>"
    dialog = Dialog(script, "[caller]", local, f"{to}[peer_tag_param]", 1)
    fields = [f"Via: {VIA}", f"From:{local}", f"To:{to}", "Call-ID: [call_id]", "CSeq: 1 INVITE"]
    script.send(
        "INVITE sip:[service]@[remote_ip]:[remote_port] SIP/2.0",
        [*fields, dialog.contact, "Max-Forwards: 70", dialog.allow],
        dialog.sdp,
        retrans=True,
        txn="invite",
    )
    for status in (100, 180, 183):
        script.receive(status, txn="invite", optional=True)
    script.receive(200, txn="invite", routes=True)
    ack = [f"Via: {VIA}", f"From:{local}", f"To:{to}[peer_tag_param]", "[routes]"]
    ack += ["Call-ID: [call_id]", "CSeq: 1 ACK", "Max-Forwards: 70"]
    script.send("ACK [next_url] SIP/2.0", ack, ack="invite")
    if carrier.first is not None:
        carrier.first(dialog)
    script.label("talk")
    if carrier.refer is not None:
        checks = has("Refer-To"), has("Contact", "sip:")
        script.receive("REFER", *checks, optional=True, then="refer", too_late="tired")
    script.receive("INVITE", optional=True, then="offer", too_late="tired")
    script.receive("BYE", then="left", too_late="tired")
    dialog.answers("offer", "talk")
    if carrier.refer is not None:
        script.label("refer")
        carrier.refer(dialog)
    script.label("tired")
    dialog.leaves("end", after_ms=0)
    dialog.is_left("left", "end")
    dialog.ends("end")
    return script.text(
        [
            f"{carrier.story}.",
            "It answers every re-INVITE, and hangs up when nothing has come for -recv_timeout.",
            "",
            f"  Run it as  sipp -sf {name}.xml -s DIALLED -key caller NUMBER -i OUR_ADDRESS",
            f"             -p 5060 -bind_local -recv_timeout 3000 -m 1{carrier.keys} GATEWAY:5060",
            "",
            "  Written by tests/interop/transfers.",
        ]
    )


def _notify(
    dialog: Dialog, line: str, *, over: bool = False, late: bool = False, then: str = ""
) -> None:
    state = "terminated;reason=noresource" if over else "active;expires=60"
    headers = "Event: refer", f"Subscription-State: {state}", _SIPFRAG
    name = dialog.request("NOTIFY", *headers, body=[f"SIP/2.0 {line}"])
    if late:
        dialog.script.receive(481, txn=name, optional=True, then="end")
    dialog.script.receive(200, txn=name, then=then)


def _takes(dialog: Dialog, then: str = "talk") -> None:
    dialog.ok(status="202 Accepted")
    _notify(dialog, "100 Trying")
    dialog.script.pause(200)
    _notify(dialog, "180 Ringing")
    dialog.script.pause(200)
    _notify(dialog, "[outcome]", over=True, then=then)


def _takes_and_leaves(dialog: Dialog) -> None:
    _takes(dialog, then="")
    dialog.leaves("end", after_ms=1000)


def _refuses(status: str) -> Callable[[Dialog], None]:
    def refuse(dialog: Dialog) -> None:
        dialog.ok(dialog.allow, status=status, then="talk")

    return refuse


def _challenges(dialog: Dialog) -> None:
    challenge = 'Digest realm="carrier.example.com", nonce="47b", algorithm=MD5, qop="auth"'
    dialog.ok(f"Proxy-Authenticate: {challenge}", status="407 Proxy Authentication Required")
    dialog.script.receive("REFER", has("Proxy-Authorization", "response=.[0-9a-f]{32}"))
    _takes(dialog)


def _says_nothing(dialog: Dialog) -> None:
    dialog.ok(status="202 Accepted", then="talk")


def _is_late(dialog: Dialog) -> None:
    """Longer than the gateway waits (`exchange.REFER_WAIT_S`)."""
    dialog.ok(status="202 Accepted")
    _notify(dialog, "100 Trying")
    dialog.script.pause(2000)
    _notify(dialog, "[outcome]", over=True, then="talk")


def _leaves(dialog: Dialog) -> None:
    dialog.ok(status="202 Accepted")
    dialog.leaves("end")


def _notifies_late(dialog: Dialog) -> None:
    dialog.ok(status="202 Accepted")
    dialog.leaves("after", after_ms=200)
    dialog.script.label("after")
    _notify(dialog, "200 OK", over=True, late=True, then="end")


_OUTCOME = " -key outcome '200 OK'"


def _may_not_refer(dialog: Dialog) -> None:
    dialog.script.pause(300)
    name = dialog.request("REFER", "Refer-To: <sip:+12125550190@[remote_ip]>")
    dialog.script.receive(403, txn=name)


CARRIERS = {
    "caller-may-not-refer": Carrier(
        "A carrier that sends REFER, which it may not", first=_may_not_refer
    ),
    "caller-stays": Carrier("A carrier whose caller is moved from one to the next, without REFER"),
    "caller-takes-refer": Carrier(
        "A carrier that takes REFER, tells all of it, and waits for our BYE", _takes, _OUTCOME
    ),
    "caller-takes-refer-and-leaves": Carrier(
        "A carrier that takes REFER, tells all of it, and hangs up", _takes_and_leaves, _OUTCOME
    ),
    "caller-challenges-refer": Carrier(
        "A carrier that asks for a proof of REFER, and takes it then", _challenges, _OUTCOME
    ),
    "caller-forbids-refer": Carrier("A carrier that forbids REFER", _refuses("403 Forbidden")),
    "caller-knows-no-refer": Carrier(
        "A carrier that knows no REFER", _refuses("405 Method Not Allowed")
    ),
    "caller-declines-refer": Carrier("A carrier that declines REFER", _refuses("603 Decline")),
    "caller-takes-refer-and-is-silent": Carrier(
        "A carrier that takes REFER and never says what became of it", _says_nothing
    ),
    "caller-takes-refer-and-is-late": Carrier(
        "A carrier that takes REFER, tells very late what became of it, and waits for our BYE",
        _is_late,
        _OUTCOME,
    ),
    "caller-takes-refer-and-hangs-up": Carrier(
        "A carrier that takes REFER and hangs up without a word", _leaves
    ),
    "caller-notifies-too-late": Carrier(
        "A carrier that takes REFER, hangs up, and says only then what became of it",
        _notifies_late,
    ),
}
