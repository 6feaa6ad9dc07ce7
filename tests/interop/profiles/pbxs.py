"""The PBXs of config/profiles, as they behave on the wire.

Where the facts are from is said in each profile (`sources`). What a system is not known to do is
left as most do it.
"""

from dataclasses import replace

from tests.interop.profiles.script import has, lacks, says
from tests.interop.profiles.system import (
    DTMF,
    G722,
    G729,
    GSM,
    PCMA,
    PCMU,
    PLUS,
    Early,
    System,
)

_FULL = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE"

ASTERISK = System(
    name="asterisk",
    title="Asterisk (PJSIP)",
    agent="Asterisk PBX 22.5.2",
    allow=_FULL,
    supported="100rel, timer, replaces, norefersub, histinfo",
    session_expires="1800",
    min_se=90,
    calls="""
It qualifies us by OPTIONS. An extension calls; 100rel is known but not demanded; timers 1800 s.
direct_media: once answered it moves the media to the phone's own address by re-INVITE, then
refreshes by UPDATE, and asks what a transfer would say.""",
    codecs=(PCMU, PCMA, GSM, G722, DTMF),
    pings=True,
    caller="101",
    shown="101",
    from_='"Reception" <sip:[caller]@[local_ip]>',
    contact="<sip:asterisk@[local_ip]:[local_port];transport=[transport]>",
    answer=(has("Session-Expires", "1800"), lacks("Require:[^\n]*100rel")),
    steps=("moves", "update", "refer"),
    refer_refused=404,
    takes="""
The dialplan's extension or number as it is; caller in From and P-Asserted-Identity; it takes our
session timer and refreshes by UPDATE; early media in 183; hold by sendonly, and back.""",
    invite=(
        says("INVITE sip:"),
        has("P-Asserted-Identity", PLUS),
        has("Session-Expires", "1800"),
        has("Supported", "timer"),
    ),
    early=(Early(status=180), Early(status=183, sdp=True)),
    accepts=("Session-Expires: 1800;refresher=uas", "Require: timer"),
    called_steps=("update", "hold-sendonly", "resume"),
)

FREEPBX = System(
    name="freepbx",
    title="FreePBX",
    agent="FPBX-17.0.19(22.5.2)",
    allow=_FULL,
    supported="100rel, timer, replaces, norefersub",
    session_expires="1800",
    min_se=90,
    calls="""
Authentication Inbound: it proves itself by digest. The outbound route dials E.164 with the plus,
the extension's outbound caller ID is a number. Music on hold: sendonly, and back.""",
    codecs=(PCMU, PCMA, G722, DTMF),
    challenged=True,
    from_='"Example Ltd" <sip:+[caller]@[local_ip]>',
    contact="<sip:asterisk@[local_ip]:[local_port];transport=[transport]>",
    headers=("P-Asserted-Identity: <sip:+[caller]@[local_ip]>",),
    answer=(has("Session-Expires", "1800"),),
    steps=("hold-sendonly", "resume"),
    takes="""
The inbound route wants the number as dialled. 180 without SDP; refreshes by re-INVITE.""",
    invite=(says(f"INVITE {PLUS}"), has("P-Asserted-Identity", PLUS)),
    accepts=("Session-Expires: 1800;refresher=uas", "Require: timer"),
    called_steps=("reinvite",),
    proves=True,
    hidden=("P-Asserted-Identity",),
)

FREESWITCH = System(
    name="freeswitch",
    title="FreeSWITCH",
    agent="FreeSWITCH-mod_sofia/1.10.12-release",
    allow="INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY",
    supported="timer, path, replaces",
    too_short="60",
    session_expires="120;refresher=uac",
    min_se=120,
    calls="""
Its session-timeout is set too short: 422 tells it the least, and it calls again. The caller stands
in Remote-Party-ID; From has the gateway's user unless caller-id-in-from is on.""",
    codecs=("102 opus/48000/2", G722, PCMU, PCMA, DTMF),
    from_='"Example" <sip:gateway@[local_ip]>',
    contact="<sip:gw+retell@[local_ip]:[local_port];transport=[transport];gw=retell>",
    headers=(
        "X-FS-Support: update_display,send_info",
        'Remote-Party-ID: "Example" <sip:+[caller]@[local_ip]>;party=calling;screen=yes',
    ),
    answer=(has("Session-Expires", "120 *;refresher=uac"),),
    steps=("update", "info"),
    wants_at_least=2400,
    takes="""
Its minimum-session-expires is set longer than what we ask for: 422, and we call again with that.
183 with SDP at once, then 200; holds by sendonly. The caller stands in From, P-Asserted-Identity
and Remote-Party-ID alike, so it matters not which one its profile reads.""",
    invite=(
        says("INVITE sip:"),
        has("From", PLUS),
        has("P-Asserted-Identity", PLUS),
        has("Remote-Party-ID", f"{PLUS}.*party=calling"),
    ),
    early=(Early(status=183, sdp=True),),
    accepts=("Session-Expires: 2400;refresher=uac", "Require: timer"),
    called_steps=("hold-sendonly", "resume"),
    hidden=("Remote-Party-ID",),
)

FUSIONPBX = System(
    name="fusionpbx",
    title="FusionPBX",
    agent="FreeSWITCH",
    allow="INVITE, ACK, BYE, CANCEL, OPTIONS, MESSAGE, INFO, UPDATE, REGISTER, REFER, NOTIFY",
    supported="timer, path, replaces",
    session_expires="1800;refresher=uac",
    min_se=120,
    calls="""
Caller ID In From is on. The gateway proves itself by digest, and asks for a re-INVITE's offer.""",
    codecs=(PCMU, PCMA, DTMF),
    challenged=True,
    from_='"+[caller]" <sip:+[caller]@[local_ip]>',
    contact="<sip:gw+retell@[local_ip]:[local_port];transport=[transport];gw=retell>",
    answer=(has("Session-Expires", "1800 *;refresher=uac"),),
    steps=("reinvite-empty",),
    takes="""
The destination number as it is; 180, then 183 with SDP.""",
    invite=(has("From", PLUS), has("P-Asserted-Identity", PLUS), has("Remote-Party-ID", PLUS)),
    early=(Early(status=180), Early(status=183, sdp=True)),
    accepts=("Session-Expires: 1800;refresher=uas", "Require: timer"),
    proves=True,
)

THREE_CX = System(
    name="3cx",
    title="3CX",
    agent="3CXPhoneSystem 20.0.6",
    allow="INVITE, ACK, CANCEL, OPTIONS, BYE, REGISTER, SUBSCRIBE, NOTIFY, REFER, INFO, UPDATE",
    supported="replaces, timer",
    calls="""
It is registered, and proves itself again when it calls. Its calls bear the Contact that it
registered, rinstance included.""",
    codecs=(PCMU, PCMA, G729, DTMF),
    challenged=True,
    from_='"Reception" <sip:+[caller]@[local_ip]>',
    contact="<sip:3cx@[local_ip]:[local_port];rinstance=0123456789abcdef>",
    headers=('Remote-Party-ID: "Reception" <sip:+[caller]@[local_ip]>;party=calling',),
    answer=(lacks("Require:[^\n]*100rel"),),
    takes="""
It finds its trunk by the Request-URI, which must be the Contact that it registered to the letter:
user and rinstance. The number called stands in To.""",
    invite=(
        says("INVITE sip:3cx@[0-9.]+:[0-9]+;rinstance=0123456789abcdef SIP"),
        has("To", PLUS),
        has("From", PLUS),
    ),
    registers=True,
    proves=True,
    hidden=("Remote-Party-ID",),
)

CUCM = System(
    name="cucm",
    title="Cisco Unified Communications Manager",
    agent="Cisco-CUCM14.0",
    transport="tcp",
    allow="INVITE, OPTIONS, INFO, BYE, CANCEL, ACK, PRACK, UPDATE, REFER, SUBSCRIBE, NOTIFY",
    supported="timer,resource-priority,replaces",
    session_expires="1800",
    min_se=1800,
    calls="""
It pings by OPTIONS, then calls without SDP (delayed offer): our 200 has the offer, its ACK the
answer. Min-SE is as long as the interval. Remote-Party-ID and P-Asserted-Identity have the caller,
Allow-Events kpml.""",
    codecs=(PCMU, PCMA, DTMF),
    sdp_user="CiscoSystemsCCM-SIP",
    pings=True,
    early_offer=False,
    uri="sip:[service]@[remote_ip]:[remote_port]",
    to="<sip:[service]@[remote_ip]>",
    from_='"Reception" <sip:+[caller]@[local_ip]>',
    contact="<sip:+[caller]@[local_ip]:[local_port];transport=[transport]>",
    headers=(
        "Allow-Events: presence, kpml",
        "Cisco-Guid: 0000000001-0000065536-0000000001-0000000001",
        'Call-Info: <sip:[local_ip]:5060>;method="NOTIFY;Event=telephone-event;Duration=500"',
        'P-Asserted-Identity: "Reception" <sip:+[caller]@[local_ip]>',
        'Remote-Party-ID: "Reception" <sip:+[caller]@[local_ip]>;party=calling;privacy=off',
    ),
    answer=(has("Session-Expires", "1800"), has("Content-Type", "application/sdp")),
    takes="""
Session-Expires below its Min-SE of 1800 would get 422. Early media in a reliable 183 (PRACK), then
180, then 200; both identity headers are read.""",
    invite=(
        has("Session-Expires", "^ *1800"),
        has("Min-SE", "1800"),
        has("Supported", "100rel"),
        has("P-Asserted-Identity", PLUS),
        has("Remote-Party-ID", f"{PLUS}.*party=calling"),
    ),
    early=(Early(status=183, sdp=True, reliable=True), Early(status=180)),
    accepts=("Session-Expires: 1800;refresher=uas", "Require: timer"),
    called_steps=("update",),
    hidden=("P-Asserted-Identity", "Remote-Party-ID", "Cisco-Guid"),
)

CUCM_EARLY_MEDIA = replace(
    CUCM,
    variant="early-media",
    supported="100rel,timer,resource-priority,replaces",
    calls="""
SIP Rel1XX Options: PRACK if 1xx has SDP. It calls without SDP; the agent is heard before it
answers, so our offer comes in a reliable 183 and the answer in the PRACK. The 200 adds nothing.""",
    pings=False,
    early_media=True,
    answer=(has("Session-Expires", "1800"),),
)

AVAYA = System(
    name="avaya",
    title="Avaya SBCE, IP Office",
    agent="Avaya SIP Enablement Services",
    allow="INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY, PRACK",
    supported="timer, replaces",
    calls="""
The hold button: c=0.0.0.0, then back; then inactive, and back. P- headers that nobody knows, and
History-Info and Diversion of a call that was forwarded to us.""",
    codecs=(PCMU, G729, DTMF),
    sdp_more=("a=fmtp:18 annexb=no",),
    pings=True,
    from_='"Reception" <sip:+[caller]@[local_ip]>',
    headers=(
        'P-Asserted-Identity: "Reception" <sip:+[caller]@[local_ip]>',
        'P-Location: SM;origlot="loc";termlot="loc"',
        "P-AV-Message-Id: 1_1",
        "History-Info: <sip:200@[local_ip]>;index=1,<sip:+[service]@[remote_ip]>;index=1.1",
        "Diversion: <sip:200@[local_ip]>;reason=no-answer",
        "User-to-User: 00FA080001000A5B2C3D4E;encoding=hex",
    ),
    steps=("hold-zero", "resume", "hold-inactive", "resume"),
    takes="""
IP Office gives up in 4 s unless something comes: so does this scenario's like, 180 without and 183
with SDP. It holds by c=0.0.0.0, and asks for an offer (delayed) to come back.""",
    invite=(has("From", PLUS), has("P-Asserted-Identity", PLUS)),
    early=(Early(status=180), Early(status=183, sdp=True)),
    called_steps=("hold-zero", "reinvite-empty"),
    told=(("user-to-user", "00FA08"), ("history-info", "index=1.1"), ("diversion", "no-answer")),
    hidden=("P-Location", "P-AV-Message-Id", "P-Asserted-Identity"),
)

TEAMS = System(
    name="teams",
    title="Microsoft Teams Direct Routing",
    agent="Microsoft.PSTNHub.SIPProxy v.2025.1.1.1",
    transport="tcp",
    allow="INVITE,ACK,CANCEL,BYE,OPTIONS,NOTIFY,UPDATE",
    supported="timer, histinfo, norefersub, 100rel",
    session_expires="3600",
    min_se=300,
    calls="""
Upper-case header names, unquoted display name, user=phone; a large INVITE: ICE candidates, rtcp-mux
and codecs of its own, none of which we take; Session-Expires 3600. Teams itself
demands encrypted media; here it is in the clear. Hold by inactive. REFER is not for us.""",
    codecs=("104 SILK/16000", G722, PCMU, PCMA, "97 RED/8000", DTMF, "13 CN/8000"),
    sdp_session=("a=ice-lite",),
    sdp_more=(
        "a=rtcp:3479",
        "a=rtcp-mux",
        "a=ice-ufrag:Z5o1",
        "a=ice-pwd:0000000000000000000000000000",
        "a=candidate:1 1 UDP 2130706431 192.0.2.44 3478 typ srflx raddr 10.0.0.44 rport 3478",
        "a=candidate:1 2 UDP 2130705918 192.0.2.44 3479 typ srflx raddr 10.0.0.44 rport 3479",
        "a=label:main-audio",
        "a=mid:1",
    ),
    letters="upper",
    record_route=True,
    pings=True,
    uri="sip:+[service]@[remote_ip]:[remote_port];user=phone;transport=[transport]",
    to="<sip:+[service]@sbc.example.com:5061;user=phone>",
    from_="Example Caller<sip:+[caller]@sip.pstnhub.microsoft.com:5061;user=phone>",
    contact="<sip:api-du-a-euwe.pstnhub.microsoft.com:443;x-i=0;x-c=1/d/8@[local_ip]:[local_port]>",
    headers=(
        "MS-CORRELATION-ID: 00000000000000000000000000000000",
        "X-MS-TenantId: 00000000-0000-4000-8000-000000000000",
        "P-ASSERTED-IDENTITY: <tel:+[caller]>,<sip:user@example.onmicrosoft.com>",
        "PRIVACY: none",
    ),
    answer=(
        has("Session-Expires", "3600"),
        has("Contact", r"@?sbc\.example\.com"),
        lacks("a=candidate"),
        lacks("rtcp-mux"),
    ),
    steps=("hold-inactive", "resume", "refer"),
    refer_refused=404,
    takes="""
Contact and From must have the SBC's name, no address; user=phone; E.164 with the plus. Two phones
ring: 180 and 183 with tags of their own, and the one that answers has the second. The first data
centre has no room (503, Retry-After).""",
    invite=(
        says(r"INVITE sip:\+1[0-9]{10}@[^ ]*user=phone"),
        has("From", r"sip:\+1[0-9]{10}@sbc\.example\.com[^>]*user=phone"),
        has("Contact", r"sbc\.example\.com"),
        has("P-Asserted-Identity", PLUS),
    ),
    early=(Early(status=180, tag="-first"), Early(status=183, sdp=True)),
    called_steps=("reinvite",),
    first_is_full=True,
    trunk={
        "contact_domain": "sbc.example.com",
        "caller_id": {"from_domain": "sbc.example.com"},
        "media": {"srtp": "off"},
    },
    told=(("x-ms-tenantid", "0000"),),
    hidden=("MS-CORRELATION-ID", "candidate"),
)

YEASTAR = System(
    name="yeastar",
    title="Yeastar P-Series",
    agent="Yeastar-P550/37.18.0.68",
    allow=_FULL,
    supported="timer, replaces, 100rel",
    session_expires="1800",
    calls="""
A register trunk: it has registered, and proves itself again when it calls. It wants its ringing
confirmed (Require: 100rel, PRACK).""",
    codecs=(PCMU, PCMA, G722, DTMF),
    challenged=True,
    require="100rel",
    reliable_ringing=True,
    from_="<sip:+[caller]@[remote_ip]>",
    contact="<sip:yeastar@[local_ip]:[local_port]>",
    answer=(has("Session-Expires", "1800"),),
    steps=("update",),
    takes="""
It is called at the Contact that it registered; the number called stands in To.""",
    invite=(says("INVITE sip:yeastar@"), has("To", PLUS), has("From", PLUS)),
    registers=True,
    proves=True,
)

GRANDSTREAM = System(
    name="grandstream",
    title="Grandstream UCM",
    agent="Grandstream UCM6304 1.0.27.14",
    allow=_FULL,
    supported="replaces, timer",
    calls="""
DID mode To: the Request-URI has an extension of its own, the number stands in To.
P-Preferred-Identity has the caller. It asks by an empty INFO whether the call lives.""",
    codecs=(PCMU, PCMA, GSM, G729, DTMF),
    uri="sip:s@[remote_ip]:[remote_port]",
    from_='"Reception" <sip:1000@[local_ip]>',
    headers=("P-Preferred-Identity: <sip:+[caller]@[local_ip]>",),
    steps=("info", "options", "message"),
    takes="""
Session timers are taken where asked for: here nobody asks. The number as it is, in the Request-URI
and in To.""",
    invite=(
        says("INVITE sip:"),
        has("To", PLUS),
        has("P-Asserted-Identity", PLUS),
        lacks("Session-Expires"),
    ),
    called_steps=("options",),
    hidden=("P-Preferred-Identity",),
)

GENERIC_PBX = System(
    name="generic-pbx",
    title="A PBX of which nothing is known",
    agent="PBX",
    allow="INVITE, ACK, CANCEL, BYE, OPTIONS",
    calls="""
An extension calls; no extension of SIP is known, hold is sendonly.""",
    codecs=(PCMA, PCMU, DTMF),
    caller="200",
    shown="200",
    from_='"Sales" <sip:[caller]@[local_ip]>',
    answer=(lacks("Session-Expires"), lacks("Require:")),
    steps=("hold-sendonly", "resume"),
    takes="""
Takes what is dialled as it stands; rings, answers, hangs up.""",
    invite=(has("From", PLUS), has("P-Asserted-Identity", PLUS), lacks("Session-Expires")),
)

PBXS = (
    *(ASTERISK, FREEPBX, FREESWITCH, FUSIONPBX, THREE_CX, CUCM, AVAYA, TEAMS, YEASTAR),
    *(GRANDSTREAM, GENERIC_PBX),
)
