"""Writes SIPp scenarios: messages in, messages out, what must be in them, as XML for SIPp 3.6."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

VIA = "SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What must match (or must not) in a message: a POSIX expression, in one header or anywhere."""

    pattern: str
    header: str = ""
    absent: bool = False


def has(header: str, pattern: str = ".") -> Check:
    """The header is there and matches."""
    return Check(header=header, pattern=pattern)


def says(pattern: str) -> Check:
    """Somewhere in the message."""
    return Check(pattern=pattern)


def lacks(pattern: str) -> Check:
    """Nowhere in the message."""
    return Check(pattern=pattern, absent=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdp:
    """A session description of a system: its codecs as `payload encoding`, and its ways of hold."""

    codecs: Sequence[str]
    more: Sequence[str] = ()
    user: str = "-"
    name: str = "-"
    version: int = 1
    connection: str = "[media_ip]"
    direction: str = "sendrecv"
    protocol: str = "RTP/AVP"
    ptime: int = 20
    session: Sequence[str] = ()
    after: Sequence[str] = ()

    @property
    def lines(self) -> list[str]:
        payloads = " ".join(codec.partition(" ")[0] for codec in self.codecs)
        maps = [f"a=rtpmap:{codec}" for codec in self.codecs]
        events = [codec for codec in self.codecs if "telephone-event" in codec]
        maps += [f"a=fmtp:{codec.partition(' ')[0]} 0-15" for codec in events]
        return [
            "v=0",
            f"o={self.user} 8000 {self.version} IN IP[local_ip_type] [local_ip]",
            f"s={self.name}",
            f"c=IN IP[media_ip_type] {self.connection}",
            "t=0 0",
            *self.session,
            f"m=audio [media_port] {self.protocol} {payloads}",
            *maps,
            *self.more,
            f"a=ptime:{self.ptime}",
            *([f"a={self.direction}"] if self.direction else []),
            *self.after,
        ]


class Script:
    """One scenario, written message by message."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines: list[str] = []
        self._count = 0
        self._variables: list[str] = []
        #: index of the message whose branch the ACK of a refusal repeats
        self._invite_at = 0

    def note(self, text: str) -> None:
        """A comment: why the next message is as it is."""
        self._lines.append(f"  <!-- {text} -->")

    def send(
        self,
        first: str,
        headers: Iterable[str],
        sdp: Sdp | None = None,
        *,
        length: str = "Content-Length",
        content_type: str = "Content-Type",
        retrans: bool = False,
        txn: str = "",
        ack: str = "",
        then: str = "",
        if_set: str = "",
    ) -> None:
        """Send a message; `txn` starts a transaction that responses can be told apart by.

        `then` is the label to go on at, where the variable `if_set`, if any, is set.
        """
        attributes = ' retrans="500"' if retrans else ""
        attributes += f' next="{then}"' if then else ""
        attributes += f' test="{if_set}"' if if_set else ""
        attributes += f' start_txn="{txn}"' if txn else ""
        attributes += f' ack_txn="{ack}"' if ack else ""
        if first.startswith("INVITE"):
            self._invite_at = self._count
        message = [first, *headers]
        if sdp is not None:
            message += [f"{content_type}: application/sdp", f"{length}: [len]", "", *sdp.lines]
        else:
            message += [f"{length}: 0", ""]
        self._lines.append(f"  <send{attributes}>")
        self._lines.append("    <![CDATA[")
        self._lines += [f"      {line}".rstrip() for line in message]
        self._lines += ["    ]]>", "  </send>"]
        self._count += 1

    def request(
        self, first: str, headers: Iterable[str], body: Sequence[str] = (), *, txn: str
    ) -> None:
        """Send a request in a dialog; `body` is of the type that `headers` say."""
        length = "Content-Length: [len]" if body else "Content-Length: 0"
        message = [*headers, length, "", *body]
        self._lines.append(f'  <send retrans="500" start_txn="{txn}">')
        self._lines.append("    <![CDATA[")
        self._lines += [f"      {line}".rstrip() for line in (first, *message)]
        self._lines += ["    ]]>", "  </send>"]
        self._count += 1

    @property
    def refused_branch(self) -> str:
        """The branch of the INVITE before, for the ACK to its refusal (RFC 3261 17.1.1.3)."""
        return VIA.replace("[branch]", f"[branch-{self._count - self._invite_at}]")

    def receive(
        self,
        what: str | int,
        *checks: Check,
        txn: str = "",
        optional: bool = False,
        routes: bool = False,
        auth: bool = False,
        keep: Sequence[tuple[str, str, str]] = (),
        note: Sequence[tuple[str, str]] = (),
        then: str = "",
        within_ms: int | None = None,
        too_late: str = "",
    ) -> None:
        """Expect a request or status; `keep` is (variable, header, pattern) to remember.

        `note` is (variable, pattern): set where the message matches. `then` is the label to go on
        at, and `too_late` that where nothing has come for `within_ms`, or what -recv_timeout says.
        """
        kind = "response" if isinstance(what, int) else "request"
        attributes = f' {kind}="{what}"'
        attributes += ' optional="true"' if optional else ""
        attributes += ' rrs="true"' if routes else ""
        attributes += ' auth="true"' if auth else ""
        attributes += f' response_txn="{txn}"' if txn and isinstance(what, int) else ""
        attributes += f' next="{then}"' if then else ""
        attributes += f' timeout="{within_ms}"' if within_ms else ""
        attributes += f' ontimeout="{too_late}"' if too_late else ""
        actions = [self._keep(*item) for item in keep] + [self._note(*item) for item in note]
        actions += [self._check(check) for check in checks]
        self._count += 1
        if not actions:
            self._lines.append(f"  <recv{attributes}/>")
            return
        self._lines += [f"  <recv{attributes}>", "    <action>", *actions]
        self._lines += ["    </action>", "  </recv>"]

    def pause(self, milliseconds: int | None = None) -> None:
        """So long, or what -d says."""
        given = "" if milliseconds is None else f' milliseconds="{milliseconds}"'
        self._lines.append(f"  <pause{given}/>")
        self._count += 1

    def label(self, name: str) -> None:
        """Where `jump` and `then` may go on."""
        self._lines.append(f'  <label id="{name}"/>')

    def jump(self, name: str, *, if_set: str = "") -> None:
        """Go on at a label; `if_set`: only where this variable is set."""
        test = f' test="{if_set}"' if if_set else ""
        self._lines.append(f'  <nop next="{name}"{test}/>')
        self._count += 1

    def raw(self, line: str, *, counts: bool = False) -> None:
        self._lines.append(f"  {line}")
        self._count += counts

    def _keep(self, variable: str, header: str, pattern: str) -> str:
        if variable not in self._variables:
            self._variables.append(variable)
        return (
            f'      <ereg regexp="{_quoted(pattern)}" search_in="hdr" header="{header}:"'
            f' check_it="true" assign_to="{variable}"/>'
        )

    def _note(self, variable: str, pattern: str) -> str:
        return f'      <ereg regexp="{_quoted(pattern)}" search_in="msg" assign_to="{variable}"/>'

    def _check(self, check: Check) -> str:
        variable = f"check{len(self._variables) + 1}"
        self._variables.append(variable)
        where = 'search_in="msg"'
        if check.header:
            where = f'search_in="hdr" header="{check.header}:"'
        sense = "check_it_inverse" if check.absent else "check_it"
        return (
            f'      <ereg regexp="{_quoted(check.pattern)}" {where}'
            f' {sense}="true" assign_to="{variable}"/>'
        )

    def text(self, head: Sequence[str]) -> str:
        """The file, with its head: the story, and how it is run."""
        lines = ['<?xml version="1.0" encoding="UTF-8" ?>', '<!DOCTYPE scenario SYSTEM "sipp.dtd">']
        lines += ["<!--", *(f"  {line}".rstrip() for line in head), "-->"]
        lines += [f'<scenario name="{_quoted(self._name)}">', *self._lines]
        if self._variables:
            lines.append(f'  <Reference variables="{",".join(self._variables)}"/>')
        return "\n".join([*lines, "</scenario>", ""])


def _quoted(text: str) -> str:
    return escape(text, {'"': "&quot;"})
