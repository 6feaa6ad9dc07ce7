"""Which failure is told of several legs that rang at once (RFC 3261 16.7 step 6)."""

from collections.abc import Iterable

from sip.b2bua.leg_report import LegReport

#: What says most of a callee: it is there, or may be later. Best first.
_TELLING = (486, 480)
#: What says least: a side was silent, or we gave it up.
_DULL = frozenset({408, 487})


def best_failure(reports: Iterable[LegReport]) -> LegReport:
    """The report to tell of legs of which none was answered; there is at least one.

    One that speaks for the callee everywhere (6xx) comes first, then the lowest class, and of it
    what is most telling: busy rather than unavailable rather than any other status rather than
    silence. Of equals the first.
    """
    return min(reports, key=_rank)


def _rank(report: LegReport) -> tuple[int, int]:
    status = report.sip_status
    if status >= 600:
        return 0, status
    if status in _TELLING:
        return 4, _TELLING.index(status)
    return status // 100, 1000 + status if status in _DULL else 100 + status
