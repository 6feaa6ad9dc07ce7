"""What a carrier or PBX does on the wire, as data from which its two scenarios are written."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.interop.profiles.script import Check, Sdp

PCMU, PCMA, G722 = "0 PCMU/8000", "8 PCMA/8000", "9 G722/8000"
G729, GSM, G723, ILBC = "18 G729/8000", "3 GSM/8000", "4 G723/8000", "97 iLBC/8000"
DTMF = "101 telephone-event/8000"

#: What we log in with at a system that asks for a password.
OURS = {"username": "gateway", "password": "interop-carrier-password"}
#: What a system proves to us, where we ask; its user name is its own.
THEIR_PASSWORD = "interop-system-password"
#: The forms of a number in a URI.
PLUS, BARE, TEN = r"sip:\+1[0-9]{10}@", r"sip:1[0-9]{10}@", r"sip:[2-9][0-9]{9}@"

#: What a system does in a talking call, in the order given.
Step = Literal[
    "options",  # OPTIONS in the dialog
    "update",  # refresh by UPDATE
    "reinvite",  # refresh by re-INVITE, the same session
    "moves",  # re-INVITE with another media address port, as a PBX's direct media
    "hold-sendonly",
    "hold-inactive",
    "hold-zero",  # c=0.0.0.0
    "resume",
    "reinvite-empty",  # re-INVITE without SDP
    "refer",  # blind transfer, which is refused
    "info",  # INFO without a body: does the call live?
    "message",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Early:
    """A provisional response of the called side; `tag` sets apart the branches of a fork."""

    status: int
    sdp: bool = False
    reliable: bool = False
    tag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One carrier or PBX.

    Its head says who it is; `story` adds a sentence to each file. In header values [caller] and
    [service] are the digits given by -key caller and -s.
    """

    name: str
    title: str
    agent: str
    #: another way in which the same system calls
    variant: str = ""
    transport: Literal["udp", "tcp"] = "udp"
    codecs: Sequence[str] = (PCMU, PCMA, DTMF)
    sdp_more: Sequence[str] = ()
    sdp_session: Sequence[str] = ()
    sdp_after: Sequence[str] = ()
    sdp_user: str = "-"
    sdp_protocol: str = "RTP/AVP"
    allow: str = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY"
    supported: str = ""

    # calling us
    calls: str = ""
    uri: str = "sip:+[service]@[remote_ip]:[remote_port]"
    to: str = "<sip:+[service]@[remote_ip]>"
    from_: str = "<sip:+[caller]@[local_ip]>"
    contact: str = "<sip:+[caller]@[local_ip]:[local_port];transport=[transport]>"
    headers: Sequence[str] = ()
    letters: Literal["plain", "compact", "upper"] = "plain"
    record_route: bool = False
    early_offer: bool = True
    require: str = ""
    session_expires: str = ""
    min_se: int = 0
    too_short: str = ""
    challenged: bool = False
    pings: bool = False
    reliable_ringing: bool = False
    early_media: bool = False
    #: how we refuse the call, if we do
    refused: int = 0
    answer: Sequence[Check] = ()
    steps: Sequence[Step] = ()
    #: how its REFER to somebody whom our directory does not name is refused
    refer_refused: int = 403
    we_hang_up: bool = False

    # called by us
    takes: str = ""
    invite: Sequence[Check] = ()
    challenge: Literal[0, 401, 407] = 0
    realm: str = ""
    wants_at_least: int = 0
    early: Sequence[Early] = (Early(status=180),)
    accepts: Sequence[str] = ()
    called_steps: Sequence[Step] = ()
    retell_hangs_up: bool = False

    # what the test needs to know: the trunk's keys beside the profile, the numbers on the wire,
    # what Retell must be told (header, pattern), and what must not reach it
    trunk: dict[str, Any] = field(default_factory=dict)
    proves: bool = False
    registers: bool = False
    first_is_full: bool = False
    ten_digits: bool = False
    caller: str = "12125550101"
    shown: str = "+12125550101"
    told: Sequence[tuple[str, str]] = ()
    hidden: Sequence[str] = ()

    @property
    def file(self) -> str:
        """How the names of its scenarios begin."""
        return f"{self.name}-{self.variant}" if self.variant else self.name

    @property
    def login(self) -> tuple[str, str]:
        """User name and password that the system proves to us."""
        return self.name, THEIR_PASSWORD

    def sdp(self, version: int = 1, **changes: Any) -> Sdp:
        return Sdp(
            codecs=self.codecs,
            more=self.sdp_more,
            session=self.sdp_session,
            after=self.sdp_after,
            user=self.sdp_user,
            protocol=self.sdp_protocol,
            version=version,
            **changes,
        )
