"""NAME-inbound.xml: the system calls us."""

from tests.interop.profiles.party import Party, lines, spelt
from tests.interop.profiles.script import VIA, Check, Script, Sdp, has, lacks, says
from tests.interop.profiles.system import System

RECORD_ROUTE = "Record-Route: <sip:[local_ip]:[local_port];transport=[transport];lr>"


def inbound(system: System) -> str:
    """The scenario file."""
    script = Script(f"{system.title} calls")
    local = f"{system.from_};tag=[pid]-{system.name}-[call_number]"
    party = Party(script, system, local, f"{system.to}[peer_tag_param]", 0)
    if system.pings:
        _ping(script, system)
    if system.refused:
        _refused_call(script, system, party)
        return script.text(_head(system))
    acknowledged = _call(script, system, party)
    answer = None if system.early_offer or system.early_media else system.sdp(1)
    party.request("ACK", sdp=answer, ack=acknowledged)
    script.pause(100)
    for step in system.steps:
        party.does(step)
    if system.we_hang_up:
        script.receive("BYE", *([has("Route", "lr")] if system.record_route else []))
        script.send(
            "SIP/2.0 200 OK",
            ["[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]"],
        )
    else:
        script.pause()
        script.receive(200, txn=party.request("BYE"))
    script.raw('<timewait milliseconds="200"/>')
    return script.text(_head(system))


def _call(script: Script, system: System, party: Party) -> str:
    """From the INVITE to its 200; the transaction that is to be acknowledged."""
    if system.too_short:
        script.note("shorter than is allowed here: the 422 says what is (RFC 4028 6)")
        name = _invite(script, system, party, system.too_short)
        script.receive(100, txn=name, optional=True)
        script.receive(422, has("Min-SE", "[0-9]"), txn=name)
        _acknowledge_refusal(script, system, party, name)
    if system.challenged:
        name = _invite(script, system, party, system.session_expires)
        script.receive(100, txn=name, optional=True)
        script.receive(407, txn=name, auth=True)
        _acknowledge_refusal(script, system, party, name)
    name = _invite(script, system, party, system.session_expires, proof=system.challenged)
    script.receive(100, txn=name, optional=True)
    keep = [("rseq", "RSeq", "[0-9]+")]
    if system.early_media:
        script.note("our offer comes reliably before the answer, so theirs is in the PRACK")
        early = (has("Require", "100rel"), says("m=audio [1-9]"))
        script.receive(183, *early, txn=name, routes=True, keep=keep)
        rack = f"RAck: [$rseq] {party.invite_cseq} INVITE"
        script.receive(200, txn=party.request("PRACK", rack, sdp=system.sdp(1)))
        script.receive(200, has("Contact", "sip:"), *system.answer, txn=name, routes=True)
        return name
    if system.reliable_ringing:
        script.receive(180, has("Require", "100rel"), txn=name, routes=True, keep=keep)
        prack = party.request("PRACK", f"RAck: [$rseq] {party.invite_cseq} INVITE")
        script.receive(200, txn=prack)
    else:
        script.receive(180, lacks("RSeq:"), txn=name)
    checks: list[Check] = [has("Contact", "sip:"), says("m=audio [1-9]"), *system.answer]
    script.receive(200, *checks, txn=name, routes=True)
    return name


def _refused_call(script: Script, system: System, party: Party) -> None:
    name = _invite(script, system, party, system.session_expires)
    script.receive(100, txn=name, optional=True)
    script.receive(system.refused, txn=name)
    _acknowledge_refusal(script, system, party, name)
    script.raw('<timewait milliseconds="200"/>')


def _invite(
    script: Script, system: System, party: Party, expires: str, *, proof: bool = False
) -> str:
    party.cseq += 1
    party.invite_cseq = party.cseq
    name = f"invite{party.cseq}"
    fields = lines(
        system,
        f"Via: {VIA}",
        RECORD_ROUTE if system.record_route else "",
        "Max-Forwards: 70",
        f"From: {party.local}",
        f"To: {system.to}",
        "Call-ID: [call_id]",
        f"CSeq: {party.cseq} INVITE",
        f"Contact: {system.contact}",
        f"User-Agent: {system.agent}",
        f"Allow: {system.allow}",
        f"Supported: {system.supported}" if system.supported else "",
        f"Require: {system.require}" if system.require else "",
        f"Session-Expires: {expires}" if expires else "",
        f"Min-SE: {system.min_se}" if system.min_se and expires else "",
        *system.headers,
        "[authentication]" if proof else "",
    )
    sdp: Sdp | None = system.sdp(1) if system.early_offer else None
    script.send(
        f"INVITE {system.uri} SIP/2.0",
        fields,
        sdp,
        length=spelt(system, "Content-Length"),
        content_type=spelt(system, "Content-Type"),
        retrans=True,
        txn=name,
    )
    return name


def _acknowledge_refusal(script: Script, system: System, party: Party, name: str) -> None:
    fields = lines(
        system,
        f"Via: {script.refused_branch}",
        "Max-Forwards: 70",
        f"From: {party.local}",
        f"To: {party.remote}",
        "Call-ID: [call_id]",
        f"CSeq: {party.cseq} ACK",
    )
    length = spelt(system, "Content-Length")
    script.send(f"ACK {system.uri} SIP/2.0", fields, length=length, ack=name)


def _ping(script: Script, system: System) -> None:
    """OPTIONS outside any dialog, as it comes all day long."""
    script.note("it looks whether we are there before it calls; no user in the URI")
    script.send(
        "OPTIONS sip:[remote_ip]:[remote_port] SIP/2.0",
        lines(
            system,
            f"Via: {VIA}",
            "Max-Forwards: 70",
            "From: <sip:[local_ip]:[local_port]>;tag=[pid]-ping-[call_number]",
            "To: <sip:[remote_ip]:[remote_port]>",
            "Call-ID: ping///[call_id]",
            "CSeq: 1 OPTIONS",
            "Contact: <sip:[local_ip]:[local_port];transport=[transport]>",
            f"User-Agent: {system.agent}",
        ),
        length=spelt(system, "Content-Length"),
        retrans=True,
        txn="ping",
    )
    script.receive(200, has("Allow", "INVITE"), has("Accept", "application/sdp"), txn="ping")


def _head(system: System) -> list[str]:
    proof = system.challenged
    login = " -au USER -ap PASSWORD -auth_uri NUMBER@GATEWAY:5060" if proof else ""
    digits = "ten digits" if system.ten_digits else "digits with the country code"
    return [
        f"{system.title} calls us.",
        "",
        *(f"  {line}" for line in system.calls.strip().splitlines()),
        "",
        f"  Run it as  sipp -sf {system.file}-inbound.xml -s NUMBER -key caller CALLER{login}",
        "             -i OUR_ADDRESS -p 5060 -bind_local -d 500 -m 1 GATEWAY:5060",
        f"             over {system.transport.upper()}: -t {system.transport[0]}1",
        f"  NUMBER: {digits}, no plus; CALLER likewise, or an extension.",
        f"  The gateway has a trunk of profile {system.name}, identified by OUR_ADDRESS.",
        "",
        "  Written by tests/interop/profiles; see carriers.py and pbxs.py there.",
    ]
