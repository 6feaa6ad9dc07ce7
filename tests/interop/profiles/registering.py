"""Registrations: a PBX that registers with us, and a carrier that we register with."""

from tests.interop.profiles.script import VIA, Script, has
from tests.interop.profiles.system import System


def registers(system: System) -> str:
    """NAME-registers.xml: the PBX registers with us, before it is called."""
    script = Script(f"{system.title} registers")
    aor = f"sip:{system.name}@[remote_ip]"

    def register(number: int, *proof: str) -> None:
        script.send(
            "REGISTER sip:[remote_ip]:[remote_port] SIP/2.0",
            [
                f"Via: {VIA}",
                "Max-Forwards: 70",
                f"From: <{aor}>;tag=[pid]-{system.name}-[call_number]",
                f"To: <{aor}>",
                "Call-ID: [call_id]",
                f"CSeq: {number} REGISTER",
                f"Contact: {system.contact}",
                "Expires: 120",
                f"User-Agent: {system.agent}",
                *proof,
            ],
            retrans=True,
            txn=f"register{number}",
        )

    register(1)
    script.receive(401, txn="register1", auth=True)
    register(2, "[authentication]")
    params = "rinstance=[0-9a-f]+" if "rinstance" in system.contact else f"sip:{system.name}@"
    script.receive(200, has("Contact", params), has("Contact", "expires=120"), txn="register2")
    return script.text(
        [
            f"{system.title} registers with us, for 120 s, as user {system.name}.",
            "",
            f"  Run it as  sipp -sf {system.name}-registers.xml -au USER -ap PASSWORD",
            "             -i OUR_ADDRESS -p 5060 -bind_local -m 1 GATEWAY:5060",
            f"  then {system.name}-outbound.xml from the same address and port.",
            f"  The gateway has a trunk of profile {system.name} with USER and PASSWORD as login.",
            "",
            "  Written by tests/interop/profiles; see pbxs.py there.",
        ]
    )


def registrar(system: System) -> str:
    """NAME-registrar.xml: we register with the carrier."""
    script = Script(f"{system.title} is registered with")
    same = ["[last_Via:]", "[last_From:]", "[last_To:];tag=[pid]-registrar", "[last_Call-ID:]"]
    same += ["[last_CSeq:]", f"Server: {system.agent}"]
    user = system.trunk["credentials"]["username"]
    script.receive("REGISTER", has("To", f"sip:{user}@"), has("Contact", "sip:"))
    challenge = f'Digest realm="{system.realm}", nonce="[pid]47b", algorithm=MD5, qop="auth"'
    script.send("SIP/2.0 401 Unauthorized", [*same, f"WWW-Authenticate: {challenge}"])
    proof = has("Authorization", f'username="{user}".*response=')
    keep = [("contact", "Contact", "<[^>]*>")]
    script.receive("REGISTER", proof, keep=keep)
    script.send("SIP/2.0 200 OK", [*same, "Contact: [$contact];expires=3600"])
    script.raw('<timewait milliseconds="200"/>')
    return script.text(
        [
            f"We register with {system.title}: 401, digest, 200 for an hour.",
            "",
            f"  Run it as  sipp -sf {system.name}-registrar.xml -i OUR_ADDRESS -p 5060 -bind_local",
            "             -m 1",
            f"  The gateway has a trunk of profile {system.name} with sip:OUR_ADDRESS as gateway.",
            "",
            "  Written by tests/interop/profiles; see carriers.py there.",
        ]
    )
