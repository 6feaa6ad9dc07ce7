"""What a call gets for an answer: documents, by the settings in force. Pure."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from config.settings import Settings
from config.twilio_settings import TwilioSettings
from gateway.calls.endings import Role
from gateway.calls.routing import retell_uri
from gateway.twilio import twiml
from gateway.twilio.requests import Asked

#: Where Twilio's webhooks come in, below `http.public_url`.
PATH: Final = "/webhooks/twilio"
#: Where its streams do.
MEDIA_PATH: Final = "/twilio/media"
#: The header by which our SIP side's record of a call names Twilio's.
CALL_HEADER: Final = "X-Twilio-Voice-Call"
#: Twilio's own words for a SIP leg with encrypted media (twilio.com/docs/voice/api/secure-media).
_SECURE: Final = ";transport=tls;secure=true"
#: Letters of headers that a SIP URI may have, as it is written.
_HEADERS: Final = 1000
_EMPTY: Final = ""


class Answers:
    """Makes the documents of one configuration."""

    def __init__(self, settings: Settings, twilio: TwilioSettings) -> None:
        self._settings = settings
        self._twilio = twilio
        self._public = settings.http.public_url or _EMPTY

    def to_retell(self, call_id: str, retell_call_id: str, longest_s: float | None) -> str:
        """Dial the call that Retell has registered."""
        dial = twiml.dial_sip(
            self._registered(retell_call_id),
            action=self._url("dialled", call_id, Role.RETELL.value),
            leg=self._url("leg", call_id, Role.RETELL.value),
            ring_s=self._settings.retell.ring_timeout_s,
            longest_s=longest_s,
        )
        return twiml.document(dial)

    def placed_to_retell(
        self, call_id: str, retell_call_id: str, person: str, headers: Mapping[str, str]
    ) -> str:
        """The same for a person whom we have had Twilio call, shown to the agent as the caller."""
        dial = twiml.dial_sip(
            self._registered(retell_call_id),
            action=f"{self.placed(call_id)}/dialled",
            leg=f"{self.placed(call_id)}/leg",
            ring_s=self._settings.retell.ring_timeout_s,
            headers=_fitting(headers),
            caller=person,
        )
        return twiml.document(dial, twiml.HANGUP)

    def to_edge(self, asked: Asked) -> str:
        """Dial our own SIP side, which does the rest, and has the record."""
        return twiml.document(
            self._edge(
                asked.dialled or asked.to_number,
                asked.call_sid,
                action=self._url("connected", asked.call_sid),
            )
        )

    def placed_to_edge(self, call_id: str, call_sid: str, number: str, person: str) -> str:
        """The same for a person whom we have had Twilio call from `number`."""
        action = f"{self.placed(call_id)}/connected"
        dial = self._edge(number, call_sid, action=action, caller=person)
        return twiml.document(dial, twiml.HANGUP)

    def to_stream(self, asked: Asked, token: str) -> str:
        """Connect a stream; what stands behind it is done when the stream is over."""
        return self._stream(token, self._url("connected", asked.call_sid))

    def placed_to_stream(self, call_id: str, token: str) -> str:
        """The same for a person whom we have had Twilio call."""
        return self._stream(token, f"{self.placed(call_id)}/connected")

    def fallback(self, call_id: str | None) -> str:
        """No agent can be had. Of a call without a record (`call_id` None) nothing more is told."""
        fallback, ring_s = self._twilio.fallback, self._settings.retell.ring_timeout_s
        verbs = [self._say(fallback.say)]
        if fallback.dial is not None:
            action = leg = None
            if call_id is not None:
                action = self._url("dialled", call_id, Role.FALLBACK.value)
                leg = self._url("leg", call_id, Role.FALLBACK.value)
            verbs.append(twiml.dial_number(fallback.dial, action=action, leg=leg, ring_s=ring_s))
        return twiml.document(*verbs, twiml.HANGUP)

    def message(self) -> str:
        """What a machine hears."""
        return twiml.document(self._say(self._twilio.machine.message or _EMPTY), twiml.HANGUP)

    def placed_message(self, call_id: str, words: str) -> str:
        """What a machine hears that took a call of ours; we are told when it is said."""
        said = twiml.redirect(f"{self.placed(call_id)}/said")
        return twiml.document(self._say(words), said)

    def placed(self, call_id: str) -> str:
        """How the URLs of a call begin that we have had Twilio place."""
        return self._url("placed", call_id)

    def hang_up(self) -> str:
        """There is nothing more to do."""
        return twiml.document(twiml.HANGUP)

    def _say(self, text: str) -> str:
        return twiml.say(text, self._twilio.voice, self._twilio.language)

    def _registered(self, retell_call_id: str) -> str:
        """Where a registered call is dialled."""
        uri = retell_uri(self._settings, retell_call_id)
        if self._settings.retell.srtp == "required":
            uri = uri.partition(";")[0] + _SECURE
        return uri

    def _edge(self, called: str, call_sid: str, *, action: str, caller: str | None = None) -> str:
        edge = self._twilio.edge
        assert edge is not None, "the configuration is checked"
        scheme, _, host = edge.uri.partition(":")
        user = quote(called, safe="+")
        login = None
        if edge.username is not None and edge.password is not None:
            login = (edge.username, edge.password.get_secret_value())
        return twiml.dial_sip(
            f"{scheme}:{user}@{host.rpartition('@')[2]}",
            action=action,
            ring_s=self._settings.retell.ring_timeout_s,
            headers={CALL_HEADER: call_sid},
            login=login,
            caller=caller,
        )

    def _stream(self, token: str, action: str) -> str:
        parts = urlsplit(self._public)
        scheme = "wss" if parts.scheme == "https" else "ws"
        url = f"{scheme}://{parts.netloc}{parts.path}{MEDIA_PATH}/{token}"
        return twiml.document(twiml.connect_stream(url, action=action), twiml.HANGUP)

    def _url(self, *parts: str) -> str:
        return self._public + "/".join([PATH, *parts])


def _fitting(headers: Mapping[str, str]) -> dict[str, str]:
    """Those that a URI has room for; Twilio takes 1024 letters of them
    (twilio.com/docs/voice/twiml/sip)."""
    kept: dict[str, str] = {}
    room = _HEADERS
    for name, value in headers.items():
        room -= len(name) + len(quote(value, safe="")) + 2
        if room >= 0:
            kept[name] = value
    return kept
