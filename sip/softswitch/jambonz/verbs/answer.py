"""`answer`: answers the caller although no B-leg is there yet."""

from typing import Final

import structlog

from sip.b2bua.media_failure import media_failure
from sip.core.value import frozen
from sip.media.plane import MediaError
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, Shape

log = structlog.get_logger(__name__)


@frozen
class Answer:
    """Without effect on a call that is answered."""

    async def run(self, session: Session) -> None:
        try:
            await session.call.answer()
        except MediaError as error:
            failure = media_failure(error)
            log.error("answer.failed", error=str(error), fault=error.fault.value, **session.log_ids)
            session.call.reject(failure.status, failure.reason, failure.headers, failure.cause)


VERB: Final[Shape[Verb]] = Shape("answer", Answer, ANY)
