"""The signature that receivers check, held against vectors made with openssl."""

from gateway.callbacks.signature import sign

BODY = b'{"id":"1","kind":"call.done"}'


def test_vectors() -> None:
    """printf '1764576000.BODY' | openssl dgst -sha256 -hmac SECRET"""
    assert sign("whsec_1", BODY, 1_764_576_000.9) == (
        "t=1764576000,v1=c4f4aa9610d1cd60b8d0ad73f4ae51edde17fa1c097d41a5e6b341e2063e27a2"
    )
    assert sign("Schlüssel", b"", 0) == (
        "t=0,v1=a12e772e3d83c01cfebce65f005a9975be430615535ba754ea5c76f77d84d032"
    )
