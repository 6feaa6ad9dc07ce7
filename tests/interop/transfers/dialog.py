"""What every party of a transfer does: it answers re-INVITEs and BYE, and sends requests in its
dialog. Written for SIPp by `tests/interop/profiles/script.py`.

SIPp takes a step each few milliseconds, and what comes between two steps is unexpected. So a branch
is said by the message before it (`then`), and not by a step of its own.
"""

from collections.abc import Sequence

from tests.interop.profiles.script import VIA, Script, Sdp

SAME = ("[last_Via:]", "[last_From:]", "[last_To:]", "[last_Call-ID:]", "[last_CSeq:]")
_SDP = Sdp(codecs=("0 PCMU/8000", "101 telephone-event/8000"))


class Dialog:
    """One side of a dialog; `local` and `remote` are its From and To, with their tags."""

    def __init__(self, script: Script, user: str, local: str, remote: str, cseq: int = 0) -> None:
        self.script = script
        self.contact = f"Contact: <sip:{user}@[local_ip]:[local_port];transport=[transport]>"
        self.allow = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY"
        self._local = local
        self._remote = remote
        self._cseq = cseq

    @property
    def sdp(self) -> Sdp:
        """What it offers and answers, always the same."""
        return _SDP

    def request(self, method: str, *headers: str, body: Sequence[str] = ()) -> str:
        """Send a request; its transaction's name. `body` is a message/sipfrag."""
        self._cseq += 1
        name = f"t{self._cseq}"
        fields = [
            f"Via: {VIA}",
            f"From:{self._local}",
            f"To:{self._remote}",
            "[routes]",
            "Call-ID: [call_id]",
            f"CSeq: {self._cseq} {method}",
            "Max-Forwards: 70",
            self.contact,
            *headers,
        ]
        self.script.request(f"{method} [next_url] SIP/2.0", fields, body, txn=name)
        return name

    def ok(self, *headers: str, status: str = "200 OK", then: str = "", if_set: str = "") -> None:
        """Answer the request that has just come."""
        fields = [*SAME, self.contact, *headers]
        self.script.send(f"SIP/2.0 {status}", fields, then=then, if_set=if_set)

    def leaves(self, end: str, *, after_ms: int = 200) -> None:
        """Hang up after so long, unless the other side does first; a BYE that crosses ours is
        answered as well."""
        script = self.script
        if after_ms:
            script.receive("BYE", then="left", within_ms=after_ms, too_late="leaves-now")
            script.label("leaves-now")
        name = self.request("BYE")
        script.receive("BYE", optional=True, then="left")
        script.receive(200, txn=name, then=end)

    def answers(self, label: str, back: str) -> None:
        """From `label` on: a re-INVITE is answered; then on with `back`."""
        self.script.label(label)
        fields = [*SAME, self.contact, self.allow]
        self.script.send("SIP/2.0 200 OK", fields, self.sdp, retrans=True)
        self.script.receive("ACK", then=back)

    def is_left(self, label: str, end: str) -> None:
        """From `label` on: a BYE is answered; then on with `end`."""
        self.script.label(label)
        self.ok(then=end)

    def ends(self, label: str) -> None:
        """The end, a little later: the other side has to be through too."""
        self.script.label(label)
        self.script.raw('<timewait milliseconds="300"/>')
