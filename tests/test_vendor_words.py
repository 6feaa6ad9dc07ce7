"""No code of the softswitch knows a vendor by name, but for the folder that speaks jambonz.

What a carrier or PBX wants is data (`config/profiles/`); what an application is told is worded in
`sip/softswitch/jambonz/`. So no identifier, string or file name elsewhere in `sip/` names one.
Docstrings and comments may, to say where something was seen; so may the product's own name.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = "retell-sip-gateway"
#: The folder that speaks to applications, by the name that imports give it.
JAMBONZ = "sip.softswitch.jambonz"
#: The engine whose protocol the media plane speaks: told from ours by what it declares that it can
#: do, so that its name is a word of that folder alone.
ENGINE, ENGINES = "rtpengine", Path("sip/media")

_PROFILES = {path.stem for path in (ROOT / "config" / "profiles").glob("*.yaml")}
VENDORS = {
    *(name for name in _PROFILES if not name.startswith("generic")),
    *("retell", "jambonz", "livekit", "drachtio", "sippy"),
    *("kamailio", "opensips", "cisco", "microsoft", "genesys", "polycom", "yealink", "snom"),
    *("baresip", "linphone", "pjsip", ENGINE),
} - {
    "bandwidth",  # a word of SDP too (RFC 8866 5.8)
}


def words(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every identifier, module path and string of a file, but no docstring, each with its line."""
    docstrings = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        if isinstance(node, ast.Constant):
            if isinstance(node.value, bytes):
                yield line, node.value.decode("latin-1")
            elif isinstance(node.value, str) and node not in docstrings:
                yield line, node.value
            continue
        for _, value in ast.iter_fields(node):
            for word in value if isinstance(value, list) else [value]:
                if isinstance(word, str):
                    yield line, word


def named(word: str, path: Path) -> set[str]:
    """The vendors that a word of the file at `path` names."""
    word = word.replace(PRODUCT, "").replace(JAMBONZ, "").lower()
    spellings = (word, word.replace("_", "-"))
    found = {vendor for vendor in VENDORS if any(vendor in spelling for spelling in spellings)}
    return found - {ENGINE} if path.is_relative_to(ENGINES) else found


def findings() -> list[str]:
    """`file:line: word` for every word outside the folder of jambonz that names a vendor."""
    found = []
    for path in sorted((ROOT / "sip").rglob("*.py")):
        path = path.relative_to(ROOT)
        if path.is_relative_to(JAMBONZ.replace(".", "/")):
            continue
        said = [(1, str(path)), *words(ast.parse((ROOT / path).read_text(), str(path)))]
        found += [f"{path}:{line}: {word}" for line, word in said if named(word, path)]
    return found


def test_no_code_of_the_softswitch_names_a_vendor() -> None:
    assert findings() == []


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("twilio_host = 1", ["twilio"]),
        ("class TelnyxTrunk: ...", ["telnyx"]),
        ("if trunk.name == 'asterisk': ...", ["asterisk"]),
        ("def f(*, for_retell=None): ...", ["retell"]),
        ("f(is_teams=True)", ["teams"]),
        ("x = f'{a} by FreeSWITCH'", ["freeswitch"]),
        ("x = b'Jambonz'", ["jambonz"]),
        ("match x:\n    case {'plivo': 1}: ...", ["plivo"]),
        ("match x:\n    case A(avaya=1): ...", ["avaya"]),
        ("from config.retell import x", ["retell"]),
        ("from sip.softswitch.jambonz.driver import Driver", []),
        ("from sip.softswitch.jambonz.driver import JambonzDriver", ["jambonz"]),
        ("global vonage", ["vonage"]),
        ("voip_innovations = 1", ["voip-innovations"]),
        ("a.rtpengine = 1", ["rtpengine"]),
        ('"""As Twilio does."""', []),
        ("x = 1  # Twilio wants it", []),
        ("product = 'retell-sip-gateway'", []),
        ("streams = bandwidth = sip_gateway = 1", []),
    ],
)
def test_a_name_is_seen_wherever_code_may_have_it(code: str, seen: list[str]) -> None:
    path = Path("sip/b2bua/call.py")
    assert [v for _, word in words(ast.parse(code)) for v in named(word, path)] == seen


def test_the_engine_is_named_where_its_protocol_is_spoken_alone() -> None:
    assert not named("RtpengineCapabilities", Path("sip/media/ng/client.py"))
    assert named("RtpengineCapabilities", Path("sip/b2bua/call.py"))
