"""One of several agents of a number: an entry of `numbers.NUMBER.agents`."""

from typing import Literal

from config.texts import Name
from config.values import Model, Positive

Method = Literal["trunk", "dial"]


class AgentSettings(Model):
    """Who may answer a number: Retell where `trunk` is its own (`retell.trunk`), else whoever is
    called over that trunk.

    `to` is what is called there, `agent` Retell's agent, or the name that the record has of
    another one. Of several each gets its share, by `weight`.
    """

    trunk: Name
    to: Name | None = None
    agent: Name | None = None
    method: Method | None = None
    weight: Positive = 1
