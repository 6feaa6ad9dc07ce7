"""An answer to Retell's question how an inbound call is to be answered: what may stand in it.

Retell takes an answer whole or not at all: a field that it cannot read voids `reject` too
(docs.retellai.com/features/inbound-call-webhook). So what others decide is looked at here first.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

#: Bytes of an answer.
MAX_ANSWER: Final = 256 << 10
_Filled = Annotated[StrictStr, Field(min_length=1, max_length=255)]


class InboundAnswer(BaseModel):
    """What Retell documents, each field as it must be. Values of variables are texts."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    reject: StrictBool | None = None
    override_agent_id: _Filled | None = None
    override_agent_version: StrictInt | _Filled | None = None
    agent_override: dict[str, Any] | None = None
    dynamic_variables: dict[str, StrictStr] | None = None
    metadata: dict[str, Any] | None = None

    def told(self) -> dict[str, Any]:
        """As it is sent; of a rejection nothing else, so that nothing can void it."""
        if self.reject:
            return {"reject": True}
        return self.model_dump(exclude_none=True, exclude={"reject"})


class InvalidAnswerError(Exception):
    """An answer that Retell would not take; the text says why."""


class _Envelope(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    call_inbound: InboundAnswer


def answer_of(value: Any) -> InboundAnswer:
    """The answer that somebody gave: `{"call_inbound": {…}}`. Raises InvalidAnswerError."""
    if not isinstance(value, Mapping):
        raise InvalidAnswerError('it is no object {"call_inbound": {…}}')
    try:
        return _Envelope.model_validate(value).call_inbound
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidAnswerError(f"{where}: {first['msg']}") from None
