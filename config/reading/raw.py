"""Reading raw data without judging it: what has the wrong shape counts as not there.

The models report wrong shapes; the checks that need several keys only look past them.
"""

from collections.abc import Iterator
from typing import Any

Data = dict[str, Any]


def mapping(data: Any, *path: str) -> Data:
    """The mapping at `path`, or an empty one."""
    for part in path:
        data = data.get(part) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def listing(data: Any, *path: str) -> list[Any]:
    """The list at `path`, or an empty one."""
    value = mapping(data, *path[:-1]).get(path[-1])
    return value if isinstance(value, list) else []


def said(data: Data, key: str) -> bool:
    """Whether `key` says yes, in any of YAML's ways."""
    return str(data.get(key)).lower() in ("true", "yes", "on", "1", "y", "t")


def named_trunks(data: Data) -> Iterator[tuple[int, str, Data]]:
    """Place, name and entry of every trunk that has a name."""
    for index, trunk in enumerate(listing(data, "trunks")):
        if isinstance(trunk, dict) and isinstance(trunk.get("name"), str):
            yield index, trunk["name"], trunk


def retell_trunk(data: Data) -> str:
    """The name of the trunk to Retell."""
    return str(mapping(data, "retell").get("trunk") or "retell")


def softswitch_on(data: Data) -> bool:
    """Without a SIP listener a real jambonz does the SIP, and trunks are only names."""
    sip = mapping(data, "sip")
    return "listen" not in sip or bool(sip["listen"])
