"""The other end of a profile's call: Retell as it is called (agent.xml) and as it calls
(retell.xml). Both stay in the call through whatever the system does, until somebody hangs up."""

from tests.interop.profiles.script import VIA, Script, Sdp, has
from tests.interop.profiles.system import DTMF, PCMA, PCMU

_SAME = ("[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]")
_CONTACT = "Contact: <sip:agent@[local_ip]:[local_port];transport=[transport]>"
_ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE"


def _sdp(direction: str = "sendrecv") -> Sdp:
    return Sdp(codecs=(PCMU, PCMA, DTMF), user="retell", direction=direction)


def agent(*, early: bool = False) -> str:
    """Retell is called; `early`: it is heard before it answers."""
    script = Script("Retell answers and stays")
    tag = "[last_To:];tag=[pid]-agent-[call_number]"
    script.receive("INVITE", routes=True)
    head = ["[last_Via:]", "[last_From:]", tag, "[last_Call-ID:]", "[last_CSeq:]", _CONTACT]
    if early:
        script.send("SIP/2.0 183 Session Progress", head, _sdp())
    else:
        script.send("SIP/2.0 180 Ringing", head)
    script.pause(200)
    script.send("SIP/2.0 200 OK", [*head, _ALLOW], _sdp(), retrans=True)
    script.receive("ACK")
    _stay(script)
    return script.text(
        [
            f"Retell is called: it {'is heard (183)' if early else 'rings'}, answers, answers every"
            " re-INVITE,",
            "and waits for the BYE.",
            "",
            f"  Run it as  sipp -sf agent{'-early' if early else ''}.xml -i RETELL_ADDRESS -p 5060",
            "             -bind_local -m 1",
            "  Where each NAME-inbound.xml leads, with retell.sip_uri: sip:RETELL_ADDRESS.",
        ]
    )


def retell() -> str:
    script = Script("Retell calls and stays")
    local = "From: <sip:+[caller]@[local_ip]:[local_port]>;tag=[pid]-retell-[call_number]"
    to = "To: <sip:+[service]@[remote_ip]:[remote_port]>"

    def invite(number: int, *proof: str) -> None:
        contact = "Contact: <sip:+[caller]@[local_ip]:[local_port];transport=[transport]>"
        fields = [f"Via: {VIA}", local, to, "Call-ID: [call_id]", f"CSeq: {number} INVITE"]
        script.send(
            "INVITE sip:+[service]@[remote_ip]:[remote_port] SIP/2.0",
            [*fields, contact, "Max-Forwards: 70", *proof, _ALLOW],
            _sdp(),
            retrans=True,
            txn=f"invite{number}",
        )

    invite(1)
    script.receive(100, txn="invite1", optional=True)
    script.receive(407, txn="invite1", auth=True)
    fields = [local, f"{to}[peer_tag_param]", "Call-ID: [call_id]", "CSeq: 1 ACK"]
    script.send(
        "ACK sip:+[service]@[remote_ip]:[remote_port] SIP/2.0",
        [f"Via: {script.refused_branch}", *fields, "Max-Forwards: 70"],
        ack="invite1",
    )
    invite(2, "[authentication]")
    for status in (100, 180, 183):
        script.receive(status, txn="invite2", optional=True)
    script.receive(200, txn="invite2", routes=True)
    script.send(
        "ACK [next_url] SIP/2.0",
        [
            f"Via: {VIA}",
            *fields[:2],
            "[routes]",
            "Call-ID: [call_id]",
            "CSeq: 2 ACK",
            "Max-Forwards: 70",
        ],
        ack="invite2",
    )
    _stay(script)
    return script.text(
        [
            "Retell calls through us: digest, answered; it answers every re-INVITE, and waits for",
            "the BYE.",
            "",
            "  Run it as  sipp -sf retell.xml -s NUMBER -key caller CALLER -au USER -ap PASSWORD",
            "             -auth_uri +NUMBER@GATEWAY:5060 -i RETELL_ADDRESS -p 5060 -bind_local",
            "             -m 1 GATEWAY:5060",
            "  NUMBER and CALLER: digits only. What calls each NAME-outbound.xml.",
        ]
    )


def gateway_is_full() -> str:
    script = Script("a gateway that has no channel left")
    script.receive("INVITE")
    script.send(
        "SIP/2.0 503 Service Unavailable",
        [
            "[last_Via:]",
            "[last_From:]",
            "[last_To:];tag=[pid]-full-[call_number]",
            "[last_Call-ID:]",
            "[last_CSeq:]",
            "Retry-After: 30",
        ],
        retrans=True,
    )
    script.receive("ACK")
    script.raw('<timewait milliseconds="200"/>')
    return script.text(
        [
            "The first of a trunk's gateways has no room: 503 and Retry-After.",
            "The call goes to the next one.",
            "",
            "  Run it as  sipp -sf gateway-is-full.xml -i FIRST_GATEWAY -p 5060 -bind_local -m 1",
        ]
    )


def answers_options() -> str:
    script = Script("a system that says that it is there")
    script.receive("OPTIONS", has("Contact", "sip:"), has("Max-Forwards", "[0-9]"))
    script.send("SIP/2.0 200 OK", [*_SAME, _ALLOW, "Accept: application/sdp"])
    script.raw('<timewait milliseconds="200"/>')
    return script.text(
        [
            "A system that the gateway watches by OPTIONS (trunks[].health.options) answers one.",
            "",
            "  Run it as  sipp -sf answers-options.xml -i SYSTEM_ADDRESS -p 5060 -bind_local -m 1",
        ]
    )


def _stay(script: Script) -> None:
    """Answer what comes in the call until it is hung up."""
    script.label("1")
    held = [("half", "a=sendonly"), ("full", "a=inactive")]
    script.receive("INVITE", optional=True, note=held, then="2")
    script.receive("UPDATE", optional=True, then="5")
    script.receive("BYE")
    script.send("SIP/2.0 200 OK", _SAME)
    script.jump("9")
    script.label("2")
    script.jump("3", if_set="half")
    script.jump("4", if_set="full")
    for label, direction in (("", "sendrecv"), ("3", "recvonly"), ("4", "inactive")):
        if label:
            script.label(label)
        script.send("SIP/2.0 200 OK", [*_SAME, _CONTACT, _ALLOW], _sdp(direction), retrans=True)
        script.receive("ACK")
        script.jump("1")
    script.label("5")
    script.send("SIP/2.0 200 OK", [*_SAME, _CONTACT, _ALLOW])
    script.jump("1")
    script.label("9")
    script.raw('<timewait milliseconds="200"/>')
