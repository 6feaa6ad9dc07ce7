"""Retell calls, carriers are called: SIPp at both ends, over UDP and over TCP."""

from hashlib import md5

import pytest

from tests.interop.harness.gateway import CARRIER_LOGIN, LOGIN, TO_A_THEN_B, TO_B_ONLY
from tests.interop.harness.scene import Scene, ending, good, tried

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_answered_and_hung_up_by_retell(scene: Scene) -> None:
    callee = await scene.callee("callee-answers", scene.network.carrier_a)
    retell = await scene.retell("retell-hangs-up", TO_A_THEN_B, d_ms=500)
    a_leg = good(await retell.finish())
    b_leg = good(await callee.finish())

    assert a_leg.statuses() == [407, 180, 200]
    [invite] = b_leg.received("INVITE")
    assert invite.uri.startswith(f"sip:{TO_A_THEN_B}@{scene.network.carrier_a}")
    assert not invite.header("proxy-authorization")
    record = await scene.record()
    assert ending(record) == ("caller", "hangup", 200)


async def test_answered_and_hung_up_by_the_callee(scene: Scene) -> None:
    callee = await scene.callee("callee-hangs-up", scene.network.carrier_a, d_ms=500)
    retell = await scene.retell("retell-is-hung-up-on", TO_A_THEN_B, d_ms=200)
    good(await retell.finish())
    good(await callee.finish())
    record = await scene.record()
    assert ending(record) == ("callee", "hangup", 200)


async def test_cancelled_while_ringing(scene: Scene) -> None:
    callee = await scene.callee("callee-rings-until-cancelled", scene.network.carrier_a)
    retell = await scene.retell("retell-cancels", TO_A_THEN_B, d_ms=300)
    good(await retell.finish())
    good(await callee.finish())
    record = await scene.record()
    assert ending(record) == ("caller", "cancelled", 487)


async def test_carrier_a_out_of_service_b_answers(scene: Scene) -> None:
    a = await scene.callee("callee-is-unavailable", scene.network.carrier_a)
    b = await scene.callee("callee-answers", scene.network.carrier_b)
    retell = await scene.retell("retell-hangs-up", TO_A_THEN_B, d_ms=500)
    a_leg = good(await retell.finish())
    good(await a.finish())
    good(await b.finish())

    assert a_leg.statuses() == [407, 180, 200]
    record = await scene.record()
    assert ending(record) == ("caller", "hangup", 200)
    assert tried(record) == [("carrier-a", 503), ("carrier-b", 200)]


async def test_carrier_a_silent_b_answers(scene: Scene) -> None:
    scene.given_up = 1
    a = await scene.callee(
        "callee-is-silent", scene.network.carrier_a, recv_timeout_ms=4000, d_ms=0
    )
    b = await scene.callee("callee-answers", scene.network.carrier_b)
    retell = await scene.retell("retell-hangs-up", TO_A_THEN_B, d_ms=500)
    good(await retell.finish())
    good(await b.finish())
    silence = (await a.finish()).log
    assert not silence.received("CANCEL")
    if scene.transport == "udp":  # timer A: 0, 0.5, 1.5 s, and none for a call that went elsewhere
        assert len(silence.received("INVITE")) == 3
    record = await scene.record()
    assert ending(record) == ("caller", "hangup", 200)
    assert tried(record) == [("carrier-a", 408), ("carrier-b", 200)]


async def test_carrier_a_unreachable_b_answers(scene: Scene) -> None:
    scene.given_up = 1 if scene.transport == "udp" else 0
    b = await scene.callee("callee-answers", scene.network.carrier_b)
    retell = await scene.retell("retell-hangs-up", TO_A_THEN_B, d_ms=500)
    good(await retell.finish())
    good(await b.finish())
    record = await scene.record()
    assert ending(record) == ("caller", "hangup", 200)
    assert [trunk for trunk, _ in tried(record)] == ["carrier-a", "carrier-b"]


async def test_busy_is_final(scene: Scene) -> None:
    """A says 486: it is the callee who is busy, whoever carries the call. B stays untouched."""
    a = await scene.callee("callee-is-busy", scene.network.carrier_a)
    b = await scene.callee("callee-answers", scene.network.carrier_b, calls=None)
    retell = await scene.retell("retell-gets-busy", TO_A_THEN_B)
    good(await retell.finish())
    good(await a.finish())
    assert (await b.stop()).created == 0
    record = await scene.record()
    assert ending(record) == ("callee", "busy", 486)
    assert tried(record) == [("carrier-a", 486)]


async def test_early_media_is_final(scene: Scene) -> None:
    """Retell has heard A's announcement: no second call for the same one. A's 503 goes back."""
    a = await scene.callee("callee-has-early-media-then-refuses", scene.network.carrier_a)
    b = await scene.callee("callee-answers", scene.network.carrier_b, calls=None)
    retell = await scene.retell("retell-gets-unavailable", TO_A_THEN_B)
    a_leg = good(await retell.finish())
    good(await a.finish())
    assert (await b.stop()).created == 0
    assert a_leg.statuses() == [407, 183, 503]
    assert "m=audio" in a_leg.received("INVITE", 183)[0].body
    record = await scene.record()
    assert ending(record) == ("callee", "unavailable", 503)
    assert tried(record) == [("carrier-a", 503)]


async def test_every_carrier_out_of_service(scene: Scene) -> None:
    a = await scene.callee("callee-is-unavailable", scene.network.carrier_a)
    b = await scene.callee("callee-is-unavailable", scene.network.carrier_b)
    retell = await scene.retell("retell-gets-unavailable", TO_A_THEN_B)
    good(await retell.finish())
    good(await a.finish())
    good(await b.finish())
    record = await scene.record()
    assert ending(record) == ("callee", "unavailable", 503)
    assert tried(record) == [("carrier-a", 503), ("carrier-b", 503)]


async def test_a_carrier_that_challenges(scene: Scene) -> None:
    """Our digest answers the carrier's 407, with the right password and a CSeq one higher."""
    b = await scene.callee(
        "callee-challenges", scene.network.carrier_b, keys={"realm": "carrier.example.com"}
    )
    retell = await scene.retell("retell-hangs-up", TO_B_ONLY, d_ms=500)
    a_leg = good(await retell.finish())
    b_leg = good(await b.finish())

    first, second = b_leg.received("INVITE")
    assert first.call_id == second.call_id
    assert first.header("from") == second.header("from")
    assert int(second.header("cseq").split()[0]) == int(first.header("cseq").split()[0]) + 1
    assert second.branch != first.branch
    assert digest_is_right(second.header("proxy-authorization"), "INVITE", CARRIER_LOGIN)
    assert a_leg.statuses() == [407, 180, 200]  # Retell sees only its own challenge
    record = await scene.record()
    assert ending(record) == ("caller", "hangup", 200)
    assert tried(record) == [("carrier-b", 200)]


async def test_a_carrier_that_rejects_our_password(scene: Scene) -> None:
    """Asked twice, we stop; Retell is told 403: it has no password to offer there."""
    b = await scene.callee(
        "callee-rejects-our-password",
        scene.network.carrier_b,
        keys={"realm": "carrier.example.com"},
    )
    retell = await scene.retell("retell-is-refused", TO_B_ONLY)
    a_leg = good(await retell.finish())
    good(await b.finish())
    assert a_leg.statuses() == [407, 403]
    record = await scene.record()
    assert ending(record) == ("callee", "not-authorized", 403)


async def test_wrong_password(scene: Scene) -> None:
    """407 again, however often: a ban of Retell's address could be forged. Nothing is dialled."""
    a = await scene.callee("callee-answers", scene.network.carrier_a, calls=None)
    impostor, wrong = scene.network.impostor, (LOGIN[0], "not-the-password")
    for _ in range(4):  # one more than sip.bans.wrong_passwords
        attempt = await scene.retell(
            "retell-has-wrong-password", TO_A_THEN_B, party=impostor, login=wrong
        )
        log = good(await attempt.finish())
        assert log.statuses() == [407, 407]
    assert (await a.stop()).created == 0
    assert await scene.records() == []


def digest_is_right(authorization: str, method: str, login: tuple[str, str]) -> bool:
    """RFC 7616 3.4.1 with MD5 and qop=auth, worked out here once more."""
    scheme, _, rest = authorization.partition(" ")
    fields = {}
    for part in rest.split(","):
        key, _, value = part.strip().partition("=")
        fields[key] = value.strip('"')

    def h(text: str) -> str:
        return md5(text.encode()).hexdigest()

    ha1 = h(f"{login[0]}:{fields['realm']}:{login[1]}")
    ha2 = h(f"{method}:{fields['uri']}")
    parts = (ha1, fields["nonce"], fields["nc"], fields["cnonce"], fields["qop"], ha2)
    return scheme == "Digest" and fields["response"] == h(":".join(parts))
