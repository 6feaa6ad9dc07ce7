"""`provision twilio trunk`, against Twilio's rules: made once, changed by drift, taken away, and
whatever is interrupted converges."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.provisioning.changes import Wishes
from gateway.provisioning.failures import ApiError
from tests.gateway.provisioning.stage import CONFIG, PASSWORD, TOKEN, interrupted, run
from tests.gateway.provisioning.twilio_double import DEMO, TwilioDouble
from tests.gateway.provisioning.twilio_stage import (
    DOMAIN,
    MARK,
    NAME,
    OWN,
    account,
    trunk_with,
    twilio,
)


async def test_the_trunk_is_made_once(tmp_path: Path) -> None:
    double = account()
    async with twilio(tmp_path, double) as target:
        plan, left = await run(target)
        assert not left.differs
        trunks, urls, lists, logins, attached, bound = double.state()
        assert trunks == [
            {
                "friendly_name": NAME,
                "domain_name": DOMAIN,
                "secure": False,
                "transfer_mode": "enable-all",
                "transfer_caller_id": "from-transferee",
            }
        ]
        told = f"?X-Trunk-Token={TOKEN}"
        assert urls == [
            (NAME, f"{MARK} 1", f"sip:sip.example.com;transport=tcp{told}", 10, 10, True),
            (NAME, f"{MARK} 2", f"sip:sip2.example.com:5080{told}", 20, 10, True),
        ]
        assert lists == [NAME]
        assert logins == [(NAME, "gateway", PASSWORD)]
        assert attached == [(NAME, NAME)]
        assert bound == [(OWN[0], NAME, DEMO), (OWN[1], NAME, DEMO), ("+14155550177", None, DEMO)]
        assert TOKEN not in str([one.fields for one in plan.changes])
        assert PASSWORD not in str([one.fields for one in plan.changes])

        done = len(double.faults.done)
        plan, _ = await run(target)
        assert not plan.differs
        assert len(double.faults.done) == done, "the second run changes nothing"


async def test_a_secure_trunk_without_refer(tmp_path: Path) -> None:
    double = account()
    trunks = trunk_with(media={"srtp": "required"}, transfer={"policy": "bridge"})
    provision = CONFIG["provision"] | {"sip_uris": ["sip:sip.example.com:5061;transport=tls"]}
    async with twilio(tmp_path, double, trunks=trunks, provision=provision) as target:
        await run(target)
    (trunk,) = double.trunks.values()
    assert trunk["secure"] is True
    assert trunk["transfer_mode"] == "disable-all"


async def test_a_trunk_of_one_edge_is_the_same_trunk(tmp_path: Path) -> None:
    double = account()
    edge = trunk_with(gateways=["sip:example.pstn.ashburn.twilio.com;transport=tcp"])
    async with twilio(tmp_path, double, trunks=edge) as target:
        await run(target)
    (trunk,) = double.trunks.values()
    assert trunk["domain_name"] == DOMAIN


def _refer_off(double: TwilioDouble) -> None:
    next(iter(double.trunks.values()))["transfer_mode"] = "disable-all"


def _other_url(double: TwilioDouble) -> None:
    next(iter(double.urls.values()))["sip_url"] = "sip:198.51.100.9?X-Trunk-Token=older-secret"


def _url_off(double: TwilioDouble) -> None:
    next(iter(double.urls.values()))["enabled"] = False


def _no_url(double: TwilioDouble) -> None:
    double.urls.popitem()


def _no_login(double: TwilioDouble) -> None:
    double.credentials.clear()


def _open_trunk(double: TwilioDouble) -> None:
    double.attached.clear()


def _detached(double: TwilioDouble) -> None:
    double.number(OWN[0])["trunk_sid"] = None


def _renamed(double: TwilioDouble) -> None:
    next(iter(double.trunks.values()))["domain_name"] = "other.pstn.twilio.com"


@pytest.mark.parametrize(
    "drift",
    [
        _refer_off,
        _other_url,
        _url_off,
        _no_url,
        _no_login,
        _open_trunk,
        _detached,
        _renamed,
    ],
)
async def test_drift_is_told_and_mended(
    drift: Callable[[TwilioDouble], None], tmp_path: Path
) -> None:
    double = account()
    async with twilio(tmp_path, double) as target:
        await run(target)
        before = double.state()
        drift(double)
        plan, left = await run(target)
        assert len(plan.changes) == 1
        assert "older-secret" not in str(plan)
        assert not left.differs
        assert double.state() == before


async def test_another_login_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    double = account()
    async with twilio(tmp_path, double) as target:
        await run(target)
    other = trunk_with(credentials={"username": "gateway2", "password": "Other-Word-2026"})
    async with twilio(tmp_path, double, trunks=other) as target:
        plan, left = await run(target)
        assert [one.action for one in plan.changes] == ["make", "remove"], "never without a login"
        assert not left.differs
    assert [one["username"] for one in double.credentials.values()] == ["gateway2"]


async def test_passwords_are_sent_again_when_asked(tmp_path: Path) -> None:
    double = account()
    async with twilio(tmp_path, double) as target:
        await run(target)
        double.passwords = dict.fromkeys(double.passwords, "old")
        assert not (await target.plan(Wishes())).differs
        _, left = await run(target, Wishes(passwords=True))
        assert not left.differs
        assert {*double.passwords.values()} == {PASSWORD}


async def test_fewer_uris_of_ours(tmp_path: Path) -> None:
    double = account()
    async with twilio(tmp_path, double) as target:
        await run(target)
    one = CONFIG["provision"] | {"sip_uris": ["sip:sip.example.com;transport=tcp"]}
    async with twilio(tmp_path, double, provision=one) as target:
        _, left = await run(target)
        assert not left.differs
    assert [url["friendly_name"] for url in double.urls.values()] == [f"{MARK} 1"]


async def test_a_trunk_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    double = account()
    theirs = double.trunk(DOMAIN, "Office")
    hand = {"sid": "OU" + "f" * 32, "trunk_sid": theirs["sid"], "friendly_name": "by hand"}
    url = {"sip_url": "sip:198.51.100.9", "priority": 10, "weight": 10, "enabled": True}
    double.urls[hand["sid"]] = hand | url
    async with twilio(tmp_path, double) as target:
        before = double.state()
        _, left = await run(target)
        (conflict,) = left.conflicts
        assert "Office" in conflict.reason
        assert double.state() == before

        _, left = await run(target, Wishes(take_over=True))
        assert not left.differs
        assert theirs["friendly_name"] == "Office", "it stays theirs"
        assert "by hand" in " ".join(left.notes)
        assert [one["trunk_sid"] for one in double.numbers.values()][:2] == [theirs["sid"]] * 2

        plan, left = await run(target, Wishes(destroy=True))
        assert list(double.trunks.values()) == [theirs]
        assert not double.lists
        assert "was not made by us" in plan.notes[0]
        assert not left.changes


async def test_destroy_takes_away_all_of_ours_and_nothing_else(tmp_path: Path) -> None:
    double = account()
    other = double.trunk("other.pstn.twilio.com", "Office")
    double.number("+14155550177")["trunk_sid"] = other["sid"]
    double.lists["CL1"] = {"sid": "CL1", "friendly_name": "Office"}
    before = double.state()
    async with twilio(tmp_path, double) as target:
        await run(target)
        _, left = await run(target, Wishes(destroy=True))
        assert not left.differs
        assert double.state() == before
        plan, _ = await run(target, Wishes(destroy=True))
        assert not plan.changes


@pytest.mark.parametrize("wishes", [Wishes(), Wishes(destroy=True)])
async def test_interrupted_anywhere_and_run_again_it_converges(
    wishes: Wishes, tmp_path: Path
) -> None:
    whole = account()
    async with twilio(tmp_path, whole) as target:
        await run(target)
    expected = account().state() if wishes.destroy else whole.state()
    for cut_at in range(100):
        double = account()
        async with twilio(tmp_path, double) as target:
            if wishes.destroy:
                await run(target)
                double.faults.seen = 0
            double.faults.cut_at = cut_at
            was_cut = await interrupted(run(target, wishes))
            double.faults.cut_at = None
            plan, left = await run(target, wishes)
            assert not left.differs, cut_at
            assert double.state() == expected, cut_at
            if not was_cut:
                assert not plan.changes
                return
    raise AssertionError("it never got through")


async def test_what_fails_late_is_never_made_twice(tmp_path: Path) -> None:
    """Each request that makes something, done and then answered by 500."""
    whole = account()
    async with twilio(tmp_path, whole) as target:
        await run(target)
    for late in range(100):
        double = account()
        double.faults.after = {late: 500}
        async with twilio(tmp_path, double) as target:
            for _ in range(2):
                if not await interrupted(run(target)):
                    break
            assert not (await target.plan(Wishes())).differs
        assert double.state() == whole.state()
        if double.faults.seen < late:
            return
    raise AssertionError("it never got through")


async def test_an_account_on_trial_is_told_what_bites(tmp_path: Path) -> None:
    double = account("Trial")
    async with twilio(tmp_path, double) as target:
        plan, left = await run(target)
        assert "on trial" in plan.notes[0]
        assert not left.differs


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_refusal_stops_before_anything_is_made(status: int, tmp_path: Path) -> None:
    double = account()
    double.faults.statuses = dict.fromkeys(range(10), status)
    before = double.state()
    async with twilio(tmp_path, double) as target:
        with pytest.raises(ApiError, match=f"Twilio answers {status}: "):
            await run(target)
    assert double.state() == before


async def test_an_error_that_quotes_a_password_does_not_show_it(tmp_path: Path) -> None:
    double = account()
    async with twilio(tmp_path, double) as target:
        await run(target)
        words = f"Password {PASSWORD} is too weak"
        assert target.api._clean(words) == "Password (hidden) is too weak"
