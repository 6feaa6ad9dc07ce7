"""Asterisk's configuration files, as an administrator would write them for these trunks."""

from collections.abc import Sequence
from pathlib import Path

from tests.interop.harness.certificates import Certificate
from tests.interop.harness.network import SIP_PORT, Party
from tests.interop.harness.pbx import SESSION_S, PbxTrunk
from tests.interop.harness.peers import Tree

MANAGER = ("interop", "interop-manager-secret")
OFFICE_NUMBER = "+12125550100"
DESK = ("desk", "interop-desk-password")
DESK_NUMBER = "+12125550107"

# What these trunks need and no more: Asterisk starts in a second. It does not register before it
# is told to, by loading REGISTERS: the gateway may not be there yet.
REGISTERS = "res_pjsip_outbound_registration.so"
_MODULES = """
chan_pjsip res_pjproject res_pjsip res_pjsip_session res_pjsip_pubsub res_pjsip_sdp_rtp
res_pjsip_endpoint_identifier_ip res_pjsip_endpoint_identifier_user
res_pjsip_authenticator_digest res_pjsip_outbound_authenticator_digest
res_pjsip_registrar res_pjsip_path res_pjsip_nat
res_pjsip_caller_id res_pjsip_rfc3326 res_pjsip_dtmf_info res_pjsip_header_funcs
res_pjsip_logger res_rtp_asterisk res_srtp res_timing_timerfd res_musiconhold
res_sorcery_config res_sorcery_memory res_sorcery_astdb
bridge_simple bridge_native_rtp bridge_builtin_features
res_pjsip_refer app_queue app_transfer
pbx_config app_dial app_playback app_mixmonitor func_channel func_callerid func_cut func_global
codec_ulaw codec_alaw codec_resample format_pcm format_wav format_sln
"""

_EMPTY = "ccss cdr cel features indications pjproject udptl"


def write(
    directory: Path,
    *,
    tree: Tree,
    control: Party,
    trunks: list[PbxTrunk],
    speech: Path,
    ca: Path,
    certificate: Certificate,
    desk: Party | None,
    phones: Sequence[Party],
    hands_on_to: str,
) -> None:
    """Everything that Asterisk reads, and the folders that it writes into."""
    for name in ("etc", "lib", "spool", "run", "log", "recordings"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for trunk in trunks:
        (directory / "recordings" / trunk.name).mkdir()
    extensions = [trunk for trunk in trunks if trunk.way == "extension"]
    others = [trunk for trunk in trunks if trunk not in extensions]
    pjsip = [_global(), *(_trunk(trunk, ca, certificate) for trunk in others)]
    pjsip += [_inside(place) for place in dict.fromkeys(str(one.pbx) for one in extensions)]
    pjsip += [_extension(trunk) for trunk in extensions]
    if desk is not None:
        pjsip.append(_desk(desk, control.host))
    pjsip += _phones(phones, control.host)
    files = {
        "asterisk.conf": _asterisk(directory, tree),
        "etc/modules.conf": "[modules]\nautoload=no\n"
        + "".join(f"load={module}.so\n" for module in _MODULES.split()),
        "etc/logger.conf": "[general]\n[logfiles]\nconsole=notice,warning,error,verbose\n",
        "etc/manager.conf": _manager(control),
        "etc/rtp.conf": "[general]\nrtpstart=40000\nrtpend=40999\nicesupport=no\n",
        "etc/extensions.conf": _extensions(directory, speech, trunks, hands_on_to),
        "etc/queues.conf": _queue(phones),
        "etc/pjsip.conf": "\n".join(pjsip),
        "etc/musiconhold.conf": f"[default]\nmode=files\ndirectory={speech.parent}\n",
        # read by the core, which complains where there is none
        **{f"etc/{name}.conf": "[general]\n" for name in _EMPTY.split()},
    }
    for name, text in files.items():
        (directory / name).write_text(text)


def _asterisk(directory: Path, tree: Tree) -> str:
    folders = {
        "astetcdir": directory / "etc",
        "astmoddir": tree.libraries / "asterisk/modules",
        "astvarlibdir": directory / "lib",
        "astdbdir": directory / "lib",
        "astkeydir": directory / "lib",
        "astdatadir": tree.root / "usr/share/asterisk",
        "astspooldir": directory / "spool",
        "astrundir": directory / "run",
        "astlogdir": directory / "log",
    }
    lines = "".join(f"{key} => {value}\n" for key, value in folders.items())
    return f"[directories]\n{lines}[options]\nverbose = 4\n"


def _manager(control: Party) -> str:
    user, secret = MANAGER
    return (
        f"[general]\nenabled=yes\nbindaddr={control.host}\nport={control.port}\n"
        f"[{user}]\nsecret={secret}\nread=all\nwrite=all\n"
    )


#: What Replaces says of a channel's dialog, as the header field of a URI.
_OWN_DIALOG = "%3B".join(
    (
        "${CHANNEL(pjsip,call-id)}",
        "to-tag%3D${CHANNEL(pjsip,local_tag)}",
        "from-tag%3D${CHANNEL(pjsip,remote_tag)}",
    )
)


def _extensions(directory: Path, speech: Path, trunks: list[PbxTrunk], hands_on_to: str) -> str:
    """Calls to a trunk's number ring at extension 200, which picks up, records and speaks; 201 and
    on are the phones, 300 their queue, 301 one of the first two that gives up after a while, 208 is
    busy, 209 declines, and 205 hands every caller on. Who calls 207 from a desk asks phone 1; 206
    hands its caller to whoever was asked, in the place of who asked (RFC 3891).
    """
    asked = hands_on_to.replace(":202@", ":207@") + "?Replaces=${ASKED}"
    trunk_calls = "".join(
        f"exten => {trunk.number},1,Set(RECORDING={directory}/recordings/{trunk.name}/call)\n"
        f" same => n,Goto(office,200,1)\n"
        for trunk in trunks
    )
    # To one that registers we call its Contact; the number is in To.
    trunk_calls += "".join(
        f"exten => {trunk.name},1,Goto(${{CUT(CUT(PJSIP_HEADER(read,To),@,1),:,2)}},1)\n"
        for trunk in trunks
        if trunk.way == "registers"
    )
    desk_calls = "".join(
        f"exten => _{index}+X.,1,{_record(directory / 'recordings' / trunk.name / 'desk')}\n"
        f" same => n,Dial({_escaped(dialled(trunk, '${EXTEN:1}'))})\n"
        for index, trunk in enumerate(trunks)
    )
    return f"""
[office]
exten => 200,1,Answer()
 same => n,{_record("${RECORDING}")}
 same => n(again),Playback({speech.with_suffix("")})
 same => n,Goto(again)

[trunks]
{trunk_calls}
exten => _20[1-4],1,Dial(PJSIP/phone-${{EXTEN:2}})
exten => 205,1,Answer()
 same => n,Wait(3)
 same => n,Transfer({_escaped(hands_on_to)})
 same => n,Wait(30)
exten => 206,1,Answer()
 same => n,Wait(3)
 same => n,Transfer({_escaped(asked)})
 same => n,Wait(30)
exten => 207,1,Hangup()
exten => 208,1,Hangup(17)
exten => 209,1,Hangup(21)
exten => 300,1,Answer()
 same => n,Queue(phones)
exten => 301,1,Queue(pair,r,,,4)
 same => n,Hangup(19)
[desks]
exten => 207,1,Set(GLOBAL(ASKED)={_OWN_DIALOG})
 same => n,Dial(PJSIP/phone-1)
{desk_calls}
"""


def _queue(phones: Sequence[Party]) -> str:
    members = [f"member => PJSIP/phone-{at}\n" for at, _ in enumerate(phones, 1)]
    how = "strategy=linear\ntimeout=2\nretry=1\n"
    return f"[general]\n[phones]\n{how}{''.join(members)}[pair]\n{how}{''.join(members[:2])}"


def _record(path: object) -> str:
    """`heard` is what came in at this channel, `told` what was sent to it."""
    return f"MixMonitor({path}.wav,r({path}-heard.wav)t({path}-told.wav))"


def _escaped(text: str) -> str:
    """In extensions.conf a semicolon begins a comment."""
    return text.replace(";", "\\;")


def dialled(trunk: PbxTrunk, number: str) -> str:
    """What Dial is told, to reach `number` over `trunk`."""
    if trunk.way == "extension":
        return f"PJSIP/{trunk.name}"
    if trunk.way == "registrar":
        # wherever the gateway has registered from
        return f"PJSIP/{number}@{trunk.name}"
    return f"PJSIP/{trunk.name}/sip:{number}@{trunk.gateway};transport={trunk.transport}"


def _global() -> str:
    return """
[global]
type=global
debug=yes
endpoint_identifier_order=ip,username,auth_username,anonymous
[system]
type=system
timer_t1=500
"""


def _trunk(trunk: PbxTrunk, ca: Path, certificate: Certificate) -> str:
    name = trunk.name
    tls = ""
    if trunk.transport == "tls":
        tls = f"""cert_file={certificate.certificate}
priv_key_file={certificate.key}
ca_list_file={ca}
method=tlsv1_2
verify_server=yes
"""
    text = f"""
[transport-{name}]
type=transport
protocol={trunk.transport}
bind={trunk.pbx}
{tls}
[{name}]
type=endpoint
transport=transport-{name}
context=trunks
disallow=all
allow=ulaw,alaw
aors={name}
direct_media=no
media_address={trunk.pbx.host}
bind_rtp_to_media_address=yes
trust_id_inbound=yes
moh_passthrough=yes
timers=always
timers_sess_expires={SESSION_S}
timers_min_se={SESSION_S}
media_encryption={"sdes" if trunk.encrypted else "no"}
"""
    if trunk.way == "static":
        return (
            text
            + f"""
[{name}]
type=aor
contact={trunk.gateway_uri}
[{name}]
type=identify
endpoint={name}
match_request_uri=/@{trunk.pbx.host.replace(".", "[.]")}/
"""
        )
    auth = f"""
[{name}]
type=auth
auth_type=digest
username={name}
password={trunk.password}
"""
    if trunk.way == "registrar":
        return (
            text.rstrip()
            + f"\nauth={name}\nidentify_by=auth_username,username\n"
            + auth
            + f"""
[{name}]
type=aor
max_contacts=1
remove_existing=yes
minimum_expiration=60
"""
        )
    return (
        text.rstrip()
        + f"\noutbound_auth={name}\n"
        + auth
        + f"""
[{name}]
type=aor
contact={trunk.gateway_uri}
[{name}]
type=registration
transport=transport-{name}
server_uri={trunk.gateway_uri}
client_uri=sip:{name}@{trunk.gateway}
contact_user={name}
outbound_auth={name}
expiration=120
retry_interval=2
max_random_initial_delay=1
forbidden_retry_interval=2
max_random_initial_delay=1
line=yes
endpoint={name}
"""
    )


def _inside(place: str) -> str:
    return f"\n[transport-inside]\ntype=transport\nprotocol=udp\nbind={place}\n"


def _extension(trunk: PbxTrunk) -> str:
    """A telephone, as Asterisk sees it."""
    name = trunk.name
    return f"""
[{name}]
type=endpoint
transport=transport-inside
context=desks
disallow=all
allow=ulaw,alaw
aors={name}
auth={name}
direct_media=no
media_address={trunk.pbx.host}
bind_rtp_to_media_address=yes
[{name}]
type=auth
auth_type=digest
username={name}
password={trunk.password}
[{name}]
type=aor
max_contacts=1
remove_existing=yes
minimum_expiration=60
"""


def _desk(desk: Party, host: str) -> str:
    user, password = DESK
    return f"""
[transport-desk]
type=transport
protocol=udp
bind={host}:{SIP_PORT}
[{user}]
type=endpoint
transport=transport-desk
context=desks
callerid=Desk <{DESK_NUMBER}>
disallow=all
allow=ulaw,alaw
aors={user}
auth={user}
direct_media=no
media_address={host}
bind_rtp_to_media_address=yes
[{user}]
type=auth
auth_type=digest
username={user}
password={password}
[{user}]
type=aor
contact=sip:{user}@{desk}
"""


def _phones(phones: Sequence[Party], host: str) -> list[str]:
    """Phones that are called where they are, and call nobody."""
    if not phones:
        return []
    texts = [f"\n[transport-phones]\ntype=transport\nprotocol=udp\nbind={host}:{SIP_PORT + 1}\n"]
    for at, party in enumerate(phones, 1):
        texts.append(f"""
[phone-{at}]
type=endpoint
transport=transport-phones
context=desks
disallow=all
allow=ulaw,alaw
aors=phone-{at}
direct_media=no
media_address={host}
bind_rtp_to_media_address=yes
[phone-{at}]
type=aor
contact=sip:phone-{at}@{party}
""")
    return texts
