"""Values are equal by what they hold, and work out a property once."""

from sip.core.value import frozen, kept


@frozen
class Name:
    given: str
    family: str

    @kept
    def whole(self) -> str:
        """As it is written."""
        asked.append(self.family)
        return f"{self.given} {self.family}"


asked: list[str] = []


def test_equal_values_are_one_key() -> None:
    assert {Name("Ada", "King"): 1}[Name("Ada", "King")] == 1
    assert Name("Ada", "King") != Name("Ada", "Byron")


def test_a_kept_property_is_worked_out_when_it_is_first_asked_for() -> None:
    asked.clear()
    name = Name("Ada", "King")
    assert not asked
    assert [name.whole, name.whole] == ["Ada King", "Ada King"]
    assert asked == ["King"]


def test_what_is_kept_is_no_part_of_the_value() -> None:
    name = Name("Ada", "King")
    assert name.whole
    assert name == Name("Ada", "King")
    assert repr(name).endswith("Name(given='Ada', family='King')")
