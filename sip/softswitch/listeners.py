"""The SIP sockets of a configuration: where to listen, and with which certificate."""

from collections.abc import Iterator
from dataclasses import dataclass

from config.settings import SipSettings
from sip.transport.endpoint import Endpoint
from sip.transport.tls.contexts import ClientTls, ServerTls


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSpec:
    """One socket: its address, its certificate if it speaks TLS, and what it shows of itself."""

    endpoint: Endpoint
    tls: ServerTls | None = None
    advertise: str | None = None


def listeners(sip: SipSettings) -> Iterator[ListenerSpec]:
    """Every listener of `sip.listen`, in its order. Raises TlsError for unusable files."""
    for one in sip.listen:
        address = one.address
        tls = None
        certificate = one.certificate or sip.tls.certificate
        if address.transport == "tls" and certificate is not None:
            tls = ServerTls(
                certificate,
                one.key if one.certificate else sip.tls.key,
                client_ca=sip.tls.client_ca,
                client_certificates=sip.tls.client_certificates,
            )
        yield ListenerSpec(
            endpoint=Endpoint(address.transport, address.host, address.port),
            tls=tls,
            advertise=one.advertise,
        )


def client_tls(sip: SipSettings) -> ClientTls:
    """The roots that we believe when we connect, and our certificate. Raises TlsError."""
    return ClientTls(
        ca=sip.tls.ca,
        verify=sip.tls.verify,
        certificate=sip.tls.certificate,
        key=sip.tls.key,
    )
