"""Sound for test phones: files, melodies that they sing, and what they hear, in PCMU."""

import asyncio
import audioop
import io
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from testkit import melody
from testkit.melody import FRAME_SAMPLES, Melody
from tests.media.talk import Phone, rtp


def wav(pcm: bytes) -> bytes:
    """PCM16 of 8 kHz as a file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(8000)
        writer.writeframes(pcm)
    return file.getvalue()


def pcm_of(packets: list[bytes]) -> bytes:
    """What RTP packets of PCMU say."""
    return audioop.ulaw2lin(b"".join(packet[12:] for packet in packets), 2)


@asynccontextmanager
async def recording(phone: Phone) -> AsyncIterator[list[bytes]]:
    """The packets of audio that come to a phone from entering to leaving."""
    packets: list[bytes] = []

    async def record() -> None:
        while True:
            packet, _ = await phone.rtp.receive()
            if packet[1] & 0x7F == 0:
                packets.append(packet)

    task = asyncio.create_task(record())
    try:
        yield packets
    finally:
        task.cancel()
        await asyncio.wait([task])


async def sings(phone: Phone, tune: Melody) -> None:
    """The phone sends the melody to where it was told, and a moment of silence."""
    pcm = melody.synthesise(tune) + bytes(10 * 2 * FRAME_SAMPLES)
    ssrc = int.from_bytes(phone.tag.encode()[:4])
    clock = asyncio.get_running_loop()
    begun = clock.time()
    for index in range(len(pcm) // (2 * FRAME_SAMPLES)):
        frame = pcm[2 * FRAME_SAMPLES * index :][: 2 * FRAME_SAMPLES]
        phone.snd(rtp(0, index, index * FRAME_SAMPLES, ssrc, audioop.lin2ulaw(frame, 2)))
        await asyncio.sleep(begun + 0.02 * (index + 1) - clock.time())
