"""What changes when a running gateway reads its configuration anew, and what cannot."""

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import BaseModel

from config.settings import ListenSettings, OutboundSettings, Settings, SipSettings

#: Groups that take effect at once, whole; of `http` the tokens and our public URL do, of `sip` the
#: certificates, of `media` what is not our own relay's. All else wants a restart: sockets, and what
#: was opened at the start.
_AT_ONCE = frozenset(
    {"retell", "trunks", "numbers", "outbound", "inbound", "limits", "log"}
    | {"transfer", "directory", "schedules", "streams", "twilio", "provision"}
)


@dataclass(frozen=True, slots=True)
class Reload:
    """`settings` are in force from now on; `changed` names the keys that are new in them, and
    `restart` those whose new value waits for a restart."""

    settings: Settings
    changed: tuple[str, ...]
    restart: tuple[str, ...]


def reload(now: Settings, wanted: Settings) -> Reload:
    """From the settings in force and those of the file."""
    kept = {name: getattr(now, name) for name in Settings.model_fields.keys() - _AT_ONCE}
    # the engines change under open calls; our own relay does not
    ours = {key: getattr(now.media, key) for key in ("ports", "processes", "advertise")}
    media = wanted.media.model_copy(update=ours)
    tokens = {key: getattr(wanted.http, key) for key in ("admin_token", "tokens", "public_url")}
    http = now.http.model_copy(update=tokens)
    settings = wanted.model_copy(
        update={**kept, "http": http, "media": media, "sip": _sip(now.sip, wanted.sip)}
    )
    return Reload(
        settings,
        changed=tuple(dict.fromkeys(differences(now, settings))),
        restart=tuple(dict.fromkeys(differences(settings, wanted))),
    )


def _sip(now: SipSettings, wanted: SipSettings) -> SipSettings:
    """Only certificates change under open sockets, and only where the sockets stay as they are."""
    same = [_socket(one) for one in now.listen] == [_socket(one) for one in wanted.listen]
    listen = wanted.listen if same else now.listen
    return now.model_copy(update={"tls": wanted.tls, "listen": listen})


def _socket(listening: ListenSettings) -> tuple[object, object]:
    return listening.address, listening.advertise


def differences(one: object, other: object, path: str = "") -> Iterator[str]:
    """The keys that differ: of a mapping each entry, of named entries each name, else the key."""
    if one == other:
        return
    if _other_file(one, other):
        yield f"{path}.rates_file"
    if isinstance(one, BaseModel) and type(one) is type(other):
        for name, field in type(one).model_fields.items():
            key = f"{path}.{field.alias or name}" if path else name
            yield from differences(getattr(one, name), getattr(other, name), key)
    elif isinstance(one, dict) and isinstance(other, dict):
        for key in [*one, *(key for key in other if key not in one)]:
            if one.get(key) != other.get(key):
                yield f"{path}.{key}"
    elif _is_named(one) and _is_named(other):
        yield from differences(_by_name(one), _by_name(other), path)
    else:
        yield path


def _other_file(one: object, other: object) -> bool:
    """Whether all that differs of the rates is what their file held."""
    if not (isinstance(one, OutboundSettings) and isinstance(other, OutboundSettings)):
        return False
    same = (one.rates, one.rates_file) == (other.rates, other.rates_file)
    return same and one.every_rate() != other.every_rate()


def _is_named(value: object) -> bool:
    return isinstance(value, tuple) and all(hasattr(entry, "name") for entry in value)


def _by_name(entries: object) -> dict[str, object]:
    assert isinstance(entries, tuple)
    return {entry.name: entry for entry in entries}
