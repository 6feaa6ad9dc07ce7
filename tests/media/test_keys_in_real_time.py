"""Keys through a whole call and the relay's own process, in real time: every pair of forms once."""

import pytest

from sip.core.info_keys import ALONE, RELAY
from sip.media.ng.client import NgClient
from tests.b2bua.keyed import IN, INFO, INFO_ALONE, RETELL, TONES, Kind, staged_talk

pytestmark = pytest.mark.slow

KEYS = "7#A0"


@pytest.mark.parametrize(("form", "caller"), IN)
async def test_into_events(relay_plane: NgClient, form: str, caller: Kind) -> None:
    async with staged_talk(relay_plane, caller, RETELL) as talk:
        for key in KEYS:
            await talk.press(key, form)
            await talk.speaks(0.5)
        await talk.speaks(0.5)
        assert [each.key for each in talk.events] == list(KEYS)
    assert talk.told.keys == [("a", key) for key in KEYS]


@pytest.mark.parametrize(("form", "caller"), IN)
@pytest.mark.parametrize(("body", "agent"), [(RELAY, INFO), (ALONE, INFO_ALONE)])
async def test_into_info(
    relay_plane: NgClient, form: str, caller: Kind, body: str, agent: Kind
) -> None:
    async with staged_talk(relay_plane, caller, agent) as talk:
        for key in KEYS:
            await talk.press(key, form)
            await talk.speaks(0.3)
            assert await talk.informed(body) == key
        assert talk.events == []
        assert talk.tones == []
    assert talk.told.keys == [("a", key) for key in KEYS]


@pytest.mark.parametrize(("form", "caller"), IN)
async def test_into_tones(relay_plane: NgClient, form: str, caller: Kind) -> None:
    async with staged_talk(relay_plane, caller, TONES) as talk:
        for key in KEYS:
            await talk.press(key, form)
            await talk.speaks(0.6)
        await talk.speaks(0.5)
        assert talk.tones == list(KEYS)
    assert talk.told.keys == [("a", key) for key in KEYS]
