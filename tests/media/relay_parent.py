"""Run by test_supervisor: a parent with a relay, to be stopped and killed from outside.

Prints the relay's process id and control address on one line and then waits to be ended.
"""

import asyncio
import sys

from sip.media.ng.control_address import written
from sip.media.supervisor import RelayOptions, RelayProcess


async def main() -> None:
    options = RelayOptions(advertise="127.0.0.1", listen="127.0.0.1", ports=(27000, 27099))
    async with RelayProcess(options) as relay:
        sys.stdout.write(f"{relay.pid} {written(relay.plane.address)}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
