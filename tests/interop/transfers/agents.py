"""Retell in a transfer: it is called, answers, sends REFER, and stays until it is told 200."""

from tests.interop.profiles.script import Script, has
from tests.interop.transfers.dialog import Dialog

_TAG = "[pid]-retell-[call_number]"
_REFUSALS = (400, 403, 404, 405, 416, 480, 482, 486, 491, 501, 503, 603)
_GOOD = ("good", "SIP/2.0 200")


def _answered(script: Script, *, early: bool = False, then: str = "") -> Dialog:
    keep = [(name.lower(), name, ".*") for name in ("Via", "From", "To", "CSeq")]
    script.receive("INVITE", routes=True, keep=keep)
    dialog = Dialog(script, "agent", f"[$to];tag={_TAG}", "[$from]", 100)
    answer = ["Via:[$via]", "From:[$from]", f"To:[$to];tag={_TAG}"]
    answer += ["Call-ID: [call_id]", "CSeq:[$cseq]", dialog.contact]
    script.send("SIP/2.0 180 Ringing", answer)
    if early:
        script.pause(200)
        script.note("RFC 5589 6: there is nobody yet who could be transferred")
        name = dialog.request("REFER", "Refer-To: [refer_to]")
        script.receive(403, txn=name)
    script.pause(200)
    script.send("SIP/2.0 200 OK", [*answer, dialog.allow], dialog.sdp, retrans=True)
    script.receive("ACK", then=then)
    return dialog


def refers(*, twice: bool = False, leaves: bool = False) -> str:
    """One REFER; `twice`: another while it runs; `leaves`: it hangs up while it runs."""
    script = Script("Retell transfers its caller by REFER")
    dialog = _answered(script)
    script.pause()
    name = dialog.request("REFER", "Refer-To: [refer_to]", "X-Order: 7")
    for status in _REFUSALS:
        script.receive(status, txn=name, optional=True, then="told")
    meanwhile = leaves or twice
    script.receive(202, has("Contact", "sip:"), txn=name, then="" if meanwhile else "told")
    if meanwhile:
        script.receive("NOTIFY")
        dialog.ok()
        script.note("the target rings")
        script.receive("NOTIFY")
        dialog.ok(then="leaves" if leaves else "")
    if twice:
        again = dialog.request("REFER", "Refer-To: [refer_to]")
        script.receive(491, txn=again, then="told")
    _told(script, dialog)
    script.label("leaves")
    script.note("the agent leaves when it is told 200: it need not be hung up on")
    dialog.leaves("end", after_ms=100)
    dialog.is_left("left", "end")
    dialog.ends("end")
    more = " again while it runs, which is refused," if twice else ""
    more = " hangs up while it runs," if leaves else more
    name = "retell-refers" + ("-twice" if twice else "") + ("-and-leaves" if leaves else "")
    return script.text(
        [
            f"Retell is called, answers, transfers its caller by REFER,{more}",
            "hears what becomes of it, hangs up after a final 200, and else stays until it is hung",
            "up on.",
            "",
            f"  Run it as  sipp -sf {name}.xml -i RETELL_ADDRESS -p 5060 -bind_local -d 500 -m 1",
            "             -key refer_to '<sip:+12125550190@sip.retellai.com>'",
            "  -d            talking time before the REFER, ms",
            "",
            "  Written by tests/interop/transfers.",
        ]
    )


def refers_early() -> str:
    """REFER before the answer."""
    script = Script("Retell sends REFER before it has answered")
    dialog = _answered(script, early=True, then="told")
    _told(script, dialog)
    script.label("leaves")
    dialog.is_left("left", "end")
    dialog.ends("end")
    return script.text(
        [
            "Retell is called and sends REFER while it rings: 403, and the call comes up.",
            "",
            "  Run it as  sipp -sf retell-refers-early.xml -i RETELL_ADDRESS -p 5060 -bind_local",
            "             -m 1 -key refer_to '<sip:+12125550190@sip.retellai.com>'",
            "",
            "  Written by tests/interop/transfers.",
        ]
    )


def _told(script: Script, dialog: Dialog) -> None:
    """What comes until the call is over: on with `left` after a BYE, `leaves` after a 200."""
    dialog.answers("offer", "told")
    script.label("notified")
    dialog.ok(then="leaves", if_set="good")
    script.label("told")
    checks = has("Event", "refer"), has("Subscription-State", "active|terminated")
    script.receive("NOTIFY", *checks, optional=True, note=[_GOOD], then="notified")
    script.receive("INVITE", optional=True, then="offer")
    script.receive("BYE", then="left")
