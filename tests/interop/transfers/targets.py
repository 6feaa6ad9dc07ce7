"""The target of a transfer, where no scenario of tests/sipp does."""

from tests.interop.profiles.script import Script
from tests.interop.transfers.dialog import SAME, Dialog

_TAG = "[pid]-target-[call_number]"
_CONTACT = "Contact: <sip:target@[local_ip]:[local_port];transport=[transport]>"
_KEPT = ["Via:[$via]", "From:[$from]", f"To:[$to];tag={_TAG}", "Call-ID: [call_id]", "CSeq:[$cseq]"]


def _rings(script: Script) -> None:
    keep = [(name.lower(), name, ".*") for name in ("Via", "From", "To", "CSeq")]
    script.receive("INVITE", routes=True, keep=keep)
    script.send("SIP/2.0 180 Ringing", [*_KEPT, _CONTACT])


def answers_the_cancel() -> str:
    """It answers in the moment in which it is given up."""
    script = Script("the target answers after the time")
    _rings(script)
    dialog = Dialog(script, "target", "", "")
    script.receive("CANCEL")
    script.send("SIP/2.0 200 OK", SAME)
    script.send("SIP/2.0 200 OK", [*_KEPT, _CONTACT], dialog.sdp, retrans=True)
    script.receive("ACK")
    script.receive("BYE")
    script.send("SIP/2.0 200 OK", SAME)
    script.raw('<timewait milliseconds="200"/>')
    return script.text(
        [
            "The target of a transfer rings, and answers when it is cancelled: the answer is",
            "acknowledged and hung up (RFC 3261 9.1).",
            "",
            "  Run it as  sipp -sf target-answers-the-cancel.xml -i TARGET_ADDRESS -p 5060",
            "             -bind_local -m 1",
            "",
            "  Written by tests/interop/transfers.",
        ]
    )


def stays() -> str:
    """It answers, takes re-INVITEs, and waits for the BYE."""
    script = Script("the target answers and stays")
    _rings(script)
    dialog = Dialog(script, "target", f"[$to];tag={_TAG}", "[$from]")
    script.pause(300)
    fields = [*_KEPT, _CONTACT, dialog.allow]
    script.send("SIP/2.0 200 OK", fields, dialog.sdp, retrans=True)
    script.receive("ACK")
    script.label("talk")
    script.receive("INVITE", optional=True, then="offer")
    script.receive("BYE", then="left")
    dialog.answers("offer", "talk")
    dialog.is_left("left", "end")
    dialog.ends("end")
    return script.text(
        [
            "The target of a transfer answers, takes every re-INVITE, and waits for the BYE.",
            "",
            "  Run it as  sipp -sf target-stays.xml -i TARGET_ADDRESS -p 5060 -bind_local -m 1",
            "",
            "  Written by tests/interop/transfers.",
        ]
    )
