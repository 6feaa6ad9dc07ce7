"""Times, which the API has in ISO 8601 and the storage in milliseconds since 1970."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import PlainValidator, WithJsonSchema

_SCHEMA = {"type": "string", "format": "date-time"}
#: Times that may be asked for begin with the first year and end before the second. Nothing of ours
#: is earlier or later, and whoever reckons with one (a zone, a day more) finds that it is a time.
_YEARS: Final = (1970, 2500)

#: A time of an answer: ISO 8601, UTC.
Time = Annotated[str, WithJsonSchema(_SCHEMA)]


def _moment(text: Any) -> int:
    if not isinstance(text, str):
        raise ValueError("is no text")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if not _YEARS[0] < moment.year < _YEARS[1]:
        raise ValueError("is too far away")
    return round(moment.timestamp() * 1000)


#: A time that was asked for, in milliseconds since 1970; without a zone it is UTC.
Moment = Annotated[int, PlainValidator(_moment), WithJsonSchema(_SCHEMA)]
