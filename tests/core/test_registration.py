"""The registration machine, what registrars' answers mean, and what a REGISTER asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sip.core.digest_client import Proofs
from sip.core.message import Headers, Request, Response
from sip.core.register_request import asks_for_removal_of_all, wishes
from sip.core.registration import (
    TABLE,
    Duty,
    News,
    RegisterReply,
    RegistrationMachine,
    Stage,
    back_off_s,
    granted_s,
    judge,
    longer_expiry_s,
    redirected_to,
    retry_after_s,
)
from sip.core.uri import Uri
from sip.errors import ParseError

OURS = Uri.parse("sip:line@192.0.2.1:5060;rinstance=a1")
OLD = "<sip:line@192.0.2.1:5060;rinstance=b2>"
SEEN = "<sip:line@198.51.100.7:4099"


def answer(status: int, *headers: tuple[str, str]) -> Response:
    return Response(status, "", Headers([("CSeq", "1 REGISTER"), *headers]))


def register(*contacts: str, expires: str | None = None) -> Request:
    headers = Headers([("Contact", contact) for contact in contacts])
    if expires is not None:
        headers.add("Expires", expires)
    return Request("REGISTER", "sip:registrar.example.com", headers)


# the machine


@pytest.mark.parametrize("state", Stage)
@pytest.mark.parametrize("event", News)
def test_a_pair_that_is_not_listed_changes_nothing(state: Stage, event: News) -> None:
    machine = RegistrationMachine(state)
    actions = machine.step(event)
    assert (machine.state, actions) == TABLE.get((state, event), (state, ()))


@given(st.lists(st.sampled_from(News)))
def test_whatever_happens_something_follows(events: list[News]) -> None:
    """Who has been started and not closed is waiting for an answer or for a timer."""
    machine = RegistrationMachine()
    last: tuple[Duty, ...] = ()
    for event in events:
        last = machine.step(event) or last
        match machine.state:
            case Stage.REGISTERING | Stage.REFRESHING | Stage.REMOVING:
                assert last[-1] is Duty.SEND
            case Stage.REGISTERED | Stage.WAITING | Stage.REJECTED:
                assert last[-1] in (Duty.HOLD, Duty.BACK_OFF, Duty.SLOW_RETRY)
            case Stage.CLOSED:
                assert last[-1] is Duty.FINISH


@pytest.mark.parametrize("state", [s for s in Stage if s is not Stage.CLOSED])
def test_every_state_can_be_left_for_good(state: Stage) -> None:
    """Closing never waits for a registrar that does not answer: its silence ends it."""
    machine = RegistrationMachine(state)
    machine.step(News.CLOSE)
    if machine.state is Stage.REMOVING:
        machine.step(News.EXHAUSTED)
    assert machine.state is Stage.CLOSED


def test_nothing_is_sent_once_it_is_closed() -> None:
    for event in News:
        assert RegistrationMachine(Stage.CLOSED).step(event) == ()


def test_what_waits_can_be_asked_for_at_once() -> None:
    """The operator's refresh."""
    for state in (Stage.IDLE, Stage.REGISTERED, Stage.WAITING, Stage.REJECTED):
        assert RegistrationMachine(state).step(News.GO) == (Duty.BEGIN, Duty.SEND)


# answers


@pytest.mark.parametrize("status", range(200, 700))
def test_every_status_means_something(status: int) -> None:
    meaning = judge(status)
    assert (meaning is RegisterReply.GRANTED) == (status < 300)
    assert (meaning is RegisterReply.REDIRECTED) == (300 <= status < 400)
    if status >= 600:
        assert meaning is RegisterReply.REFUSED


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("Contact", f"<{OURS}>;expires=60")], 60),
        ([("Contact", "<sip:line@192.0.2.1:5060>;expires=60")], 60),
        ([("Contact", f"<sip:other@192.0.2.9>;expires=9, <{OURS}>;expires=60")], 60),
        ([("Contact", f"<{OURS}>"), ("Expires", "50")], 50),
        ([("Contact", f"<{OURS}>;expires=later")], 1000),
        ([("Expires", "50")], 50),
        ([("Contact", f"<{OURS}>;expires=0")], 0),
        ([("Contact", "<<<"), ("Expires", "7")], 7),
        # rewritten to what a NAT shows, beside one of an earlier run at the address we have now
        ([("Contact", f"{OLD};expires=9, {SEEN};rinstance=a1>;expires=60")], 60),
        ([("Contact", f"{SEEN};rinstance=a1>;expires=60, {OLD};expires=900")], 60),
        # rewritten, and the instance left out: the same user, and the newest of them
        ([("Contact", f"{SEEN}>;expires=60, <sip:desk@192.0.2.9>;expires=900")], 60),
        ([("Contact", f"{SEEN}>;expires=9, {SEEN}1>;expires=60")], 60),
        # of our instance, but from before our address changed
        ([("Contact", f"{SEEN};rinstance=a1>;expires=9, <{OURS}>;expires=60")], 60),
        ([("Contact", f"{SEEN};rinstance=a1>;expires=9, {SEEN}1;rinstance=a1>;expires=60")], 60),
        ([], 1000),
        ([("Expires", "9" * 40)], 1000),
    ],
)
def test_what_was_granted(headers: list[tuple[str, str]], expected: int) -> None:
    """RFC 3261 10.2.4, 20.10, 20.19; never more than was asked."""
    assert granted_s(answer(200, *headers), OURS, 1000) == expected


def test_back_off_doubles_up_to_ten_minutes() -> None:
    """RFC 5626 4.5: between half and all of it."""
    pauses = [back_off_s(failures) for failures in (1, 2, 3, 7, 8, 1000)]
    assert pauses == [(5, 10), (10, 20), (20, 40), (300, 600), (300, 600), (300, 600)]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120", 120), (" 30 ;duration=3600", 30), ("18 (busy)", 18), ("soon", None), ("9" * 9, 3600)],
)
def test_retry_after(text: str, seconds: int | None) -> None:
    """RFC 3261 20.33, within reason."""
    assert retry_after_s(answer(503, ("Retry-After", text))) == seconds


def test_a_423_must_ask_for_more() -> None:
    assert longer_expiry_s(answer(423, ("Min-Expires", "600")), 300) == 600
    assert longer_expiry_s(answer(423, ("Min-Expires", "300")), 300) is None
    assert longer_expiry_s(answer(423), 300) is None


def test_a_redirection_leads_to_its_preferred_sip_contact() -> None:
    contacts = "<tel:+14155550100>, <sip:a.example.com>;q=0.2, <sip:b.example.com>;q=0.8"
    assert str(redirected_to(answer(302, ("Contact", contacts)))) == "sip:b.example.com"
    assert redirected_to(answer(302, ("Contact", "<tel:+14155550100>"))) is None
    assert redirected_to(answer(302, ("Contact", "<<"))) is None


def test_the_password_is_in_no_repr() -> None:
    assert "s3cret" not in repr(Proofs("line", "s3cret"))


# what a REGISTER asks for


@pytest.mark.parametrize(
    ("sent", "text", "params"),
    [
        ("<sip:a@h;rinstance=1%5B>;q=0.5", "sip:a@h;rinstance=1%5B", ";q=0.5"),
        ('"Doe, J <x>" <sip:a@h>;expires=9;x="a;b"', "sip:a@h", ';x="a;b"'),
        ("sip:a@h;q=1;Expires=5", "sip:a@h", ";q=1"),
        (" Desk   <SIP:A@H:5060;lr> ", "SIP:A@H:5060;lr", ""),
    ],
)
def test_contacts_keep_their_letters(sent: str, text: str, params: str) -> None:
    [wish] = wishes(register(sent))
    assert (wish.text, wish.params) == (text, params)


def test_each_contact_has_its_own_time() -> None:
    """RFC 3261 10.2.1.1: the parameter before the header."""
    wanted = wishes(register("<sip:a@h>;expires=5, <sip:b@h>", "<sip:c@h>;expires=x", expires="70"))
    assert [wish.expires_s for wish in wanted] == [5, 70, 3600]
    assert [wish.expires_s for wish in wishes(register("<sip:a@h>"))] == [None]
    assert wishes(register(expires="70")) == []


def test_a_star_stands_alone() -> None:
    assert asks_for_removal_of_all(register("*", expires="0"))
    assert not asks_for_removal_of_all(register("<sip:a@h>", expires="0"))
    for request in (
        register("*"),
        register("*", expires="1"),
        register("*", "<sip:a@h>", expires="0"),
        register("*, *", expires="0"),
    ):
        with pytest.raises(ParseError):
            asks_for_removal_of_all(request)


@given(st.text(max_size=60))
def test_any_contact_is_read_or_refused(text: str) -> None:
    try:
        found = wishes(register(text.replace("\r", "").replace("\n", "")))
    except ParseError:
        return
    for wish in found:
        assert str(Uri.parse(wish.text)) == str(wish.uri)
