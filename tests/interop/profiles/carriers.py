"""The carriers of config/profiles, as they behave on the wire.

Where the facts are from is said in each profile (`sources`). What a system is not known to do is
left as most do it.
"""

from dataclasses import replace

from tests.interop.profiles.script import has, lacks, says
from tests.interop.profiles.system import (
    BARE,
    DTMF,
    G722,
    G723,
    G729,
    GSM,
    ILBC,
    OURS,
    PCMA,
    PCMU,
    PLUS,
    TEN,
    Early,
    System,
)

TWILIO = System(
    name="twilio",
    title="Twilio Elastic SIP Trunking",
    agent="Twilio Gateway",
    calls="""
E.164 with the plus; Diversion is always there, so it proves no forwarding; the verdict on the
caller in X-Twilio-VerStat; a secret header from the origination URI; a proxy that stays in the
dialog (Record-Route). PCMU before PCMA. The agent hangs up: our BYE goes by way of the proxy.""",
    codecs=(PCMU, PCMA, DTMF),
    record_route=True,
    from_='"+[caller]" <sip:+[caller]@pstn.twilio.com>',
    headers=(
        "P-Asserted-Identity: <sip:+[caller]@[local_ip]:5060>",
        "Diversion: <sip:+[service]@twilio.com>;reason=unconditional",
        "X-Twilio-AccountSid: AC00000000000000000000000000000000",
        "X-Twilio-CallSid: CA00000000000000000000000000000001",
        "X-Twilio-VerStat: TN-Validation-Passed-A",
        "X-Trunk-Token: interop-token",
    ),
    we_hang_up=True,
    takes="""
407 with digest; the Request-URI and From must be E.164 with the plus; Max-Forwards must be there;
100, 183 with SDP, 200, through a proxy that stays in the dialog. Its first gateway has no channel
left (503), the next one takes the call.""",
    challenge=407,
    realm="sip.twilio.com",
    invite=(says(f"INVITE {PLUS}"), has("From", PLUS), has("P-Asserted-Identity", PLUS)),
    early=(Early(status=183, sdp=True),),
    retell_hangs_up=True,
    first_is_full=True,
    trunk={
        "credentials": OURS,
        "identify_headers": {"X-Trunk-Token": "interop-token"},
        "calls_per_second": None,
    },
    told=(("x-twilio-callsid", "CA"), ("x-twilio-verstat", "Passed-A"), ("diversion", "twilio")),
    hidden=("interop-token", "P-Asserted-Identity"),
)

TWILIO_SECURE = replace(
    TWILIO,
    variant="secure",
    calls="""
Secure Trunking is on: encrypted media alone is offered (RTP/SAVP, AES_CM_128_HMAC_SHA1_80).
Where the trunk has none, that is 488, so that Twilio takes its next route.""",
    sdp_protocol="RTP/SAVP",
    sdp_more=(
        "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    ),
    refused=488,
)

TELNYX = System(
    name="telnyx",
    title="Telnyx SIP Trunking",
    agent="Telnyx SIP Proxy",
    calls="""
Compact header names throughout; E.164 with the plus both ways; the verdict on the caller is a
parameter of P-Asserted-Identity; G.722 beside G.711.""",
    codecs=(G722, PCMU, PCMA, DTMF),
    letters="compact",
    from_='"Example Caller" <sip:+[caller]@sip.telnyx.com>',
    headers=(
        "P-Asserted-Identity: <sip:+[caller];verstat=TN-Validation-Passed-A@sip.telnyx.com>",
        "P-Charge-Info: <sip:+[caller]@sip.telnyx.com>",
    ),
    takes="""
407 with digest; credential users say whose call it is in X-Telnyx-Username; P-Preferred-Identity,
P-Asserted-Identity and From are read in this order, each must hold E.164 with the plus.""",
    challenge=407,
    realm="sip.telnyx.com",
    invite=(
        says(f"INVITE {PLUS}"),
        has("From", PLUS),
        has("P-Asserted-Identity", PLUS),
        has("X-Telnyx-Username", "gateway"),
        lacks("P-Preferred-Identity"),
    ),
    early=(Early(status=183, sdp=True), Early(status=180)),
    trunk={"credentials": OURS, "headers": {"X-Telnyx-Username": "gateway"}},
    hidden=("P-Charge-Info", "P-Asserted-Identity"),
)

TELNYX_WITHHELD = replace(
    TELNYX,
    variant="withheld",
    calls="""
The caller withholds the number: From is anonymous, Privacy asks for it, P-Asserted-Identity has the
number all the same, for us alone. Retell is not told.""",
    from_='"Anonymous" <sip:anonymous@anonymous.invalid>',
    headers=("P-Asserted-Identity: <sip:+[caller]@sip.telnyx.com>", "Privacy: id"),
    shown="anonymous",
    hidden=("P-Asserted-Identity", "12125550101"),
)

VONAGE = System(
    name="vonage",
    title="Vonage SIP",
    agent="Vonage",
    calls="""
Numbers are E.164 without the plus. PCMA, PCMU, iLBC, G.729 without annex B, G.722 and Speex.""",
    codecs=(PCMA, PCMU, ILBC, G729, G722, "98 speex/16000", DTMF),
    sdp_more=("a=fmtp:18 annexb=no", "a=fmtp:97 mode=30"),
    uri="sip:[service]@[remote_ip]:[remote_port]",
    to="<sip:[service]@[remote_ip]>",
    from_="<sip:[caller]@[local_ip]>",
    contact="<sip:[caller]@[local_ip]:[local_port];transport=[transport]>",
    takes="""
401 with digest; From without the plus at the customer's own domain, by which it knows the customer.
The number dialled has no plus either.""",
    challenge=401,
    realm="interop.sip-us.vonage.com",
    invite=(
        says(f"INVITE {BARE}"),
        has("From", r"sip:1[0-9]{10}@interop\.sip-us\.vonage\.com"),
        lacks("P-Asserted-Identity"),
    ),
    trunk={"credentials": OURS, "caller_id": {"from_domain": "interop.sip-us.vonage.com"}},
)

BANDWIDTH = System(
    name="bandwidth",
    title="Bandwidth SIP trunk",
    agent="Bandwidth SBC",
    calls="""
+1 and ten digits, the caller also in P-Asserted-Identity; G.711 before G.729; one of a pair of SBCs
calls, known by its address alone.""",
    codecs=(PCMU, G729, DTMF),
    from_='"WIRELESS CALLER" <sip:+[caller]@[local_ip];isup-oli=62>',
    headers=("P-Asserted-Identity: <sip:+[caller]@[local_ip]:5060>",),
    takes="""
No digest: our address is known. The first SBC of the pair has no channel left and says so (503,
Retry-After), the second one takes the call: 183 with SDP.""",
    invite=(says(f"INVITE {PLUS}"), has("From", PLUS), has("P-Asserted-Identity", PLUS)),
    early=(Early(status=183, sdp=True),),
    first_is_full=True,
    hidden=("P-Asserted-Identity", "isup-oli"),
)

PLIVO = System(
    name="plivo",
    title="Plivo Zentrunk",
    agent="Plivo",
    allow="ACK, BYE, CANCEL, INVITE, OPTIONS, REFER, UPDATE",
    calls="""
It proves itself by digest where the origination URI has a user and password. It knows neither PRACK
nor INFO: what we send must not need them. It refreshes by UPDATE, and hangs up itself.""",
    codecs=(PCMU, PCMA, DTMF),
    challenged=True,
    supported="timer",
    session_expires="1800;refresher=uac",
    answer=(has("Session-Expires", "1800 *;refresher=uac"), lacks("100rel")),
    steps=("update",),
    takes="""
No PRACK (it would answer 405, and 420 to an INVITE that requires it): neither Supported nor Require
may name 100rel. 407 with digest; E.164. It hangs up itself.""",
    challenge=407,
    realm="zt.plivo.com",
    invite=(says(f"INVITE {PLUS}"), has("From", PLUS), lacks("100rel"), lacks("P-Asserted")),
    trunk={"credentials": OURS},
    proves=True,
)

SIGNALWIRE = System(
    name="signalwire",
    title="SignalWire",
    agent="SignalWire STACK/1.0",
    transport="tcp",
    calls="""
Many codecs and a video stream beside the voice: the video is refused with port 0, the call is not.
Encryption is forbidden in this trunk.""",
    codecs=("102 opus/48000/2", G722, PCMU, PCMA, G729, DTMF),
    sdp_after=(
        "m=video [media_port+2] RTP/AVP 96 97",
        "a=rtpmap:96 VP8/90000",
        "a=rtpmap:97 H264/90000",
    ),
    answer=(says("m=video 0 "),),
    takes="""
407 with digest at the space's domain. Its answer has no video. It shows the caller ID of the
endpoint, whatever From says.""",
    challenge=407,
    realm="interop.sip.signalwire.com",
    invite=(says(f"INVITE {PLUS}"), has("From", PLUS), lacks("P-Asserted-Identity")),
    early=(Early(status=180), Early(status=183, sdp=True)),
    trunk={"credentials": OURS},
)

DIDWW = System(
    name="didww",
    title="DIDWW",
    agent="DIDWW SBC node",
    calls="""
From one of its static addresses, numbers as E.164 without the plus;
G.711, G.729, G.723 and GSM.""",
    codecs=(PCMA, PCMU, G729, G723, GSM, DTMF),
    uri="sip:[service]@[remote_ip]:[remote_port]",
    to="<sip:[service]@[remote_ip]>",
    from_="<sip:[caller]@[local_ip]>",
    headers=("X-DIDWW-Call-ID: 00000000-0000-4000-8000-000000000000",),
    takes="""
Address and digest together: 401 whose realm is always out.didww.com, at every gateway and whatever
its name. Numbers without the plus.""",
    challenge=401,
    realm="out.didww.com",
    invite=(says(f"INVITE {BARE}"), has("From", BARE), lacks("P-Asserted-Identity")),
    early=(Early(status=183, sdp=True),),
    trunk={"credentials": OURS},
)

FLOWROUTE = System(
    name="flowroute",
    title="Flowroute",
    agent="Flowroute",
    calls="""
E.164 in From and in P-Asserted-Identity. Media comes straight from the far carrier, so it is at
another address than the signalling.""",
    from_="<sip:+[caller]@[local_ip]>",
    headers=("P-Asserted-Identity: <sip:+[caller]@[local_ip]>",),
    takes="""
Known by address and tech prefix: eight digits and a star stand before the number. It reads
P-Asserted-Identity, then Remote-Party-ID, then From.""",
    invite=(
        says(r"INVITE sip:12345678(\*|%2A)\+1[0-9]{10}@"),
        has("From", PLUS),
        has("P-Asserted-Identity", PLUS),
    ),
    early=(Early(status=183, sdp=True),),
    trunk={"called_number": {"prefix": "12345678*"}},
    hidden=("P-Asserted-Identity",),
)

VOIPMS = System(
    name="voipms",
    title="VoIP.ms",
    agent="voip.ms",
    calls="""
We are registered with it; it calls the account's Contact, with the number of ten digits in the
Request-URI and the caller's ten digits in From. mu-law and G.729.""",
    codecs=(PCMU, G729, DTMF),
    ten_digits=True,
    caller="2125550101",
    uri="sip:[service]@[remote_ip]:[remote_port]",
    to="<sip:[service]@[remote_ip]>",
    from_='"EXAMPLE CALLER" <sip:[caller]@seattle1.voip.ms>',
    contact="<sip:[caller]@[local_ip]:[local_port];transport=[transport]>",
    takes="""
401 with digest for the account; ten digits. It does not answer OPTIONS, so we send none.""",
    challenge=401,
    realm="voip.ms",
    invite=(says(f"INVITE {TEN}"), has("From", TEN), lacks("P-Asserted-Identity")),
    early=(Early(status=183, sdp=True),),
    registers=True,
    trunk={"credentials": {"username": "123456_gateway", "password": OURS["password"]}},
)

SIPGATE = System(
    name="sipgate",
    title="sipgate trunking",
    agent="sipgate",
    calls="""
We are registered with it as 1234567t0: it calls that user, and the number that was dialled stands
in To alone, digits only. The caller's number stands in From.""",
    codecs=(PCMA, PCMU, DTMF),
    uri="sip:1234567t0@[remote_ip]:[remote_port]",
    to="<sip:[service]@sipconnect.sipgate.de>",
    from_="<sip:[caller]@sipconnect.sipgate.de>",
    contact="<sip:[local_ip]:[local_port];transport=[transport]>",
    record_route=True,
    we_hang_up=True,
    takes="""
407 with digest; From is the account, the number stands in P-Preferred-Identity: digits with the
country code, no plus, no zeros.""",
    challenge=407,
    realm="sipconnect.sipgate.de",
    invite=(
        says(f"INVITE {BARE}"),
        has("From", r"sip:1234567t0@sipconnect\.sipgate\.de"),
        has("P-Preferred-Identity", r"sip:1[0-9]{10}@sipconnect\.sipgate\.de"),
        lacks("P-Asserted-Identity"),
    ),
    retell_hangs_up=True,
    registers=True,
    trunk={"credentials": {"username": "1234567t0", "password": OURS["password"]}},
)

VOIP_INNOVATIONS = System(
    name="voip-innovations",
    title="VoIP Innovations",
    agent="VoIP Innovations",
    calls="""
Known by address, in an endpoint group. Strip Plus and Strip CC are off, so numbers are whole.""",
    codecs=(PCMU, G729, DTMF),
    takes="""
No digest and no registration; the plus and the country code.""",
    invite=(says(f"INVITE {PLUS}"), has("From", PLUS), lacks("Authorization")),
    early=(Early(status=183, sdp=True),),
)

GENERIC_CARRIER = System(
    name="generic-carrier",
    title="A carrier of which nothing is known",
    agent="softswitch",
    allow="INVITE, ACK, CANCEL, BYE, OPTIONS",
    calls="""
An old softswitch: no extension at all, no session timer, no UPDATE. The caller stands in
Remote-Party-ID, and From has the trunk.""",
    from_="<sip:trunk@[local_ip]>",
    headers=('Remote-Party-ID: "Caller" <sip:+[caller]@[local_ip]>;party=calling;privacy=off',),
    answer=(lacks("Session-Expires"), lacks("Require:")),
    steps=("hold-zero", "resume"),
    takes="""
Takes the plus, From and P-Asserted-Identity. What it is not asked for cannot confuse it: no
Session-Expires. It challenges with 401.""",
    challenge=401,
    realm="carrier.example.com",
    invite=(
        says(f"INVITE {PLUS}"),
        has("From", PLUS),
        has("P-Asserted-Identity", PLUS),
        lacks("Session-Expires"),
    ),
    called_steps=("reinvite-empty",),
    trunk={"credentials": OURS},
    hidden=("Remote-Party-ID",),
)

CARRIERS = (
    *(TWILIO, TELNYX, VONAGE, BANDWIDTH, PLIVO, SIGNALWIRE, DIDWW, FLOWROUTE, VOIPMS, SIPGATE),
    *(VOIP_INNOVATIONS, GENERIC_CARRIER),
)
