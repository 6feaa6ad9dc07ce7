"""`sip:refer`: asks the caller's side to call somebody else in our place (RFC 3515)."""

from functools import partial
from typing import Final

import structlog

from config.transfer_settings import TrunkTransferSettings
from sip.b2bua.call_events import Headers, ReferNews, Stage
from sip.core.value import frozen
from sip.softswitch.dialling.refer_to import bye_after_s, refer_target
from sip.softswitch.jambonz.messages import call_status
from sip.softswitch.jambonz.session import Json, Session, Verb
from sip.softswitch.jambonz.verbs.schema import (
    ANY,
    UNSUPPORTED,
    Shape,
    headers,
    hook,
    text,
)

log = structlog.get_logger(__name__)


@frozen(kw_only=True)
class Refer:
    """`refer_to` is a number, which is written as the caller's trunk wants it, or a URI.

    `event_hook` hears of each step, `action_hook` of the outcome.
    """

    refer_to: str
    referred_by: str | None = None
    headers: Headers = ()
    event_hook: str | None = None
    action_hook: str | None = None
    verb_id: str | None = None

    async def run(self, session: Session) -> None:
        trunk = session.dialler.trunks.named(session.trunk)
        terms = trunk.transfer if trunk is not None else TrunkTransferSettings()
        news = await session.call.refer(
            refer_target(trunk, self.refer_to),
            leg=session.leg,
            referred_by=self.referred_by,
            headers=(*self.headers, *terms.headers.items()),
            wait_s=terms.refer_wait_s,
            bye_s=bye_after_s(trunk),
            on_news=partial(self._heard, session),
        )
        log.info(
            "refer.ended",
            stage=news.stage.value,
            status=news.status,
            reason=news.reason,
            **session.log_ids,
        )
        if self.action_hook is not None:
            await session.ask(self.action_hook, self._result(session, news))

    def _heard(self, session: Session, news: ReferNews) -> None:
        leg = session.call.legs.get(session.leg)
        if news.stage.final:
            session.note_outcome(*_outcome(news, left=leg is None or leg.gone))
        elif news.stage is Stage.PROGRESS:
            session.note_outcome(news.status, news.reason)
        if self.event_hook is not None and news.stage in (Stage.PROGRESS, Stage.DONE):
            told = call_status(session.info, session.call.status)
            told |= {"event": "transfer-status", "call_status": str(news.status)}
            session.tell(self.event_hook, told)

    def _result(self, session: Session, news: ReferNews) -> Json:
        told = call_status(session.info, session.call.status)
        told["refer_status"] = news.status if news.stage is Stage.REFUSED else 202
        told["refer_reason"] = news.reason
        if news.stage is Stage.DONE:
            told["final_referred_call_status"] = news.status
        if self.verb_id is not None:
            told["verb_id"] = self.verb_id
        return told


def _outcome(news: ReferNews, *, left: bool) -> tuple[int, str]:
    """As who asked for the transfer hears it; `left`: the caller's side has hung up.

    Where it did so after it had accepted, the caller is where it was to be, for all we know.
    """
    if news.stage is not Stage.UNKNOWN:
        return news.status, news.reason
    return (200, "OK") if left and news.status else (480, "Outcome Unknown")


VERB: Final[Shape[Verb]] = Shape(
    "sip:refer",
    Refer,
    {
        **ANY,
        "id": ("verb_id", text),
        "referTo": ("refer_to", text),
        "referredBy": ("referred_by", text),
        "headers": ("headers", headers),
        "eventHook": ("event_hook", hook),
        "actionHook": ("action_hook", hook),
        "referredByDisplayName": UNSUPPORTED,
    },
    required="referTo",
)
