"""Damaged datagrams, from a trunk's address and from strangers, as fast as they are taken."""

import asyncio
import random
from dataclasses import dataclass

from sip.core.message import Response
from tests.hostile import corpus
from tests.hostile.mutations import damaged
from tests.hostile.parties import Address, Caller, LiveCall, Progress, Spoofer
from tests.ladder import DID

#: Datagrams between two questions whether all before was taken.
WINDOW = 250
#: One live call is damaged for so many datagrams, if it lives that long.
RENEW = 4000
_NOWHERE = "+14155550199"


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, by who seemed to send it."""

    trunk: int = 0
    stranger: int = 0
    forged: int = 0

    @property
    def total(self) -> int:
        return self.trunk + self.stranger + self.forged


class Attack:
    """Half of the datagrams come from the trunk at `known`, which does place calls too.

    The others come from one stranger, who is soon banned, and from as many forged addresses.
    """

    def __init__(
        self, gateway: Address, known: str, stranger: str, seed: int, *, new_calls: float = 0.02
    ) -> None:
        """`new_calls` is the share of well-formed INVITEs: each is a call to be carried."""
        self.rng = random.Random(seed)
        self.trunk = _Probing(known, gateway)
        self._spoofer = Spoofer(gateway)
        self._stranger = stranger
        self._gateway = f"{gateway[0]}:{gateway[1]}"
        self._new_calls = new_calls
        self._torture = corpus.torture()
        self._live: LiveCall | None = None
        self._recent: list[bytes] = list(self._torture)

    async def run(
        self, count: int, progress: Progress = lambda _: None, *, for_s: float = 0.0
    ) -> Sent:
        """Send so many, and more until `for_s` seconds have passed.

        Raises TimeoutError when the gateway takes no more.
        """
        now = asyncio.get_running_loop().time
        until = now() + for_s
        number = trunk = stranger = forged = 0
        async with self.trunk:
            try:
                while number < count or now() < until:
                    if number % RENEW == 0:
                        await self._renew()
                    if number % WINDOW == 0:
                        await self.trunk.probe()
                        progress(number)
                    data = self._datagram()
                    match self.rng.randrange(4):
                        case 0:
                            self._spoofer.send(data, self._stranger)
                            stranger += 1
                        case 1:
                            self._spoofer.send(data, self._anywhere())
                            forged += 1
                        case _:
                            self.trunk.send(data)
                            trunk += 1
                    number += 1
                await self.trunk.probe()
                progress(number)
                await self._end()
            finally:
                self._spoofer.close()
        return Sent(trunk, stranger, forged)

    async def _renew(self) -> None:
        await self._end()
        self._live = await self.trunk.open(DID)

    async def _end(self) -> None:
        """Hang up, by a number that no damaged request of the call has gone beyond."""
        if self._live is not None:
            answer = await self._live.bye(cseq=2**31 - 1)
            # the call may be over by now, whatever was sent in its name
            assert answer.status in (200, 481), f"BYE got {answer.status} {answer.reason}"
            self._live = None

    def _datagram(self) -> bytes:
        rng = self.rng
        if rng.random() < self._new_calls:
            number = DID if rng.random() < 0.5 else _NOWHERE
            return corpus.request("INVITE", self._gateway, self.trunk.name, user=number)
        match rng.randrange(6):
            case 0:
                message = rng.choice(self._torture)
            case 1:
                message = rng.choice(self._recent)
            case 2:
                status = rng.choice([100, 180, 183, 200, 302, 407, 486, 503])
                message = corpus.strayed_response(status, self.trunk.name)
            case 3:
                method = rng.choice(corpus.REQUESTS)
                message = corpus.request(method, self._gateway, self.trunk.name)
            case _:
                assert self._live is not None
                # a well-formed BYE would end it too early
                method = rng.choice([name for name in corpus.REQUESTS if name != "BYE"])
                message = self._live.request(method)
        self._recent.append(message)
        if len(self._recent) > 400:
            del self._recent[:200]
        return damaged(rng, message, self._torture)

    def _anywhere(self) -> str:
        rng = self.rng
        return f"127.{rng.randint(64, 250)}.{rng.randint(0, 255)}.{rng.randint(1, 254)}"


class _Probing(Caller):
    """The trunk under attack: asks by OPTIONS whether everything before was taken."""

    def __init__(self, host: str, gateway: Address) -> None:
        super().__init__(host, gateway)
        self._probed = ""
        self._answered = asyncio.Event()

    def on_response(self, response: Response) -> None:
        if response.call_id == self._probed:
            self._answered.set()
        elif response.cseq.method in ("INVITE", "BYE"):  # nobody waits for other answers
            super().on_response(response)

    async def probe(self) -> None:
        """Wait until the gateway has answered a new OPTIONS."""
        data = corpus.request("OPTIONS", f"{self.gateway[0]}:{self.gateway[1]}", self.name)
        self._probed = data.partition(b"Call-ID: ")[2].partition(b"\r\n")[0].decode()
        self._answered.clear()
        async with asyncio.timeout(60):
            while not self._answered.is_set():
                self.send(data)
                try:
                    async with asyncio.timeout(2):
                        await self._answered.wait()
                except TimeoutError:
                    continue
