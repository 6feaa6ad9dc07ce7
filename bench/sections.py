"""From measurements to rows: which figure is held against which target.

Targets are shares of what the peer did in the same run, wherever there is a peer: what a
millisecond is worth differs from machine to machine and from hour to hour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bench.figures import median
from bench.media import MediaStep
from bench.memory import MemoryRun
from bench.plan import Plan
from bench.report import Details, Row, Section
from bench.seals import ALONE, PLAIN, SEALS, Seal
from bench.setup_delay import DelayRun, median_delay
from bench.signalling import CpuRun, HighestRate, median_run

#: CPU a call, at most, as a share of the peer's.
SOFTSWITCH_SHARE = 1 / 3
GATEWAY_SHARE = 0.75
#: The whole gateway's highest rate, at least, as a share of the peer's.
GATEWAY_RATE_SHARE = 1.0
#: The whole gateway's added set-up delay, at most, as shares of the peer's.
DELAY_P50_SHARE = 1.25
DELAY_P99_SHARE = 1.0
#: Our relay beside rtpengine: calls carried, at least; CPU a packet, at most.
RELAYED_SHARE = 1.0
PACKET_SHARE = 1.0
#: The same at any one step, from that many calls up.
WORST_STEP_SHARE = 1.15
BUSY_CALLS = 300
#: What a packet costs at the highest step carried, at most, as a share of that at `BUSY_CALLS`.
FLAT_SHARE = 1.1
MEMORY_PER_CALL_KB = 100.0


def signalling_section(
    runs: Sequence[CpuRun],
    rates: Mapping[str, HighestRate],
    *,
    labels: Mapping[str, str],
    peer: str,
    common: int,
    plan: Plan,
) -> Section:
    """CPU a call beside the peer's at one rate, then the highest rates."""
    section = Section(title="Signalling: one whole call, INVITE to BYE on both legs")
    reference = median_run(runs, peer, common)
    shares = {"softswitch": SOFTSWITCH_SHARE, "gateway": GATEWAY_SHARE}
    for rate in sorted({run.rate for run in runs}):
        for key, label in labels.items():
            run = median_run(runs, key, rate)
            if run is None:
                continue
            parts = f" (relay {run.relay_ms:.2f} of it)" if run.relay_ms else ""
            measured = f"{run.total_ms:.2f} ms a call{parts}"
            target, met = "", None
            if rate == common and reference is not None:
                share = run.total_ms / reference.total_ms
                measured += f", {share:.2f} of {labels[peer]}'s"
                if key in shares:
                    target = f"≤ {shares[key]:.2f} of {labels[peer]}'s"
                    met = round(share, 2) <= round(shares[key], 2)
            troubled = [r for r in runs if (r.system, r.rate) == (key, rate) and not r.clean]
            if troubled:
                measured += f"; {len(troubled)} of {plan.rounds} runs: {troubled[0].outcome}"
            quality = f"CPU at {rate} calls/s"
            section.rows.append(
                Row(quality=quality, system=label, measured=measured, target=target, met=met)
            )
    for key, highest in rates.items():
        section.rows.append(
            _rate_row(highest, rates.get(peer), labels=labels, peer=peer, held=key == "gateway")
        )
    if common != plan.call_rate and reference is not None:
        section.notes.append(
            f"{labels[peer]} does not carry {plan.call_rate} calls/s on this core: "
            f"the systems are compared at {common} calls/s."
        )
    return section


def _rate_row(
    highest: HighestRate,
    reference: HighestRate | None,
    *,
    labels: Mapping[str, str],
    peer: str,
    held: bool,
) -> Row:
    if highest.rate is None:
        measured = f"none; {highest.failed_at} calls/s: {highest.why}"
    else:
        measured = f"{highest.rate} calls/s"
        if highest.failed_at is not None:
            measured += f" (at {highest.failed_at}: {highest.why})"
        else:
            measured += " or more"
    met = None
    if held and reference is not None and reference.rate:
        share = (highest.rate or 0) / reference.rate
        measured += f", {share:.2f} of {labels[peer]}'s"
        met = round(share, 2) >= GATEWAY_RATE_SHARE
    return Row(
        quality="highest rate without failure",
        system=labels[highest.system],
        measured=measured,
        target=f"≥ {GATEWAY_RATE_SHARE:.2f} of {labels[peer]}'s" if held else "",
        met=met,
    )


def delay_section(
    runs: Sequence[DelayRun], *, labels: Mapping[str, str], peer: str, plan: Plan
) -> Section:
    """INVITE in to INVITE out."""
    section = Section(
        title=f"Added set-up delay: INVITE in to INVITE out, {plan.delay_rate} calls/s"
    )
    reference = median_delay(runs, peer)
    for key, label in labels.items():
        run = median_delay(runs, key)
        if run is None:
            continue
        extra = f"; {run.unfinished} of {run.calls} calls unfinished" if run.unfinished else ""
        extra += f"; {run.repeated} INVITEs repeated" if run.repeated else ""
        for quality, found, theirs, share, more in (
            ("p50", run.p50_ms, reference and reference.p50_ms, DELAY_P50_SHARE, extra),
            (
                "p99",
                run.p99_ms,
                reference and reference.p99_ms,
                DELAY_P99_SHARE,
                f" (worst {run.max_ms:.0f} ms)",
            ),
        ):
            section.rows.append(
                _delay_row(
                    Row(quality=quality, system=label, measured=f"{found:.2f} ms{more}"),
                    found / theirs if theirs and key != peer else None,
                    share if key == "gateway" else None,
                    labels[peer],
                )
            )
    return section


def _delay_row(row: Row, found: float | None, most: float | None, peer: str) -> Row:
    """The row with its share of the peer's delay, held against the largest one allowed."""
    if found is not None:
        row = replace(row, measured=f"{row.measured}, {found:.2f} of {peer}'s")
    if most is None:
        return row
    met = round(found, 2) <= most if found is not None else None
    return replace(row, target=f"≤ {most:.2f} of {peer}'s", met=met)


def media_section(
    every: Sequence[MediaStep], alone: Sequence[MediaStep], *, labels: Mapping[str, str]
) -> Section:
    """Calls relayed on one core, and what a packet costs beside the peer and, encrypted, beside
    one in the clear."""
    section = Section(title="Media: G.711, 20 ms, both ways, one core")
    section.details = Details(
        headings=(
            *("calls", "engine", "media", "loss", "delay p50", "p99", "CPU a packet", "a call"),
            *("core busy", "carried"),
        )
    )
    seals = {seal.key: seal.label for seal in (*SEALS, ALONE)}
    for step in every:
        carried = "yes" if step.carried else "no"
        section.details.lines.append(
            (
                str(step.calls),
                labels[step.engine],
                seals[step.seal],
                f"{step.loss:.3%}",
                f"{step.p50_ms:.2f} ms",
                f"{step.p99_ms:.2f} ms",
                f"{step.packet_us or 0:.1f} µs",
                f"{100 * (step.call_core or 0):.3f} %",
                f"{step.engine_core or 0:.0%}",
                carried + (", generator at its limit" if step.generator_limited else ""),
            )
        )
    steps = [step for step in every if step.seal == PLAIN.key]
    section.rows += [
        _carried_row(steps, key, labels) for key in labels if any(s.engine == key for s in steps)
    ]
    ratio = _cost_ratio(steps, ("relay", PLAIN.key), ("rtpengine", PLAIN.key))
    if ratio is not None:
        section.rows.append(
            Row(
                quality="CPU a packet",
                system=labels["relay"],
                measured=f"{ratio:.2f} of {labels['rtpengine']}'s",
                target=f"≤ {PACKET_SHARE:.2f} of {labels['rtpengine']}'s",
                met=round(ratio, 2) <= PACKET_SHARE,
            )
        )
    section.rows += [*_worst_step_rows(steps, labels), *_flat_rows(steps, labels)]
    section.rows += [
        Row(
            quality="memory a call",
            system=labels[step.engine],
            measured=f"{(step.memory_per_call or 0) / 1000:.1f} kB at {step.calls} calls",
        )
        for step in {step.engine: step for step in steps if step.carried}.values()
    ]
    for seal in SEALS[1:]:
        section.rows += _seal_rows(every, seal, labels)
    section.notes += [_alone_note(step, seals[step.seal]) for step in alone]
    return section


def _worst_step_rows(steps: Sequence[MediaStep], labels: Mapping[str, str]) -> list[Row]:
    """The step at which our relay is dearest beside rtpengine, once there is something to do."""
    pairs = _pairs(steps, ("relay", PLAIN.key), ("rtpengine", PLAIN.key))
    shares = [(_share(*pair), pair[0].calls) for pair in pairs if pair[0].calls >= BUSY_CALLS]
    if not shares:
        return []
    worst, calls = max(shares)
    return [
        Row(
            quality=f"CPU a packet, worst step from {BUSY_CALLS} calls up",
            system=labels["relay"],
            measured=f"{worst:.2f} of {labels['rtpengine']}'s at {calls} calls",
            target=f"≤ {WORST_STEP_SHARE:.2f} of {labels['rtpengine']}'s",
            met=round(worst, 2) <= WORST_STEP_SHARE,
        )
    ]


def _flat_rows(steps: Sequence[MediaStep], labels: Mapping[str, str]) -> list[Row]:
    """Of each engine: whether a packet costs more the more calls there are."""
    rows = []
    for key, label in labels.items():
        carried = [step for step in steps if step.engine == key and step.carried]
        first = next((step for step in carried if step.calls == BUSY_CALLS), None)
        highest = max(carried, key=lambda step: step.calls, default=None)
        if first is None or highest is None or highest is first:
            continue
        held = key == "relay"
        share = _share(highest, first)
        rows.append(
            Row(
                quality=f"CPU a packet, most calls beside {BUSY_CALLS}",
                system=label,
                measured=f"{share:.2f} at {highest.calls} calls",
                target=f"≤ {FLAT_SHARE:.2f}" if held else "",
                met=round(share, 2) <= FLAT_SHARE if held else None,
            )
        )
    return rows


def _seal_rows(steps: Sequence[MediaStep], seal: Seal, labels: Mapping[str, str]) -> list[Row]:
    """Of each engine: what an encrypted packet costs, and that all of them are proven."""
    rows: list[Row] = []
    for key, label in labels.items():
        own = [step for step in steps if (step.engine, step.seal) == (key, seal.key)]
        if not own:
            continue
        held = key == "relay"
        share = _cost_ratio(steps, (key, seal.key), (key, PLAIN.key))
        beside = _cost_ratio(steps, (key, seal.key), ("rtpengine", seal.key)) if held else None
        if share is not None:
            limit = seal.share if held else None
            measured = f"{share:.2f} of its plain"
            measured += f", {beside:.2f} of {labels['rtpengine']}'s" if beside else ""
            rows.append(
                Row(
                    quality=f"CPU a packet, {seal.label}",
                    system=label,
                    measured=measured,
                    target=f"≤ {limit:.2f} of plain" if limit else "",
                    met=round(share, 2) <= limit if limit else None,
                )
            )
        proven = sum(step.proven or 0 for step in own)
        unproven = sum(step.unproven for step in own)
        most, failed = _carried(own, key)
        rows.append(
            Row(
                quality=f"proven, {seal.label}",
                system=label,
                measured=(
                    f"{proven} packets, {unproven} not; {most} calls"
                    + (f" (not {failed.calls})" if failed else " or more")
                ),
                target="each that arrives" if held else "",
                met=unproven == 0 if held else None,
            )
        )
    return rows


def _alone_note(alone: MediaStep, label: str) -> str:
    ceiling = round(alone.calls / alone.generator_core, -1)
    return (
        f"The generator alone ({label}), callers and agents joined directly: {alone.calls} calls "
        f"at {alone.generator_core:.0%} of its core, so about {ceiling:.0f} at most; "
        f"loss {alone.loss:.3%}, delay p50 {alone.p50_ms * 1000:.0f} µs, "
        f"p99 {alone.p99_ms * 1000:.0f} µs (part of every delay above)."
    )


def _carried_row(steps: Sequence[MediaStep], key: str, labels: Mapping[str, str]) -> Row:
    carried, failed = _carried(steps, key)
    measured = f"{carried} calls" + (f" (not {failed.calls})" if failed else " or more")
    held = key == "relay"
    met = None
    if held and any(step.engine == "rtpengine" for step in steps):
        met = carried >= RELAYED_SHARE * _carried(steps, "rtpengine")[0]
        if not met and failed is not None and failed.generator_limited:
            met = None
    return Row(
        quality="relayed, loss < 0.1 %, p99 < 5 ms",
        system=labels[key],
        measured=measured,
        target=f"≥ {RELAYED_SHARE:.2f} of {labels['rtpengine']}'s" if held else "",
        met=met,
    )


def _carried(steps: Sequence[MediaStep], engine: str) -> tuple[int, MediaStep | None]:
    """The most calls that an engine carried, and the first step that it did not."""
    own = [step for step in steps if step.engine == engine]
    most = max((step.calls for step in own if step.carried), default=0)
    return most, next((step for step in own if not step.carried), None)


def _cost_ratio(
    steps: Sequence[MediaStep], one: tuple[str, str], other: tuple[str, str]
) -> float | None:
    """What a packet costs, `one` beside `other`: the median over their steps."""
    ratios = [_share(*pair) for pair in _pairs(steps, one, other)]
    return median(ratios) if ratios else None


def _pairs(
    steps: Sequence[MediaStep], one: tuple[str, str], other: tuple[str, str]
) -> list[tuple[MediaStep, MediaStep]]:
    """The steps that `one` and `other`, each an engine and a seal, both ran.

    Those that both carried, if there are any; else all.
    """
    known = {(step.engine, step.seal, step.calls): step for step in steps if step.packet_us}
    pairs = [
        (step, known[*other, calls])
        for (*which, calls), step in known.items()
        if tuple(which) == one and (*other, calls) in known
    ]
    return [pair for pair in pairs if pair[0].carried and pair[1].carried] or pairs


def _share(step: MediaStep, of: MediaStep) -> float:
    return (step.packet_us or 0.0) / (of.packet_us or 1.0)


def memory_section(runs: Sequence[MemoryRun], *, labels: Mapping[str, str]) -> Section:
    """Resident memory a call, signalling and relay together."""
    section = Section(title="Memory: resident, signalling and relay together")
    for run in runs:
        held = run.system == "gateway"
        kilobytes = run.per_call / 1000
        relay = f", relay {run.relay_per_call / 1000:.1f} of it" if run.relay_per_call else ""
        lost = run.calls - run.completed
        section.rows.append(
            Row(
                quality=f"a call, {run.calls} at once",
                system=labels[run.system],
                measured=(
                    f"{kilobytes:.1f} kB{relay} (before {run.before / 1e6:.1f} MB, with calls "
                    f"{run.during / 1e6:.1f} MB, after {run.after / 1e6:.1f} MB)"
                    + (f"; {lost} calls failed" if lost else "")
                ),
                target=f"≤ {MEMORY_PER_CALL_KB:g} kB" if held else "",
                met=round(kilobytes, 1) <= MEMORY_PER_CALL_KB if held else None,
            )
        )
    return section
