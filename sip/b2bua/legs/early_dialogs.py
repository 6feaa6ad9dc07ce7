"""The early dialogs of one INVITE of ours, which a proxy may have forked: RFC 3261 12.1, 13.2.2.4.

Every fork that rings has a dialog of its own, with its own order of reliable responses (RFC 3262)
and its own answer; the first that answers becomes the leg's dialog, those after it are hung up.
"""

from dataclasses import dataclass, field

from sip.core.dialog import Dialog
from sip.core.message import Request, Response
from sip.core.reliable import InOrder
from sip.ua.client_transaction import ClientTransaction
from sip.ua.dialog_client import DialogClient

#: Early dialogs of one INVITE; more forks than this are not believed.
MAX_FORKS = 10


@dataclass(slots=True)
class EarlyDialog:
    """One fork that has said something."""

    dialog: Dialog
    #: what a reliable response said of the session: it stands
    answer: str | None = None
    #: what an unreliable one said
    preview: str | None = None
    _order: InOrder = field(default_factory=InOrder)

    def in_turn(self, rseq: int) -> bool:
        """Whether a reliable response is to be taken: not one that came before, or too early."""
        return self._order.take(rseq)

    def final(self, sdp: str | None) -> str | None:
        """The answer that stands once a 2xx said `sdp`."""
        return self.answer or sdp or self.preview


class EarlyDialogs:
    """The forks of one INVITE that ring."""

    def __init__(self) -> None:
        self._ringing: dict[str, EarlyDialog] = {}

    def __bool__(self) -> bool:
        return bool(self._ringing)

    def open(self, request: Request, response: Response) -> EarlyDialog | None:
        """The early dialog that `response` belongs to; None for one too many."""
        tag = response.to_tag
        if not tag:
            return None
        early = self._ringing.get(tag)
        if early is None and len(self._ringing) < MAX_FORKS:
            early = self._ringing[tag] = EarlyDialog(Dialog.as_uac(request, response))
        return early

    def of(self, request: Request) -> Dialog | None:
        """The dialog in which the peer sent `request`."""
        early = self._ringing.get(request.from_.tag or "")
        return early.dialog if early is not None else None

    def confirm(self, request: Request, response: Response) -> tuple[Dialog, EarlyDialog | None]:
        """The dialog that a 2xx makes of its early one, if it had one."""
        early = self._ringing.pop(response.to_tag or "", None)
        dialog = early.dialog if early is not None else Dialog.as_uac(request, response)
        dialog.learn(response)
        return dialog, early

    def clear(self) -> None:
        """The INVITE begins anew, and all that rang with it."""
        self._ringing.clear()


class LateAnswers:
    """What comes after the answer to an INVITE: the same again, or another fork's.

    It outlives its leg by the half minute of the transaction, and holds nothing of it but the
    dialog.
    """

    def __init__(
        self, transaction: ClientTransaction, early: EarlyDialogs, client: DialogClient
    ) -> None:
        """`client` has acknowledged the answer, `early` are the forks beside it."""
        self._transaction = transaction
        self._early = early
        self._client = client
        self._late: dict[str, DialogClient] = {client.dialog.remote_tag: client}

    def take(self, response: Response) -> None:
        """Acknowledge it; a second answer (RFC 3261 13.2.2.4) gets a BYE."""
        invite, tag = self._transaction.request, response.to_tag or ""
        known = self._late.get(tag)
        if known is not None:
            known.resend_ack(invite.cseq.number)
        elif len(self._late) <= MAX_FORKS:
            dialog, _ = self._early.confirm(invite, response)
            late = self._late[tag] = self._client.beside(dialog)
            late.ack(invite, lambda: None)
            late.request("BYE", on_end=lambda _: None)
