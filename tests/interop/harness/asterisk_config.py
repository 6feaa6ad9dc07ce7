"""Asterisk's configuration files, as an administrator would write them for these trunks."""

from pathlib import Path

from tests.interop.harness.certificates import Certificate
from tests.interop.harness.network import SIP_PORT, Party
from tests.interop.harness.pbx import SESSION_S, PbxTrunk
from tests.interop.harness.peers import Tree

MANAGER = ("interop", "interop-manager-secret")
OFFICE_NUMBER = "+12125550100"
DESK = ("desk", "interop-desk-password")

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
pbx_config app_dial app_playback app_mixmonitor func_channel func_callerid func_cut
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
) -> None:
    """Everything that Asterisk reads, and the folders that it writes into."""
    for name in ("etc", "lib", "spool", "run", "log", "recordings"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for trunk in trunks:
        (directory / "recordings" / trunk.name).mkdir()
    pjsip = [_global(), *(_trunk(trunk, ca, certificate) for trunk in trunks)]
    if desk is not None:
        pjsip.append(_desk(desk, control.host))
    files = {
        "asterisk.conf": _asterisk(directory, tree),
        "etc/modules.conf": "[modules]\nautoload=no\n"
        + "".join(f"load={module}.so\n" for module in _MODULES.split()),
        "etc/logger.conf": "[general]\n[logfiles]\nconsole=notice,warning,error,verbose\n",
        "etc/manager.conf": _manager(control),
        "etc/rtp.conf": "[general]\nrtpstart=40000\nrtpend=40999\nicesupport=no\n",
        "etc/extensions.conf": _extensions(directory, speech, trunks),
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


def _extensions(directory: Path, speech: Path, trunks: list[PbxTrunk]) -> str:
    """Calls over a trunk ring at extension 200, which picks up, records and speaks."""
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
[desks]
{desk_calls}
"""


def _record(path: object) -> str:
    """`heard` is what came in at this channel, `told` what was sent to it."""
    return f"MixMonitor({path}.wav,r({path}-heard.wav)t({path}-told.wav))"


def _escaped(text: str) -> str:
    """In extensions.conf a semicolon begins a comment."""
    return text.replace(";", "\\;")


def dialled(trunk: PbxTrunk, number: str) -> str:
    """What Dial is told, to reach `number` over `trunk`."""
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
