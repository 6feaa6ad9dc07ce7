"""The gateway's start with an rtpengine: whether keys are heard, and what is said if not."""

from contextlib import AsyncExitStack

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from gateway.start.errors import StartupError
from gateway.start.media import start_media
from sip.media.ng.control_address import written
from sip.media.plane import Capability
from tests.media.conftest import Engine
from tests.ports import free_port


def with_rtpengine(engine: Engine, dtmf_log: tuple[str, int] | None) -> Settings:
    media: dict[str, object] = {"engine": f"ng:udp:{written(engine.address)}"}
    if dtmf_log is not None:
        media["rtpengine"] = {"dtmf_log": f"{dtmf_log[0]}:{dtmf_log[1]}"}
    return Settings.model_validate({"media": media})


async def started(settings: Settings, stack: AsyncExitStack) -> frozenset[Capability]:
    media = await start_media(settings, stack, on_loss=lambda: None)
    return media.capabilities


async def test_keys_are_heard_where_the_configuration_says(rtpengine_engine: Engine) -> None:
    settings = with_rtpengine(rtpengine_engine, rtpengine_engine.dtmf_log)
    async with AsyncExitStack() as stack:
        with capture_logs() as logs:
            assert Capability.DIGITS in await started(settings, stack)
        assert logs == []
        with pytest.raises(StartupError, match=r"^media.rtpengine.dtmf_log: .* is taken by"):
            await started(settings, stack)


async def test_without_that_address_it_is_logged_once(rtpengine_engine: Engine) -> None:
    settings = with_rtpengine(rtpengine_engine, None)
    async with AsyncExitStack() as stack:
        with capture_logs() as logs:
            capabilities = await started(settings, stack)
    assert capabilities == {Capability.PLAY, Capability.SILENCE}
    assert [log["event"] for log in logs] == ["media.no-digits"]
    assert logs[0]["key"] == "media.rtpengine.dtmf_log"


async def test_an_rtpengine_that_is_not_there_is_said(rtpengine_engine: Engine) -> None:
    nowhere = Engine("rtpengine", ("127.0.0.1", free_port()), 0)
    async with AsyncExitStack() as stack:
        with pytest.raises(StartupError, match=r"^media.engine: ng:udp:.* does not answer: "):
            await started(with_rtpengine(nowhere, None), stack)
