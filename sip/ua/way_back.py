"""Where a response goes: RFC 3261 18.2, RFC 3581."""

from sip.core.message import Request, Response
from sip.transport.address import is_address
from sip.transport.endpoint import DEFAULT_PORT, Endpoint, Flow
from sip.transport.layer import TransportLayer


def mark_source(request: Request, flow: Flow) -> None:
    """Write into the top Via where the request really came from (RFC 3261 18.2.1, RFC 3581 4)."""
    via = request.via
    source = flow.remote
    marked = via
    if via.rport is not None:
        marked = marked.with_param("rport", str(source.port)).with_param("received", source.host)
    elif via.host != source.host:
        marked = marked.with_param("received", source.host)
    if marked is not via:
        request.headers.replace_first("via", str(marked))


def way_back(transport: TransportLayer, request: Request, flow: Flow) -> Flow:
    """The way for responses to `request`, which came by `flow`.

    RFC 3261 18.2.2: without rport a response over UDP goes to the port in the Via.
    """
    via = request.via
    port = via.port or DEFAULT_PORT["udp"]
    if flow.reliable or port == flow.remote.port or via.rport is not None:
        return flow
    return transport.flow_to(Endpoint("udp", flow.remote.host, port), flow)


def way_back_anew(transport: TransportLayer, flow: Flow, response: Response) -> Flow:
    """The way for `response`, whose connection `flow` may have broken.

    RFC 3261 18.2.2: it is opened again to the address in the Via.
    """
    via = response.via
    host = via.received or via.host
    if not is_address(host):
        return flow
    port = via.port or DEFAULT_PORT[flow.remote.transport]
    return transport.reply_flow(flow, Endpoint(flow.remote.transport, host, port))
