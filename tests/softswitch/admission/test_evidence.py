"""Whose a request is: every kind of proof, alone and with others, and what none of them opens."""

from dataclasses import dataclass

import pytest

from config.settings import BanSettings, SipAuthSettings
from config.values import Source
from sip.core.digest import answer_challenges
from sip.core.message import Request
from sip.core.parser import parse_message
from sip.core.uri import Uri
from sip.softswitch.admission.gatekeeper import Gatekeeper, Judgement, Verdict
from sip.softswitch.trunks.trunk import Trunk, Trunks
from sip.transport.endpoint import Endpoint, Flow

SHARED = "192.0.2.10"
ELSEWHERE = "198.51.100.9"
OURS = Endpoint("udp", "203.0.113.1", 5060)


@dataclass
class Way:
    """A flow that a request came by, as far as trust looks at it."""

    remote: Endpoint
    peer_names: tuple[str, ...] = ()
    local: Endpoint = OURS
    advertise: str | None = None
    error: str | None = None
    standing: object = None
    reliable: bool = False
    closed: bool = False
    proven: bool = False
    deaf: bool = False

    def send(self, data: bytes) -> None:
        raise AssertionError("trust sends nothing")

    def abort(self) -> None:
        raise AssertionError("trust closes nothing")

    def keep(self) -> None:
        raise AssertionError("trust keeps nothing")


def way(host: str = SHARED, *names: str, port: int = 5060) -> Flow:
    return Way(Endpoint("tls" if names else "udp", host, port), names)


def trunk(
    name: str,
    *sources: str,
    certificates: tuple[str, ...] = (),
    headers: dict[str, str] | None = None,
    login: tuple[str, str] | None = None,
    registrar: bool = False,
) -> Trunk:
    return Trunk(
        name=name,
        gateways=(Uri.parse("sip:192.0.2.99"),),
        sources=tuple(map(Source.parse, sources)),
        certificates=certificates,
        secret_headers=headers or {},
        login=login,
        registrar=registrar,
    )


class StoppedClock:
    """Shows `at` until a test sets it; its timers never fire."""

    at = 0.0

    def now(self) -> float:
        return self.at

    def epoch(self) -> float:
        return self.at

    def call_later(self, *_: object) -> "StoppedClock":
        return self

    def cancel(self) -> None:
        """As of a timer."""


def gatekeeper(
    *trunks: Trunk,
    registered: dict[Endpoint, str] | None = None,
    clock: StoppedClock | None = None,
) -> Gatekeeper:
    found = registered or {}
    return Gatekeeper(
        clock or StoppedClock(),
        Trunks(trunks),
        "gateway.test",
        b"secret",
        SipAuthSettings(algorithms=("SHA-256", "MD5")),
        BanSettings(strangers=5),
        registered=lambda _, source, __: found.get(source),
    )


def request(method: str = "INVITE", *lines: str, user: str = "+12125550101") -> Request:
    text = "\r\n".join(
        [
            f"{method} sip:+14155550100@203.0.113.1 SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bK1",
            "Max-Forwards: 70",
            f"From: <sip:{user}@example.com>;tag=a",
            "To: <sip:+14155550100@203.0.113.1>",
            "Call-ID: 1@test",
            f"CSeq: 1 {method}",
            *lines,
            "Content-Length: 0",
            "",
            "",
        ]
    )
    message = parse_message(text.encode())
    assert isinstance(message, Request)
    return message


def with_digest(
    keeper: Gatekeeper,
    username: str,
    password: str,
    *,
    method: str = "INVITE",
) -> Request:
    """The request again, answering a challenge made now."""
    challenge = keeper.challenge(request(method))
    value = answer_challenges(
        [value for _, value in challenge.headers],
        method=method,
        uri="sip:+14155550100@203.0.113.1",
        username=username,
        password=password,
        cnonce="c0ffee",
    )
    return request(method, f"Authorization: {value}")


def whose(judgement: Judgement) -> str | None:
    if judgement.verdict is not Verdict.ADMIT:
        return None
    assert judgement.trunk is not None
    return judgement.trunk.name


# address


def test_an_address_is_proof_for_a_trunk_that_asks_for_nothing_else() -> None:
    keeper = gatekeeper(trunk("carrier", "192.0.2.0/24"))
    assert whose(keeper.judge(request(), way())) == "carrier"
    assert keeper.judge(request(), way(ELSEWHERE)).verdict is Verdict.IGNORE
    assert not keeper.knows(request(), way(ELSEWHERE))


def test_a_trunk_that_names_no_proof_is_nobodys() -> None:
    keeper = gatekeeper(trunk("outbound-only"))
    assert keeper.judge(request(), way()).verdict is Verdict.IGNORE
    assert not keeper.connection(Way(Endpoint("tcp", SHARED, 40000)))


# an address that a carrier's customers share


def test_secret_headers_tell_trunks_behind_one_address_apart() -> None:
    """As Telnyx's X-Telnyx-Token does; neither is the address alone proof of anything."""
    keeper = gatekeeper(
        trunk("one", SHARED, headers={"x-telnyx-token": "token-of-one"}),
        trunk("two", SHARED, headers={"x-telnyx-token": "token-of-two"}),
    )
    assert whose(keeper.judge(request("INVITE", "X-Telnyx-Token: token-of-two"), way())) == "two"
    assert whose(keeper.judge(request("INVITE", "x-telnyx-token: token-of-one"), way())) == "one"
    for lines in (
        (),
        ("X-Telnyx-Token: token-of-three",),
        ("X-Telnyx-Token: token-of-onetoken-of-one",),
        ("X-Telnyx-Token: token-of-one", "X-Telnyx-Token: token-of-two"),
        ("X-Telnyx-Token: \udcff\u0130",),
    ):
        invite = request()
        for line in lines:
            invite.headers.add(*line.split(": "))
        judgement = keeper.judge(invite, way())
        assert judgement.verdict is Verdict.IGNORE, lines
        assert "x-telnyx-token" in keeper.why_unknown(invite, way())


def test_a_secret_header_goes_no_further() -> None:
    keeper = gatekeeper(
        trunk("one", SHARED, headers={"x-telnyx-token": "1"}),
        trunk("two", headers={"x-other": "2"}),
    )
    invite = request("INVITE", "X-Telnyx-Token: 1", "X-Other: not mine", "X-Campaign: spring")
    assert whose(keeper.judge(invite, way())) == "one"
    assert "x-telnyx-token" not in invite.headers
    assert "x-other" not in invite.headers
    assert invite.headers.get("x-campaign") == "spring"


def test_a_right_header_from_a_wrong_address_is_none() -> None:
    keeper = gatekeeper(trunk("one", SHARED, headers={"x-telnyx-token": "1"}))
    judgement = keeper.judge(request("INVITE", "X-Telnyx-Token: 1"), way(ELSEWHERE))
    assert judgement.verdict is Verdict.IGNORE


def test_certificates_tell_trunks_behind_one_address_apart() -> None:
    keeper = gatekeeper(
        trunk("one", SHARED, certificates=("one.example.com",)),
        trunk("two", SHARED, certificates=("sip.two.example.com", "sip2.two.example.com")),
    )
    assert whose(keeper.judge(request(), way(SHARED, "ONE.example.com"))) == "one"
    assert whose(keeper.judge(request(), way(SHARED, "*.two.example.com"))) == "two"
    for names in ((), ("two.example.com",), ("*.one.example.com",), ("x.one.example.com",)):
        assert whose(keeper.judge(request(), way(SHARED, *names))) is None, names


def test_a_certificate_is_proof_from_any_address_where_none_is_asked_for() -> None:
    keeper = gatekeeper(trunk("teams", certificates=("sip.pstnhub.example.com",)))
    peer = way(ELSEWHERE, "sip.pstnhub.example.com")
    assert whose(keeper.judge(request(), peer)) == "teams"
    assert keeper.knows(None, peer)
    assert keeper.connection(Way(Endpoint("tls", ELSEWHERE, 40000)))
    assert not keeper.connection(Way(Endpoint("tcp", ELSEWHERE, 40000)))


def test_the_trunk_that_demands_more_is_meant_where_both_are_met() -> None:
    keeper = gatekeeper(
        trunk("by-address", SHARED), trunk("by-header", SHARED, headers={"x-key": "k"})
    )
    assert whose(keeper.judge(request("INVITE", "X-Key: k"), way())) == "by-header"
    assert whose(keeper.judge(request(), way())) == "by-address"


# digest


def test_logins_tell_trunks_behind_one_address_apart() -> None:
    keeper = gatekeeper(
        trunk("one", SHARED, login=("user1", "pass1")),
        trunk("two", SHARED, login=("user2", "pass2")),
    )
    assert keeper.judge(request(), way()).verdict is Verdict.CHALLENGE
    judgement = keeper.judge(with_digest(keeper, "user2", "pass2"), way())
    assert (whose(judgement), judgement.username) == ("two", "user2")
    crossed = keeper.judge(with_digest(keeper, "user2", "pass1"), way())
    assert (crossed.verdict, crossed.username) == (Verdict.CHALLENGE, None)


def test_one_trunks_password_is_none_from_anothers_address() -> None:
    keeper = gatekeeper(
        trunk("one", SHARED, login=("user1", "pass1")),
        trunk("two", ELSEWHERE, login=("user2", "pass2")),
    )
    judgement = keeper.judge(with_digest(keeper, "user2", "pass2"), way())
    assert judgement.verdict is Verdict.CHALLENGE
    assert judgement.reason == "login from a foreign address"


def test_a_password_does_not_stand_for_the_certificate_that_is_demanded_with_it() -> None:
    keeper = gatekeeper(
        trunk("pbx", certificates=("pbx.example.com",), login=("pbx", "right")),
        trunk("open", SHARED),
    )
    proven = with_digest(keeper, "pbx", "right")
    assert whose(keeper.judge(proven, way(ELSEWHERE))) is None
    assert whose(keeper.judge(proven, way(ELSEWHERE, "pbx.example.com"))) == "pbx"


@pytest.mark.parametrize("named", ["From", "Contact", "Authorization"])
def test_a_login_from_anywhere_is_asked_for_its_password_when_it_names_itself(named: str) -> None:
    keeper = gatekeeper(trunk("pbx", login=("pbx-7f3k", "right")))
    lines = {
        "From": request(user="pbx-7f3k"),
        "Contact": request("INVITE", "Contact: <sip:pbx-7f3k@10.0.0.1>"),
        "Authorization": with_digest(keeper, "pbx-7f3k", "wrong"),
    }
    invite = lines[named]
    assert keeper.knows(invite, way(ELSEWHERE))
    assert keeper.judge(invite, way(ELSEWHERE)).verdict is Verdict.CHALLENGE
    assert not keeper.knows(request(user="pbx"), way(ELSEWHERE))
    assert not keeper.knows(None, way(ELSEWHERE))


@pytest.mark.parametrize(
    ("method", "status", "name"),
    [("REGISTER", 401, "WWW-Authenticate"), ("INVITE", 407, "Proxy-Authenticate")],
)
def test_a_challenge_offers_every_algorithm_in_the_configured_order(
    method: str, status: int, name: str
) -> None:
    """RFC 3261 22.1 and 22.3; RFC 8760 2.3: the preferred one on top."""
    challenge = gatekeeper(trunk("pbx", login=("u", "p"))).challenge(request(method))
    assert challenge.status == status
    assert [header for header, _ in challenge.headers] == [name, name]
    assert ["SHA-256" in value for _, value in challenge.headers] == [True, False]


def test_an_old_nonce_and_a_used_one_are_stale_not_wrong() -> None:
    """RFC 7616 3.3: the password was right, so the peer need not ask its user."""
    clock = StoppedClock()
    keeper = gatekeeper(trunk("retell", SHARED, login=("retell", "right")), clock=clock)
    clock.at = 10.0
    late = with_digest(keeper, "retell", "right")
    clock.at = 100.0
    old = keeper.judge(late, way())
    assert (old.verdict, old.stale) == (Verdict.CHALLENGE, True)
    invite = with_digest(keeper, "retell", "right")
    assert whose(keeper.judge(invite, way())) == "retell"
    clock.at = 101.0
    replayed = keeper.judge(invite, way())
    assert (replayed.verdict, replayed.stale) == (Verdict.CHALLENGE, True)


def test_a_request_full_of_credentials_costs_no_more_than_a_few() -> None:
    """Found by damaged datagrams: a hundred long Authorization lines were milliseconds of work."""
    keeper = gatekeeper(trunk("retell", SHARED, login=("retell", "right")))
    proven = with_digest(keeper, "retell", "right").headers.get("authorization") or ""
    wrong = f"Authorization: {proven.replace('retell', 'nobody')}"
    few = request("INVITE", *[wrong] * 7, f"Authorization: {proven}")
    assert whose(keeper.judge(few, way())) == "retell"
    many = request("INVITE", *[wrong] * 8, f"Authorization: {proven}")
    assert keeper.judge(many, way()).verdict is Verdict.CHALLENGE


# REGISTER and registrations


def test_register_is_for_registrar_trunks_and_always_proven() -> None:
    pbx = Endpoint("udp", SHARED, 5060)
    keeper = gatekeeper(
        trunk("carrier", SHARED),
        trunk("pbx", SHARED, login=("pbx", "right"), registrar=True),
        trunk("retell", SHARED, login=("retell", "right")),
        registered={pbx: "pbx"},
    )
    assert keeper.judge(request("REGISTER"), way()).verdict is Verdict.CHALLENGE
    good = with_digest(keeper, "pbx", "right", method="REGISTER")
    assert whose(keeper.judge(good, way())) == "pbx"
    other = with_digest(keeper, "retell", "right", method="REGISTER")
    assert keeper.judge(other, way()).verdict is Verdict.CHALLENGE


def test_unknown_user_and_wrong_password_get_the_same_answer() -> None:
    """The log tells them apart; what is sent does not."""
    keeper = gatekeeper(trunk("pbx", SHARED, login=("pbx", "right"), registrar=True))
    judgements = [
        keeper.judge(with_digest(keeper, user, "wrong", method="REGISTER"), way())
        for user in ("pbx", "nobody")
    ]
    assert [(one.verdict, one.stale) for one in judgements] == [(Verdict.CHALLENGE, False)] * 2


def test_a_live_registration_is_proof_of_its_very_address() -> None:
    pbx = Endpoint("udp", ELSEWHERE, 40000)
    keeper = gatekeeper(
        trunk("pbx", login=("pbx", "right"), registrar=True), registered={pbx: "pbx"}
    )
    assert keeper.knows(None, way(ELSEWHERE, port=40000))
    assert whose(keeper.judge(request(), way(ELSEWHERE, port=40000))) == "pbx"
    assert keeper.judge(request(), way(ELSEWHERE, port=40001)).verdict is Verdict.IGNORE


def test_a_registration_does_not_stand_for_a_secret_header() -> None:
    pbx = Endpoint("udp", ELSEWHERE, 40000)
    keeper = gatekeeper(
        trunk("pbx", headers={"x-key": "k"}, login=("pbx", "right"), registrar=True),
        registered={pbx: "pbx"},
    )
    assert keeper.judge(request(), way(ELSEWHERE, port=40000)).verdict is Verdict.IGNORE
    keyed = request("INVITE", "X-Key: k")
    assert whose(keeper.judge(keyed, way(ELSEWHERE, port=40000))) == "pbx"


# who is banned, and who never


def test_wrong_passwords_ban_a_stranger_and_the_right_one_forgives() -> None:
    clock = StoppedClock()
    keeper = gatekeeper(trunk("pbx", login=("pbx", "right")), clock=clock)
    for _ in range(2):
        clock.at += 1
        keeper.judge(with_digest(keeper, "pbx", "wrong"), way(ELSEWHERE))
    keeper.judge(with_digest(keeper, "pbx", "right"), way(ELSEWHERE))
    assert keeper.packet(way(ELSEWHERE))
    clock.at = 2 * 3600.0
    for _ in range(3):
        clock.at += 1
        assert keeper.packet(way(ELSEWHERE))
        keeper.judge(with_digest(keeper, "pbx", "wrong"), way(ELSEWHERE))
    assert not keeper.packet(way(ELSEWHERE))
    assert not keeper.connection(Way(Endpoint("tcp", ELSEWHERE, 40000)))
    assert keeper.turned_away["banned"] == 2
    assert keeper.bans.lift(ELSEWHERE)
    assert keeper.packet(way(ELSEWHERE))


def test_configured_addresses_and_our_own_are_never_banned_nor_slowed() -> None:
    keeper = Gatekeeper(
        StoppedClock(),
        Trunks([trunk("carrier", "192.0.2.0/24", login=("carrier", "right"))]),
        "gateway.test",
        b"secret",
        SipAuthSettings(),
        BanSettings(strangers=1, wrong_passwords=1, packets_per_second=1),
        own=["203.0.113.1"],
    )
    for host in (SHARED, "127.0.0.1", "::1", "203.0.113.1"):
        for _ in range(50):
            keeper.message(request(), way(host))
            keeper.judge(with_digest(keeper, "carrier", "wrong"), way(host))
            assert keeper.packet(way(host))
    assert not keeper.bans.list(0.0)
    keeper.message(None, way("127.0.0.2"))
    assert [ban.address for ban in keeper.bans.list(0.0)] == ["127.0.0.2"]


def test_whom_we_send_requests_to_is_not_banned_while_we_deal_with_it() -> None:
    """A gateway known by name only: its address stands nowhere in the configuration."""
    clock = StoppedClock()
    keeper = gatekeeper(trunk("carrier", "192.0.2.1"), clock=clock)
    keeper.met(Endpoint("udp", ELSEWHERE, 5060))
    clock.at = 3599.0
    for _ in range(10):
        assert not keeper.message(request(), way(ELSEWHERE))
    assert keeper.packet(way(ELSEWHERE))
    clock.at = 3601.0
    for _ in range(10):
        keeper.message(request(), way(ELSEWHERE))
    assert not keeper.packet(way(ELSEWHERE))


def test_a_registered_peer_is_heard_though_a_neighbour_got_its_address_banned() -> None:
    pbx = Endpoint("udp", ELSEWHERE, 40000)
    keeper = gatekeeper(trunk("pbx", login=("p", "p"), registrar=True), registered={pbx: "pbx"})
    for _ in range(5):
        keeper.message(request(), way(ELSEWHERE, port=666))
    assert not keeper.packet(way(ELSEWHERE, port=666))
    assert keeper.packet(way(ELSEWHERE, port=40000))


def test_a_scanner_is_dropped_by_its_agent_but_never_from_a_trunks_address() -> None:
    keeper = gatekeeper(trunk("carrier", SHARED), trunk("pbx", login=("100", "p")))
    scan = request("OPTIONS", "User-Agent: Friendly-Scanner", user="100")
    assert not keeper.message(scan, way(ELSEWHERE))
    assert [ban.reason for ban in keeper.bans.list(0.0)] == ["a scanner's User-Agent"]
    assert keeper.knows(scan, way())


def test_names_in_from_and_identity_headers_open_nothing() -> None:
    """A trunk cannot pretend to be another by what it says of itself."""
    keeper = gatekeeper(
        trunk("carrier", SHARED), trunk("retell", "198.51.100.0/24", login=("retell", "s"))
    )
    invite = request(
        "INVITE",
        "P-Asserted-Identity: <sip:retell@gateway.test>",
        "Remote-Party-ID: <sip:retell@gateway.test>",
        "X-Authenticated-User: retell@gateway.test",
        user="retell",
    )
    judgement = keeper.judge(invite, way())
    assert (whose(judgement), judgement.username) == ("carrier", None)


# what is worked out once


def test_who_a_source_is_gets_worked_out_once_for_each_flow() -> None:
    asked: list[Endpoint] = []

    class Counted(Trunks):
        def __init__(self, trunks: tuple[Trunk, ...]) -> None:
            super().__init__(trunks)
            look_up = self.from_source

            def from_source(source: Endpoint) -> tuple[Trunk, ...]:
                asked.append(source)
                return look_up(source)

            self.from_source = from_source  # type: ignore[assignment]

    trunks = Counted((trunk("carrier", SHARED),))
    keeper = Gatekeeper(StoppedClock(), trunks, "gateway.test", b"secret", SipAuthSettings())
    flow = way()
    for _ in range(3):
        assert keeper.connection(flow)
        assert keeper.packet(flow)
        assert keeper.message(request(), flow)
        assert whose(keeper.judge(request(), flow)) == "carrier"
    assert asked == [flow.remote]


def test_a_certificate_counts_though_the_connection_was_judged_before_it_was_shown() -> None:
    """A connection is let in before its handshake; what it showed in it is read afterwards."""
    keeper = gatekeeper(trunk("teams", certificates=("sip.pstnhub.example.com",)))
    flow = Way(Endpoint("tls", ELSEWHERE, 40000))
    assert keeper.connection(flow)
    assert not keeper.knows(None, flow)
    flow.peer_names = ("sip.pstnhub.example.com",)
    assert keeper.knows(None, flow)
    assert whose(keeper.judge(request(), flow)) == "teams"
