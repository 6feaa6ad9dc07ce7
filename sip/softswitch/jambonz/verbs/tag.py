"""`tag`: gives the call data of the application's own, which every later message brings back."""

from typing import Final

from sip.core.value import frozen
from sip.softswitch.jambonz.session import Session, Verb
from sip.softswitch.jambonz.verbs.schema import ANY, Json, Shape, json_object


@frozen(kw_only=True)
class Tag:
    """`data` takes the place of what was there before."""

    data: Json

    def run(self, session: Session) -> None:
        session.customer_data = self.data


VERB: Final[Shape[Verb]] = Shape(
    "tag", Tag, {**ANY, "data": ("data", json_object)}, required="data"
)
