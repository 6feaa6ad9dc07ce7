"""The answer to a 401 or 407 (RFC 7616, RFC 8760): pyVoIP's own names the wrong URI."""

import hashlib
import re
from collections.abc import Sequence
from secrets import token_hex

_FIELD = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_ALGORITHMS = ("SHA-256", "MD5")  # the better first


def answer(
    challenges: Sequence[str], *, method: str, uri: str, user: str, password: str
) -> str | None:
    """The Authorization value for the best challenge that we understand, or None."""
    understood = [fields for text in challenges if "nonce" in (fields := _fields(text))]
    for name in _ALGORITHMS:
        for fields in understood:
            if fields.get("algorithm", "MD5").upper() == name:
                return _proof(fields, name, f"{method}:{uri}", uri, user, password)
    return None


def _fields(challenge: str) -> dict[str, str]:
    return {key.lower(): quoted or bare for key, quoted, bare in _FIELD.findall(challenge)}


def _proof(
    fields: dict[str, str], algorithm: str, request: str, uri: str, user: str, password: str
) -> str:
    def digest(text: str) -> str:
        return hashlib.new(algorithm.replace("-", ""), text.encode()).hexdigest()

    realm, nonce = fields.get("realm", ""), fields["nonce"]
    secret = digest(f"{user}:{realm}:{password}")
    parts = {
        "username": f'"{user}"',
        "realm": f'"{realm}"',
        "nonce": f'"{nonce}"',
        "uri": f'"{uri}"',
        "algorithm": algorithm,
    }
    if "auth" in [one.strip() for one in fields.get("qop", "").split(",")]:
        cnonce = token_hex(8)
        parts |= {"qop": "auth", "nc": "00000001", "cnonce": f'"{cnonce}"'}
        proof = digest(f"{secret}:{nonce}:00000001:{cnonce}:auth:{digest(request)}")
    else:
        proof = digest(f"{secret}:{nonce}:{digest(request)}")
    if "opaque" in fields:
        parts["opaque"] = f'"{fields["opaque"]}"'
    parts["response"] = f'"{proof}"'
    return "Digest " + ", ".join(f"{key}={value}" for key, value in parts.items())
