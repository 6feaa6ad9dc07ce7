"""Which attempt follows a failed one: pure.

After a carrier's failure the next one is tried only where nobody was heard yet, and where another
carrier may do better.
"""

from collections.abc import Mapping
from typing import Final, assert_never

from gateway.calls.endings import Role, final_code

#: By our softswitch's word, which says more than a status: nobody answered, or no INVITE was sent.
#: A number that nobody can dial stays one on every trunk.
BY_CAUSE: Final[Mapping[str, bool]] = {
    "no-response": True,
    "unreachable": True,
    "no-progress": True,
    "no-encryption": True,
    "gateways-down": True,
    "name-not-resolved": True,
    "no-gateway": True,
    "no-listener": True,
    "no-such-trunk": True,
    "not-registered": True,
    "over-limit": True,
    "bad-number": False,
}
#: Final codes whose answer is another than `_by_class` has.
BY_CODE: Final[Mapping[int, bool]] = {408: True}
#: By the first digit of the final code. 4xx and 6xx are the callee's or the number's own word, or
#: the carrier's about our account: a second call would be a nuisance, or refused as well.
BY_CLASS: Final[Mapping[int, bool]] = {3: False, 4: False, 5: True, 6: False}


def another_may_follow(
    role: Role, status: str, code: int, early_media: bool, cause: str = ""
) -> bool:
    """Whether the next attempt of the plan is to be tried after this one failed.

    `cause` is our softswitch's, "" where it said none. After early media the caller would hear
    another attempt as a second call. A fallback follows any failure of the agent.
    """
    if early_media:
        return False
    match role:
        case Role.RETELL | Role.AGENT:
            return True
        case Role.CARRIER:
            said = BY_CAUSE.get(cause)
            return _by_code(final_code(status, code)) if said is None else said
        case Role.FALLBACK | Role.FAX | Role.TRANSFER:
            return False
        case _:
            assert_never(role)


def _by_code(code: int) -> bool:
    return BY_CODE.get(code, BY_CLASS[code // 100])
