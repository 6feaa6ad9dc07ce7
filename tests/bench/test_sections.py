"""Which figures of the media engines meet which target."""

from bench.media import MediaStep
from bench.report import Row
from bench.sections import media_section

LABELS = {"rtpengine": "rtpengine", "relay": "our relay"}
WORST = "CPU a packet, worst step from 300 calls up"
FLAT = "CPU a packet, most calls beside 300"
RELAYED = "relayed, loss < 0.1 %, p99 < 5 ms"


def step(
    engine: str, calls: int, packet_us: float, *, lost: int = 0, generator_core: float = 0.5
) -> MediaStep:
    return MediaStep(
        engine=engine,
        calls=calls,
        sent=10_000,
        lost=lost,
        p50_ms=0.1,
        p99_ms=1.0,
        generator_core=generator_core,
        behind_ms=0.0,
        engine_core=0.5,
        packet_us=packet_us,
        call_core=0.002,
        memory_per_call=8000.0,
    )


def rows(*steps: MediaStep) -> dict[tuple[str, str], Row]:
    section = media_section(steps, [], labels=LABELS)
    return {(row.quality, row.system): row for row in section.rows}


def both(*costs: tuple[int, float, float]) -> list[MediaStep]:
    """Steps that both carried: calls, our cost, rtpengine's."""
    return [
        step(engine, calls, cost)
        for calls, ours, theirs in costs
        for engine, cost in (("relay", ours), ("rtpengine", theirs))
    ]


def test_the_worst_step_counts_from_300_calls_up() -> None:
    row = rows(*both((100, 30.0, 20.0), (300, 20.0, 20.0), (500, 23.0, 20.0)))[WORST, "our relay"]
    assert (row.measured, row.met) == ("1.15 of rtpengine's at 500 calls", True)
    row = rows(*both((300, 23.3, 20.0), (500, 18.0, 20.0)))[WORST, "our relay"]
    assert (row.measured, row.met) == ("1.17 of rtpengine's at 300 calls", False)


def test_a_step_that_one_did_not_carry_says_nothing_of_the_cost() -> None:
    failed = [step("relay", 900, 30.0), step("rtpengine", 900, 10.0, lost=500)]
    found = rows(*both((300, 20.0, 20.0)), *failed)
    assert found[WORST, "our relay"].measured == "1.00 of rtpengine's at 300 calls"


def test_without_a_peer_or_a_busy_step_there_is_no_worst_one() -> None:
    assert (WORST, "our relay") not in rows(step("relay", 300, 20.0))
    assert (WORST, "our relay") not in rows(*both((100, 20.0, 20.0)))


def test_one_more_call_costs_what_the_others_do() -> None:
    found = rows(*both((300, 20.0, 20.0), (700, 21.9, 30.0)), step("relay", 900, 40.0, lost=500))
    ours, theirs = found[FLAT, "our relay"], found[FLAT, "rtpengine"]
    assert (ours.measured, ours.met) == ("1.09 at 700 calls", True)
    assert (theirs.measured, theirs.target, theirs.met) == ("1.50 at 700 calls", "", None)
    assert rows(*both((300, 20.0, 20.0), (700, 22.4, 30.0)))[FLAT, "our relay"].met is False


def test_no_growth_is_seen_where_no_more_than_300_calls_were_carried() -> None:
    assert (FLAT, "our relay") not in rows(*both((100, 30.0, 30.0), (300, 20.0, 20.0)))


def test_the_highest_step_is_no_lower_than_the_peers() -> None:
    higher = both((300, 20.0, 20.0), (500, 20.0, 20.0))
    assert rows(*higher)[RELAYED, "our relay"].met is True
    lower = [*both((300, 20.0, 20.0)), step("rtpengine", 500, 20.0)]
    failed = step("relay", 500, 20.0, lost=500)
    row = rows(*lower, failed)[RELAYED, "our relay"]
    assert (row.measured, row.met) == ("300 calls (not 500)", False)
    starved = step("relay", 500, 20.0, lost=500, generator_core=0.99)
    assert rows(*lower, starved)[RELAYED, "our relay"].met is None
