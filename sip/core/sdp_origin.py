"""The o= line of what we say in one dialog: RFC 3264 8, RFC 8866 5.2."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class SessionOrigin:
    """One leg's session: its id never changes, its version rises with every change of the rest.

    Descriptions come from several peers over the life of a call (a carrier that was tried, the one
    that answered); to the peer of this leg they are one session of ours.
    """

    session_id: int
    version: int = 0
    _last: str | None = field(default=None, init=False)

    def stamp(self, sdp: str) -> str:
        """`sdp` with our session id and version in its o= line; the address stays."""
        head, mark, rest = sdp.partition("\no=")
        line, _, tail = rest.partition("\n")
        words = line.split()
        if not mark or len(words) != 6:
            return sdp
        body = head + tail
        if body != self._last:
            self._last = body
            self.version += 1
        network = " ".join(words[3:])
        end = "\r" if line.endswith("\r") else ""
        return f"{head}{mark}- {self.session_id} {self.version} {network}{end}\n{tail}"
