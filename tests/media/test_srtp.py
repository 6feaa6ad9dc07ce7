"""SRTP contexts, held beside the RFCs' own arithmetic (`reference_srtp`)."""

import struct

import pytest

from sip.core.sdp_crypto import PREFERENCE, Crypto, Suite
from sip.media.relay.srtp import MAX_SOURCES, Receiver, Sender, available
from tests.media.reference_srtp import ForgedError, Reference

RTCP = bytes.fromhex("80c90001cafebabe81ca0002cafebabe01026162")


def rtp(seq: int, ssrc: int = 0xCAFEBABE, payload: bytes = b"\x55" * 160) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, seq & 0xFFFF, seq * 160 & 0xFFFFFFFF, ssrc) + payload


def report(ssrc: int) -> bytes:
    return RTCP[:4] + struct.pack("!I", ssrc) + RTCP[8:]


def crypto(suite: Suite = Suite.AES_CM_128_HMAC_SHA1_80, first: int = 7) -> Crypto:
    return Crypto(1, suite, bytes((first + i) & 0xFF for i in range(suite.key_size)))


def test_the_library_has_every_suite() -> None:
    """Each one is proven once by a packet whose encryption is known (RFC 3711, 6188, 7714)."""
    assert available() == PREFERENCE


@pytest.mark.parametrize("suite", Suite)
def test_what_we_send_is_what_the_rfc_says(suite: Suite) -> None:
    sender, reference = Sender(crypto(suite)), Reference(crypto(suite))
    for seq in (1, 2, 4, 3, 900, 0xFFFF):
        assert sender.protect(rtp(seq)) == reference.protect(rtp(seq))
    sent = sender.protect_rtcp(RTCP)
    assert sent is not None
    assert reference.unprotect_rtcp(sent) == RTCP


@pytest.mark.parametrize("suite", Suite)
def test_what_the_rfc_says_is_understood(suite: Suite) -> None:
    receiver, reference = Receiver(crypto(suite)), Reference(crypto(suite))
    assert receiver.unprotect(reference.protect(rtp(1))) == rtp(1)
    assert receiver.unprotect_rtcp(reference.protect_rtcp(RTCP, 4)) == RTCP


@pytest.mark.parametrize("suite", Suite)
def test_what_is_forged_or_damaged_is_refused(suite: Suite) -> None:
    receiver, reference = Receiver(crypto(suite)), Reference(crypto(suite))
    good = reference.protect(rtp(5))
    for at in (0, 3, 9, 40, len(good) - 1):
        bad = good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :]
        assert receiver.unprotect(bad) is None
    assert receiver.unprotect(rtp(5)) is None, "in the clear"
    assert receiver.unprotect(Reference(crypto(suite, 8)).protect(rtp(5))) is None, "another key"
    for size in (0, 1, 11, 12, 20, 4097, 60_000):
        assert receiver.unprotect(bytes(size)) is None
        assert receiver.unprotect_rtcp(bytes(size)) is None
    assert receiver.unprotect(good) == rtp(5), "none of this stands in the way of what is good"


def test_what_was_here_before_is_refused() -> None:
    receiver, reference = Receiver(crypto()), Reference(crypto())
    first = reference.protect(rtp(1))
    assert receiver.unprotect(first) == rtp(1)
    assert receiver.unprotect(first) is None
    for seq in range(2, 500):
        assert receiver.unprotect(reference.protect(rtp(seq)))
    assert receiver.unprotect(first) is None, "also long after it left the window"
    report = reference.protect_rtcp(RTCP, 1)
    assert receiver.unprotect_rtcp(report) == RTCP
    assert receiver.unprotect_rtcp(report) is None


def test_sequence_numbers_roll_over() -> None:
    """RFC 3711 3.3.1: packets around the wrap, in either order, and the count on both sides."""
    sender, receiver, reference = Sender(crypto()), Receiver(crypto()), Reference(crypto())
    for seq in (0xFFFE, 0xFFFF, 0x10001, 0x10000, 0x10002):
        expected = reference.protect(rtp(seq), roll_over=seq >> 16)
        assert sender.protect(rtp(seq)) == expected
        assert receiver.unprotect(expected) == rtp(seq)


def test_a_new_source_begins_at_its_first_roll_over() -> None:
    receiver, reference = Receiver(crypto()), Reference(crypto())
    for seq in (0xFFFF, 0x10000):
        assert receiver.unprotect(reference.protect(rtp(seq), roll_over=seq >> 16))
    assert receiver.unprotect(reference.protect(rtp(9, ssrc=2), roll_over=0)) == rtp(9, ssrc=2)
    assert receiver.unprotect(reference.protect(rtp(0x10001), roll_over=1)) == rtp(0x10001)


def test_no_number_is_used_twice() -> None:
    """Two texts under one key stream would give both away."""
    sender = Sender(crypto())
    assert sender.protect(rtp(1)) is not None
    assert sender.protect(rtp(1, payload=b"\xaa" * 160)) is None


def test_no_context_keeps_account_of_endless_sources() -> None:
    """Whoever has the key could fill the memory; what it spoke by before goes on."""
    sender, receiver, reference = Sender(crypto()), Receiver(crypto()), Reference(crypto())
    for ssrc in range(MAX_SOURCES):
        assert sender.protect(rtp(1, ssrc=ssrc)) is not None
        assert receiver.unprotect(reference.protect(rtp(1, ssrc=ssrc))) is not None
    more = rtp(1, ssrc=MAX_SOURCES)
    assert sender.protect(more) is None
    assert receiver.unprotect(reference.protect(more)) is None
    assert sender.protect(more) is None, "nor when it is tried again"
    assert sender.protect(rtp(2, ssrc=0)) is not None
    assert receiver.unprotect(reference.protect(rtp(2, ssrc=0))) == rtp(2, ssrc=0)


def test_no_context_keeps_account_of_endless_sources_of_reports() -> None:
    sender, receiver, reference = Sender(crypto()), Receiver(crypto()), Reference(crypto())
    for ssrc in range(MAX_SOURCES):
        assert sender.protect_rtcp(report(ssrc)) is not None
        assert receiver.unprotect_rtcp(reference.protect_rtcp(report(ssrc), 1)) == report(ssrc)
    more = report(MAX_SOURCES)
    assert sender.protect_rtcp(more) is None
    assert receiver.unprotect_rtcp(reference.protect_rtcp(more, 1)) is None
    assert sender.protect_rtcp(report(0)) is not None
    assert receiver.unprotect_rtcp(reference.protect_rtcp(report(0), 2)) == report(0)
    assert sender.protect(rtp(1, ssrc=MAX_SOURCES)) is not None, "audio has a place of its own"


def test_forged_sources_take_no_place() -> None:
    receiver, stranger = Receiver(crypto()), Reference(crypto(first=9))
    for ssrc in range(2 * MAX_SOURCES):
        assert receiver.unprotect(stranger.protect(rtp(1, ssrc=ssrc))) is None
    assert receiver.unprotect(Reference(crypto()).protect(rtp(1))) == rtp(1)


def test_contexts_do_not_disturb_each_other() -> None:
    """They share a buffer."""
    senders = [Sender(crypto(suite, i)) for i, suite in enumerate(Suite)]
    receivers = [Receiver(crypto(suite, i)) for i, suite in enumerate(Suite)]
    for seq in range(1, 50):
        sent = [
            sender.protect(rtp(seq, payload=bytes([i] * (100 + i))))
            for i, sender in enumerate(senders)
        ]
        for i, receiver in enumerate(receivers):
            packet = sent[i]
            assert packet is not None
            assert receiver.unprotect(packet) == rtp(seq, payload=bytes([i] * (100 + i)))


@pytest.mark.parametrize("suite", Suite)
def test_what_was_decrypted_is_encrypted_for_the_other_side(suite: Suite) -> None:
    """It lies in the buffer already, unless another packet, or one that was refused, came since."""
    there, reference = Reference(crypto(suite)), Reference(crypto(suite, 9))
    receiver, sender, another = (
        Receiver(crypto(suite)),
        Sender(crypto(suite, 9)),
        Sender(crypto(suite, 9)),
    )
    for seq in range(1, 40, 4):
        clear = receiver.unprotect(there.protect(rtp(seq)))
        assert clear is not None
        assert sender.protect(clear) == reference.protect(rtp(seq))
        assert sender.protect(clear) is None, "twice"
        assert another.protect(clear) == reference.protect(rtp(seq))
        forged = bytearray(there.protect(rtp(seq + 1, payload=b"\x11" * 160)))
        forged[-1] ^= 1
        clear = receiver.unprotect(there.protect(rtp(seq + 2)))
        assert receiver.unprotect(bytes(forged)) is None
        assert clear is not None
        assert sender.protect(clear) == reference.protect(rtp(seq + 2))


def test_the_reference_refuses_forgeries() -> None:
    for suite in Suite:
        reference = Reference(crypto(suite))
        packet = bytearray(reference.protect(rtp(1)))
        packet[30] ^= 1
        with pytest.raises(ForgedError):
            reference.unprotect(bytes(packet))
        report = bytearray(reference.protect_rtcp(RTCP, 1))
        report[9] ^= 1
        with pytest.raises(ForgedError):
            reference.unprotect_rtcp(bytes(report))
