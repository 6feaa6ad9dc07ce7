"""The houses of agents in config/profiles, as they behave on the wire: called in Retell's place,
and calling us for their agents.

Where the facts are from is said in each profile (`sources`). What a system is not known to do is
left as most do it.
"""

from tests.interop.profiles.script import has, lacks, says
from tests.interop.profiles.system import DTMF, G722, OURS, PCMA, PCMU, PLUS, Early, System

ELEVENLABS = System(
    name="elevenlabs",
    title="ElevenLabs Agents",
    agent="ElevenLabs",
    transport="tcp",
    calls="""
For an agent that places a call, over TCP and from any address: it proves itself by digest. A header
that was entered there goes with it. G.722 and G.711. It hangs up itself.""",
    codecs=(G722, PCMU, PCMA, DTMF),
    headers=("X-Campaign-ID: 7",),
    challenged=True,
    proves=True,
    told=(("x-campaign-id", "7"),),
    takes="""
The user part is the number as it was imported, with its plus, else no agent is found. Digest, where
it was asked for there. It hangs up by the Contact's way, not the gateway's.""",
    challenge=407,
    realm="sip.rtc.elevenlabs.io",
    invite=(says(f"INVITE {PLUS}"), has("From", PLUS), lacks("P-Asserted-Identity")),
    trunk={"credentials": OURS},
)

VAPI = System(
    name="vapi",
    title="Vapi",
    agent="Vapi",
    calls="""
For an assistant that places a call, over UDP and known by one of its two addresses; the number with
its plus, as the trunk is set there.""",
    takes="""
401 with digest: where the number has no password of its own, any is taken. X- headers are variables
of the assistant.""",
    challenge=401,
    realm="sip.vapi.ai",
    invite=(says(f"INVITE {PLUS}"), has("From", PLUS), lacks("P-Asserted-Identity")),
    early=(Early(status=180), Early(status=183, sdp=True)),
    retell_hangs_up=True,
    trunk={"credentials": OURS},
)

AGENTS = (ELEVENLABS, VAPI)
