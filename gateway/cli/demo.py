"""`run --demo`: one proven call through a real gateway, on the screen, and then the gateway stays.

The sandbox and the gateway are processes of their own, started as an operator would start them;
this process is the test phone and the narrator.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
from rich.console import Console
from rich.padding import Padding

from config.findings import Level
from config.problems import key_text
from config.settings import NumberSettings, Settings
from gateway import __name__ as gateway_program
from gateway.cli import ladder_drawing
from gateway.cli.api_client import ApiClient, ApiError
from gateway.cli.checks import each_port
from testkit.phone.audio import AudioError
from testkit.phone.options import CallOptions, Expect, PhoneError
from testkit.phone.place import place_call
from testkit.phone.report import CallReport

LOGS = Path(".run")
STARTS_WITHIN_S = 60.0
ENDS_WITHIN_S = 10.0
#: What a call that is up may take to end by itself.
CALLS_END_WITHIN_S = 2.0


class DemoError(Exception):
    """Something did not start or ended early: its own lines, and the code to end with."""

    def __init__(self, lines: list[str], code: int) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.code = code


def demonstrate(settings: Settings, path: Path | None, *, once: bool, console: Console) -> int:
    """The exit code: 0 if the call was proved (and then, unless `once`, after Ctrl-C)."""
    LOGS.mkdir(exist_ok=True)
    try:
        return asyncio.run(_Demo(settings, path, console).run(once))
    except DemoError as error:
        sys.stderr.write("".join(f"{line}\n" for line in error.lines))
        return error.code
    except KeyboardInterrupt:
        return 0


class _Demo:
    def __init__(self, settings: Settings, path: Path | None, console: Console) -> None:
        self._settings = settings
        self._path = path
        self._console = console
        self._with_sandbox = not os.environ.get("RETELL_API_KEY")
        self._sandbox = _Sandbox(settings)

    async def run(self, once: bool) -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        await self._nothing_in_the_way()
        async with AsyncExitStack() as stack:
            running = []
            given = ["--config", str(self._path)] if self._path else []
            if self._with_sandbox:
                self._say("Starting the sandbox, which plays Retell (no RETELL_API_KEY is set)")
                running.append(
                    await stack.enter_async_context(_program("sandbox", ["sandbox", *given]))
                )
            self._say(f"Starting the gateway{f' with {_short(self._path)}' if self._path else ''}")
            running.append(await stack.enter_async_context(_program("gateway", ["run", *given])))
            await self._all_ready(running, stop)
            if stop.is_set():
                return 0
            proved = await self._one_call()
            if once:
                return 0 if proved else 1
            self._what_next()
            await self._until_stopped(running, stop)
            self._say("\nStopping")
        return 0 if proved else 1

    async def _nothing_in_the_way(self) -> None:
        """Another gateway, what has a port of ours, or a configuration that takes no call: one
        line each, and nothing is begun."""
        if not self._settings.sip.listen:
            text = (
                "error: sip.listen is empty, so a jambonz does the SIP: there is nothing that the"
                " test phone could call. Give sip.listen an address, such as udp:127.0.0.1:5060"
            )
            raise DemoError([text], 2)
        async with ApiClient(self._settings) as api:
            if await api.ready():
                text = f"error: a gateway is running already at {api.base_url}; end it first"
                raise DemoError([text], 2)
        in_use = [one for one in each_port(self._settings) if one.level is Level.ERROR]
        if in_use:
            raise DemoError([f"error: {key_text(one.path)}: {one.text}" for one in in_use], 2)

    async def _all_ready(self, running: list["_Running"], stop: asyncio.Event) -> None:
        give_up_at = time.monotonic() + STARTS_WITHIN_S
        async with ApiClient(self._settings) as api:
            while not stop.is_set():
                for program in running:
                    program.must_run()
                if await api.ready() and (not self._with_sandbox or await self._sandbox.ready()):
                    return
                if time.monotonic() > give_up_at:
                    names = " and ".join(str(program.log) for program in running)
                    raise DemoError([f"error: the gateway did not get ready; see {names}"], 1)
                await asyncio.sleep(0.1)

    async def _one_call(self) -> bool:
        number = next(iter(_dialled(self._settings)), None)
        listener = next(
            (one.address for one in self._settings.sip.listen if one.address.transport == "udp"),
            None,
        )
        phone_port = _phone_port(self._settings)
        if number is None or listener is None or phone_port is None:
            missing = (
                "numbers"
                if number is None
                else "udp listener in sip.listen"
                if listener is None
                else 'trunk with identify: ["127.0.0.1:5090"], by which to know the test phone'
            )
            self._console.print(f"[red]No test call:[/red] the configuration has no {missing}")
            return False
        host = {"0.0.0.0": "127.0.0.1"}.get(listener.host, listener.host)
        self._say(f"Calling {number} with the test phone …\n")
        options = CallOptions(
            number=number,
            host=host,
            port=listener.port,
            listen_port=phone_port,
            expect=Expect.MELODIES if self._with_sandbox else Expect.SOUND,
        )
        try:
            report = await asyncio.to_thread(place_call, options)
        except (PhoneError, AudioError) as error:
            raise DemoError([f"error: {error}"], 1) from error
        await self._show(report)
        return report.proved

    async def _show(self, report: CallReport) -> None:
        record, messages = await self._record_of(report.sip_call_id)
        if messages:
            names = ("test phone", "gateway", "sandbox" if self._with_sandbox else "Retell")
            drawn = ladder_drawing.draw(messages, a_leg=report.sip_call_id, names=names)
            self._console.print(Padding(drawn, (0, 0, 1, 2), expand=False))
        self._console.print(Padding(report.render(), (0, 0, 1, 2), expand=False))
        if record:
            self._console.print(
                f"  The agent's own ear: {await self._agents_ear(record)}\n"
                f"  Call record {record['call_id']}: ended by {record['ended_by']}"
                f" ({record['cause']}), at Retell {record['retell_call_id'] or 'unknown'}\n",
                soft_wrap=True,
            )
        if report.proved and self._with_sandbox:
            verdict = "[green]Proved: each side heard the other.[/green]"
        elif report.proved:
            verdict = "[green]The agent was heard.[/green]"
        else:
            verdict = f"[red]Not proved.[/red] The gateway's log is {LOGS / 'gateway.log'}"
        self._console.print(verdict)

    async def _agents_ear(self, record: dict[str, Any]) -> str:
        if not self._with_sandbox or not record["b_sip_call_id"]:
            return "only Retell knows"
        return await self._sandbox.heard(record["b_sip_call_id"])

    async def _record_of(
        self, sip_call_id: str
    ) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
        """The call's record once it is closed, and its messages."""
        give_up_at = time.monotonic() + 3.0
        try:
            async with ApiClient(self._settings) as api:
                while True:
                    listed = await api.calls(10)
                    found = next((r for r in listed if r["a_sip_call_id"] == sip_call_id), None)
                    if found is not None and found["state"] != "live":
                        return found, await api.ladder(found["call_id"])
                    if time.monotonic() > give_up_at:
                        return found, []
                    await asyncio.sleep(0.1)
        except ApiError as error:
            self._say(f"No ladder: {error}")
            return None, []

    def _what_next(self) -> None:
        base = ApiClient(self._settings).base_url
        program = f"{_short(Path(sys.executable)).parent}/retell-sip-gateway"
        calls = [
            f"  {program} call {number}   (method {one.method or self._settings.retell.method})"
            for number, one in list(_dialled(self._settings).items())[:3]
        ]
        lines = [
            "─" * 80,
            "The gateway is up. Ctrl-C ends it. In another terminal:",
            *calls,
            f"  {program} calls",
            f"  curl {base}/metrics",
            f"  tail -f {LOGS / 'gateway.log'}",
        ]
        for line in lines:
            self._say(line)

    async def _until_stopped(self, running: list["_Running"], stop: asyncio.Event) -> None:
        waits: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
        waits += [asyncio.create_task(program.process.wait()) for program in running]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not stop.is_set():
            for program in running:
                program.must_run()

    def _say(self, text: str) -> None:
        self._console.print(text, soft_wrap=True)


class _Sandbox:
    """The sandbox's own interface: what its agent heard, as a second witness beside the phone."""

    def __init__(self, settings: Settings) -> None:
        self._base = f"{settings.retell.base_url.rstrip('/')}/sandbox"
        key = settings.retell.api_key
        self._headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}

    async def ready(self) -> bool:
        return await self._get("") is not None

    async def heard(self, sip_call_id: str) -> str:
        found = await self._get(f"/calls?sip_call_id={sip_call_id}")
        call_id = found["items"][0]["call"]["call_id"] if found and found["items"] else ""
        report = await self._get(f"/calls/{call_id}") if call_id else None
        heard = (report or {}).get("heard") or {}
        melody = (heard.get("melodies") or {}).get("caller") or {"heard": False, "score": 0.0}
        verdict = "heard" if melody["heard"] else "did NOT hear"
        return (
            f"it {verdict} the caller's melody (similarity {melody['score']:.2f}),"
            f" {heard.get('packets', 0)} packets"
        )

    async def _get(self, path: str) -> dict[str, Any] | None:
        timeout = aiohttp.ClientTimeout(total=3)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session,
                session.get(self._base + path) as response,
            ):
                answer = await response.json() if response.status == 200 else None
        except (OSError, aiohttp.ClientError, TimeoutError):
            return None
        return answer if isinstance(answer, dict) else None


class _Running:
    """A program of ours in a process of its own, its output in a log."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    def must_run(self) -> None:
        """DemoError with what it said, if it has ended."""
        code = self.process.returncode
        if code is None:
            return
        # What is for people is plain text; log events are JSON.
        said = [line for line in self.log.read_text().splitlines() if not line.startswith("{")]
        unsaid = [f"error: it ended with code {code}; see {self.log}"]
        raise DemoError(said[-5:] or unsaid, code or 1)


@asynccontextmanager
async def _program(name: str, arguments: list[str]) -> AsyncIterator[_Running]:
    log = LOGS / f"{name}.log"
    with log.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            # -P: a folder here that is called config or sip is not ours
            *("-P", "-m", gateway_program, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C is for us; we end it in order
        )
    try:
        yield _Running(process, log)
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask it to end; again, for a call that is up, since this is a trial; then insist."""
    for ask, patience_s in (
        (process.terminate, CALLS_END_WITHIN_S),
        (process.terminate, ENDS_WITHIN_S),
        (process.kill, ENDS_WITHIN_S),
    ):
        with suppress(ProcessLookupError):
            ask()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await process.wait()
                return


def _dialled(settings: Settings) -> dict[str, NumberSettings]:
    """The numbers that a test phone may call: an extension is its own trunk's alone."""
    return {number: one for number, one in settings.numbers.items() if "/" not in number}


def _phone_port(settings: Settings) -> int | None:
    """The port from which a trunk takes calls of a phone on this machine; 0: from any port."""
    here = ip_address("127.0.0.1")
    known = [one for trunk in settings.trunks for one in trunk.identify if here in one.network]
    return (known[0].port or 0) if known else None


def _short(path: Path) -> Path:
    with suppress(ValueError):
        return path.resolve().relative_to(Path.cwd())
    return path
