"""A cold transfer by REFER (retell.com, transfer-call): the agent stays until it is told 200.

As LiveKit's SIP server does it: 200 or 202 to the REFER, then a NOTIFY whose sipfrag says 200, is
success, and then the agent hangs up; whatever else comes, the call goes on.
"""

import structlog

from sip.b2bua.call_events import ReferNews, Stage
from testkit.sandbox.settings import Refer
from testkit.sandbox.sip_headers import on_refer
from testkit.sandbox.store import Outcome, ToolUse
from testkit.sandbox.transfer import Talk

log = structlog.get_logger(__name__)


class ColdTransfer:
    """One REFER, from its sending to its outcome."""

    def __init__(self, talk: Talk, order: Refer, use: ToolUse) -> None:
        self._talk = talk
        self._order = order
        self._use = use

    def start(self) -> None:
        """Send the REFER."""
        order = self._order
        fields = [("Refer-To", order.refer_to), *on_refer(order.headers)]
        if order.referred_by is not None:
            fields.insert(1, ("Referred-By", order.referred_by))
        if not self._talk.leg.refers.ask(tuple(fields), order.wait_s):
            self._talk.transfer_failed(self._use)

    def on_news(self, news: ReferNews) -> None:
        """A response to the REFER, or a NOTIFY."""
        use = self._use
        log.info("sandbox.refer-news", stage=news.stage.value, status=news.status)
        match news.stage:
            case Stage.ACCEPTED:
                use.status = news.status
            case Stage.PROGRESS:
                use.news.append((news.status, news.reason))
            case Stage.REFUSED:
                use.status = news.status
                self._talk.transfer_failed(use)
            case Stage.DONE:
                use.news.append((news.status, news.reason))
                if news.status == 200:
                    self._talk.transferred(use)
                else:
                    self._talk.transfer_failed(use)
            case Stage.UNKNOWN if self._talk.leg.gone:
                use.outcome = Outcome.CUT_OFF
            case Stage.UNKNOWN:
                self._talk.transfer_failed(use)

    def close(self) -> None:
        """The call is over."""
        if self._use.outcome is Outcome.RUNNING:
            self._use.outcome = Outcome.CUT_OFF
