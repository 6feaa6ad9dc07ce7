"""What all models of the configuration share."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Model(BaseModel):
    """Frozen, and strict about names: a key nobody reads is a typing error of the operator."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
