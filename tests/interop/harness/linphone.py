"""linphonec as a telephone without a sound card: it speaks a WAV file and records what it hears."""

import asyncio
import re
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.interop.harness.network import Party
from tests.interop.harness.programs import Program, program

READY_S = 20.0


class Linphone:
    """Async context manager: a phone that listens for TLS at `party` and answers by itself.

    It is driven by typing at its prompt.
    """

    def __init__(
        self,
        party: Party,
        speech: Path,
        directory: Path,
        *,
        registrar: Party,
        user: str,
        password: str,
        ca: Path,
    ) -> None:
        """`speech` is WAV, 8 kHz, mono, 16 bits; `registrar` is where it registers, by TLS."""
        self.party = party
        self._speech = speech
        self._directory = directory
        self._registrar = registrar
        self._user = user
        self._password = password
        self._ca = ca
        self._program: Program | None = None

    async def __aenter__(self) -> Self:
        for folder in (".config", ".local/share/linphone"):
            (self._directory / folder).mkdir(parents=True)
        settings = self._directory / "linphonerc"
        settings.write_text(self._settings())
        self._program = await Program.start(
            [program("linphonec"), "-a", "-S", "-d", "5", "-c", str(settings)],
            log=self._directory / "linphonec.log",
            cwd=self._directory,
            env={"HOME": str(self._directory)},
            typed=True,
        )
        try:
            async with asyncio.timeout(READY_S):
                self._type("soundcard use files")
                self._type(f"play {self._speech}")
                self._type(f"record {self.heard()}")
                await self._says("to .LinphoneRegistrationOk.")
        except BaseException:
            await self._program.kill()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._program is not None
        if self._program.running:
            self._program.type("quit")
            try:
                await self._program.wait(10)
            except TimeoutError:
                await self._program.kill()

    async def dial(self, uri: str) -> None:
        self._type(f"call {uri}")

    async def hangup(self) -> None:
        self._type("terminate")

    def heard(self) -> Path:
        return self._directory / "heard.wav"

    def log(self) -> str:
        assert self._program is not None
        return self._program.tail(120)

    async def _says(self, pattern: str) -> None:
        """Returns once its output holds the pattern."""
        assert self._program is not None
        while not re.search(pattern, self._program.log.read_text(errors="replace")):
            assert self._program.running, f"linphonec has ended:\n{self.log()}"
            await asyncio.sleep(0.05)

    def _type(self, line: str) -> None:
        assert self._program is not None
        self._program.type(line)

    def _settings(self) -> str:
        sections: dict[str, dict[str, object]] = {
            "sip": {
                "sip_port": 0,
                "sip_tcp_port": 0,
                "sip_tls_port": self.party.port,
                "use_ipv6": 0,
                "root_ca": self._ca,
                "verify_server_certs": 1,
                "verify_server_cn": 1,
                "default_proxy": 0,
                "inc_timeout": 30,
            },
            "net": {"firewall_policy": 0, "mtu": 1300},
            "rtp": {"audio_rtp_port": f"{self.party.port + 22000}"},
            "video": {"enabled": 0, "capture": 0, "display": 0},
            "proxy_0": {
                "reg_proxy": f"<sip:{self._registrar};transport=tls>",
                "reg_route": f"<sip:{self._registrar};transport=tls>",
                "reg_identity": f"sip:{self._user}@{self._registrar}",
                "reg_expires": 120,
                "reg_sendregister": 1,
                "publish": 0,
            },
            "auth_info_0": {"username": self._user, "passwd": self._password},
        }
        return "".join(
            f"[{name}]\n" + "".join(f"{key}={value}\n" for key, value in section.items())
            for name, section in sections.items()
        )
