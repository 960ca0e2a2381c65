"""The one door for commands: what is refused without the store, what passes on, and that a repeat is answered first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.services.world import World

from parley.dispatch import TITLE_CHARS, Dispatch
from parley.log.interface import MarkReply, Reply
from parley.protocol import commands as c
from parley.protocol.commands import Actor
from parley.protocol.errors import ChatError, Code, ErrorSpec
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, MessageId, MessageKind, UserId
from parley.store.interface import Append, Appended, Mark, Marked, Outcome, Refused, StoreUnavailable

HERE = ConversationId(7)
CHARS = 20
ANN = Actor(UserId(1), "Ann")
BOB = UserId(2)


@dataclass
class RecordingLog:
    """Takes everything; answers as the store does: a repeat first, then the service's refusal."""

    appends: list[Append] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    answered: dict[str, Ack] = field(default_factory=dict)
    closed: ErrorSpec | None = None

    def submit(self, append: Append, reply: Reply) -> None:
        asyncio.get_running_loop().call_soon(reply, self._decide(append))

    def _decide(self, append: Append) -> Outcome:
        command = append.command
        if self.closed is not None:
            return Refused(self.closed)
        if command.client_id in self.answered:
            return self.answered[command.client_id]
        if append.refusal is not None:
            return Refused(append.refusal, append.detail)
        self.appends.append(append)
        self.answered[command.client_id] = Ack(command.conversation_id, len(self.appends), 1, True)
        return Appended(Ack(command.conversation_id, len(self.appends), 1, False), ())

    def mark(self, mark: Mark, reply: MarkReply) -> None:
        self.marks.append(mark)
        reply(Marked(mark.user_id, mark.conversation_id, mark.read_seq, mark.delivered_seq, 0, True))

    async def drain(self) -> None: ...


@dataclass
class FakeDirects:
    """`error`: what opening comes to."""

    known: dict[tuple[UserId, UserId], ConversationId] = field(default_factory=dict)
    opened: list[UserId] = field(default_factory=list)
    error: Exception | None = None

    def known_direct(self, one: UserId, other: UserId) -> ConversationId | None:
        return self.known.get((one, other))

    async def open_direct(self, actor: Actor, other: UserId) -> tuple[ConversationId, bool]:
        await asyncio.sleep(0)
        self.opened.append(other)
        if self.error is not None:
            raise self.error
        return self.known.setdefault((actor.user_id, other), ConversationId(100 + other)), True


@pytest.fixture
def log() -> RecordingLog:
    return RecordingLog()


@pytest.fixture
def directs() -> FakeDirects:
    return FakeDirects()


@pytest.fixture
def dispatch(log: RecordingLog, directs: FakeDirects) -> Dispatch:
    return Dispatch(log, directs, text_chars=CHARS)


def send(text: str | None = "hello", client_id: str = "c", **more: Any) -> c.SendMessage:
    return c.SendMessage(HERE, client_id, text, **more)


def to(user: UserId, text: str = "hello", client_id: str = "c") -> c.SendMessage:
    return c.SendMessage(ConversationId(0), client_id, text, to_user_id=user)


async def asked(dispatch: Dispatch, command: c.Durable) -> Any:
    """The ack, or the code it was refused with."""
    try:
        return await dispatch.run(ANN, command)
    except ChatError as error:
        return error.spec


# What is refused at the door

REFUSED: dict[str, tuple[c.Durable, ErrorSpec]] = {
    "no text": (send(None), Code.BAD_PAYLOAD),
    "empty text": (send(""), Code.BAD_PAYLOAD),
    "blank text": (send(" \n\t\u3000"), Code.BAD_PAYLOAD),
    "long text": (send("x" * (CHARS + 1)), Code.TOO_LONG),
    "sticker without text": (send("", kind=MessageKind.STICKER), Code.BAD_PAYLOAD),
    "system message": (send(kind=MessageKind.SYSTEM), Code.FORBIDDEN),
    "image": (send(kind=MessageKind.IMAGE), Code.BAD_PAYLOAD),
    "file": (send(kind=MessageKind.FILE), Code.BAD_PAYLOAD),
    "voice": (send(kind=MessageKind.VOICE), Code.BAD_PAYLOAD),
    "sticker with a file": (send(kind=MessageKind.STICKER, attachments=(1,)), Code.BAD_PAYLOAD),
    "a file twice": (send(attachments=(1, 1)), Code.BAD_PAYLOAD),
    "many files": (send(attachments=tuple(range(1, 12))), Code.TOO_LONG),
    "two recordings": (send(kind=MessageKind.VOICE, attachments=(1, 2)), Code.BAD_PAYLOAD),
    "file with a long text": (send("x" * (CHARS + 1), attachments=(1,)), Code.TOO_LONG),
    "thread": (send(thread_of=MessageId(1)), Code.UNSUPPORTED),
    "empty edit": (c.EditMessage(HERE, "c", MessageId(1), " "), Code.BAD_PAYLOAD),
    "long edit": (c.EditMessage(HERE, "c", MessageId(1), "x" * (CHARS + 1)), Code.TOO_LONG),
    "blank emoji": (c.AddReaction(HERE, "c", MessageId(1), " "), Code.BAD_PAYLOAD),
    "long title": (c.ChangeConversation(HERE, "c", title="x" * (TITLE_CHARS + 1)), Code.TOO_LONG),
    "empty title": (c.ChangeConversation(HERE, "c", title=""), Code.BAD_PAYLOAD),
    "blank title": (c.ChangeConversation(HERE, "c", title=" \n"), Code.BAD_PAYLOAD),
    "the lobby's name": (c.ChangeConversation(HERE, "c", name="Lobby"), Code.NAME_TAKEN),
}
TAKEN: dict[str, c.Durable] = {
    "text": send(),
    "longest text": send("x" * CHARS),
    "longest text in another script": send("漢" * CHARS),
    "text with blanks around": send("  hello  "),
    "location": send("52.5,13.4", kind=MessageKind.LOCATION),
    "files without a word": send("", kind=MessageKind.FILE, attachments=tuple(range(1, 11))),
    "text with a file": send(attachments=(1,)),
    "sticker": send("cat/3", kind=MessageKind.STICKER),
    "reply with mentions": send(reply_to=MessageId(1), mentions=(BOB,)),
    "edit": c.EditMessage(HERE, "c", MessageId(1), "x" * CHARS),
    "delete": c.DeleteMessage(HERE, "c", MessageId(1)),
    "reaction": c.AddReaction(HERE, "c", MessageId(1), "👍"),
    "longest title": c.ChangeConversation(HERE, "c", title="x" * TITLE_CHARS),
    "name": c.ChangeConversation(HERE, "c", name="the-lobby"),
    "leave": c.LeaveConversation(HERE, "c"),
}


@pytest.mark.parametrize(("command", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_no_store_could_make_right_is_refused(
    dispatch: Dispatch, log: RecordingLog, command: c.Durable, code: ErrorSpec
) -> None:
    assert await asked(dispatch, command) is code
    assert log.appends == []


@pytest.mark.parametrize(("command", "code"), REFUSED.values(), ids=REFUSED)
async def test_a_repeat_is_answered_before_its_shape_is_looked_at(
    dispatch: Dispatch, log: RecordingLog, command: c.Durable, code: ErrorSpec
) -> None:
    """Whatever its body is the second time."""
    first = await asked(dispatch, send())

    again = await asked(dispatch, command)

    assert (again.seq, again.duplicate) == (first.seq, True)


@pytest.mark.parametrize("command", TAKEN.values(), ids=TAKEN)
async def test_what_may_be_right_reaches_the_log_as_it_is(
    dispatch: Dispatch, log: RecordingLog, command: c.Durable
) -> None:
    """The text is not trimmed, nothing is added."""
    assert isinstance(await asked(dispatch, command), Ack)
    [append] = log.appends
    assert (append.actor, append.command, append.refusal) == (ANN.user_id, command, None)


async def test_the_callers_own_refusal_yields_to_a_repeat(dispatch: Dispatch, log: RecordingLog) -> None:
    """Whoever is too fast is told so, unless the message is there already."""
    await asked(dispatch, send())
    outcomes: list[Outcome] = []
    for client_id in ("c", "new"):
        assert dispatch.submit(ANN, send(client_id=client_id), outcomes.append, (Code.RATE_LIMITED, None)) is None
    await asyncio.sleep(0)

    assert [type(outcome) for outcome in outcomes] == [Ack, Refused]
    assert len(log.appends) == 1


async def test_the_role_on_the_server_goes_along(dispatch: Dispatch, log: RecordingLog) -> None:
    await dispatch.run(Actor(UserId(9), "Root", admin=True), send())

    assert [append.admin for append in log.appends] == [True]


# To a user


async def test_a_known_direct_is_used_without_waiting(
    dispatch: Dispatch, log: RecordingLog, directs: FakeDirects
) -> None:
    directs.known[ANN.user_id, BOB] = HERE

    assert dispatch.submit(ANN, to(BOB), lambda outcome: None) is None
    assert [append.command.conversation_id for append in log.appends] == [HERE]
    assert directs.opened == []


async def test_a_first_message_opens_the_direct(dispatch: Dispatch, log: RecordingLog, directs: FakeDirects) -> None:
    command = c.SendMessage(
        ConversationId(0), "c", "hi", MessageKind.STICKER, BOB, MessageId(3), mentions=(BOB, ANN.user_id)
    )

    ack = await asked(dispatch, command)

    assert (ack.conversation_id, directs.opened) == (102, [BOB])
    [append] = log.appends
    assert append.command == c.SendMessage(
        ConversationId(102), "c", "hi", MessageKind.STICKER, None, MessageId(3), mentions=(BOB, ANN.user_id)
    )


@pytest.mark.parametrize("code", [Code.UNKNOWN_USER, Code.FORBIDDEN])
async def test_what_cannot_be_opened_is_refused(
    dispatch: Dispatch, log: RecordingLog, directs: FakeDirects, code: ErrorSpec
) -> None:
    directs.error = ChatError(code, "no")

    assert await asked(dispatch, to(BOB)) is code
    assert log.appends == []


async def test_a_store_that_is_away_while_opening_is_an_answer_too(dispatch: Dispatch, directs: FakeDirects) -> None:
    """Once, and as retryable."""
    directs.error = StoreUnavailable("gone")
    outcomes: list[Outcome] = []

    before = dispatch.submit(ANN, to(BOB), outcomes.append)
    assert before is not None
    await before

    assert outcomes == [Refused(Code.STORAGE_UNAVAILABLE)]


@pytest.mark.parametrize("error", [ChatError(Code.UNKNOWN_USER), None], ids=["unknown user", "another user"])
async def test_a_repeat_to_a_user_opens_nothing(
    dispatch: Dispatch, directs: FakeDirects, error: ChatError | None
) -> None:
    """Whomever it names the second time, it changes nothing and gets the first answer."""
    first = await asked(dispatch, to(BOB))
    directs.error = error

    again = await asked(dispatch, to(UserId(3)))

    assert (again.seq, again.conversation_id, again.duplicate) == (first.seq, first.conversation_id, True)
    assert directs.opened == [BOB]


async def test_a_refused_message_to_a_user_opens_nothing(dispatch: Dispatch, directs: FakeDirects) -> None:
    """No conversation is left behind by a message that was never there."""
    assert await asked(dispatch, to(BOB, text=" ")) is Code.BAD_PAYLOAD
    assert directs.opened == []


@pytest.mark.parametrize("code", [Code.BUSY, Code.DRAINING, Code.STORAGE_UNAVAILABLE])
async def test_a_log_that_takes_nothing_opens_nothing(
    dispatch: Dispatch, log: RecordingLog, directs: FakeDirects, code: ErrorSpec
) -> None:
    log.closed = code

    assert await asked(dispatch, to(BOB)) is code
    assert directs.opened == []


# Order, answers, marks


async def test_commands_reach_the_log_in_the_order_they_came(dispatch: Dispatch, log: RecordingLog) -> None:
    for n in range(20):
        assert dispatch.submit(ANN, send(client_id=f"c{n}"), lambda outcome: None) is None

    assert [append.command.client_id for append in log.appends] == [f"c{n}" for n in range(20)]


async def test_who_holds_back_while_a_direct_opens_keeps_the_order(dispatch: Dispatch, log: RecordingLog) -> None:
    """As a connection does: the next command only after what `submit` gave to await."""
    for n in range(3):
        before = dispatch.submit(ANN, to(BOB, client_id=f"c{n}"), lambda outcome: None)
        if before is not None:
            await before

    assert [append.command.client_id for append in log.appends] == ["c0", "c1", "c2"]


async def test_a_caller_who_goes_away_spoils_nothing(dispatch: Dispatch, log: RecordingLog) -> None:
    """A request that is cut while it waits: the command was on its way."""
    asked = asyncio.create_task(dispatch.run(ANN, send()))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked

    assert (await dispatch.run(ANN, send())).duplicate


@pytest.mark.parametrize(("delivered", "expected"), [(None, 5), (3, 3), (9, 9)])
async def test_reading_is_being_delivered(
    dispatch: Dispatch, log: RecordingLog, delivered: int | None, expected: int
) -> None:
    await dispatch.mark(ANN, c.MarkRead(HERE, 5, delivered))

    assert log.marks == [Mark(ANN.user_id, HERE, 5, expected)]


# Over the real store


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    world = await World.open(tmp_path)
    yield world
    await world.close()


async def test_a_message_to_a_user_is_there_once_whatever_comes_again(world: World) -> None:
    """Twenty at once to one who was never met, and later repeats to others: one conversation, one message."""
    ann, bob, cid = [await world.account(name) for name in ("ann", "bob", "cid")]
    first = to(bob.user_id, client_id="once")

    acks = await asyncio.gather(*(world.do(ann, first) for _ in range(20)))
    again = await world.do(ann, to(cid.user_id, client_id="once"))

    assert sorted(ack.duplicate for ack in acks) == [False] + [True] * 19
    assert {(ack.conversation_id, ack.seq) for ack in [*acks, again]} == {(acks[0].conversation_id, 1)}
    assert world.conversations.known_direct(ann.user_id, cid.user_id) is None


async def test_a_repeat_is_answered_after_everything_has_changed(world: World) -> None:
    """Removed from the conversation, with a body that would be refused."""
    ann, bob = await world.account("ann"), await world.account("bob")
    group = await world.group(ann, bob)
    first = await world.do(bob, c.SendMessage(group, "once", "hello"))
    await world.do(ann, c.RemoveMember(group, "out", bob.user_id))

    again = await world.do(bob, c.SendMessage(group, "once", ""))

    assert (again.seq, again.message_id, again.duplicate) == (first.seq, first.message_id, True)
