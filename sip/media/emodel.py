"""The E-model of ITU-T G.107 (06/2015): what a listener thinks of a call, from loss and delay.

    R = Ro - Is - Id - Ie,eff + A

Ro and Is belong to the telephones, whose values are the recommendation's defaults (its Table 2);
a network changes Id, by delay, and Ie,eff, by codec and loss. R of 0-100 becomes a MOS of 1-4.5
by annex B. All of it is for narrow-band calls: on this scale G.722 and Opus get no more than G.711.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

#: Table 2's defaults, dB but for the quantising distortion units.
_SLR, _RLR, _STMR, _DS, _DR, _TELR, _WEPL, _QDU = 8.0, 2.0, 15.0, 3.0, 3.0, 65.0, 110.0, 1.0
_NC, _NFOR, _PS, _PR = -70.0, -64.0, 35.0, 35.0

#: Above this one-way delay, in ms, a call is as bad as it gets.
MAX_DELAY_MS: Final = 2000

#: G.107 7.5 has no bound for bursts; longer ones are faults of a link, not its quality.
MAX_BURST: Final = 20.0


class Codec(NamedTuple):
    """What a codec costs by itself (`ie`), and how well it stands loss (`bpl`, in percent)."""

    ie: float
    bpl: float


#: G.711 as today's receivers play it: what is lost is concealed (G.711 Appendix I).
G711: Final = Codec(0.0, 25.1)
#: G.711 with silence in place of what is lost; also the recommendation's default.
G711_BARE: Final = Codec(0.0, 4.3)

#: By the name in SDP: G.113 Appendix I (05/2002), tables I.1 and I.4. What it does not know
#: (G.722, Opus, L16) conceals loss and is no worse than G.711.
CODECS: Final[Mapping[str, Codec]] = {
    "PCMU": G711,
    "PCMA": G711,
    "G729": Codec(11.0, 19.0),
    "G723": Codec(15.0, 16.1),
    "GSM-EFR": Codec(5.0, 10.0),
    "GSM": Codec(20.0, 10.0),
    "AMR": Codec(5.0, 10.0),
    "G728": Codec(7.0, 17.0),
    "G726-32": Codec(7.0, 17.0),
}


def mos_of(
    *, codec: Codec = G711, loss: float = 0.0, burst: float = 1.0, delay_ms: float = 0.0
) -> float:
    """The MOS of a call with these; see `rating`."""
    return mos(rating(codec=codec, loss=loss, burst=burst, delay_ms=delay_ms))


def rating(
    *, codec: Codec = G711, loss: float = 0.0, burst: float = 1.0, delay_ms: float = 0.0
) -> float:
    """R. `loss` is a part (0-1) of the packets, those that come too late for playing included.

    `burst` is G.107's BurstR: the mean length of a run of losses over that of as much loss at
    random. `delay_ms` is one way, from mouth to ear.
    """
    delay = round(min(max(delay_ms, 0.0), MAX_DELAY_MS))
    return _UNDELAYED - _delay_impairment(delay) - loss_impairment(codec, loss, burst)


def loss_impairment(codec: Codec, loss: float, burst: float = 1.0) -> float:
    """Ie,eff (G.107 7.5, equation 29)."""
    percent = 100.0 * min(max(loss, 0.0), 1.0)
    burst = min(max(burst, 1.0), MAX_BURST)
    return codec.ie + (95.0 - codec.ie) * percent / (percent / burst + codec.bpl)


def mos(r: float) -> float:
    """MOS of R, on the conversational scale (G.107 annex B, equation B.4)."""
    if r <= 0.0:
        return 1.0
    if r >= 100.0:
        return 4.5
    # Between 0 and 6.5 the polynomial dips below 1.
    return max(1.0, 1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6)


def good_or_better(r: float) -> float:
    """The percentage of listeners that find it good or better (equation B.2)."""
    return 100.0 * _normal((r - 60.0) / 16.0)


def poor_or_worse(r: float) -> float:
    """The percentage of listeners that find it poor or worse (equation B.3)."""
    return 100.0 * _normal((45.0 - r) / 16.0)


def _normal(x: float) -> float:
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def _root(x: float, degree: int) -> float:
    return math.pow(x, 1 / degree)


def _noise() -> float:
    """No: the sum of all noises at the 0 dBr point (7.2, equations 3 to 7)."""
    lstr = _STMR + _DR
    olr = _SLR + _RLR
    nos = _PS - _SLR - _DS - 100 + 0.004 * (_PS - olr - _DS - 14) ** 2
    pre = _PR + 10 * math.log10(1 + 10 ** ((10 - lstr) / 10))
    nor = _RLR - 121 + pre + 0.008 * (pre - 35) ** 2
    return 10 * math.log10(sum(10 ** (level / 10) for level in (_NC, nos, nor, _NFOR + _RLR)))


def _side_tone(delay_ms: float) -> float:
    """Ist: what the side tone spoils (7.3, equations 11 and 12)."""
    stmro = -10 * math.log10(10 ** (-_STMR / 10) + math.exp(-delay_ms / 4) * 10 ** (-_TELR / 10))
    return (
        12 * _root(1 + ((stmro - 13) / 6) ** 8, 8)
        - 28 * _root(1 + ((stmro + 1) / 19.4) ** 35, 35)
        - 13 * _root(1 + ((stmro - 3) / 33) ** 13, 13)
        + 29
    )


def _loudness() -> float:
    """Iolr: too low a loudness rating (equations 9 and 10)."""
    x = _SLR + _RLR + 0.2 * (64 + _NO - _RLR)
    return 20 * (_root(1 + (x / 8) ** 8, 8) - x / 8)


def _quantising() -> float:
    """Iq: distortion by quantising (equations 13 to 17)."""
    q = 37 - 15 * math.log10(_QDU)
    g = 1.07 + 0.258 * q + 0.0602 * q * q
    y = (_RO - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    return 15 * math.log10(1 + 10**y + 10**z)


@lru_cache(maxsize=512)
def _delay_impairment(delay_ms: int) -> float:
    """Id, and what of Is depends on the delay: echoes and delay itself (7.4, equations 19 to 28).

    As in a network of packets, the echo takes the same way: T = Ta and Tr = 2 Ta.
    """
    t = float(delay_ms)
    terv = _TELR - 40 * math.log10((1 + t / 10) / (1 + t / 150)) + 6 * math.exp(-0.3 * t * t)
    echo = (_ROE - (80 + 2.5 * (terv - 14))) / 2
    talker = (echo + math.sqrt(echo * echo + 100) - 1) * (1 - math.exp(-t))
    listener = (_RO - 10.5 * (_WEPL + 7) / _root(2 * t + 1, 4)) / 2
    listener += math.sqrt(listener * listener + 169)
    absolute = 0.0
    if t > 100:
        x = math.log2(t / 100)
        absolute = 25 * (_root(1 + x**6, 6) - 3 * _root(1 + (x / 3) ** 6, 6) + 2)
    return talker + listener + absolute + _side_tone(t) - _side_tone(0.0)


_NO: Final = _noise()
_RO: Final = 15 - 1.5 * (_SLR + _NO)
_ROE: Final = -1.5 * (_NO - _RLR)
#: Ro less Is without delay.
_UNDELAYED: Final = _RO - (_loudness() + _side_tone(0.0) + _quantising())
