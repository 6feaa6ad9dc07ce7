"""`provision twilio numbers`, against Twilio's rules: bound one way or the other, bought once."""

from pathlib import Path
from typing import Any

import pytest

from gateway.http import twilio_webhooks
from gateway.provisioning.changes import Wishes
from gateway.provisioning.failures import ApiError
from gateway.twilio.provisioning.buying import Purchase
from tests.gateway.provisioning.stage import interrupted, run
from tests.gateway.provisioning.twilio_double import DEMO, TwilioDouble
from tests.gateway.provisioning.twilio_stage import NAME, OWN, VOICE, account, provisioned, twilio


async def test_numbers_are_bound_to_the_voice_webhook(tmp_path: Path) -> None:
    double = account()
    async with twilio(
        tmp_path, double, of_numbers=True, provision=provisioned(bind="voice")
    ) as target:
        _, left = await run(target)
        assert not left.differs
        assert double.number(OWN[0])["voice_url"] == f"{VOICE}{OWN[0]}"
        assert (
            double.number(OWN[0])["status_callback"]
            == "https://gateway.example.com/webhooks/twilio/status"
        )
        assert double.number("+14155550177")["voice_url"] == DEMO
        done = len(double.faults.done)
        await run(target)
        assert len(double.faults.done) == done


async def test_numbers_are_bound_anew_both_ways(tmp_path: Path) -> None:
    """A trunk silences a voice URL, so it goes first."""
    double = account()
    async with twilio(tmp_path, double) as target:
        await run(target)
    voice = provisioned(bind="voice")
    async with twilio(tmp_path, double, of_numbers=True, provision=voice) as target:
        _, left = await run(target)
        assert not left.differs
        assert double.number(OWN[0])["trunk_sid"] is None
        assert double.number(OWN[0])["voice_url"] == f"{VOICE}{OWN[0]}"
    async with twilio(tmp_path, double, of_numbers=True) as target:
        _, left = await run(target)
        assert not left.differs
        assert double.number(OWN[0])["trunk_sid"] in double.trunks


@pytest.mark.parametrize("wishes", [Wishes(), Wishes(destroy=True)])
async def test_binding_that_is_interrupted_converges(wishes: Wishes, tmp_path: Path) -> None:
    """Off the trunk and onto the webhook, which are two requests a number."""
    voice = provisioned(bind="voice")
    for cut_at in range(100):
        double = account()
        async with twilio(tmp_path, double) as target:
            await run(target)
        async with twilio(tmp_path, double, of_numbers=True, provision=voice) as target:
            double.faults.seen, double.faults.cut_at = 0, cut_at
            was_cut = await interrupted(run(target, wishes))
            double.faults.cut_at = None
            _, left = await run(target, wishes)
            assert not left.differs, cut_at
            url = DEMO if wishes.destroy else f"{VOICE}{OWN[0]}"
            assert double.number(OWN[0])["voice_url"] == url
            assert double.number(OWN[0])["trunk_sid"] is None
            if not was_cut:
                return
    raise AssertionError("it never got through")


async def test_without_a_trunk_there_is_nothing_to_bind_to(tmp_path: Path) -> None:
    async with twilio(tmp_path, account(), of_numbers=True) as target:
        _, left = await run(target)
        (conflict,) = left.conflicts
        assert conflict.fix == "run provision twilio trunk first"


@pytest.mark.parametrize("bind", ["trunk", "voice"])
@pytest.mark.parametrize("where", ["trunk", "url", "callback", "application"])
async def test_a_number_that_is_bound_elsewhere(where: str, bind: str, tmp_path: Path) -> None:
    double = account()
    async with twilio(tmp_path, double) as target:
        await run(target)
        await run(target, Wishes(destroy=True))
        await run(target)
    other = double.trunk("other.pstn.twilio.com", "Office")
    double.number(OWN[0]).update(
        {
            "trunk": {"trunk_sid": other["sid"]},
            "url": {"trunk_sid": None, "voice_url": "https://a:b@example.net/voice?token=x"},
            "callback": {"trunk_sid": None, "status_callback": "https://example.net/?token=x"},
            "application": {"trunk_sid": None, "voice_application_sid": "AP1"},
        }[where]
    )
    provision = provisioned(bind=bind)
    async with twilio(tmp_path, double, of_numbers=True, provision=provision) as target:
        before = dict(double.number(OWN[0]))
        _, left = await run(target)
        (conflict,) = left.conflicts
        assert conflict.name == OWN[0]
        assert "token" not in conflict.reason
        assert double.number(OWN[0]) == before

        _, left = await run(target, Wishes(take_over=True))
        assert not left.conflicts
        now = double.number(OWN[0])
        if bind == "trunk":
            assert double.trunks[now["trunk_sid"]]["friendly_name"] == NAME
        else:
            assert now["trunk_sid"] is None
            assert now["voice_url"] == f"{VOICE}{OWN[0]}"
        assert not now["voice_application_sid"]


async def test_a_number_of_our_trunk_that_is_not_configured(tmp_path: Path) -> None:
    double = account()
    async with twilio(tmp_path, double) as target:
        await run(target)
    fewer: dict[str, Any] = {OWN[0]: {}}
    async with twilio(tmp_path, double, numbers=fewer) as target:
        plan, _ = await run(target)
        assert [one.name for one in plan.strays] == [OWN[1]]
        assert not plan.changes
        _, left = await run(target, Wishes(prune=True))
        assert not left.differs
        assert double.number(OWN[1])["trunk_sid"] is None


async def test_destroy_unbinds_and_keeps_the_numbers(tmp_path: Path) -> None:
    double = account()
    async with twilio(tmp_path, double) as target:
        await run(target)
    async with twilio(tmp_path, double, of_numbers=True) as target:
        _, left = await run(target, Wishes(destroy=True))
        assert not left.differs
    voice = provisioned(bind="voice")
    async with twilio(tmp_path, double, of_numbers=True, provision=voice) as target:
        await run(target)
        _, left = await run(target, Wishes(destroy=True))
        assert not left.differs
    assert len(double.numbers) == 3
    assert {one["trunk_sid"] for one in double.numbers.values()} == {None}
    one = double.number(OWN[0])
    assert (one["voice_url"], one["status_callback"]) == ("", "")


@pytest.mark.parametrize("wishes", [Wishes(prune=True), Wishes(destroy=True)])
async def test_a_number_of_our_webhook_that_is_not_configured(
    wishes: Wishes, tmp_path: Path
) -> None:
    """Its callers would be refused: it is named as left over, and let go when that is asked for."""
    double, voice = account(), provisioned(bind="voice")
    async with twilio(tmp_path, double, of_numbers=True, provision=voice) as target:
        await run(target)
    foreign = double.number("+14155550177")["voice_url"] = "https://example.net/voice"
    fewer: dict[str, Any] = {OWN[0]: {}}
    async with twilio(tmp_path, double, of_numbers=True, provision=voice, numbers=fewer) as target:
        plan, left = await run(target)
        assert [one.name for one in plan.strays] == [OWN[1]]
        assert not plan.changes
        assert left.differs
        _, left = await run(target, wishes)
        assert not left.differs
    assert double.number(OWN[1])["voice_url"] == double.number(OWN[1])["status_callback"] == ""
    assert double.number(OWN[0])["voice_url"] == ("" if wishes.destroy else f"{VOICE}{OWN[0]}")
    assert double.number("+14155550177")["voice_url"] == foreign


def test_our_webhooks_are_where_twilio_is_told() -> None:
    """Those of `gateway/http/twilio_webhooks.py`, which the plans may not import."""
    routes = {(route.method, route.path) for route in twilio_webhooks.routes()}
    assert ("POST", "/webhooks/twilio/voice/{dialled}") in routes
    assert ("POST", "/webhooks/twilio/status") in routes


# --- buying ---------------------------------------------------------------------------------------

TWO = Purchase(count=2, area_code="415")


def offered(double: TwilioDouble) -> TwilioDouble:
    """Numbers on sale; one wants an address."""
    places = {"locality": "San Francisco", "region": "CA"}
    for last in range(5):
        needs = {"address_requirements": "local" if last == 0 else "none"}
        double.offers.append({"phone_number": f"+1415555014{last}", **places, **needs})
    return double


async def test_numbers_are_bought_once(tmp_path: Path) -> None:
    double = offered(account())
    voice = provisioned(bind="voice")
    async with twilio(tmp_path, double, of_numbers=True, buy=TWO, provision=voice) as target:
        plan, left = await run(target)
        bought = [one for one in plan.changes if one.action == "make"]
        assert [one.name for one in bought] == ["+14155550141", "+14155550142"]
        assert all("billed" in one.what for one in bought)
        assert not left.differs
        assert "name it in numbers" in " ".join(left.notes)
        plan, _ = await run(target)
        assert not plan.changes, "they are not in use yet, so no more are bought"
        assert len(double.numbers) == 5


async def test_a_purchase_that_is_interrupted_is_not_made_again(tmp_path: Path) -> None:
    voice = provisioned(bind="voice")
    for cut_at in range(100):
        double = offered(account())
        async with twilio(tmp_path, double, of_numbers=True, buy=TWO, provision=voice) as target:
            double.faults.cut_at = cut_at
            was_cut = await interrupted(run(target))
            double.faults.cut_at = None
            _, left = await run(target)
            assert not left.differs
            assert len(double.numbers) == 5, cut_at
            if not was_cut:
                return
    raise AssertionError("it never got through")


async def test_what_is_not_on_offer_is_said(tmp_path: Path) -> None:
    double = offered(account())
    many = Purchase(count=6, area_code="415")
    voice = provisioned(bind="voice")
    async with twilio(tmp_path, double, of_numbers=True, buy=many, provision=voice) as target:
        plan, _ = await run(target)
        assert "2 of the numbers asked for are not on offer" in " ".join(plan.notes)


async def test_a_trial_account_is_warned_before_it_buys(tmp_path: Path) -> None:
    double = offered(account("Trial"))
    voice = provisioned(bind="voice")
    async with twilio(tmp_path, double, of_numbers=True, buy=TWO, provision=voice) as target:
        plan = await target.plan(Wishes())
        told = " ".join(plan.notes)
        assert "one number" in told
        assert "spoken notice" in told
        with pytest.raises(ApiError, match="Trial accounts are allowed only one"):
            await run(target)


# --- giving back ----------------------------------------------------------------------------------


def release(*numbers: str) -> Wishes:
    return Wishes(release=numbers)


async def test_what_we_bought_is_given_back_by_name(tmp_path: Path) -> None:
    """Nothing else is touched: no other number, and none is bound."""
    double, voice = offered(account()), provisioned(bind="voice")
    async with twilio(tmp_path, double, of_numbers=True, buy=TWO, provision=voice) as target:
        await run(target)
    before = {one["phone_number"]: dict(one) for one in double.numbers.values()}
    async with twilio(tmp_path, double, of_numbers=True, provision=voice) as target:
        plan, left = await run(target, release("+14155550141"))
        assert [(one.action, one.name) for one in plan.changes] == [("remove", "+14155550141")]
        assert plan.changes[0].what.endswith("for ever")
        assert not left.differs
        assert left.notes == ("+14155550141 is none of this account's",)
        del before["+14155550141"]
        assert {one["phone_number"]: one for one in double.numbers.values()} == before


async def test_what_is_in_use_or_was_not_bought_by_us_is_kept(tmp_path: Path) -> None:
    double, voice = offered(account()), provisioned(bind="voice")
    async with twilio(tmp_path, double, of_numbers=True, buy=TWO, provision=voice) as target:
        await run(target)
    used: dict[str, Any] = {"+14155550141": {}}
    async with twilio(tmp_path, double, of_numbers=True, provision=voice, numbers=used) as target:
        plan, _ = await run(target, release("+14155550141", "+14155550177", OWN[0]))
    assert not plan.changes
    assert [(one.name, one.fix) for one in plan.conflicts] == [
        (OWN[0], "give it back in Twilio's console"),
        ("+14155550141", "take it out of the configuration first"),
        ("+14155550177", "give it back in Twilio's console"),
    ]
    assert len(double.numbers) == 5


@pytest.mark.parametrize(
    ("bound", "reason"),
    [
        ({"trunk_sid": "TK" + "9" * 32}, "is attached to the trunk TK"),
        ({"voice_url": "https://example.net/voice"}, "has a voice_url at example.net"),
        ({"voice_application_sid": "AP" + "9" * 32}, "is bound to the application AP"),
    ],
)
async def test_what_others_have_bound_is_not_given_back(
    bound: dict[str, str], reason: str, tmp_path: Path
) -> None:
    """Another gateway may have bought it, with the same mark."""
    double, voice = account(), provisioned(bind="voice")
    double.owns("+14155550150", friendly_name="retell-sip-gateway", **bound)
    async with twilio(tmp_path, double, of_numbers=True, provision=voice) as target:
        plan, _ = await run(target, release("+14155550150"))
    assert not plan.changes
    assert plan.conflicts[0].reason.startswith(reason)
    assert plan.conflicts[0].fix == "unbind it first, if nobody needs it"


async def test_what_the_configuration_calls_from_is_not_given_back(tmp_path: Path) -> None:
    double, voice = account(), provisioned(bind="voice")
    double.owns("+14155550150", friendly_name="retell-sip-gateway")
    calls = {"caller_id": "+14155550150"}
    async with twilio(tmp_path, double, of_numbers=True, provision=voice, outbound=calls) as target:
        plan, _ = await run(target, release("+14155550150"))
    assert not plan.changes
    assert plan.conflicts[0].fix == "take it out of the configuration first"


async def test_giving_back_that_is_interrupted_converges(tmp_path: Path) -> None:
    voice = provisioned(bind="voice")
    both = release("+14155550141", "+14155550142")
    for cut_at in range(100):
        double = offered(account())
        async with twilio(tmp_path, double, of_numbers=True, buy=TWO, provision=voice) as target:
            await run(target)
        async with twilio(tmp_path, double, of_numbers=True, provision=voice) as target:
            double.faults.seen, double.faults.cut_at = 0, cut_at
            was_cut = await interrupted(run(target, both))
            double.faults.cut_at = None
            _, left = await run(target, both)
            assert not left.differs, cut_at
            assert len(double.numbers) == 3
            if not was_cut:
                return
    raise AssertionError("it never got through")
