"""Everything that a configuration alone shows to be doubtful, though it can be used."""

from collections.abc import Iterator

from config.advice.addresses import address_findings
from config.advice.doors import door_findings
from config.advice.examples import example_findings
from config.advice.keys import key_findings
from config.advice.ways import way_findings
from config.findings import Finding
from config.settings import Settings


def advice(settings: Settings) -> Iterator[Finding]:
    """Every finding; nothing of this machine is looked at."""
    yield from address_findings(settings)
    yield from door_findings(settings)
    yield from example_findings(settings)
    yield from key_findings(settings)
    yield from way_findings(settings)
