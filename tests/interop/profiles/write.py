"""Writes tests/sipp/profiles: `python -m tests.interop.profiles.write`."""

from pathlib import Path

from tests.interop.profiles.agents import AGENTS
from tests.interop.profiles.carriers import CARRIERS, TELNYX_WITHHELD, TWILIO_SECURE
from tests.interop.profiles.inbound import inbound
from tests.interop.profiles.outbound import outbound
from tests.interop.profiles.pbxs import CUCM_EARLY_MEDIA, PBXS
from tests.interop.profiles.peers import agent, answers_options, gateway_is_full, retell
from tests.interop.profiles.registering import registers, registrar

SYSTEMS = (*CARRIERS, *PBXS, *AGENTS)
#: Other ways in which some of them call.
VARIANTS = (TELNYX_WITHHELD, TWILIO_SECURE, CUCM_EARLY_MEDIA)
DIRECTORY = Path(__file__).parents[2] / "sipp" / "profiles"


def scenarios() -> dict[str, str]:
    """Every scenario by its file's name."""
    files = {"agent": agent(), "agent-early": agent(early=True), "retell": retell()}
    files |= {"gateway-is-full": gateway_is_full(), "answers-options": answers_options()}
    for system in SYSTEMS:
        files[f"{system.name}-inbound"] = inbound(system)
        files[f"{system.name}-outbound"] = outbound(system)
        if system.registers and system in PBXS:
            files[f"{system.name}-registers"] = registers(system)
        elif system.registers:
            files[f"{system.name}-registrar"] = registrar(system)
    files |= {f"{system.file}-inbound": inbound(system) for system in VARIANTS}
    return {f"{name}.xml": text for name, text in files.items()}


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    wanted = scenarios()
    for file in DIRECTORY.glob("*.xml"):
        if file.name not in wanted:
            file.unlink()
    for name, text in wanted.items():
        (DIRECTORY / name).write_text(text)


if __name__ == "__main__":
    main()
