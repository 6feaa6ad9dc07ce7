"""Identifiers: their form, and that none comes twice."""

import uuid

from sip.core.validation import MAGIC_COOKIE
from sip.ids import Ids

MANY = 2000
"""More than one pool of random digits holds."""


def test_a_sid_is_a_random_uuid() -> None:
    """RFC 9562 5.4."""
    ids = Ids()
    made = [uuid.UUID(ids.sid()) for _ in range(MANY)]
    assert {(sid.version, sid.variant) for sid in made} == {(4, uuid.RFC_4122)}
    assert len(set(made)) == MANY
    assert len({str(sid)[19] for sid in made}) == 4


def test_a_branch_is_unique_and_a_tag_random_enough() -> None:
    """RFC 3261 8.1.1.7, 19.3."""
    ids = Ids()
    branches = [ids.branch() for _ in range(MANY)]
    assert all(branch.startswith(MAGIC_COOKIE) for branch in branches)
    assert len(set(branches)) == MANY
    assert {len(ids.tag()) for _ in range(MANY)} == {16}


def test_numbers_stay_in_their_bounds() -> None:
    """RFC 8866 5.2, RFC 3261 8.1.1.5."""
    ids = Ids()
    assert all(0 <= ids.session_id() < 2**63 for _ in range(MANY))
    assert all(1 <= ids.cseq() < 2**31 for _ in range(MANY))
