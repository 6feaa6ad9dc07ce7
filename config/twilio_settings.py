"""Twilio Programmable Voice: whose requests are believed, and how its calls are answered."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from config.texts import E164, HttpUrl, Name, Secret, SipUri
from config.values import Model, Positive, text_of

#: The trunk that calls of Twilio's are on record under, and cost as.
TWILIO = "twilio"
#: Letters of a text that is spoken; a document has room for 64 KB (twilio.com/docs/voice/twiml).
LONGEST_SPEECH = 3000


def _sid(value: Any) -> str:
    text = text_of(value)
    if len(text) != 34 or not text.startswith("AC") or not set(text[2:]) <= set("0123456789abcdef"):
        raise ValueError(f"{text!r} is no account SID: AC and 32 hex digits")
    return text


def _speech(value: str) -> str:
    if not value.strip():
        raise ValueError("must be a sentence")
    if len(value) > LONGEST_SPEECH:
        raise ValueError(f"has more than {LONGEST_SPEECH} letters")
    return value


AccountSid = Annotated[str, BeforeValidator(_sid)]
Speech = Annotated[str, AfterValidator(_speech)]


class TwilioAccountSettings(Model):
    """An account whose calls reach us. While its token is changed, `next_auth_token` is believed
    as well as `auth_token`. It begins no more than `calls_per_second` that we place: Twilio keeps
    what is beyond its own limit, for up to a day."""

    account_sid: AccountSid
    auth_token: Secret
    next_auth_token: Secret | None = None
    calls_per_second: Positive = 1


class SubaccountSettings(TwilioAccountSettings):
    """An account below the main one. Calls from its `numbers` are placed by it."""

    numbers: tuple[E164, ...] = ()


class SharedKeySettings(Model):
    """A key that an account signs its webhooks with in place of its token."""

    id: Name
    secret: Secret


class EdgeSettings(Model):
    """Our own SIP side, as Twilio calls it. The user of the URI is what was dialled."""

    uri: SipUri
    username: Name | None = None
    password: Secret | None = None


class TwilioFallbackSettings(Model):
    """What a caller hears, and then whom it reaches, when no agent can be had."""

    say: Speech = "We are sorry. Nobody can take your call at the moment. Please try again later."
    dial: E164 | None = None


class MachineSettings(Model):
    """What becomes of a call that an answering machine took; `message` is also what calls of the
    queue leave that say no words of their own."""

    then: Literal["hangup", "message", "agent"] = "hangup"
    message: Speech | None = None


class TwilioSettings(TwilioAccountSettings):
    """The main account, those below it, and how calls are answered: by Retell itself, by our own
    SIP side (`edge`), or as a stream of media."""

    subaccounts: tuple[SubaccountSettings, ...] = ()
    shared_keys: tuple[SharedKeySettings, ...] = ()
    api_url: HttpUrl = "https://api.twilio.com"
    answer: Literal["retell", "edge", "stream"] = "retell"
    edge: EdgeSettings | None = None
    voice: Name | None = None
    language: Name | None = None
    fallback: TwilioFallbackSettings = Field(default=TwilioFallbackSettings())
    machine: MachineSettings = MachineSettings()

    def accounts(self) -> tuple[TwilioAccountSettings, ...]:
        """The main account first."""
        return (self, *self.subaccounts)

    def account(self, account_sid: str) -> TwilioAccountSettings | None:
        """That of this SID; None where it is none of ours."""
        return next((one for one in self.accounts() if one.account_sid == account_sid), None)

    def account_for(self, number: str) -> TwilioAccountSettings:
        """The one that places calls from that number."""
        owner = (one for one in self.subaccounts if number in one.numbers)
        return next(owner, self)
