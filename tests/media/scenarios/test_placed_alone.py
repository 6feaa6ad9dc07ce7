"""A party that is called before there is another for it to hear: through both engines."""

from sip.core.sdp import SessionDescription
from sip.core.sdp_crypto import Encryption, Suite
from sip.core.sdp_edits import still_holds
from sip.media.session import MediaSession
from sip.media.terms import MediaSide, Signalling
from tests.media.scenarios.test_secure import SecurePhone, hear_each_other
from tests.media.talk import PHONES, Phone, Talk

OURS = MediaSide("127.0.0.1", Signalling(PHONES)).encrypted(Encryption.OFF)


async def called(talk: Talk, formats: str) -> tuple[MediaSession, Phone]:
    """A person who has answered with those formats, and hears nobody yet."""
    session, person = MediaSession(talk.plane, talk.call_id), talk.phone("a")
    person.hear_of(await session.offer_to_a(reader=OURS))
    await session.answer_of_a(person.sdp(formats), side=OURS)
    return session, person


async def test_the_other_comes_to_the_same_port(talk: Talk) -> None:
    """The person was offered what every peer knows, and need not hear of the agent."""
    session, person = await called(talk, "8 101")
    offered = SessionDescription.parse(person.told).audio
    assert offered is not None
    assert set(offered.formats) >= {"0", "8", "101"}
    assert offered.direction == "sendrecv"
    agent = talk.phone("b")
    tag, sdp = await session.offer_to_b(person.sdp("8 101"), sender=OURS, reader=OURS)
    agent.hear_of(sdp)
    told = await session.answer_to_a(tag, agent.sdp("8 101"), sender=OURS, reader=OURS)
    assert still_holds(person.told, person.sdp("8 101"), told)
    packet = person.voice(8)
    person.snd(packet)
    await agent.rcv(packet)
    packet = agent.voice(8)
    agent.snd(packet)
    await person.rcv(packet)


async def test_early_media_is_described_and_described_again(talk: Talk) -> None:
    """183, then 200 with another port: audio goes where the last one says."""
    session, person = await called(talk, "0 101")
    elsewhere = talk.phone("elsewhere")
    await session.answer_of_a(elsewhere.sdp("0 101"), side=OURS)
    elsewhere.hear_of(person.told)
    agent = talk.phone("b")
    tag, sdp = await session.offer_to_b(elsewhere.sdp("0 101"), sender=OURS, reader=OURS)
    agent.hear_of(sdp)
    await session.answer_to_a(tag, agent.sdp("0 101"), sender=OURS, reader=OURS)
    await agent.speaks_to(elsewhere)
    await elsewhere.speaks_to(agent)


async def test_one_who_is_encrypted_keeps_the_keys_of_our_offer(talk: Talk) -> None:
    """RFC 4568: the agent, who is not, changes nothing for it."""
    session, secure = MediaSession(talk.plane, talk.call_id), OURS.encrypted(Encryption.REQUIRED)
    person = SecurePhone("a", Suite.AES_CM_128_HMAC_SHA1_80)
    agent = SecurePhone("b", None)
    talk._to_close += [person.close, agent.close]
    person.hear_of(await session.offer_to_a(reader=secure))
    answer = person.answer_to()
    await session.answer_of_a(answer, side=secure)
    tag, sdp = await session.offer_to_b(answer, sender=secure, reader=OURS)
    agent.hear_of(sdp)
    told = await session.answer_to_a(tag, agent.sdp(), sender=OURS, reader=secure)
    assert still_holds(person.told, answer, told)
    await hear_each_other(person, agent)
