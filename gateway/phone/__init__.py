"""A test phone: places one call, plays, records, and says what was heard.

It stands on pyVoIP and on nothing of ours, so that its word about a call does not rest on the
stack it tests. pyVoIP is GPL-3 and an extra of its own (`pip install retell-sip-gateway[phone]`);
this package is imported only by the `call` command and by `run --demo`.
"""

from gateway.phone.audio import AudioError
from gateway.phone.options import CallOptions, Expect, PhoneError
from gateway.phone.report import CallReport, Ended, Heard

__all__ = [
    "AudioError",
    "CallOptions",
    "CallReport",
    "Ended",
    "Expect",
    "Heard",
    "PhoneError",
    "place_call",
]


def place_call(options: CallOptions) -> CallReport:
    """Places the call and blocks until it is over; PhoneError where none can be placed.

    A call that is refused or not answered is a report, not an error.
    """
    try:
        import pyVoIP.VoIP  # noqa: F401
    except ImportError:
        raise PhoneError(
            "the test phone needs pyVoIP, which is not installed:"
            " pip install 'retell-sip-gateway[phone]'"
        ) from None
    from gateway.phone.caller import Caller

    return Caller(options).call()
