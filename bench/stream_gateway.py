"""The whole gateway, which awaits so many media streams: a program for the benchmark to measure.

    python -m bench.stream_gateway CONFIG TOKENS_FILE COUNT

Upgrades need no signature; the tokens of the awaited streams are written to TOKENS_FILE, one a
line, once calls are taken. The signature of one request a call is not what is measured.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

import uvloop

from config.settings import load
from gateway.log import configure
from gateway.main import running
from gateway.start.drain import Drain
from gateway.twilio.stream_door import StreamDoor
from gateway.twilio.stream_tokens import StreamCall
from sip import collector

#: The call of each stream is for one number of this many, so that each agent is another's.
NUMBER = "+1415555{:04}"


async def _serve(config: Path, tokens: Path, count: int) -> None:
    settings = load(config, os.environ)
    configure(settings.log.level, settings.log.format)
    door = StreamDoor()
    door.is_signed = lambda _: True
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    drain = Drain(settings.limits.drain_s)
    async with (
        running(settings, drain, streams=door),
        collector.spared(lambda: drain.open_calls > 0),
    ):
        issued = [
            door.tokens.issue(
                StreamCall(
                    call_id=f"CA{at:032}",
                    from_number="+12125550142",
                    to_number=NUMBER.format(at),
                )
            )
            for at in range(count)
        ]
        written = tokens.with_suffix(".new")
        written.write_text("\n".join(issued))
        written.rename(tokens)
        await over.wait()


def main() -> None:
    config, tokens, count = sys.argv[1:4]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(config), Path(tokens), int(count)))


if __name__ == "__main__":
    main()
