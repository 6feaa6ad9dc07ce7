"""From the configuration to what the SIP side needs of a trunk."""

import pytest

from config.settings import Settings
from sip.b2bua.legs.options import Reliable
from sip.core.digest_client import Credentials, Tried
from sip.core.message import Request, make_response
from sip.core.sdp_codecs import Codecs
from sip.core.session_timer import Mode
from sip.ids import Ids
from sip.softswitch.trunks.trunk import Trunk, Trunks


def trunks(*entries: dict[str, object], **more: object) -> Trunks:
    return Trunks.of(Settings.model_validate({"trunks": entries, **more}))


def only(**entry: object) -> Trunk:
    trunk = trunks({"name": "it", **entry}).named("it")
    assert trunk is not None
    return trunk


def test_a_trunk_has_every_key_that_the_sip_side_needs() -> None:
    trunk = only(
        gateways=["sip:sbc1.example.com;transport=tls", "sip:sbc2.example.com"],
        outbound_proxy="sip:proxy.example.com;lr",
        identify=["192.0.2.0/24"],
        identify_headers={"X-Carrier-Token": "t0ken"},
        identify_certificates=["sip.example.com"],
        credentials={"username": "ours", "password": "p", "realm": "out.example.com"},
        login={"username": "theirs", "password": "q"},
        no_response_s=4,
        advertise="interface:eth1",
        contact_domain="sbc.example.net",
        reliable="require",
        session_timer={"mode": "always", "expires_s": 3600, "min_se_s": 300},
        redirects="follow",
        country="DE",
        headers={"X-Account": "7"},
        max_calls=30,
        calls_per_second=2,
    )
    assert [str(gateway) for gateway in trunk.gateways] == [
        "sip:sbc1.example.com;transport=tls",
        "sip:sbc2.example.com",
    ]
    assert str(trunk.outbound_proxy) == "sip:proxy.example.com;lr"
    assert trunk.secret_headers == {"x-carrier-token": "t0ken"}
    assert trunk.certificates == ("sip.example.com",)
    assert trunk.credentials == Credentials("ours", "p", "out.example.com")
    assert trunk.login == ("theirs", "q")
    assert (trunk.leg.advertise, trunk.leg.contact_domain) == ("interface:eth1", "sbc.example.net")
    assert trunk.leg.reliable is Reliable.REQUIRE
    assert trunk.leg.session_timer.mode is Mode.ALWAYS
    assert (trunk.leg.session_timer.expires_s, trunk.leg.session_timer.min_se_s) == (3600, 300)
    assert trunk.redirect_hosts == {"sbc1.example.com", "sbc2.example.com"}
    assert (trunk.country, trunk.headers) == ("DE", (("X-Account", "7"),))
    assert (trunk.no_response_s, trunk.max_calls, trunk.calls_per_second) == (4, 30, 2)


def test_no_secret_is_in_a_repr() -> None:
    trunk = only(
        identify_headers={"X-Carrier-Token": "s3cret"},
        credentials={"username": "ours", "password": "s3cret"},
        login={"username": "theirs", "password": "s3cret"},
    )
    assert "s3cret" not in repr(trunk)


def test_redirects_lead_nowhere_unless_the_trunk_says_so() -> None:
    assert only(gateways=["sip:sbc.example.com"]).redirect_hosts == frozenset()


def test_the_default_country_is_that_of_outgoing_calls() -> None:
    outbound = {"default_country": "US"}
    both = trunks({"name": "a"}, {"name": "b", "country": "DE"}, outbound=outbound)
    assert [trunk.country for trunk in both] == ["US", "US", "DE"]


def test_retells_own_trunk_comes_first_and_passes_what_retell_keeps() -> None:
    retell = next(iter(trunks({"name": "carrier"})))
    assert (retell.name, str(retell.gateways[0])) == (
        "retell",
        "sip:sip.retellai.com;transport=tcp",
    )
    assert retell.called_number.format == retell.caller_id.format == "+e164"
    assert set(retell.pass_headers.outbound) == {
        *("X-*", "User-to-User", "Diversion", "History-Info", "P-Asserted-Identity")
    }


def test_whoever_registers_is_called_by_its_own_name() -> None:
    trunk = only(
        register=True,
        gateways=["sip:pbx.example.com"],
        credentials={"username": "acct_200", "password": "p"},
        registration={"contact_user": "gw", "aor": "sip:200@pbx.example.com"},
    )
    assert trunk.own_users == {"acct_200", "gw", "200"}
    assert only(credentials={"username": "acct", "password": "p"}).own_users == frozenset()


@pytest.mark.parametrize(
    ("realm", "answered"), [(None, True), ("out.example.com", True), ("elsewhere", False)]
)
def test_credentials_for_one_realm_are_shown_to_no_other(realm: str | None, answered: bool) -> None:
    """A forged challenge must not get a digest to work on."""
    request = Request("INVITE", "sip:+14155550100@192.0.2.1")
    for name, value in (
        ("via", "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1"),
        ("from", "<sip:a@192.0.2.9>;tag=1"),
        ("to", "<sip:b@192.0.2.1>"),
        ("call-id", "1"),
        ("cseq", "1 INVITE"),
    ):
        request.headers.add(name, value)
    asked = ("WWW-Authenticate", 'Digest realm="out.example.com", nonce="n", qop="auth"')
    challenge = make_response(request, 401, headers=[asked])
    proofs = Credentials("user", "password", realm).proofs()
    assert proofs.learn(challenge, Tried()) is answered
    assert bool(proofs.headers("INVITE", request.uri, Ids().cnonce)) is answered


@pytest.mark.parametrize(
    ("entry", "forced"),
    [
        ({}, False),
        ({"kind": "pbx"}, True),
        ({"kind": "pbx", "force_rport": False}, False),
        ({"kind": "carrier", "force_rport": True}, True),
    ],
)
def test_pbxs_are_answered_at_their_source(entry: dict[str, object], forced: bool) -> None:
    assert only(**entry).force_rport is forced


def test_a_trunks_media_terms_are_its_legs() -> None:
    """What `trunks[].media` says reaches the offers and answers of its calls."""
    media = {"codecs": ["PCMA", "opus"], "codec_order": "offered", "packet_time_ms": 30}
    terms = only(media=media).leg.media
    assert terms.codecs == Codecs(("PCMA", "opus"), ordered=False)
    assert terms.packet_time_ms == 30
