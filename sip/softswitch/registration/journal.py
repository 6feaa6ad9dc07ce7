"""What the log says of a registration: every change once, not every try."""

import structlog

from sip.softswitch.registration.account import Account
from sip.transport.endpoint import Flow

log = structlog.get_logger(__name__)


class Journal:
    """Remembers what was told last."""

    def __init__(self, account: Account) -> None:
        self._who = {"trunk": account.trunk, "registrar": str(account.registrar)}
        self._aor = str(account.aor)
        #: the failure told last, "" for success, None before either
        self._told: str | None = None
        self._nat: tuple[str, str] | None = None

    def succeeded(self, flow: Flow, expires_s: int) -> None:
        """A binding stands."""
        if self._told != "":
            self._told = ""
            server = str(flow.remote)
            log.info(
                "registration.granted",
                **self._who,
                aor=self._aor,
                server=server,
                expires_s=expires_s,
            )

    def failed(self, status: int | None, reason: str | None, retry_s: float) -> None:
        """It was not granted, and will be asked for again."""
        if self._told != reason:
            self._told = reason
            log.warning(
                "registration.failed",
                **self._who,
                status=status,
                reason=reason,
                retry_in_s=round(retry_s),
            )

    def behind_nat(self, shown: str, seen: str) -> None:
        """Our Contact shows one address, the registrar saw another (RFC 3581)."""
        if self._nat != (shown, seen):
            self._nat = (shown, seen)
            log.info(
                "registration.behind-nat",
                **self._who,
                contact=shown,
                seen_as=seen,
                advice="if calls do not come in, set sip.advertise to what the registrar sees",
            )

    def removed(self) -> None:
        """The registrar has taken note that we leave."""
        log.info("registration.removed", **self._who)

    def broke(self, error: BaseException | None) -> None:
        """An error of our own."""
        log.error("registration.broke", **self._who, exc_info=error)
