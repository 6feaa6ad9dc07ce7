"""One tree of errors: what the SIP stack raises on purpose, each saying whose fault it is.

The branches live with the code that raises them:

SipError
├── ParseError         the peer's: what it sent cannot be read, or must be refused
│   └── MessageError   sip.core.message: the same of a whole message, with the request to refuse
├── NoCodecError       sip.core.sdp_codecs: two sides share no codec, and none can be converted
├── ResolveError, DnsError       sip.transport.servers: a name leads nowhere, DNS has no answer
├── AddressError       sip.transport.public_address: our own address cannot be found now
├── TlsError, TlsSessionError    sip.transport.tls: files make no TLS, a session failed
├── MediaError, NoPortsError     sip.media: the media engine did not do what it was asked
├── KeyFileError, VaultError      sip.media.recording: a file of keys, or a recording, is no such
├── FormError, BencodeError, RtcpError, AddressRefusedError   sip.media: what came is not to be used
├── StreamError        sip.streams: what a media stream says cannot be read
├── DialError          sip.softswitch.dialling: nothing can be dialled
├── TrunkFullError     sip.softswitch.trunks: no room for one more call
├── ReplacesError      sip.softswitch.replacements: no leg that may be replaced is meant
├── PlaceError         sip.softswitch.placing: a call that is asked for cannot be placed
├── RegisterError, OutOfOrderError   sip.softswitch.registration: a REGISTER is not served
└── AppError, VerbError, SoundError   sip.softswitch.jambonz: the application is away, sends
                       nonsense, or wants a file played that is not there
"""

from __future__ import annotations

from enum import StrEnum


class Fault(StrEnum):
    """Whose fault an error is, and so who has to mend it; the text is for log lines and records."""

    PEER = "peer"
    """a carrier, PBX or phone: what it sent, or did not send"""
    APPLICATION = "application"
    """what drives our calls: it is away, or asks for what cannot be done"""
    OPERATOR = "operator"
    """the configuration, the machine, or the network around it"""
    ENGINE = "media engine"
    """the media relay or rtpengine"""
    GATEWAY = "gateway"
    """this program itself"""


class SipError(Exception):
    """Base of everything that the SIP stack raises on purpose; the text is a sentence for the
    operator. `fault` is the class's unless one error knows better."""

    fault: Fault = Fault.GATEWAY

    def __init__(self, text: str = "", *, fault: Fault | None = None) -> None:
        super().__init__(text)
        if fault is not None:
            self.fault = fault


class ParseError(SipError):
    """Text of a peer that must be refused.

    `status` is what a UAS answers (400, 413, 416, 505, 513; RFC 3261 21.4), `reason` the phrase for
    its status line.
    """

    fault = Fault.PEER

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.status} {self.reason}"
