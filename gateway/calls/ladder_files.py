"""A ladder as a file: for Wireshark and its like (PCAP), or to be read (text).

The PCAP holds what the gateway sent and received, as IP packets without a link layer. Each message
is one UDP datagram, also where it went over TCP or TLS, so that it is shown whole and readable.
"""

import struct
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final

#: libpcap's file header: version 2.4, microseconds, LINKTYPE_RAW (101: the packet begins with IP).
_HEADER: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101)
_UDP: Final = 17
_TTL: Final = 64


def pcap(messages: Iterable[Mapping[str, Any]]) -> bytes:
    """The messages of a ladder as a PCAP file."""
    return _HEADER + b"".join(map(_record, messages))


def text(messages: Iterable[Mapping[str, Any]]) -> str:
    """The messages of a ladder one after another, each with its time and its way."""
    return "\n".join(map(_paragraph, messages))


def _record(message: Mapping[str, Any]) -> bytes:
    packet = _packet(message)
    seconds, micros = divmod(round(message["at"] * 1_000_000), 1_000_000)
    return struct.pack("<IIII", seconds, micros, len(packet), len(packet)) + packet


def _packet(message: Mapping[str, Any]) -> bytes:
    way = message["peer"], message["local"]
    (source, source_port), (target, target_port) = map(
        _address, way if message["direction"] == "in" else way[::-1]
    )
    if source.version != target.version:
        source, target = _as_v6(source), _as_v6(target)
    payload: bytes = message["message"].encode()
    size = 8 + len(payload)
    ports: bytes = struct.pack(">HHH", source_port, target_port, size)
    pseudo: bytes = source.packed + target.packed + struct.pack(">IxxxB", size, _UDP)
    checksum = _checksum(pseudo + ports + b"\0\0" + payload) or 0xFFFF
    header: bytes = _ip_header(source, target, size)
    return header + ports + struct.pack(">H", checksum) + payload


def _ip_header(
    source: IPv4Address | IPv6Address, target: IPv4Address | IPv6Address, size: int
) -> bytes:
    addresses = source.packed + target.packed
    if source.version == 6:
        return struct.pack(">IHBB", 6 << 28, size, _UDP, _TTL) + addresses
    before = struct.pack(">BBHHHBB", 0x45, 0, 20 + size, 0, 0, _TTL, _UDP)
    return before + struct.pack(">H", _checksum(before + b"\0\0" + addresses)) + addresses


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(word for (word,) in struct.iter_unpack(">H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _address(endpoint: str) -> tuple[IPv4Address | IPv6Address, int]:
    """Of `udp:192.0.2.1:5060` or `tls:[2001:db8::1]:5061`."""
    host, _, port = endpoint.partition(":")[2].rpartition(":")
    return ip_address(host.strip("[]")), int(port)


def _as_v6(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if address.version == 6 else IPv6Address(f"::ffff:{address}")


def _paragraph(message: Mapping[str, Any]) -> str:
    moment = datetime.fromtimestamp(message["at"], UTC).isoformat(timespec="milliseconds")
    way = f"{message['peer']} -> {message['local']}"
    if message["direction"] == "out":
        way = f"{message['local']} -> {message['peer']}"
    lines = [f"--- {moment.replace('+00:00', 'Z')} {way}"]
    if message["left_out"]:
        lines.insert(0, f"--- {message['left_out']} messages of this leg are left out here")
    shown = "".join(
        letter if letter.isprintable() or letter in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for letter in message["message"].replace("\r\n", "\n")
    )
    return "\n".join((*lines, shown.rstrip("\n"), ""))
