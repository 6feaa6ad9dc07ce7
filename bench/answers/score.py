"""What a detector makes of the labelled calls, and the figures of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bench.answers.calls import AnsweredCall
from sip.media.detection.detector import Detector
from sip.media.detection.found import DECISIONS, Found, Verdict

_PACKET: Final = 320


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One call, what was found, and what that took.

    `frames` of 20 ms were heard in `cpu_s` seconds of this process's time.
    """

    call: AnsweredCall
    found: tuple[Found, ...]
    cpu_s: float
    frames: int

    @property
    def decision(self) -> Found:
        return next(each for each in self.found if each.what in DECISIONS)

    @property
    def beep_errors_ms(self) -> tuple[int, int] | None:
        """By how much the beginning and the end of the beep were missed; None without one."""
        beep = next((each for each in self.found if each.what is Verdict.BEEP), None)
        if beep is None or self.call.beep_ms is None:
            return None
        began, ended = self.call.beep_ms
        return (beep.began_ms or 0) - began, (beep.ended_ms or 0) - ended


def heard_by_detector(call: AnsweredCall) -> Outcome:
    """One call, packet by packet, to its end or the detector's."""
    detector = Detector()
    found: list[Found] = []
    packets = [call.pcm[at : at + _PACKET] for at in range(0, len(call.pcm), _PACKET)]
    frames = 0
    begun = time.process_time()
    for packet in packets:
        found += detector.take(packet)
        frames += 1
        if detector.done:
            break
    found += detector.end()
    return Outcome(call=call, found=tuple(found), cpu_s=time.process_time() - begun, frames=frames)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The figures of some calls. Shares are of 1, times milliseconds."""

    calls: int
    confusion: dict[str, Counter[str]]
    machine_share: float
    human_as_machine_share: float
    human_share: float
    decision_p50_ms: int
    decision_p95_ms: int
    people_p50_ms: int
    machines_p50_ms: int
    #: From the end of a person's words to the decision.
    wait_p50_ms: int
    wait_p95_ms: int
    beeps: int
    beeps_found: int
    #: The larger of the errors of a beep's beginning and end.
    beep_error_p95_ms: int
    beep_error_most_ms: int
    false_beeps: int
    cpu_ms_a_call: float
    cpu_us_a_frame: float

    def as_json(self) -> dict[str, Any]:
        """All of it. (`asdict` alone makes something else of a Counter.)"""
        taken = {label: dict(counts) for label, counts in self.confusion.items()}
        return asdict(replace(self, confusion={})) | {"confusion": taken}


def score(outcomes: Iterable[Outcome]) -> Score:
    """The figures of all of them."""
    every = list(outcomes)
    confusion: dict[str, Counter[str]] = {}
    for each in every:
        confusion.setdefault(each.call.label, Counter())[each.decision.what.value] += 1
    decided = [each.decision.at_ms for each in every]
    people = [each for each in every if each.call.label == "human"]
    machines = [each for each in every if each.call.label == "machine"]
    waits = [
        each.decision.at_ms - each.call.speech_ended_ms
        for each in people
        if each.decision.what is Verdict.HUMAN and each.call.speech_ended_ms is not None
    ]
    errors = [max(map(abs, each.beep_errors_ms)) for each in every if each.beep_errors_ms]
    false_beeps = [
        each
        for each in every
        if each.call.beep_ms is None and any(one.what is Verdict.BEEP for one in each.found)
    ]
    frames = sum(each.frames for each in every)
    cpu_s = sum(each.cpu_s for each in every)
    return Score(
        calls=len(every),
        confusion=confusion,
        machine_share=_share(machines, Verdict.MACHINE),
        human_as_machine_share=_share(people, Verdict.MACHINE),
        human_share=_share(people, Verdict.HUMAN),
        decision_p50_ms=_quantile(decided, 0.5),
        decision_p95_ms=_quantile(decided, 0.95),
        people_p50_ms=_quantile([each.decision.at_ms for each in people], 0.5),
        machines_p50_ms=_quantile([each.decision.at_ms for each in machines], 0.5),
        wait_p50_ms=_quantile(waits, 0.5),
        wait_p95_ms=_quantile(waits, 0.95),
        beeps=sum(
            each.call.beep_ms is not None and each.decision.what is Verdict.MACHINE
            for each in every
        ),
        beeps_found=len(errors),
        beep_error_p95_ms=_quantile(errors, 0.95),
        beep_error_most_ms=max(errors, default=0),
        false_beeps=len(false_beeps),
        cpu_ms_a_call=1000 * cpu_s / max(len(every), 1),
        cpu_us_a_frame=1e6 * cpu_s / max(frames, 1),
    )


def _share(some: Sequence[Outcome], what: Verdict) -> float:
    return sum(each.decision.what is what for each in some) / max(len(some), 1)


def _quantile(values: Sequence[int], share: float) -> int:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0
