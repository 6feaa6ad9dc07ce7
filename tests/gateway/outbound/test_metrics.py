"""What /metrics shows of the queue stands in the document, and nothing else does."""

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from gateway.outbound.metrics import QueueMetrics
from gateway.storage.queued_call import Result

DOCS = Path(__file__).parents[3] / "docs"


def test_the_document_has_them_all() -> None:
    registry = CollectorRegistry()
    QueueMetrics(registry)
    served = {family.name for family in registry.collect()}
    rows = re.findall(r"^\| `(gateway_queue_\w+)` \|", (DOCS / "metrics.md").read_text(), re.M)
    assert {name.removesuffix("_total") for name in rows} == served


def test_every_result_is_explained() -> None:
    table = (DOCS / "outbound.md").read_text().partition("## Results")[2].partition("\n\nA rule")[0]
    assert set(re.findall(r"`([a-z-]+)`", table)) == {result.value for result in Result}
