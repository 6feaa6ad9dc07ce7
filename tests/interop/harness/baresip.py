"""baresip as a telephone without a sound card: it speaks a WAV file and records what it hears."""

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.interop.harness.certificates import Certificate
from tests.interop.harness.network import Party
from tests.interop.harness.programs import Program, program
from tests.interop.harness.sockets import bound

Json = dict[str, Any]
_CONTROL_PORTS = 4000


class Baresip:
    """Async context manager: a phone at `party`.

    It is driven by its ctrl_tcp module: JSON in netstrings, commands in, call events out.
    """

    def __init__(
        self,
        party: Party,
        speech: Path,
        directory: Path,
        *,
        user: str = "phone",
        password: str | None = None,
        registrar: str | None = None,
        identity: Certificate | None = None,
        ca: Path | None = None,
        encrypted: bool = False,
        answers: bool = True,
    ) -> None:
        """`speech` is WAV, 8 kHz, mono, 16 bits; it must last longer than any call. With a
        `registrar` (`host:port;transport=…`) it is an account there, and registers. By TLS it
        shows `identity` and trusts `ca`. `encrypted`: it speaks SRTP and nothing else. Unless it
        `answers` by itself it rings until somebody does."""
        self.party = party
        self._control_port = party.port + _CONTROL_PORTS
        self._speech = speech
        self._directory = directory
        self._user = user
        self._password = password
        self._registrar = registrar
        self._identity = identity
        self._ca = ca
        self._encrypted = encrypted
        self._answers = answers
        self._program: Program | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.events: list[Json] = []

    async def __aenter__(self) -> Self:
        self._directory.mkdir(parents=True)
        (self._directory / "config").write_text(self._config())
        (self._directory / "contacts").touch()
        login = f";auth_user={self._user};auth_pass={self._password}" if self._password else ""
        mode = "auto" if self._answers else "manual"
        (self._directory / "accounts").write_text(
            f"<sip:{self._user}@{self._registrar or self.party}>"
            f";regint={60 if self._registrar else 0};answermode={mode}"
            f";audio_codecs=PCMU/8000/1,PCMA/8000/1{login}"
            f"{';mediaenc=srtp-mand' if self._encrypted else ''}\n"
        )
        self._program = await Program.start(
            [program("baresip"), "-f", str(self._directory), "-s"],
            log=self._directory / "baresip.log",
            cwd=self._directory,
        )
        try:
            async with asyncio.timeout(15):
                await self._connect()
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
        assert self._writer is not None
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
        try:
            await self._program.stop()
        except AssertionError:
            if error is None:
                raise

    async def dial(self, uri: str) -> None:
        await self._command("dial", uri)

    async def hangup(self) -> None:
        await self._command("hangup")

    async def hold(self) -> None:
        await self._command("hold")

    async def resume(self) -> None:
        await self._command("resume")

    async def press(self, key: str) -> None:
        await self._command("sndcode", key)

    async def event(self, kind: str, timeout: float = 15.0) -> Json:
        """The next call event of that type, e.g. CALL_ESTABLISHED, CALL_CLOSED."""
        try:
            async with asyncio.timeout(timeout):
                while True:
                    message = await self._receive()
                    if message.get("type") == kind:
                        return message
        except TimeoutError:
            raise AssertionError(
                f"no {kind} within {timeout:g} s, only {self.events}:\n{self.log()}"
            ) from None

    def heard(self) -> Path:
        """The recording of what came from the other side; complete once the call is closed."""
        return self._recording("dec")

    def said(self) -> Path:
        """The recording of what was sent."""
        return self._recording("enc")

    def log(self) -> str:
        assert self._program is not None
        return self._program.tail(120)

    def _recording(self, way: str) -> Path:
        found = sorted(self._directory.glob(f"dump-*-{way}.wav"))
        assert len(found) == 1, f"{len(found)} recordings:\n{self.log()}"
        return found[0]

    def _config(self) -> str:
        settings: Mapping[str, str] = {
            "poll_method": "epoll",
            "sip_listen": str(self.party),
            "net_interface": self.party.host,
            "call_max_calls": "2",
            "audio_source": f"aufile,{self._speech}",
            "ausrc_srate": "8000",
            "auplay_srate": "8000",
            "rtp_ports": "31000-31999",
            "jitter_buffer_delay": "2-8",
            "ctrl_tcp_listen": f"{self.party.host}:{self._control_port}",
            "snd_path": str(self._directory),
        }
        if self._identity is not None:
            settings = {**settings, "sip_certificate": str(self._identity.together())}
        if self._ca is not None:
            settings = {**settings, "sip_cafile": str(self._ca)}
        modules = ["module g711.so", "module sndfile.so", "module aufile.so", "module srtp.so"]
        modules += ["module_tmp account.so", "module_app menu.so", "module_app ctrl_tcp.so"]
        lines = [f"{key} {value}" for key, value in settings.items()]
        return "\n".join(["module_path /usr/lib/baresip/modules", *lines, *modules, ""])

    async def _connect(self) -> None:
        assert self._program is not None
        while not bound("tcp", self.party.host, self._control_port):
            assert self._program.running, f"baresip did not start:\n{self.log()}"
            await asyncio.sleep(0.02)
        self._reader, self._writer = await asyncio.open_connection(
            self.party.host, self._control_port
        )

    async def _command(self, name: str, params: str | None = None) -> None:
        assert self._writer is not None
        message = {"command": name} | ({"params": params} if params is not None else {})
        data = json.dumps(message).encode()
        self._writer.write(b"%d:%b," % (len(data), data))
        await self._writer.drain()

    async def _receive(self) -> Json:
        assert self._reader is not None
        size = int((await self._reader.readuntil(b":"))[:-1])
        message: Json = json.loads(await self._reader.readexactly(size))
        assert await self._reader.readexactly(1) == b","
        self.events.append(message)
        return message
