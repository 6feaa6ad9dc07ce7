"""Calls that come as media streams: what an interruption by the caller is."""

from typing import Annotated

from pydantic import Field

from config.values import Model


class BargeInSettings(Model):
    """Whether the agent's audio that the caller has not heard yet is taken back when the caller
    speaks, that loud (dBm0) and for so long (ms) without a pause."""

    enabled: bool = True
    debounce_ms: Annotated[int, Field(ge=40, le=1000)] = 200
    level_dbm0: Annotated[float, Field(ge=-60, le=-5)] = -35.0


class StreamSettings(Model):
    """What holds for every stream."""

    barge_in: BargeInSettings = BargeInSettings()
