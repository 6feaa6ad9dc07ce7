"""A ladder as PCAP, read back as the formats' own documents say, and as text."""

import struct
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest

from gateway.calls.ladder_files import pcap, text


def message(
    direction: str = "in",
    peer: str = "udp:192.0.2.1:5060",
    local: str = "udp:203.0.113.10:5080",
    at: float = 1_800_000_000.123456,
    content: str = "BYE sip:a@192.0.2.1 SIP/2.0\r\n\r\n",
    left_out: int = 0,
) -> dict[str, Any]:
    return {
        "at": at,
        "direction": direction,
        "peer": peer,
        "local": local,
        "message": content,
        "left_out": left_out,
    }


@dataclass
class Packet:
    at: tuple[int, int]
    source: tuple[str, int]
    target: tuple[str, int]
    payload: bytes


def read(data: bytes) -> list[Packet]:
    """The packets of a file (libpcap's savefile format; RFC 791, RFC 8200, RFC 768)."""
    magic, major, minor, _, _, _, link = struct.unpack("<IHHiIII", data[:24])
    assert (magic, major, minor, link) == (0xA1B2C3D4, 2, 4, 101)
    packets, data = [], data[24:]
    while data:
        seconds, micros, kept, size = struct.unpack("<IIII", data[:16])
        packet, data = data[16 : 16 + kept], data[16 + kept :]
        assert kept == size == len(packet)
        packets.append(packet_of((seconds, micros), packet))
    return packets


def packet_of(at: tuple[int, int], packet: bytes) -> Packet:
    if packet[0] == 0x45:
        assert struct.unpack(">H", packet[2:4])[0] == len(packet)
        assert ones(packet[:20]) == 0xFFFF
        protocol, addresses, datagram = packet[9], packet[12:20], packet[20:]
    else:
        assert packet[0] == 0x60
        assert struct.unpack(">H", packet[4:6])[0] == len(packet) - 40
        protocol, addresses, datagram = packet[6], packet[8:40], packet[40:]
    assert protocol == 17
    source_port, target_port, size, _ = struct.unpack(">HHHH", datagram[:8])
    assert size == len(datagram)
    assert ones(addresses + struct.pack(">II", size, 17) + datagram) == 0xFFFF
    half = len(addresses) // 2
    source, target = str(ip_address(addresses[:half])), str(ip_address(addresses[half:]))
    return Packet(at, (source, source_port), (target, target_port), datagram[8:])


def ones(data: bytes) -> int:
    """The sum in one's complement, which is all ones where a checksum is right (RFC 1071)."""
    total = sum(
        int.from_bytes(data[place : place + 2].ljust(2, b"\0")) for place in range(0, len(data), 2)
    )
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_each_message_is_a_packet_of_its_direction() -> None:
    answer = "SIP/2.0 200 OK\r\nX-Odd: é\r\n\r\n"
    first, second = read(pcap([message(), message("out", at=1_800_000_001.0, content=answer)]))
    peer, ours = ("192.0.2.1", 5060), ("203.0.113.10", 5080)
    assert first.at == (1_800_000_000, 123456)
    assert (first.source, first.target) == (peer, ours)
    assert first.payload == b"BYE sip:a@192.0.2.1 SIP/2.0\r\n\r\n"
    assert (second.source, second.target) == (ours, peer)
    assert second.payload == answer.encode()


@pytest.mark.parametrize(
    ("peer", "local", "source", "target"),
    [
        ("tls:[2001:db8::1]:5061", "tls:[2001:db8::2]:5061", "2001:db8::1", "2001:db8::2"),
        ("udp:[2001:db8::1]:5060", "udp:0.0.0.0:5060", "2001:db8::1", "::ffff:0.0.0.0"),
    ],
)
def test_ipv6(peer: str, local: str, source: str, target: str) -> None:
    [packet] = read(pcap([message(peer=peer, local=local)]))
    assert ip_address(packet.source[0]) == ip_address(source)
    assert ip_address(packet.target[0]) == ip_address(target)


def test_text_says_when_and_which_way() -> None:
    shown = text(
        [message(), message("out", left_out=3, content="ACK sip:\x1b[2Jx SIP/2.0\r\n\r\n")]
    )
    assert shown.splitlines() == [
        "--- 2027-01-15T08:00:00.123Z udp:192.0.2.1:5060 -> udp:203.0.113.10:5080",
        "BYE sip:a@192.0.2.1 SIP/2.0",
        "",
        "--- 3 messages of this leg are left out here",
        "--- 2027-01-15T08:00:00.123Z udp:203.0.113.10:5080 -> udp:192.0.2.1:5060",
        "ACK sip:\N{REPLACEMENT CHARACTER}[2Jx SIP/2.0",
    ]
