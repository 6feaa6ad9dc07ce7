"""Answering machine detection: what our detector makes of the labelled calls, and what it costs."""

from __future__ import annotations

from typing import Any

from bench.answers.calls import SEED, answered_calls
from bench.answers.score import Outcome, Score, heard_by_detector, score
from bench.answers.voices import missing
from bench.errors import BenchError
from bench.plan import Plan
from bench.report import Details, Row, Section
from bench.say import Say

MACHINE_SHARE = 0.95
HUMAN_AS_MACHINE_SHARE = 0.02
DECISION_P50_MS = 2500
BEEP_ERROR_MS = 150
FRAME_US = 40.0

_SYSTEM = {False: "the part that it was tuned by", True: "the part that was kept out"}


def measure_detection(*, plan: Plan, say: Say) -> list[Outcome]:
    """Every call of the set, heard by one process. The set is made first, which is not measured.

    Raises `BenchError` where a voice is not installed.
    """
    if packages := missing():
        raise BenchError(f"voices are not installed: apt-get install {' '.join(packages)}")
    calls = list(answered_calls(plan.answers, seed=SEED))
    say(f"detection: {len(calls)} calls are made")
    return [heard_by_detector(call) for call in calls]


def detection_section(outcomes: list[Outcome]) -> Section:
    """The rows of both parts, and what each label was taken for."""
    section = Section(title="Answering machine detection: labelled calls in six languages")
    section.details = Details(headings=("part", "is", "taken for", "calls"))
    for kept in (False, True):
        of_part = [each for each in outcomes if each.call.kept == kept]
        figures = score(of_part)
        section.rows += _rows(figures, _SYSTEM[kept])
        section.details.lines += [
            (_SYSTEM[kept], label, what, str(count))
            for label, taken in figures.confusion.items()
            for what, count in taken.most_common()
        ]
    section.notes.append(
        "The median over all calls says as much of the set as of the detector: a machine that "
        "talks on is told after the longest answer of a person, 4 s, or once it speaks on "
        "after a sentence and a pause."
    )
    return section


def _rows(figures: Score, system: str) -> list[Row]:
    def row(quality: str, measured: str, target: str = "", met: bool | None = None) -> Row:
        return Row(quality=quality, system=system, measured=measured, target=target, met=met)

    return [
        row(
            "machines told as machines",
            f"{figures.machine_share:.1%}",
            f"≥ {MACHINE_SHARE:.0%}",
            figures.machine_share >= MACHINE_SHARE,
        ),
        row(
            "people taken for machines",
            f"{figures.human_as_machine_share:.1%}",
            f"≤ {HUMAN_AS_MACHINE_SHARE:.0%}",
            figures.human_as_machine_share <= HUMAN_AS_MACHINE_SHARE,
        ),
        row("people told as people", f"{figures.human_share:.1%}"),
        row(
            "decision about a person, p50 from the answer",
            f"{figures.people_p50_ms / 1000:.2f} s",
            f"≤ {DECISION_P50_MS / 1000:.1f} s",
            figures.people_p50_ms <= DECISION_P50_MS,
        ),
        row(
            "decision about a machine, p50 from the answer",
            f"{figures.machines_p50_ms / 1000:.2f} s",
        ),
        row(
            "decision, all calls",
            f"p50 {figures.decision_p50_ms / 1000:.2f} s, "
            f"p95 {figures.decision_p95_ms / 1000:.2f} s",
            f"p50 ≤ {DECISION_P50_MS / 1000:.1f} s",
            figures.decision_p50_ms <= DECISION_P50_MS,
        ),
        row(
            "a person waits, from the last word",
            f"p50 {figures.wait_p50_ms} ms, p95 {figures.wait_p95_ms} ms",
        ),
        row(
            "beeps found, and by how much their times are missed",
            f"{figures.beeps_found} of {figures.beeps}, p95 {figures.beep_error_p95_ms} ms, "
            f"at most {figures.beep_error_most_ms} ms; {figures.false_beeps} where there was none",
            f"≤ {BEEP_ERROR_MS} ms",
            figures.beep_error_most_ms <= BEEP_ERROR_MS,
        ),
        row(
            "CPU",
            f"{figures.cpu_ms_a_call:.1f} ms a call, {figures.cpu_us_a_frame:.1f} µs each 20 ms",
            f"≤ {FRAME_US:.0f} µs each 20 ms",
            figures.cpu_us_a_frame <= FRAME_US,
        ),
    ]


def detection_figures(outcomes: list[Outcome]) -> dict[str, Any]:
    """The same for whoever compares runs."""
    return {
        name: score([each for each in outcomes if each.call.kept == kept]).as_json()
        for name, kept in (("tuned", False), ("kept_out", True))
    }
