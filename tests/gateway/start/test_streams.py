"""What streams take over of a configuration that is read anew."""

from collections import Counter
from typing import Any, cast

import pytest

from config.settings import Settings
from gateway.start.streams import Streams
from sip.softswitch.softswitch import Softswitch
from sip.streams.loudness import BargeIn


def settings(listen: list[str], **barge_in: Any) -> Settings:
    return Settings.model_validate(
        {
            "sip": {"listen": listen, "advertise": "192.0.2.1"},
            "streams": {"barge_in": barge_in},
        }
    )


async def test_new_calls_take_other_terms() -> None:
    nobody = cast(Softswitch, None)
    streams = Streams(nobody, settings(["udp:0.0.0.0:5060"]), Counter())
    assert streams._barge_in == BargeIn()
    take = streams.prepare(settings(["udp:0.0.0.0:5060"], enabled=False, debounce_ms=300))
    assert streams._barge_in.wanted
    await take()
    assert streams._barge_in == BargeIn(wanted=False, debounce_ms=300)


@pytest.mark.parametrize(
    ("listen", "host"),
    [
        (["udp:0.0.0.0:5060", "tcp:0.0.0.0:5060"], "127.0.0.1"),
        (["udp:127.0.0.2:5060", "tcp:127.0.0.2:5060"], "127.0.0.2"),
        (["udp:192.0.2.1:5060"], "127.0.0.1"),
    ],
)
async def test_its_audio_goes_where_the_relay_listens(listen: list[str], host: str) -> None:
    assert Streams(cast(Softswitch, None), settings(listen), Counter())._host == host
