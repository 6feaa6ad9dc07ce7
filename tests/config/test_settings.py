"""The configuration: what is understood, and one clear line for everything that is not."""

from ipaddress import ip_address
from pathlib import Path

import pytest

from config.settings import ConfigError, Settings, load
from config.values import Address, Listener, PortRange, Source

ROOT = Path(__file__).parents[2]
SECRETS = {
    "GATEWAY_ADMIN_TOKEN": "s3cret-admin",
    "RETELL_API_KEY": "s3cret-key",
    "RETELL_SIP_PASSWORD": "s3cret-retell",
    "TWILIO_SIP_PASSWORD": "s3cret-twilio",
    "TWILIO_TRUNK_TOKEN": "s3cret-token",
    "TELNYX_SIP_PASSWORD": "s3cret-telnyx",
    "PBX_SIP_PASSWORD": "s3cret-pbx",
}


def read(tmp_path: Path, text: str, **env: str) -> Settings:
    path = tmp_path / "gateway.yaml"
    path.write_text(text)
    return load(path, env)


def problems(tmp_path: Path, text: str, **env: str) -> list[str]:
    """The lines that a configuration is refused with, without the file's directory."""
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text, **env)
    return [line.removeprefix(f"{tmp_path}/") for line in refused.value.problems]


def problem(tmp_path: Path, text: str, **env: str) -> str:
    found = problems(tmp_path, text, **env)
    assert len(found) == 1, found
    return found[0]


# what is understood


def test_example_is_valid_and_complete() -> None:
    settings = load(ROOT / "config" / "gateway.example.yaml", SECRETS)
    assert settings.http.listen == Address("0.0.0.0", 8080)
    assert settings.media.ports == PortRange(20000, 29999)
    trunk = settings.trunk("twilio")
    assert trunk is not None
    assert trunk.credentials is not None
    assert trunk.credentials.password.get_secret_value() == "s3cret-twilio"
    assert Source.parse("54.172.60.0/30") in trunk.identify
    assert [trunk.profile for trunk in settings.trunks] == ["twilio", "telnyx", "asterisk", None]
    number = settings.number("+14155550100")
    assert number is not None
    assert number.fallback is not None
    assert (number.method, number.fallback.to) == ("dial", "200")
    assert settings.number("+14155550199") is None


def test_sandbox_is_valid_without_any_environment() -> None:
    settings = load(ROOT / "config" / "sandbox.yaml", {})
    assert [listener.address for listener in settings.sip.listen] == [
        Listener("udp", "127.0.0.1", 5060),
        Listener("tcp", "127.0.0.1", 5060),
    ]
    assert settings.retell.base_url == "http://127.0.0.1:8090"


def test_empty_file_has_every_default(tmp_path: Path) -> None:
    settings = read(tmp_path, "")
    assert settings == Settings()
    assert [str(listener.address) for listener in settings.sip.listen] == [
        "udp:0.0.0.0:5060",
        "tcp:0.0.0.0:5060",
    ]
    assert len(settings.retell.identify) == 5


def test_unquoted_numbers_mean_what_they_look_like(tmp_path: Path) -> None:
    """YAML alone would make integers of them and lose the plus."""
    text = """
numbers: {+14155550100: {fallback: {trunk: pbx, to: 0200}}}
trunks: [{name: pbx, gateways: [sip:192.0.2.1], no_response_s: 2.5}]
outbound: {routes: [{prefix: +1, trunks: [pbx]}]}
"""
    settings = read(tmp_path, text)
    number = settings.number("+14155550100")
    assert number is not None
    assert number.fallback is not None
    assert number.fallback.to == "0200"
    assert settings.outbound.routes[0].prefix == "+1"
    assert settings.trunks[0].no_response_s == 2.5


def test_star_is_every_other_number(tmp_path: Path) -> None:
    settings = read(tmp_path, 'numbers: {"*": {agent: a}, "+14155550100": {agent: b}}')
    assert [settings.numbers[key].agent for key in ("*", "+14155550100")] == ["a", "b"]
    other = settings.number("+14155550199")
    assert other is not None
    assert other.agent == "a"


def test_source_with_a_port_is_one_peer_of_an_address(tmp_path: Path) -> None:
    text = "trunks: [{name: a, identify: ['192.0.2.1:5080', 192.0.2.0/28, '[2001:db8::1]:5060']}]"
    first, second, third = read(tmp_path, text).trunks[0].identify
    assert (str(first), str(second), str(third)) == (
        "192.0.2.1:5080",
        "192.0.2.0/28",
        "[2001:db8::1]:5060",
    )
    address = ip_address("192.0.2.1")
    assert first.matches(address, 5080)
    assert not first.matches(address, 5060)
    assert second.matches(address, 5060)


def test_environment_fills_values_in(tmp_path: Path) -> None:
    text = """
retell: {api_key: "${KEY}", base_url: "${BASE:-https://api.example.com}"}
http: {admin_token: "${TOKEN:-}", listen: "127.0.0.1:${WEB}"}
sip: {realm: "a$$b"}
"""
    settings = read(tmp_path, text, KEY="k", WEB="8081")
    assert settings.retell.api_key is not None
    assert settings.retell.api_key.get_secret_value() == "k"
    assert settings.retell.base_url == "https://api.example.com"
    assert settings.http.admin_token is None
    assert settings.http.listen.port == 8081
    assert settings.sip.realm == "a$b"


def test_secrets_show_nowhere() -> None:
    settings = load(ROOT / "config" / "gateway.example.yaml", SECRETS)
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "s3cret" not in text


def test_secret_headers_show_nowhere(tmp_path: Path) -> None:
    settings = read(tmp_path, "trunks: [{name: a, identify_headers: {X-Token: s3cret}}]")
    assert settings.trunks[0].identify_headers["X-Token"].get_secret_value() == "s3cret"
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "s3cret" not in text
    lines = problems(tmp_path, "trunks: [{name: a, identify_headers: {'X Token': s3cret}}]")
    assert lines == [
        "gateway.yaml:1: trunks[0].identify_headers.X Token: 'X Token' is not a header name"
    ]


def test_settings_are_frozen() -> None:
    settings = Settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.limits.calls = 1


# what is not


def test_every_problem_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
http:
  lisen: 0.0.0.0:8080
media: {ports: 20000}
retell:
  api_key: ${NO_SUCH}
trunks:
  - name: twilio
    gateways: [sip:example.pstn.twilio.com, "http://x"]
    identify: [54.172.60.1/30]
  - name: twilio
numbers:
  "4155550100": {}
  "+14155550100": {method: daily, fallback: {trunk: twilo, to: "200"}}
outbound:
  default_country: USA
"""
    assert problems(tmp_path, text) == [
        "gateway.yaml:2: http.lisen: unknown key; did you mean listen?",
        "gateway.yaml:3: media.ports: '20000' is not of the form FIRST-LAST",
        "gateway.yaml:5: retell.api_key: environment variable NO_SUCH is not set",
        "gateway.yaml:8: trunks[0].gateways[1]: 'http://x' is not a SIP URI such as "
        "sip:sip.example.com;transport=tcp",
        "gateway.yaml:9: trunks[0].identify[0]: '54.172.60.1/30' has bits set after the prefix; "
        "did you mean 54.172.60.0/30?",
        "gateway.yaml:10: trunks[1].name: trunk twilio exists already (trunks[0])",
        "gateway.yaml:12: numbers.4155550100: '4155550100' is not an E.164 number such as "
        "+14155550100",
        "gateway.yaml:13: numbers.+14155550100.method: must be 'trunk' or 'dial'",
        "gateway.yaml:13: numbers.+14155550100.fallback.trunk: there is no trunk named twilo; "
        "did you mean twilio?",
        "gateway.yaml:15: outbound.default_country: 'USA' is not a two-letter country code such "
        "as US",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("retel: {}", "1: retel: unknown key; did you mean retell?"),
        ("zebra: 1", "1: zebra: unknown key"),
        ("trunks: {name: a}", "1: trunks: must be a list"),
        ("trunks: [{}]", "1: trunks[0].name: is required"),
        ("http: {admin_token: a, tokens: [{name: admin, token: b, role: read}]}",
         "1: http.tokens[0].name: admin is another token's name (that of http.admin_token)"),
        ("http: {tokens: [{name: a, token: x, role: read}, {name: a, token: y, role: admin}]}",
         "1: http.tokens[1].name: a is another token's name"),
        ("http: {admin_token: x, tokens: [{name: a, token: x, role: read}]}",
         "1: http.tokens[0].token: is the same as another one: log and audit tell by it"),
        ("http: {tokens: [{name: a, token: x, role: owner}]}",
         "1: http.tokens[0].role: must be 'read', 'operate' or 'admin'"),
        ("retell: {function_wait_s: 100}", "1: retell.function_wait_s: must be less than 100"),
        ("trunks: [a]", "1: trunks[0]: must be a mapping of keys to values"),
        ("http: {listen: 8080}", "1: http.listen: '8080' is not of the form HOST:PORT"),
        ("http: {listen: 'a:0'}", "1: http.listen: '0' is not a port number (1-65535)"),
        ("http: {listen: 'a:99999'}", "1: http.listen: '99999' is not a port number (1-65535)"),
        ("retell: {base_url: x}", "1: retell.base_url: 'x' is not an http:// or https:// URL"),
        ("http: {certificate: x}", "1: http.certificate: unknown key"),
        ("trunks: [{name: a, transfer: auto}]", "1: trunks[0].transfer: must be a mapping of keys "
         "to values"),
        (
            "sip: {listen: [sctp:0.0.0.0:5060]}",
            "1: sip.listen[0].address: 'sctp:0.0.0.0:5060' is not of the form udp:HOST:PORT, "
            "tcp:… or tls:…",
        ),
        (
            "sip: {listen: [udp:0.0.0.0:5060, tls:0.0.0.0:5061]}",
            "1: sip.listen[1]: tls:0.0.0.0:5061 needs sip.tls.certificate and sip.tls.key, or a "
            "certificate and key of its own",
        ),
        (
            "sip: {listen: [udp:0.0.0.0:5060, udp:0.0.0.0:5060]}",
            "1: sip.listen[1]: udp:0.0.0.0:5060 is listed already",
        ),
        (
            "sip: {advertise: 203.0.113.300}",
            "1: sip.advertise: '203.0.113.300' is not an IP address",
        ),
        (
            "sip: {advertise: gateway_of@example}",
            "1: sip.advertise: 'gateway_of@example' is not an IP address",
        ),
        (
            "sip: {advertise: \"stun:stun.example.com:x\"}",
            "1: sip.advertise: 'x' is not a port number (1-65535)",
        ),
        (
            "media: {advertise: \"stun:\"}",
            "1: media.advertise: '' is not of the form stun:HOST or stun:HOST:PORT",
        ),
        (
            "sip: {advertise: 0.0.0.0}",
            "1: sip.advertise: '0.0.0.0' cannot be reached by anyone: give a real address",
        ),
        ("media: {ports: 20001-20004}", "1: media.ports: '20001-20004' has no room for one call, "
         "which needs 4 ports"),
        ("media: {processes: 0}",
         "1: media.processes: '0' is neither auto nor a number from 1 to 64"),
        ("media: {processes: true}",
         "1: media.processes: 'true' is neither auto nor a number from 1 to 64"),
        ("media: {processes: 3, ports: 20000-20010}",
         "1: media.processes: 3 processes want 4 ports each, and media.ports has them for 2"),
        ("media: {ports: 20000-20002}", "1: media.ports: '20000-20002' has no room for one call, "
         "which needs 4 ports"),
        ("media: {ports: 80-9000}", "1: media.ports: '80-9000' begins below 1024, where ports "
         "are privileged"),
        ("media: {rtpengine: {dtmf_log: '127.0.0.1:2224'}}", "1: media.rtpengine.dtmf_log: needs "
         "an rtpengine: media.engine: ng:udp:HOST:PORT"),
        ("media: {engine: 'ng:udp:127.0.0.1:2223', rtpengine: {dtmf_log: here}}", "1: "
         "media.rtpengine.dtmf_log: 'here' is not of the form HOST:PORT"),
        ("media: {engine: []}", "1: media.engine: names no engine: builtin, ng:udp:HOST:PORT, or a "
         "list of them"),
        ("media: {engine: [builtin, builtin]}", "1: media.engine: names builtin twice"),
        ("media: {engine: freeswitch}", "1: media.engine[0]: 'freeswitch' is neither builtin nor "
         "ng:udp:HOST:PORT"),
        ("application: {url: http://x}", "1: application.url: 'http://x' is neither builtin nor a "
         "ws:// or wss:// URL"),
        ("application: {username: a}", "1: application.password: is required with "
         "application.username"),
        ("storage: {url: mysql://x}", "1: storage.url: must be sqlite:///FILE or "
         "postgresql://USER:PASSWORD@HOST/DATABASE"),
        ("storage: {url: 'sqlite:////nowhere/x.db'}", "1: storage.url: the directory /nowhere "
         "does not exist"),
        ("retell: {sip_uri: 'sip:a;transport=sctp'}", "1: retell.sip_uri: 'sip:a;transport=sctp': "
         "transport must be udp, tcp or tls"),
        ("retell: {identify: [10.0.0.300]}", "1: retell.identify[0]: '10.0.0.300' is not an "
         "address or a network such as 192.0.2.0/24"),
        ("retell: {login: {username: r}}", "1: retell.login.password: is required: our softswitch "
         "itself checks Retell's digest"),
        ("retell: {ring_timeout_s: 0}", "1: retell.ring_timeout_s: must be greater than 0"),
        ("retell: {ring_timeout_s: soon}", "1: retell.ring_timeout_s: must be a valid number, "
         "unable to parse string as a number"),
        ("retell: {fallback: {trunk: pbx, to: 1}}", "1: retell.fallback.trunk: there is no trunk "
         "named pbx"),
        ("numbers: {'+14155550100': {fax: {trunk: fx, to: 1}}}", "1: "
         "numbers.+14155550100.fax.trunk: there is no trunk named fx"),
        ("{media: {engine: 'ng:udp:127.0.0.1:2223'}, trunks: [{name: a, gateways: [sip:a]}], "
         "numbers: {'+14155550100': {fax: {trunk: a, to: 1}}}}", "1: numbers.+14155550100.fax: "
         "only the builtin engine hears a fax; media.engine names another one"),
        ("{sip: {listen: []}, trunks: [{name: a}], "
         "numbers: {'+14155550100': {fax: {trunk: a, to: 1}}}}", "1: numbers.+14155550100.fax: "
         "needs our own softswitch, and sip.listen is empty"),
        ("trunks: [{name: retell}]", "1: trunks[0].name: retell is the name of the trunk to "
         "Retell (retell.trunk): choose another"),
        ("sip: {tls: {client_certificates: optional}}", "1: sip.tls.client_ca: is required: whose "
         "client certificates are believed (client_certificates: optional)"),
        ("trunks: [{name: a, register: true, gateways: [sip:a]}]", "1: trunks[0].credentials: is "
         "required: registering needs a user name and a password (register: true)"),
        ("trunks: [{name: a, register: true, credentials: {username: u, password: p}}]",
         "1: trunks[0].register: needs a gateway, or registration.registrar, to register with"),
        ("trunks: [{name: a, registrar: true}]", "1: trunks[0].login: is required: who registers "
         "with us must prove who it is (registrar: true)"),
        ("trunks: [{name: a, identify_certificates: [b.example.com]}]", "1: "
         "trunks[0].identify_certificates: needs sip.tls.client_certificates: optional or "
         "required"),
        ("trunks: [{name: a, identify_headers: {X-Token: ''}}]", "1: "
         "trunks[0].identify_headers.X-Token: must not be empty"),
        ("trunks: [{name: a, contact_domain: 'sbc.example.com:5061'}]", "1: "
         "trunks[0].contact_domain: 'sbc.example.com:5061' is not a host name such as "
         "sip.example.com"),
        ("trunks: [{name: a, caller_id: {from_domain: 'a b'}}]", "1: "
         "trunks[0].caller_id.from_domain: 'a b' is not a host name such as sip.example.com"),
        ("trunks: [{name: a, caller_id: {from_domain: 'a:b'}}]", "1: "
         "trunks[0].caller_id.from_domain: 'b' is not a port number (1-65535)"),
        ("trunks: [{name: a, called_number: {prefix: '12;3'}}]", "1: "
         "trunks[0].called_number.prefix: '12;3' is not a prefix of up to 32 letters, digits, "
         "+ * # . _ -"),
        ("trunks: [{name: a, registration: {contact_params: {line: 'a;b'}}}]", "1: "
         "trunks[0].registration.contact_params.line: 'a;b' cannot stand in a parameter of a SIP "
         "URI"),
        ("trunks: [{name: a, advertise: eth1}]", "1: trunks[0].advertise: 'eth1' is neither auto, "
         "public, private, interface:NAME nor an IP address"),
        ("trunks: [{name: a, pass_headers: {inbound: ['X *']}}]", "1: "
         "trunks[0].pass_headers.inbound[0]: 'X *' is neither a header name nor the beginning of "
         "one and a *"),
        ("trunks: [{name: a, country: Deutschland}]", "1: trunks[0].country: 'Deutschland' is not "
         "a two-letter country code such as US"),
        ("trunks: [{name: a, caller_id: {send: []}}]", "1: trunks[0].caller_id.send: must not be "
         "empty"),
        ("trunks: [{name: a, reliable: sometimes}]", "1: trunks[0].reliable: must be 'off', "
         "'accept', 'offer' or 'require'"),
        ("trunks: [{name: a, session_timer: {expires_s: 600, min_se_s: 900}}]", "1: "
         "trunks[0].session_timer: min_se_s (900) must not be above expires_s (600)"),
        ("trunks: [{name: a, session_timer: {expires_s: 60}}]", "1: "
         "trunks[0].session_timer.expires_s: must be greater than or equal to 90"),
        ("trunks: [{name: a, headers: {Subject: x}}]", "1: trunks[0].headers.Subject: 'Subject' "
         "is not a header name that begins with X-"),
        ("trunks: [{name: a, identify: [192.0.2.1]}, {name: b, identify: [192.0.2.1]}]",
         "1: trunks[1].identify[0]: 192.0.2.1/32 already identifies trunk a; identify_headers, "
         "identify_certificates or login can tell them apart"),
        (
            "trunks: [{name: a, login: {username: u, password: p}},"
            " {name: b, login: {username: u, password: q}}]",
            "1: trunks[1].login.username: u is already the user name of a",
        ),
        ("outbound: {routes: [{trunks: []}]}", "1: outbound.routes[0].trunks: must not be empty"),
        ("outbound: {routes: [{prefix: '1', trunks: [a]}]}\ntrunks: [{name: a, gateways: "
         "[sip:a]}]", "1: outbound.routes[0].prefix: '1' is not a prefix of E.164 numbers such as "
         '"+1" or ""'),
        ("outbound: {routes: [{trunks: [a]}]}\ntrunks: [{name: a}]", "1: "
         "outbound.routes[0].trunks[0]: trunk a cannot be dialled: it has no gateways"),
        ("outbound: {routes: [{trunks: [a]}, {prefix: '', trunks: [a]}]}\ntrunks: [{name: a, "
         "gateways: [sip:a]}]", '1: outbound.routes[1].prefix: prefix "" has a route already'),
        ("outbound: {routes: [{from: ['+1', '+2'], trunks: [a]}, {from: ['+2'], trunks: [a]}]}\n"
         "trunks: [{name: a, gateways: [sip:a]}]",
         '1: outbound.routes[1].from[0]: prefix "" from +2 has a route already'),
        ("outbound: {routes: [{trunks: [a, {trunk: a, weight: 2}]}]}\ntrunks: [{name: a, "
         "gateways: [sip:a]}]", "1: outbound.routes[0].trunks[1].trunk: a is in this route "
         "already: it would be tried twice"),
        ("outbound: {routes: [{trunks: [{trunk: b, weight: 0}]}]}",
         "1: outbound.routes[0].trunks[0].weight: must be greater than 0"),
        ("outbound: {routes: [{trunks: [{trunk: b, weight: 1}]}]}",
         "1: outbound.routes[0].trunks[0].trunk: there is no trunk named b"),
        ("outbound: {routes: [{trunks: [a], order: cost}]}\ntrunks: [{name: a, gateways: [sip:a]}]",
         "1: outbound.routes[0].order: needs outbound.rates or outbound.rates_file, which say what "
         "calls cost"),
        ('numbers: {"+14155550100": {variables: [a]}}', "1: numbers.+14155550100.variables: must "
         "be a mapping of keys to values"),
        ("limits: {calls: -5}", "1: limits.calls: must be greater than 0"),
        ("log: {level: loud}", "1: log.level: must be 'debug', 'info', 'warning' or 'error'"),
        ("trunks: [{name: a, media: {codecs: [PCMU, CN]}}]", "1: trunks[0].media.codecs[1]: 'CN' "
         "is no codec for speech: name those alone"),
        ("trunks: [{name: a, media: {codecs: ['G.722 HD']}}]", "1: trunks[0].media.codecs[0]: "
         "'G.722 HD' is not a codec's name such as PCMU, PCMA, G722 or opus"),
        ("trunks: [{name: a, media: {packet_time_ms: 25}}]", "1: trunks[0].media.packet_time_ms: "
         "a packet of audio is 10, 20, 30, 40 or 60 ms long"),
        ("a: 1\nlog: {level: info}\nlog: {level: debug}\n".replace("a: 1\n", ""), "2: log: is "
         "given twice (first in line 1)"),
        ("? [a, b]\n: 1", "1: file: a key must be a plain word"),
        ("- a", "1: file: must be a mapping of keys to values"),
        ("http: [", "1: file: is not YAML: expected the node content, but found '<stream end>'"),
        ("http: &a {b: *a}", "1: http.b: is nested too deeply"),
    ],
)  # fmt: skip
def test_one_line_for(tmp_path: Path, text: str, line: str) -> None:
    assert problems(tmp_path, text)[0] == f"gateway.yaml:{line}"


def test_method_dial_needs_an_agent_and_a_key(tmp_path: Path) -> None:
    text = 'numbers:\n  "+14155550100":\n    method: dial\n'
    assert problems(tmp_path, text) == [
        "gateway.yaml:1: retell.api_key: is required: method dial is used (numbers.+14155550100)",
        "gateway.yaml:2: numbers.+14155550100.agent: method dial needs an agent, here or as "
        "retell.agent",
    ]
    assert read(tmp_path, text + "retell: {agent: a, api_key: k}").retell.agent == "a"


def test_variable_that_is_empty_or_misnamed(tmp_path: Path) -> None:
    line = problem(tmp_path, "retell: {api_key: '${KEY}'}", KEY="")
    assert line == "gateway.yaml:1: retell.api_key: environment variable KEY is empty"
    line = problem(tmp_path, "retell: {api_key: '${A KEY}'}")
    assert line.endswith("retell.api_key: ${A KEY} does not name an environment variable")


def test_missing_variable_hides_no_other_complaint_about_the_key(tmp_path: Path) -> None:
    """And its absence is not reported a second time as a wrong type."""
    text = "http: {listen: '${WHERE}'}"
    line = problem(tmp_path, text)
    assert line == "gateway.yaml:1: http.listen: environment variable WHERE is not set"


def test_secret_with_a_line_break_is_refused_without_being_shown(tmp_path: Path) -> None:
    line = problem(tmp_path, "http: {admin_token: '${TOKEN}'}", TOKEN="s3cret\n")
    assert line.endswith("http.admin_token: holds a control character (a line break at its end?)")
    line = problem(tmp_path, "storage: {url: 'sqlserver://u:s3cret@host'}")
    assert "s3cret" not in line


def test_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    """Relative to the file, and looked at before anything starts."""
    (tmp_path / "tls.crt").write_text("certificate")
    text = "sip:\n  tls:\n    certificate: tls.crt\n    key: tls.key\n"
    assert problem(tmp_path, text) == (
        f"gateway.yaml:4: sip.tls.key: cannot read {tmp_path}/tls.key: No such file or directory"
    )
    (tmp_path / "tls.key").mkdir()
    assert problem(tmp_path, text).endswith("Is a directory")


def test_tls_listener_has_a_certificate_of_its_own_or_the_common_one(tmp_path: Path) -> None:
    for name in ("tls.crt", "tls.key", "own.crt", "own.key"):
        (tmp_path / name).touch()
    text = """
sip:
  tls: {certificate: tls.crt, key: tls.key}
  listen:
    - udp:0.0.0.0:5060
    - tls:0.0.0.0:5061
    - {address: tls:192.0.2.1:5061, certificate: own.crt, key: own.key, advertise: 203.0.113.5}
"""
    settings = read(tmp_path, text)
    assert [str(listener.address) for listener in settings.sip.listen] == [
        "udp:0.0.0.0:5060",
        "tls:0.0.0.0:5061",
        "tls:192.0.2.1:5061",
    ]
    assert settings.sip.tls.certificate == tmp_path / "tls.crt"
    own = settings.sip.listen[2]
    assert (own.certificate, own.key) == (tmp_path / "own.crt", tmp_path / "own.key")
    assert own.advertise == "203.0.113.5"
    assert problems(tmp_path, text.replace(", key: tls.key", "").replace(", key: own.key", "")) == [
        "gateway.yaml:3: sip.tls.key: is required with certificate",
        "gateway.yaml:7: sip.listen[2].key: is required with certificate",
    ]


def test_uris_over_tls_are_allowed(tmp_path: Path) -> None:
    text = """
retell: {sip_uri: "sip:sip.retellai.com;transport=tls"}
trunks: [{name: a, gateways: ["sip:192.0.2.1;transport=tls", "sips:sip.example.com"]}]
"""
    assert len(read(tmp_path, text).trunks[0].gateways) == 2


TWO_TRUNKS = """
sip: {tls: {client_ca: ca.pem, client_certificates: optional}}
trunks:
  - {name: a, identify: [%s]}
  - {name: b, identify: [%s]%s}
"""


def test_trunks_at_one_address_need_something_else_to_be_told_apart_by(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    assert problem(tmp_path, TWO_TRUNKS % ("192.0.2.1", "192.0.2.1/32", "")) == (
        "gateway.yaml:5: trunks[1].identify[0]: 192.0.2.1/32 already identifies trunk a; "
        "identify_headers, identify_certificates or login can tell them apart"
    )
    for difference in (
        ", login: {username: u, password: p}",
        ", identify_headers: {X-Token: t}",
        ", identify_certificates: [b.example.com]",
    ):
        text = TWO_TRUNKS % ("192.0.2.1", "192.0.2.1/32", difference)
        assert read(tmp_path, text).trunk("b") is not None


@pytest.mark.parametrize(
    ("first", "second", "fine"),
    [
        ("192.0.2.7", "192.0.2.0/24", True),  # the narrower one is asked first
        ("192.0.2.0/24", "192.0.2.7", False),
        ("192.0.2.0/24", "'192.0.2.7:5080'", False),
        ("'192.0.2.7:5080'", "192.0.2.7", True),
        ("'192.0.2.7:5080'", "'192.0.2.7:5060'", True),
        ("192.0.2.7", "'2001:db8::7'", True),
        ("'2001:db8::/32'", "'2001:db8::7'", False),
    ],
)
def test_trunk_that_another_would_keep_all_calls_from(
    tmp_path: Path, first: str, second: str, fine: bool
) -> None:
    (tmp_path / "ca.pem").touch()
    text = TWO_TRUNKS % (first, second, "")
    if fine:
        assert read(tmp_path, text).trunk("b") is not None
    else:
        assert "of trunk a: list this trunk first; identify_headers," in problem(tmp_path, text)


def test_trunk_that_registers_with_us_can_be_dialled_without_gateways(tmp_path: Path) -> None:
    text = """
trunks: [{name: pbx, registrar: true, login: {username: u, password: p}}]
outbound: {routes: [{trunks: [pbx]}]}
retell: {fallback: {trunk: pbx, to: "200"}}
"""
    assert read(tmp_path, text).trunks[0].registrar
    assert len(problems(tmp_path, text.replace("registrar: true, ", ""))) == 2


def test_trunk_that_we_register_with(tmp_path: Path) -> None:
    text = """
trunks:
  - name: a
    register: true
    credentials: {username: u, password: p}
    registration: {registrar: "sip:registrar.example.com;transport=tcp", expires_s: 120}
"""
    trunk = read(tmp_path, text).trunks[0]
    assert trunk.registers
    assert trunk.registration.expires_s == 120


def test_domain_of_from_may_have_a_port(tmp_path: Path) -> None:
    for domain in ("sip.example.com", "sip.example.com:5080", "'[2001:db8::1]'", "192.0.2.1"):
        text = f"trunks: [{{name: a, caller_id: {{from_domain: {domain}}}}}]"
        assert read(tmp_path, text).trunks[0].caller_id.from_domain == domain.strip("'")


def test_every_header_may_be_passed(tmp_path: Path) -> None:
    text = "trunks: [{name: a, pass_headers: {inbound: ['*'], outbound: []}}]"
    passed = read(tmp_path, text).trunks[0].pass_headers
    assert (passed.inbound, passed.outbound) == (("*",), ())


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: file: cannot be read: No such file"):
        load(tmp_path / "no.yaml", {})
    (tmp_path / "latin.yaml").write_bytes(b"\xe4")
    with pytest.raises(ConfigError, match="file: is not UTF-8 text"):
        load(tmp_path / "latin.yaml", {})
    (tmp_path / "control.yaml").write_bytes(b"a: \x01")
    with pytest.raises(ConfigError, match="file: is not YAML"):
        load(tmp_path / "control.yaml", {})


# the jambonz example's variables

EXAMPLE = {
    "RETELL_TRUNK_NAME": "Retell",
    "PSTN_TRUNK_NAME": "MyPstn",
    "RETELL_SIP_CLIENT_USERNAME": "retell-user",
    "DEFAULT_COUNTRY": "GB",
    "OVERRIDE_FROM_USER": "12345",
    "WS_PORT": "3100",
    "PORT": "9999",
    "LOGLEVEL": "debug",
}


def test_environment_of_the_jambonz_example_is_a_configuration() -> None:
    """Method 1: SIP is jambonz's, every number goes to Retell, Retell's calls to the one trunk."""
    settings = load(None, EXAMPLE)
    assert settings.sip.listen == ()
    assert settings.http.listen == Address("0.0.0.0", 3100)
    assert (settings.retell.trunk, settings.retell.method) == ("Retell", "trunk")
    assert settings.retell.login is not None
    assert settings.retell.login.username == "retell-user"
    assert settings.number("+447400123456") is not None
    assert [trunk.name for trunk in settings.trunks] == ["MyPstn"]
    [route] = settings.outbound.routes
    assert (route.prefix, [one.trunk for one in route.trunks]) == ("", ["MyPstn"])
    assert settings.outbound.default_country == "GB"
    assert settings.outbound.caller_id == "12345"
    assert settings.log.level == "debug"


def test_environment_of_the_jambonz_example_with_method_2() -> None:
    env = {
        "USE_DIAL_SIP_ENDPOINT_METHOD": "1",
        "RETELL_API_KEY": "k",
        "RETELL_AGENT_ID": "agent_1",
    }
    settings = load(None, env)
    assert (settings.retell.method, settings.retell.agent) == ("dial", "agent_1")
    assert settings.http.listen.port == 3000
    assert load(None, EXAMPLE | {"USE_DIAL_SIP_ENDPOINT_METHOD": "0"}).retell.method == "trunk"


@pytest.mark.parametrize(
    ("env", "lines"),
    [
        (
            {},
            [
                "environment: RETELL_TRUNK_NAME: is not set: give a configuration file, or the "
                "name of the jambonz trunk to Retell (or USE_DIAL_SIP_ENDPOINT_METHOD=1)"
            ],
        ),
        (
            {"USE_DIAL_SIP_ENDPOINT_METHOD": "1"},
            [
                "environment: numbers.*.agent: method dial needs an agent, here or as retell.agent",
                "environment: retell.api_key: is required: method dial is used (numbers.*)",
            ],
        ),
        (
            EXAMPLE | {"DEFAULT_COUNTRY": "Britain", "WS_PORT": "http", "LOGLEVEL": "loud"},
            [
                "environment: WS_PORT: 'http' is not a port number (1-65535)",
                "environment: DEFAULT_COUNTRY: 'Britain' is not a two-letter country code such "
                "as US",
                "environment: LOGLEVEL: must be 'debug', 'info', 'warning' or 'error'",
            ],
        ),
        (
            EXAMPLE | {"PSTN_TRUNK_NAME": "Retell"},
            [
                "environment: PSTN_TRUNK_NAME: Retell is the name of the trunk to Retell "
                "(retell.trunk): choose another"
            ],
        ),
    ],
)
def test_problems_of_the_environment_name_the_variable(
    env: dict[str, str], lines: list[str]
) -> None:
    with pytest.raises(ConfigError) as refused:
        load(None, env)
    assert refused.value.problems == lines


def test_environment_is_laid_over_a_file(tmp_path: Path) -> None:
    text = """
http: {listen: 127.0.0.1:8080}
retell: {api_key: from-file, login: {username: u, password: p}}
trunks: [{name: a, gateways: [sip:192.0.2.1]}]
outbound: {routes: [{prefix: "+1", trunks: [a]}]}
"""
    env = {"RETELL_API_KEY": "k", "RETELL_SIP_CLIENT_USERNAME": "v", "PORT": "81"}
    settings = read(tmp_path, text, **env)
    assert settings.http.listen == Address("127.0.0.1", 81)
    assert settings.retell.api_key is not None
    assert settings.retell.api_key.get_secret_value() == "k"
    assert settings.retell.login is not None
    assert settings.retell.login.username == "v"
    assert settings.retell.login.password is not None
    assert settings.outbound.routes[0].prefix == "+1"
    line = problem(tmp_path, text, PSTN_TRUNK_NAME="b")
    assert line == "environment: PSTN_TRUNK_NAME: trunk b cannot be dialled: it has no gateways"
    assert read(tmp_path, text, PSTN_TRUNK_NAME="a").outbound.routes[0].prefix == ""


def test_environment_lays_nothing_over_a_section_of_the_wrong_kind(tmp_path: Path) -> None:
    line = problem(tmp_path, "retell: 5", RETELL_API_KEY="k")
    assert line == "gateway.yaml:1: retell: must be a mapping of keys to values"
