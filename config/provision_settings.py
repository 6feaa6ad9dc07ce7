"""What `provision` enters at Retell and Twilio beyond what the rest of the configuration says."""

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from config.texts import E164, CodecName, HttpUrl, Name, SipUri
from config.values import Model, text_of

DEFAULT_MARK: Final = "retell-sip-gateway"
#: Twilio takes names of 64 letters; a trunk's or an ordinal stands behind the mark.
_LONGEST_MARK: Final = 32


def _mark(value: Any) -> str:
    text = text_of(value).strip()
    if not text.isprintable() or not 4 <= len(text) <= _LONGEST_MARK:
        raise ValueError(f"must be a name of 4 to {_LONGEST_MARK} letters")
    return text


def _plain_sip(uris: tuple[str, ...]) -> tuple[str, ...]:
    """Neither API takes `sips:` (encryption is `;transport=tls`), and neither calls a user."""
    for uri in uris:
        if uri.startswith("sips:") or "@" in uri:
            raise ValueError(f"{uri} must be sip:HOST with no user, and ;transport=tls for TLS")
    return uris


#: A trunk's name there, also that of one edge (twilio.com/docs/sip-trunking#termination).
_TERMINATION: Final = re.compile(r"sip:([a-z0-9-]+)\.pstn(?:\.[a-z-]+)?\.twilio\.com(?:[:;].*)?")


def termination_name(gateway: str) -> str | None:
    """`NAME.pstn.twilio.com` of a trunk's gateway, whichever edge it names; None where it is no
    elastic trunk of Twilio's."""
    match = _TERMINATION.fullmatch(gateway.lower())
    return None if match is None else f"{match[1]}.pstn.twilio.com"


Mark = Annotated[str, BeforeValidator(_mark)]
#: An elastic trunk has up to 10 (twilio.com/docs/sip-trunking#origination).
OwnUris = Annotated[tuple[SipUri, ...], AfterValidator(_plain_sip), Field(max_length=10)]


class RetellProvisionSettings(Model):
    """Of the numbers that Retell has of us. `numbers` are imported beside those that calls need;
    with `inbound_webhook` Retell asks us about each call before an agent answers it."""

    numbers: tuple[E164, ...] = ()
    codecs: tuple[CodecName, ...] = ()
    inbound_webhook: bool = False


class TwilioProvisionSettings(Model):
    """Of the elastic trunk that `trunk`, an entry of `trunks`, describes, and of the numbers: they
    are attached to it, or their calls ask our voice webhook."""

    trunk: Name | None = None
    bind: Literal["trunk", "voice"] = "trunk"
    transfer_caller_id: Literal["from-transferee", "from-transferor"] = "from-transferee"
    trunking_url: HttpUrl = "https://trunking.twilio.com"


class ProvisionSettings(Model):
    """`mark` stands in the name of all that we make there, and nothing without it is ever removed.
    `sip_uris` are our SIP side as they call it, the first choice first."""

    mark: Mark = DEFAULT_MARK
    sip_uris: OwnUris = ()
    retell: RetellProvisionSettings = RetellProvisionSettings()
    twilio: TwilioProvisionSettings = TwilioProvisionSettings()
