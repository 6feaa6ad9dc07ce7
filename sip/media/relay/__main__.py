"""`python -m sip.media.relay`: the media relay as a process of its own.

Prints one line, ``ready control=unix:PATH`` (or ``HOST:PORT``), on standard output when it serves.
Exit codes: 0 ended when told to, 2 bad usage or an address or port that cannot be had.
"""

from __future__ import annotations

import argparse
import ipaddress
import random
import re
import sys
import time
from pathlib import Path
from typing import Final

from sip.media.ng.control_address import ControlAddress, read_control_address, written
from sip.media.relay.problems import ProblemLog
from sip.media.relay.server import RelayServer, ServerOptions

#: Seconds that a port pair rests after use.
DRAIN_S = 5.0

#: A token: printable, and not to be guessed.
TOKEN: Final = re.compile(rb"[!-~]{16,256}")


def _control(text: str) -> ControlAddress:
    try:
        return read_control_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _token(text: str) -> bytes:
    """The one word in a file."""
    try:
        word = Path(text).read_bytes().strip()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    if not TOKEN.fullmatch(word):
        raise argparse.ArgumentTypeError(f"{text} does not hold one word of 16 to 256 letters")
    return word


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address") from None


def _ports(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    if not first.isdigit() or not last.isdigit() or not 0 < int(first) < int(last) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not FIRST-LAST within 1-65535")
    return int(first), int(last)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds in 0-3600")
    return value


def _options(arguments: list[str] | None = None) -> ServerOptions:
    parser = argparse.ArgumentParser(prog="python -m sip.media.relay", description=__doc__)
    parser.add_argument(
        "--control",
        type=_control,
        required=True,
        metavar="unix:PATH|HOST:PORT",
        help="where NG requests are taken: a UNIX socket, for this user's programs alone; or UDP,"
        " where port 0 chooses a free one",
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument(
        "--token-file",
        type=_token,
        default=b"",
        dest="token",
        metavar="FILE",
        help="holds the word with which each request over UDP must begin",
    )
    who.add_argument(
        "--no-token",
        action="store_true",
        help="let every program that can send to --control over UDP steer this relay",
    )
    parser.add_argument(
        "--listen",
        type=_address,
        default="0.0.0.0",
        metavar="ADDR",
        help="local address of the media sockets (default 0.0.0.0)",
    )
    parser.add_argument(
        "--advertise",
        type=_address,
        metavar="ADDR",
        help="address written into SDP (default: --listen)",
    )
    parser.add_argument(
        "--ports",
        type=_ports,
        default=(20000, 29999),
        metavar="FIRST-LAST",
        help="media ports, both included (default 20000-29999)",
    )
    parser.add_argument(
        "--drain",
        type=_seconds,
        default=DRAIN_S,
        metavar="SECONDS",
        help=f"rest of a port after use (default {DRAIN_S:g})",
    )
    parser.add_argument(
        "--recorder",
        metavar="PATH",
        help="socket of the recorder (default: nothing is recorded)",
    )
    parser.add_argument(
        "--parent",
        action="store_true",
        help="end when standard input ends: the parent holds its other end",
    )
    options = parser.parse_args(arguments)
    advertise = options.advertise or options.listen
    if ipaddress.ip_address(advertise).is_unspecified:
        parser.error("--advertise is needed, as --listen is every address")
    if (":" in advertise) != (":" in options.listen):
        parser.error("--advertise and --listen are of different address families")
    over_udp = not isinstance(options.control, Path)
    if over_udp and not options.token and not options.no_token:
        parser.error(
            "--control over UDP can be reached by other users' programs: use unix:PATH, or give"
            " --token-file; --no-token does without"
        )
    if options.token and not over_udp:
        parser.error("--token-file is for --control over UDP: a UNIX socket needs none")
    first, last = options.ports
    return ServerOptions(
        control=options.control,
        listen=options.listen,
        advertise=advertise,
        first_port=first,
        last_port=last,
        drain_s=options.drain,
        token=options.token,
        has_parent=options.parent,
        recorder=options.recorder,
    )


def main() -> int:
    options = _options()
    log = ProblemLog(time.monotonic)
    try:
        server = RelayServer(options, log, random.SystemRandom())
    except (OSError, ValueError) as error:
        log.line("error", "relay.cannot-start", control=written(options.control), reason=error)
        return 2
    server.handle_signals()
    sys.stdout.write(f"ready control={written(server.control_address)}\n")
    sys.stdout.flush()
    try:
        server.run()
    finally:
        server.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
