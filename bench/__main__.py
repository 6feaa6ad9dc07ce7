"""`python -m bench`: every part in turn, tables on the screen, two files in bench/results."""

import argparse
import datetime
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from bench.callee_first import callee_first_section, measure_callee_first
from bench.cores import Cores, choose_cores
from bench.detection import detection_figures, detection_section, measure_detection
from bench.engines import RELAY, RTPENGINE, Engine
from bench.errors import BenchError
from bench.machine import commit, describe_machine, stolen_share
from bench.media import measure_alone, measure_engines
from bench.memory import measure_memory
from bench.plan import FULL, QUICK, Plan
from bench.process import allow_many_sockets
from bench.report import Report
from bench.seals import ALONE, PLAIN
from bench.sections import delay_section, media_section, memory_section, signalling_section
from bench.setup_delay import delays_in_turn
from bench.signalling import common_rate, highest_rate, measure_in_turn, median_run
from bench.sipp import require_sipp
from bench.streams import measure_streams, streams_section
from bench.systems import GATEWAY, SIPPY, SOFTSWITCH, SOFTSWITCH_MEDIA, System
from bench.transcoding import measure_transcoding, transcoding_section
from bench.twilio_voice import measure_twilio_voice, twilio_voice_section

_PARTS = (
    *("signalling", "delay", "callee-first", "twilio-voice", "streams", "media", "transcoding"),
    *("memory", "detection"),
)
_SYSTEMS = (SIPPY, SOFTSWITCH, SOFTSWITCH_MEDIA, GATEWAY)
_ENGINES = (RTPENGINE, RELAY)
_HERE = Path(__file__).parent
_WIDTH = 120
"""Columns where the output is not a terminal's."""


class Bench:
    """One run: what to measure, how long, and what came out."""

    def __init__(
        self, plan: Plan, systems: list[System], engines: list[Engine], console: Console
    ) -> None:
        self._plan = plan
        self._systems = systems
        self._engines = engines
        self._console = console
        self._started = time.monotonic()
        self._labels = {system.key: system.label for system in systems}
        self._cores: Cores = choose_cores()
        self._directory = Path()
        self.report = Report(
            date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
            commit=commit(),
            plan=plan.name,
            machine=describe_machine(self._cores),
        )

    def run(self, parts: list[str]) -> None:
        """Every part; one that cannot be run does not keep the others from running."""
        os.sched_setaffinity(0, {self._cores.generator})
        allow_many_sockets()
        measure: dict[str, Callable[[], None]] = {
            "signalling": self._signalling,
            "delay": self._delay,
            "callee-first": self._callee_first,
            "streams": self._streams,
            "twilio-voice": self._twilio_voice,
            "media": self._media,
            "transcoding": self._transcoding,
            "memory": self._memory,
            "detection": self._detection,
        }
        stolen = stolen_share()
        with tempfile.TemporaryDirectory(prefix="bench-") as directory:
            self._directory = Path(directory)
            for part in parts:
                self._say(f"{part} …")
                try:
                    measure[part]()
                except BenchError as error:
                    self.report.errors.append(f"{part}: {error}")
                    self._say(f"{part}: {error}")
        self.report.machine = {
            **self.report.machine,
            "stolen by the hypervisor": f"{stolen():.1%} of the time",
            "load average at end": f"{os.getloadavg()[0]:.2f}",
            "duration": f"{time.monotonic() - self._started:.0f} s",
        }

    def _say(self, line: str) -> None:
        elapsed = time.monotonic() - self._started
        self._console.print(
            f"[{elapsed:4.0f} s] {line}", style="dim", highlight=False, markup=False
        )

    def _signalling(self) -> None:
        require_sipp()
        plan, cores, directory, say = self._plan, self._cores, self._directory, self._say
        peer = next((system for system in self._systems if system is SIPPY), None)
        common = plan.call_rate
        if peer is not None:
            common = common_rate(peer, plan=plan, cores=cores, directory=directory, say=say)
        jobs = [(system, common) for system in self._systems]
        if common != plan.call_rate and plan.thorough:
            jobs += [
                (system, plan.call_rate)
                for system in self._systems
                if system in (SOFTSWITCH, GATEWAY)
            ]
        runs = measure_in_turn(jobs, plan=plan, cores=cores, directory=directory, say=say)
        self.report.figures["cpu"] = [run.as_json() for run in runs]
        rates = {}
        for system in self._systems:
            typical = median_run(runs, system.key, common)
            if typical is None or system is SOFTSWITCH_MEDIA:
                continue
            if system is SIPPY and not plan.thorough:
                continue
            rates[system.key] = highest_rate(
                system, typical.total_ms, plan=plan, cores=cores, directory=directory, say=say
            )
        self.report.figures["highest_rate"] = {
            key: {"rate": rate.rate, "failed_at": rate.failed_at, "why": rate.why}
            for key, rate in rates.items()
        }
        self.report.sections.append(
            signalling_section(
                runs, rates, labels=self._labels, peer=SIPPY.key, common=common, plan=plan
            )
        )

    def _delay(self) -> None:
        require_sipp()
        runs = delays_in_turn(
            [system for system in self._systems if system is not SOFTSWITCH_MEDIA],
            plan=self._plan,
            cores=self._cores,
            directory=self._directory,
            say=self._say,
        )
        self.report.figures["set_up_delay"] = [run.as_json() for run in runs]
        self.report.sections.append(
            delay_section(runs, labels=self._labels, peer=SIPPY.key, plan=self._plan)
        )

    def _callee_first(self) -> None:
        run = measure_callee_first(self._plan, self._cores, self._directory)
        self._say(f"callee first: answer to INVITE p50 {run.p50_ms:.1f}, p99 {run.p99_ms:.1f} ms")
        self.report.figures["callee_first"] = run.as_json()
        self.report.sections.append(callee_first_section(run))

    def _streams(self) -> None:
        run = measure_streams(self._plan, self._cores, self._directory)
        self._say(f"streams: barge-in p50 {run.barge_in_p50_ms:.1f}, p99 {run.barge_in_p99_ms:.1f}")
        self.report.figures["streams"] = run.as_json()
        self.report.sections.append(streams_section(run))

    def _twilio_voice(self) -> None:
        run = measure_twilio_voice(self._plan, self._cores, self._directory)
        self._say(
            f"twilio-voice: webhook to document p50 {run.p50_ms:.1f}, p99 {run.p99_ms:.1f} ms"
        )
        self.report.figures["twilio_voice"] = run.as_json()
        self.report.sections.append(twilio_voice_section(run))

    def _media(self) -> None:
        plan, cores = self._plan, self._cores
        alone = [
            measure_alone(plan.media_steps[-1], plan=plan, cores=cores, seal=seal)
            for seal in (PLAIN, ALONE)
        ]
        steps = measure_engines(
            self._engines, plan=plan, cores=cores, directory=self._directory, say=self._say
        )
        self.report.figures["media"] = [step.as_json() for step in (*alone, *steps)]
        labels = {engine.key: engine.label for engine in _ENGINES}
        self.report.sections.append(media_section(steps, alone, labels=labels))

    def _transcoding(self) -> None:
        if not self._plan.thorough:
            return
        found = measure_transcoding(
            self._engines,
            plan=self._plan,
            cores=self._cores,
            directory=self._directory,
            say=self._say,
        )
        self.report.figures["transcoding"] = [
            {"pair": each.pair, "calls_a_core": each.calls_a_core, **each.step.as_json()}
            for each in found
        ]
        labels = {engine.key: engine.label for engine in _ENGINES}
        self.report.sections.append(transcoding_section(found, labels))

    def _memory(self) -> None:
        require_sipp()
        runs = []
        for system in self._systems:
            if system is not GATEWAY and not self._plan.thorough:
                continue
            run = measure_memory(
                system, plan=self._plan, cores=self._cores, directory=self._directory
            )
            self._say(f"memory: {system.label}: {run.per_call / 1000:.1f} kB a call")
            runs.append(run)
        self.report.figures["memory"] = [run.as_json() for run in runs]
        self.report.sections.append(memory_section(runs, labels=self._labels))

    def _detection(self) -> None:
        outcomes = measure_detection(plan=self._plan, say=self._say)
        self.report.figures["detection"] = detection_figures(outcomes)
        self.report.sections.append(detection_section(outcomes))


def _chosen(text: str, known: tuple[str, ...]) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"choose from {', '.join(known)}")
    return [name for name in known if name in names]


def _arguments() -> argparse.Namespace:
    keys = tuple(system.key for system in _SYSTEMS)
    engines = tuple(engine.key for engine in _ENGINES)
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure the gateway beside its peers."
    )
    parser.add_argument("--quick", action="store_true", help="at most 5 minutes: one round each")
    parser.add_argument(
        "--only",
        type=lambda text: _chosen(text, _PARTS),
        default=list(_PARTS),
        metavar="PARTS",
        help=f"comma-separated: {', '.join(_PARTS)}",
    )
    parser.add_argument(
        "--systems",
        type=lambda text: _chosen(text, keys),
        default=None,
        metavar="NAMES",
        help=f"comma-separated: {', '.join(keys)}",
    )
    parser.add_argument(
        "--engines",
        type=lambda text: _chosen(text, engines),
        default=list(engines),
        metavar="NAMES",
        help=f"comma-separated: {', '.join(engines)}",
    )
    parser.add_argument("--results", type=Path, default=_HERE / "results", help="where to write")
    parser.add_argument("--no-write", action="store_true", help="tables on the screen only")
    return parser.parse_args()


def _method() -> str:
    """The part of README.md that belongs into every result."""
    text = (_HERE / "README.md").read_text(encoding="utf-8")
    return text.partition("## Method\n")[2].partition("\n## ")[0]


def main() -> int:
    """0 when every part ran, whatever the figures; 1 when one could not."""
    # SIGTERM unwinds like Ctrl-C, so that no measured process is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    arguments = _arguments()
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    try:
        plan = QUICK if arguments.quick else FULL
        keys = arguments.systems or [
            system.key for system in _SYSTEMS if plan.thorough or system is not SOFTSWITCH_MEDIA
        ]
        bench = Bench(
            plan,
            [system for system in _SYSTEMS if system.key in keys],
            [engine for engine in _ENGINES if engine.key in arguments.engines],
            console,
        )
        bench.run(arguments.only)
    except BenchError as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("interrupted", style="red")
        return 130
    bench.report.print(console)
    if not arguments.no_write:
        page = bench.report.write(arguments.results, _method())
        console.print(f"written: {page.relative_to(arguments.results.parent)}", markup=False)
    return 1 if bench.report.errors else 0


if __name__ == "__main__":
    sys.exit(main())
