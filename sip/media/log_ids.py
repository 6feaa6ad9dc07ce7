"""The ids that a log line about media has: an engine knows calls by the Call-ID of NG."""

import re

#: A call's second and further media sessions have a number behind its id (`sip.b2bua.rooms`).
_NUMBER = re.compile(r"-\d{1,3}$")


def log_ids(ng_call_id: str) -> dict[str, str]:
    """The call's own id, and NG's where it is another."""
    call_sid = _NUMBER.sub("", ng_call_id)
    return {"call_sid": call_sid} | ({} if call_sid == ng_call_id else {"ng_call_id": ng_call_id})
