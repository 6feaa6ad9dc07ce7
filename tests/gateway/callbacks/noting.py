"""A program that writes events of fifty subjects and delivers them, until somebody kills it.

    python -m tests.gateway.callbacks.noting DATABASE FOLDER URL FIRST

It prints the id of each event once it is stored; `FIRST` is the number of the first one.
"""

import asyncio
import sys
import time
from itertools import count
from pathlib import Path

import structlog

from config.callback_settings import CallbackSettings
from gateway.callbacks.deliveries import Deliveries
from gateway.callbacks.outbox import Event, Outbox
from gateway.storage.callbacks import CallbackStore
from gateway.storage.database import open_engine

SUBJECTS = 50
SETTINGS = CallbackSettings.model_validate({"secret": "whsec_1", "hosts": ["127.0.0.1"]})


async def main(database: str, folder: str, url: str, first: int) -> None:
    async with open_engine(database) as engine:
        deliveries = Deliveries(CallbackStore(engine), SETTINGS, time.time)
        outbox = Outbox(engine, Path(folder), SETTINGS, time.time, deliveries.wake)
        async with outbox.writer.running(), deliveries.running():
            for number in count(first):
                event = Event(
                    kind="call.done",
                    subject=f"q-{number % SUBJECTS}",
                    data={"number": number},
                    url=url,
                    event_id=f"event-{number}",
                )
                async with engine.begin() as connection:
                    await outbox.note_all(connection, [event])
                outbox.wake()
                sys.stdout.write(f"event-{number}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
