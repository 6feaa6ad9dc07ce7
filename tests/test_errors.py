"""One tree of errors: whatever the SIP stack raises on purpose says whose fault it is."""

import importlib
import inspect
from collections.abc import Iterator

import pytest

from sip.b2bua.call_events import Cause
from sip.errors import Fault, ParseError, SipError
from sip.media.plane import MediaError
from sip.softswitch.dialling.dialler import DialError
from sip.transport.tls.contexts import TlsError
from sip.transport.tls.faults import TlsFault
from sip.transport.tls.session import TlsSessionError
from tests.test_imports import modules

#: Programs, which run when they are imported.
PROGRAMS = {"sip.media.relay.__main__"}


def errors() -> Iterator[type[Exception]]:
    for name, _ in modules("sip"):
        if name in PROGRAMS:
            continue
        for _, found in inspect.getmembers(importlib.import_module(name), inspect.isclass):
            if issubclass(found, Exception) and found.__module__ == name:
                yield found


def test_every_error_of_ours_is_in_the_tree() -> None:
    found = set(errors())
    assert len(found) > 15
    assert [error.__qualname__ for error in found if not issubclass(error, SipError)] == []


def test_every_error_is_named_at_the_root() -> None:
    text = inspect.getdoc(inspect.getmodule(SipError)) or ""
    assert [error.__name__ for error in errors() if error.__name__ not in text] == []


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ParseError("Malformed Via"), Fault.PEER),
        (MediaError("bad-sdp", "no audio"), Fault.PEER),
        (MediaError("no-ports", "all are leased"), Fault.OPERATOR),
        (MediaError("timeout", "no reply in 1 s"), Fault.ENGINE),
        (DialError(404, "No trunk", Cause.NO_SUCH_TRUNK, Fault.APPLICATION), Fault.APPLICATION),
        (TlsError("sip.tls.key: no such file"), Fault.OPERATOR),
        (TlsSessionError(TlsFault("our certificate", "it has expired")), Fault.OPERATOR),
        (TlsSessionError(TlsFault("protocol", "it speaks no TLS 1.2")), Fault.PEER),
        (SipError("something of ours"), Fault.GATEWAY),
    ],
)
def test_an_error_says_whose_fault_it_is(error: SipError, fault: Fault) -> None:
    assert error.fault is fault
    assert str(error)


def test_a_class_is_not_changed_by_one_error() -> None:
    SipError("an engine's", fault=Fault.ENGINE)
    assert SipError("ours").fault is Fault.GATEWAY
