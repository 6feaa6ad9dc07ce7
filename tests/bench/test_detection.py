"""What the benchmark says of labelled calls, over calls and findings that are made up."""

import json

from bench.answers.calls import AnsweredCall
from bench.answers.score import Outcome, score
from bench.detection import detection_figures, detection_section
from sip.media.detection.found import Found, Verdict


def outcome(
    label: str,
    what: Verdict,
    *,
    at_ms: int,
    kept: bool = False,
    beep: tuple[int, int] | None = None,
) -> Outcome:
    """A call of that label that was taken for something, and whose beep was told at that time."""
    call = AnsweredCall(
        number=0,
        kept=kept,
        label=label,
        kind=label,
        pcm=b"",
        speech_ended_ms=1000,
        beep_ms=(5000, 5400) if beep else None,
    )
    found = [Found(what=what, at_ms=at_ms, confidence=0.9, reason="made up")]
    if beep:
        began_ms, ended_ms = beep
        found.append(
            Found(
                what=Verdict.BEEP,
                at_ms=ended_ms + 100,
                confidence=0.9,
                reason="beep",
                began_ms=began_ms,
                ended_ms=ended_ms,
            )
        )
    return Outcome(call=call, found=tuple(found), cpu_s=0.005, frames=100)


OUTCOMES = [
    outcome("human", Verdict.HUMAN, at_ms=2000),
    outcome("human", Verdict.HUMAN, at_ms=2200),
    outcome("human", Verdict.MACHINE, at_ms=5000),
    outcome("machine", Verdict.MACHINE, at_ms=4500, beep=(5020, 5600)),
    outcome("machine", Verdict.MACHINE, at_ms=4700, kept=True, beep=(5000, 5380)),
    outcome("human", Verdict.HUMAN, at_ms=1900, kept=True),
]


def test_shares_and_times() -> None:
    figures = score([each for each in OUTCOMES if not each.call.kept])
    assert figures.confusion == {"human": {"human": 2, "machine": 1}, "machine": {"machine": 1}}
    assert figures.machine_share == 1.0
    assert round(figures.human_as_machine_share, 2) == 0.33
    assert (figures.people_p50_ms, figures.machines_p50_ms) == (2200, 4500)
    assert figures.wait_p50_ms == 1200
    assert (figures.beeps, figures.beeps_found, figures.beep_error_most_ms) == (1, 1, 200)
    assert round(figures.cpu_us_a_frame) == 50


def test_each_part_is_held_against_the_targets() -> None:
    rows = detection_section(OUTCOMES).rows
    met = {(row.system, row.quality): row.met for row in rows if row.target}
    tuned, kept_out = (
        {quality: met for (system, quality), met in met.items() if name in system}
        for name in ("tuned", "kept out")
    )
    assert tuned["people taken for machines"] is False
    assert kept_out["people taken for machines"] is True
    assert tuned["CPU"] is False


def test_figures_can_be_written() -> None:
    figures = json.loads(json.dumps(detection_figures(OUTCOMES)))
    assert figures["tuned"]["confusion"]["human"] == {"human": 2, "machine": 1}
    assert figures["kept_out"]["calls"] == 2
