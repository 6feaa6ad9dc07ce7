"""The environment variables of the jambonz Retell example, with the meaning they have there.

They make a whole configuration (no file, a real jambonz does the SIP) or are laid over a file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from config.problems import Problem
from config.reading.source import Source, read_yaml

#: The example listens here when neither WS_PORT nor PORT is set.
EXAMPLE_PORT = "3000"

_LEVELS = {"trace": "debug", "fatal": "error", "silent": "error"}  # pino's, nearest of ours


@dataclass(frozen=True, slots=True)
class ExampleVariables:
    """The variables that are set and not empty, as they are: judging is the models' business."""

    api_key: str | None
    retell_trunk: str | None
    pstn_trunk: str | None
    sip_username: str | None
    agent: str | None
    dial_method: str | None
    country: str | None
    from_user: str | None
    ws_port: str | None
    port: str | None
    level: str | None

    @classmethod
    def of(cls, env: Mapping[str, str]) -> Self:
        return cls(
            api_key=env.get("RETELL_API_KEY") or None,
            retell_trunk=env.get("RETELL_TRUNK_NAME") or None,
            pstn_trunk=env.get("PSTN_TRUNK_NAME") or None,
            sip_username=env.get("RETELL_SIP_CLIENT_USERNAME") or None,
            agent=env.get("RETELL_AGENT_ID") or None,
            dial_method=env.get("USE_DIAL_SIP_ENDPOINT_METHOD") or None,
            country=env.get("DEFAULT_COUNTRY") or None,
            from_user=env.get("OVERRIDE_FROM_USER") or None,
            ws_port=env.get("WS_PORT") or None,
            port=env.get("PORT") or None,
            level=env.get("LOGLEVEL") or None,
        )

    @property
    def dials(self) -> bool:
        """As the example reads it: 1 is method 2, anything else is method 1."""
        return self.dial_method == "1"


def read_file(path: Path, env: Mapping[str, str]) -> Source:
    """A file with the example's variables laid over it."""
    source = read_yaml(path, env)
    _overlay(source, ExampleVariables.of(env))
    return source


def read_environment(env: Mapping[str, str]) -> Source:
    """The example's variables alone: every number goes to Retell, SIP is a real jambonz's."""
    source = Source(name="environment", directory=Path())
    given = ExampleVariables.of(env)
    source.data = {"sip": {"listen": []}, "numbers": {"*": {}}}
    if given.retell_trunk is None and not given.dials:
        reason = (
            "is not set: give a configuration file, or the name of the jambonz trunk to Retell "
            "(or USE_DIAL_SIP_ENDPOINT_METHOD=1)"
        )
        source.variables["retell", "trunk"] = "RETELL_TRUNK_NAME"
        source.problems.append(Problem(("retell", "trunk"), reason))
    source.put(("http", "listen"), f"0.0.0.0:{EXAMPLE_PORT}", "PORT")
    _overlay(source, given)
    return source


def _overlay(source: Source, given: ExampleVariables) -> None:
    def put(path: tuple[str, ...], value: Any, variable: str) -> None:
        if value is not None:
            source.put(path, value, variable)

    put(("retell", "api_key"), given.api_key, "RETELL_API_KEY")
    put(("retell", "trunk"), given.retell_trunk, "RETELL_TRUNK_NAME")
    put(("retell", "agent"), given.agent, "RETELL_AGENT_ID")
    if given.dial_method is not None:
        method = "dial" if given.dials else "trunk"
        put(("retell", "method"), method, "USE_DIAL_SIP_ENDPOINT_METHOD")
    put(("retell", "login", "username"), given.sip_username, "RETELL_SIP_CLIENT_USERNAME")
    put(("outbound", "default_country"), given.country, "DEFAULT_COUNTRY")
    put(("outbound", "caller_id"), given.from_user, "OVERRIDE_FROM_USER")
    if given.pstn_trunk is not None:
        _carrier(source, given.pstn_trunk)
    port, variable = (given.ws_port, "WS_PORT") if given.ws_port else (given.port, "PORT")
    if port is not None:
        put(("http", "listen"), f"{_host(source)}:{port}", variable)
    if given.level is not None:
        put(("log", "level"), _LEVELS.get(given.level, given.level), "LOGLEVEL")


def _carrier(source: Source, name: str) -> None:
    """Retell's calls leave by this trunk: it becomes the only route."""
    trunks = source.data.get("trunks") or []
    if isinstance(trunks, list) and not any(
        isinstance(trunk, dict) and trunk.get("name") == name for trunk in trunks
    ):
        source.variables["trunks", len(trunks), "name"] = "PSTN_TRUNK_NAME"
        source.data["trunks"] = [*trunks, {"name": name}]
    source.put(("outbound", "routes"), [{"prefix": "", "trunks": [name]}], "PSTN_TRUNK_NAME")


def _host(source: Source) -> str:
    http = source.data.get("http")
    listen = http.get("listen") if isinstance(http, dict) else None
    host, colon, _ = listen.rpartition(":") if isinstance(listen, str) else ("", "", "")
    return host if colon else "0.0.0.0"
