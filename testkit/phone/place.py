"""Places a test call, if the library that the phone stands on is installed."""

from testkit.phone.options import CallOptions, PhoneError
from testkit.phone.report import CallReport


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
    from testkit.phone.caller import Caller

    return Caller(options).call()
