"""Values of the configuration that stay the string that they are written as, once checked.

Every check raises ValueError with a sentence for the operator.
"""

import os
import re
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import phonenumbers
from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo

from config.values import HOST, host_port, port_number, text_of

#: ITU-T E.164 6.1: at most 15 digits; no country uses fewer than 7 with its country code.
_E164 = re.compile(r"\+[1-9]\d{6,14}")
_PREFIX = re.compile(r"(\+\d{0,15})?")
#: A trunk's name, and the user part of a SIP URI that is called there.
_EXTENSION = re.compile(r"[^/]+/[A-Za-z0-9+*#._-]{1,64}")
_SIP_URI = re.compile(
    r"sips?:"
    r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/%-]+(?::[^@\s]*)?@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)"
    r"(?::(?P<port>\d{1,5}))?"
    r"(?P<params>(?:;[^;?\s]+)*)"
)
#: RFC 3261 25.1: token; only extension headers may be fixed by configuration.
_X_HEADER = re.compile(r"[Xx]-[A-Za-z0-9!%*_+`'~.-]+")
_HEADER = re.compile(r"[A-Za-z0-9!%_+`'~.-]+")
#: RFC 3261 25.1: what may stand in a URI parameter as it is.
_PARAMETER = re.compile(r"[A-Za-z0-9!%*_+`'~.()/:&$\[\]-]*")
#: RFC 4855 3: a media type's name. What stands beside speech is no choice of codecs.
_CODEC = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,31}")
_BESIDE_SPEECH = frozenset({"TELEPHONE-EVENT", "CN", "RED"})
_DIALLED = re.compile(r"[A-Za-z0-9+*#._-]{0,32}")
_INTERFACE = re.compile(r"interface:[A-Za-z0-9._-]{1,15}")


def _codec_name(value: Any) -> str:
    text = text_of(value)
    if not _CODEC.fullmatch(text):
        raise ValueError(f"{text!r} is not a codec's name such as PCMU, PCMA, G722 or opus")
    if text.upper() in _BESIDE_SPEECH:
        raise ValueError(f"{text!r} is no codec for speech: name those alone")
    return text


def _sip_uri(value: Any) -> str:
    text = text_of(value)
    match = _SIP_URI.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a SIP URI such as sip:sip.example.com;transport=tcp")
    if match["port"] is not None:
        port_number(match["port"])
    for param in match["params"].lower().split(";"):
        name, _, setting = param.partition("=")
        if name == "transport" and setting not in ("udp", "tcp", "tls"):
            raise ValueError(f"{text!r}: transport must be udp, tcp or tls")
    return text


def _e164(value: Any) -> str:
    text = text_of(value)
    if not _E164.fullmatch(text):
        raise ValueError(f"{text!r} is not an E.164 number such as +14155550100")
    return text


def is_e164(text: str) -> bool:
    """Whether a text is a full number, with its plus."""
    return _E164.fullmatch(text) is not None


def _number_key(value: Any) -> str:
    """`*`, a number, or TRUNK/EXTENSION."""
    text = text_of(value)
    if "/" not in text:
        return "*" if text == "*" else _e164(text)
    if not _EXTENSION.fullmatch(text):
        raise ValueError(f"{text!r} is not a trunk and an extension there, such as pbx/200")
    return text


def _prefix(value: Any) -> str:
    text = "" if value is None else text_of(value)
    if not _PREFIX.fullmatch(text):
        raise ValueError(f'{text!r} is not a prefix of E.164 numbers such as "+1" or ""')
    return text


def _country(value: Any) -> str:
    text = text_of(value)
    if text.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError(f"{text!r} is not a two-letter country code such as US")
    return text.upper()


def _ip(value: Any) -> str:
    text = text_of(value)
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None
    if address.is_unspecified:
        raise ValueError(f"{text!r} cannot be reached by anyone: give a real address")
    return text


def _advertise(value: Any) -> str:
    """`auto`, `public`, `private`, `interface:NAME` or an address; see docs/config.md."""
    text = text_of(value)
    if text in ("auto", "public", "private") or _INTERFACE.fullmatch(text):
        return text
    try:
        return _ip(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is neither auto, public, private, interface:NAME nor an IP address"
        ) from None


def _public_address(value: Any) -> str:
    """An address, a host name, or stun:HOST[:PORT]; see docs/config.md."""
    text = text_of(value)
    host = text.removeprefix("stun:")
    if host == text:
        if not HOST.fullmatch(text) or re.fullmatch(r"[\d.]+", text):
            return _ip(text)
        return text
    if not HOST.fullmatch(host):
        host_port(host, "stun:HOST or stun:HOST:PORT")
    return text


def _readable_file(value: Any, info: ValidationInfo) -> Path:
    """Relative paths start at the directory of the configuration file."""
    base = (info.context or {}).get("directory", Path())
    path = Path(base, value if isinstance(value, Path) else text_of(value))
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from None
    return path


def _readable_folder(value: Any, info: ValidationInfo) -> Path:
    """Relative paths start at the directory of the configuration file."""
    base = (info.context or {}).get("directory", Path())
    path = Path(base, value if isinstance(value, Path) else text_of(value))
    if not path.is_dir() or not os.access(path, os.R_OK | os.X_OK):
        raise ValueError(f"{path} is no folder that can be read")
    return path


def _sound_name(value: Any) -> str:
    """A file in a folder, or below it."""
    text = text_of(value)
    path = PurePosixPath(text)
    if not text.isprintable() or path.is_absolute() or ".." in path.parts or not path.name:
        raise ValueError(f"{text!r} is not the name of a file in media.sounds")
    return text


def _folder(value: Any) -> Path:
    """Relative paths start at the working directory, as those of SQLite do."""
    path = Path(text_of(value))
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is no folder")
    return path


def _http_url(value: Any) -> str:
    text = text_of(value)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{text!r} is not an http:// or https:// URL")
    return text.rstrip("/")


def _public_url(value: Any) -> str:
    text = _http_url(value)
    parts = urlsplit(text)
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("must be scheme, host, and perhaps port and path: no login, no ? and no #")
    return text


def _application_url(value: Any) -> str:
    text = text_of(value)
    parts = urlsplit(text)
    if text != "builtin" and (parts.scheme not in ("ws", "wss") or not parts.hostname):
        raise ValueError(f"{text!r} is neither builtin nor a ws:// or wss:// URL")
    return text


def _processes(value: Any) -> Any:
    """`auto`, or how many."""
    if value == "auto" or (type(value) is int and 1 <= value <= 64):
        return value
    if isinstance(value, str) and value.isdecimal() and 1 <= int(value) <= 64:
        return int(value)
    raise ValueError(f"{value!r} is neither auto nor a number from 1 to 64")


def _engine(value: Any) -> str:
    text = text_of(value)
    if text == "builtin":
        return text
    if not text.startswith("ng:udp:"):
        raise ValueError(f"{text!r} is neither builtin nor ng:udp:HOST:PORT")
    host_port(text.removeprefix("ng:udp:"), "ng:udp:HOST:PORT")
    return text


def _engines(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _each_once(engines: tuple[str, ...]) -> tuple[str, ...]:
    if not engines:
        raise ValueError("names no engine: builtin, ng:udp:HOST:PORT, or a list of them")
    twice = next((one for one in engines if engines.count(one) > 1), None)
    if twice is not None:
        raise ValueError(f"names {twice} twice")
    return engines


def _storage_url(value: Any) -> SecretStr:
    # A secret as a whole: a PostgreSQL URL carries a password. So no message quotes it.
    if isinstance(value, SecretStr):
        return value
    text = text_of(value)
    scheme, _, rest = text.partition("://")
    if scheme not in ("sqlite", "postgresql") or not rest:
        raise ValueError("must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE")
    if scheme == "sqlite":
        file = rest.removeprefix("/")
        if not rest.startswith("/") or not file:
            raise ValueError("must be sqlite:///FILE")
        if file != ":memory:" and not Path(file).parent.is_dir():
            raise ValueError(f"the directory {Path(file).parent} does not exist")
    return SecretStr(text)


def _secret(value: Any) -> Any:
    if value == "":
        raise ValueError("must not be empty")
    if isinstance(value, str) and any(ord(letter) < 32 for letter in value):
        raise ValueError("holds a control character (a line break at its end?)")
    return value


def _name(value: Any) -> str:
    text = text_of(value)
    if not text.strip() or not text.isprintable():
        raise ValueError("must be a name of printable characters")
    return text


def _x_header_name(value: Any) -> str:
    text = text_of(value)
    if not _X_HEADER.fullmatch(text):
        raise ValueError(f"{text!r} is not a header name that begins with X-")
    return text


def _header_name(value: Any) -> str:
    text = text_of(value)
    if not _HEADER.fullmatch(text):
        raise ValueError(f"{text!r} is not a header name")
    return text


def _header_pattern(value: Any) -> str:
    """A header name, or its beginning and a `*`; `*` alone is every header."""
    text = text_of(value)
    if text != "*" and not _HEADER.fullmatch(text.removesuffix("*")):
        raise ValueError(f"{text!r} is neither a header name nor the beginning of one and a *")
    return text


def _host_name(value: Any) -> str:
    text = text_of(value)
    if not HOST.fullmatch(text):
        raise ValueError(f"{text!r} is not a host name such as sip.example.com")
    return text


def _domain(value: Any) -> str:
    """A host name that may have a port."""
    text = text_of(value)
    if ":" in text and not text.endswith("]"):
        host_port(text, "HOST or HOST:PORT")
        return text
    return _host_name(text)


def _parameter(value: Any) -> str:
    text = text_of(value)
    if not _PARAMETER.fullmatch(text):
        raise ValueError(f"{text!r} cannot stand in a parameter of a SIP URI")
    return text


def _dialled(value: Any) -> str:
    text = "" if value is None else text_of(value)
    if not _DIALLED.fullmatch(text):
        raise ValueError(f"{text!r} is not a prefix of up to 32 letters, digits, + * # . _ -")
    return text


def _header_value(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds a control character")
    return value


SipUri = Annotated[str, BeforeValidator(_sip_uri)]
E164 = Annotated[str, BeforeValidator(_e164)]
NumberKey = Annotated[str, BeforeValidator(_number_key)]
Prefix = Annotated[str, BeforeValidator(_prefix)]
Country = Annotated[str, BeforeValidator(_country)]
IpAddress = Annotated[str, BeforeValidator(_ip)]
ReadableFile = Annotated[Path, BeforeValidator(_readable_file)]
ReadableFolder = Annotated[Path, BeforeValidator(_readable_folder)]
SoundName = Annotated[str, BeforeValidator(_sound_name)]
Folder = Annotated[Path, BeforeValidator(_folder)]
HttpUrl = Annotated[str, BeforeValidator(_http_url)]
PublicUrl = Annotated[str, BeforeValidator(_public_url)]
ApplicationUrl = Annotated[str, BeforeValidator(_application_url)]
Engine = Annotated[str, BeforeValidator(_engine)]
Processes = Annotated[int | Literal["auto"], BeforeValidator(_processes)]
Engines = Annotated[tuple[Engine, ...], BeforeValidator(_engines), AfterValidator(_each_once)]
StorageUrl = Annotated[SecretStr, BeforeValidator(_storage_url)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
Name = Annotated[str, BeforeValidator(_name)]
CodecName = Annotated[str, BeforeValidator(_codec_name)]
HostName = Annotated[str, BeforeValidator(_host_name)]
Domain = Annotated[str, BeforeValidator(_domain)]
Parameter = Annotated[str, BeforeValidator(_parameter)]
Dialled = Annotated[str, BeforeValidator(_dialled)]
XHeaderName = Annotated[str, BeforeValidator(_x_header_name)]
HeaderName = Annotated[str, BeforeValidator(_header_name)]
HeaderPattern = Annotated[str, BeforeValidator(_header_pattern)]
PublicAddress = Annotated[str, BeforeValidator(_public_address)]
Advertise = Annotated[str, BeforeValidator(_advertise)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
