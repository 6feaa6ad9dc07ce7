"""Room for calls: a trunk's own limits first, then its share, then what there is for all."""

import pytest

from config.settings import LimitSettings
from sip.softswitch.admission.intake import FullError, Intake
from sip.softswitch.trunks.limits import TrunkLimits
from tests.ladder import PCMU, Ladder, Peer, ladder_with
from tests.softswitch.invites import trunk

TEN = LimitSettings(calls=10, calls_per_second=10, trunk_share=0.6)


def test_a_trunk_is_not_refused_for_what_another_brings() -> None:
    """Each of the others has four tenths of the rate, though one has used it all."""
    intake, mad, honest = Intake(TEN, TrunkLimits()), trunk(name="mad"), trunk(name="honest")
    for _ in range(10):
        intake.take(mad, 0.0).give_back()
    for _ in range(50):
        with pytest.raises(FullError) as full:
            intake.take(mad, 0.5)
        assert full.value.limit == "limits.calls_per_second"
    for _ in range(4):
        intake.take(honest, 0.5)
    with pytest.raises(FullError) as full:
        intake.take(honest, 0.5)
    assert full.value.limit == "limits.calls_per_second"
    intake.take(mad, 1.0)


def test_a_trunk_that_calls_alone_has_the_whole_rate() -> None:
    intake, alone = Intake(TEN, TrunkLimits()), trunk()
    for call in range(100):
        intake.take(alone, float(call // 10)).give_back()


def test_without_a_share_the_first_have_it_all() -> None:
    limits = LimitSettings(calls=10, calls_per_second=10, trunk_share=1)
    intake = Intake(limits, TrunkLimits())
    for _ in range(10):
        intake.take(trunk(name="mad"), 0.0)
    for second in (0.0, 1.5):
        with pytest.raises(FullError):
            intake.take(trunk(name="honest"), second)


def test_one_trunk_leaves_a_part_of_the_channels_to_the_others() -> None:
    intake, mad, honest = Intake(TEN, TrunkLimits()), trunk(name="mad"), trunk(name="honest")
    held = [intake.take(mad, float(second)) for second in range(6)]
    with pytest.raises(FullError) as full:
        intake.take(mad, 20.0)
    assert full.value.limit == "limits.trunk_share"
    for second in range(4):
        intake.take(honest, 30.0 + second)
    with pytest.raises(FullError) as full:
        intake.take(honest, 40.0)
    assert full.value.limit == "limits.calls"
    held[0].give_back()
    held[0].give_back()
    assert intake.calls == 9
    intake.take(honest, 50.0)


def test_what_a_trunk_is_refused_for_itself_takes_nothing_from_all() -> None:
    intake = Intake(TEN, TrunkLimits())
    full = trunk(name="full", max_calls=1)
    slow = trunk(name="slow", accept_per_second=2)
    intake.take(full, 0.0)
    for _ in range(20):
        with pytest.raises(FullError, match="Carries 1 Calls") as refused:
            intake.take(full, 0.0)
        assert refused.value.limit == "trunks[].max_calls"
    intake.take(slow, 0.0)
    intake.take(slow, 0.0)
    for _ in range(20):
        with pytest.raises(FullError, match="2 New Calls A Second") as refused:
            intake.take(slow, 0.9)
        assert refused.value.limit == "trunks[].accept_per_second"
    for _ in range(7):
        intake.take(trunk(name="honest"), 0.9).give_back()


def test_a_share_is_never_less_than_a_call() -> None:
    intake = Intake(LimitSettings(calls=1, calls_per_second=1, trunk_share=0.1), TrunkLimits())
    intake.take(trunk(), 0.0).give_back()
    intake.take(trunk(), 1.0)


def _mad(peers: dict[str, Peer]):  # type: ignore[no-untyped-def]
    return [trunk(name="mad", identify=[f"127.0.0.1:{peers['stranger'].port}"])]


@ladder_with(limits=LimitSettings(calls=100, calls_per_second=10), trunks_to=_mad)
async def test_calls_of_others_go_on_beside_a_mad_trunk(ladder: Ladder) -> None:
    mad = ladder.peer("stranger")
    for _ in range(50):
        await mad.send("INVITE", sdp=PCMU)
    await ladder.call_up()
    await ladder.hung_up_by("carrier")
    assert ladder.switch.refused["limits.calls_per_second"] >= 40
    assert (await mad.drain(1)).count("503") >= 40
