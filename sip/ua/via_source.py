"""Where a request really came from, written into its top Via: RFC 3261 18.2.1, RFC 3581 4."""

from sip.core.message import Request
from sip.transport.endpoint import Flow


def mark_source(request: Request, flow: Flow) -> None:
    """Write `received` and `rport` where they are due."""
    via = request.via
    source = flow.remote
    marked = via
    if via.rport is not None:
        marked = marked.with_param("rport", str(source.port)).with_param("received", source.host)
    elif via.host != source.host:
        marked = marked.with_param("received", source.host)
    if marked is not via:
        request.headers.replace_first("via", str(marked))
