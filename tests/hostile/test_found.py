"""Defects that damage has found, each as small as it can be told."""

from typing import Any

import pytest

from sip.media.plane import MediaError
from sip.media.session import MediaSession
from sip.media.terms import MediaSide, Signalling
from tests.fakes.media import FakeMedia
from tests.ladder import PCMU


async def test_an_offer_that_the_media_plane_refused_is_none_that_an_answer_must_fit() -> None:
    """A re-INVITE with broken SDP is 488; then the other side's re-INVITE crosses. The task that
    carried it used to end with a ParseError, and its re-INVITE without an answer."""
    media = MediaSession(FakeMedia(), "call")
    side = MediaSide("127.0.0.1", Signalling("127.0.0.1"))
    there: dict[str, Any] = {"sender": side, "reader": side}
    tag, _ = await media.offer_to_b(PCMU, **there)
    await media.answer_to_a(tag, PCMU, **there)
    broken = PCMU.replace("m=audio 40000", "m=audio forty") + "a=sendonly\r\n"
    with pytest.raises(MediaError):
        await media.reoffer("a", tag, broken, **there)
    assert "m=audio" in await media.reanswer("a", tag, PCMU, **there)
