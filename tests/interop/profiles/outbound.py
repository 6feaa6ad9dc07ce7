"""NAME-outbound.xml: we call the system."""

from tests.interop.profiles.inbound import RECORD_ROUTE
from tests.interop.profiles.party import Party
from tests.interop.profiles.script import Check, Script, Sdp, has
from tests.interop.profiles.system import Early, System

_SAME = ("[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]")


def outbound(system: System) -> str:
    """The scenario file."""
    script = Script(f"{system.title} is called")
    tag = f"[pid]-{system.name}-[call_number]"
    contact = "<sip:[local_ip]:[local_port];transport=[transport]>"
    checks = [has("Max-Forwards", "[0-9]"), *system.invite]
    keep = [(name.lower(), name, ".*") for name in ("Via", "From", "To", "CSeq")]
    if system.wants_at_least:
        _refuse_interval(script, system, tag)
        checks += [has("Session-Expires", str(system.wants_at_least)), has("Min-SE", "[0-9]")]
    if system.challenge:
        _challenge(script, system, tag)
        header = "Proxy-Authorization" if system.challenge == 407 else "Authorization"
        checks += [has(header, f'realm="{system.realm}"'), has(header, "response=.[0-9a-f]{32}")]
    script.receive("INVITE", *checks, routes=True, keep=keep)
    _respond(script, system, 100, "Trying")
    for early in system.early:
        _ring(script, system, early, tag, contact)
        script.pause(100)
    _respond(
        script,
        system,
        200,
        "OK",
        RECORD_ROUTE if system.record_route else "",
        f"Contact: {contact}",
        f"Allow: {system.allow}",
        f"Supported: {system.supported}" if system.supported else "",
        *system.accepts,
        sdp=system.sdp(1),
        tag=tag,
        retrans=True,
    )
    script.receive("ACK", *([has("Route", "lr")] if system.record_route else []))
    script.pause(100)
    party = Party(script, system, f"[$to];tag={tag}", "[$from]", 100, contact)
    for step in system.called_steps:
        party.does(step)
    if system.retell_hangs_up:
        script.receive("BYE", *([has("Route", "lr")] if system.record_route else []))
        script.send("SIP/2.0 200 OK", _SAME)
    else:
        script.pause()
        script.receive(200, txn=party.request("BYE"))
    script.raw('<timewait milliseconds="200"/>')
    return script.text(_head(system))


def _respond(
    script: Script,
    system: System,
    status: int,
    reason: str,
    *headers: str,
    sdp: Sdp | None = None,
    tag: str = "",
    retrans: bool = False,
) -> None:
    """Answer the INVITE that was kept, whatever came after it."""
    fields = [
        "Via:[$via]",
        "From:[$from]",
        f"To:[$to];tag={tag}" if tag else "To:[$to]",
        "Call-ID: [call_id]",
        "CSeq:[$cseq]",
        f"Server: {system.agent}",
        *filter(None, headers),
    ]
    script.send(f"SIP/2.0 {status} {reason}", fields, sdp, retrans=retrans)


def _refuse(script: Script, system: System, status: str, header: str, tag: str) -> None:
    """Refuse the INVITE that has just come, and take its ACK."""
    fields = ["[last_Via:]", "[last_From:]", f"[last_To:];tag={tag}-refused"]
    fields += ["[last_Call-ID:]", "[last_CSeq:]", f"Server: {system.agent}", header]
    script.send(f"SIP/2.0 {status}", fields, retrans=True)
    script.receive("ACK")


def _ring(script: Script, system: System, early: Early, tag: str, contact: str) -> None:
    reason = "Ringing" if early.status == 180 else "Session Progress"
    reliable = ("Require: 100rel", f"RSeq: {7000 + early.status}") if early.reliable else ()
    route = RECORD_ROUTE if system.record_route else ""
    _respond(
        script,
        system,
        early.status,
        reason,
        route,
        f"Contact: {contact}",
        f"Allow: {system.allow}",
        *reliable,
        sdp=system.sdp(1) if early.sdp else None,
        tag=f"{tag}{early.tag}",
        retrans=early.reliable,
    )
    if early.reliable:
        script.receive("PRACK", has("RAck", f"^ *{7000 + early.status} [0-9]+ INVITE"))
        script.send("SIP/2.0 200 OK", [*_SAME, f"Server: {system.agent}"])


def _challenge(script: Script, system: System, tag: str) -> None:
    script.receive("INVITE")
    header, reason = "Proxy-Authenticate", "Proxy Authentication Required"
    if system.challenge == 401:
        header, reason = "WWW-Authenticate", "Unauthorized"
    challenge = (
        f'{header}: Digest realm="{system.realm}", nonce="[pid]47b[call_number]",'
        ' algorithm=MD5, qop="auth"'
    )
    _refuse(script, system, f"{system.challenge} {reason}", challenge, tag)


def _refuse_interval(script: Script, system: System, tag: str) -> None:
    script.note("it wants longer intervals than the first INVITE has (RFC 4028 6)")
    checks: list[Check] = [has("Session-Expires", "[0-9]"), has("Supported", "timer")]
    script.receive("INVITE", *checks)
    _refuse(
        script, system, "422 Session Interval Too Small", f"Min-SE: {system.wants_at_least}", tag
    )


def _head(system: System) -> list[str]:
    known = f"The gateway has a trunk of profile {system.name} with sip:OUR_ADDRESS as gateway."
    if system.registers and "credentials" not in system.trunk:
        known = f"Run {system.name}-registers.xml before it, from the same address and port."
    return [
        f"We call {system.title}.",
        "",
        *(f"  {line}" for line in system.takes.strip().splitlines()),
        "",
        f"  Run it as  sipp -sf {system.name}-outbound.xml -i OUR_ADDRESS -p 5060 -bind_local",
        f"             -d 500 -m 1; over {system.transport.upper()}: -t {system.transport[0]}1",
        f"  {known}",
        "",
        "  Written by tests/interop/profiles; see carriers.py and pbxs.py there.",
    ]
