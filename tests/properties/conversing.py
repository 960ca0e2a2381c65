"""People who do anything at any time, over a real store, and a model that remembers what they were told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from tests.store.stores import KITS, Store, ack_of

from parley.protocol import commands as c
from parley.protocol.commands import Actor
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, JoinPolicy, MessageId, Role, UserId
from parley.services.conversations import Conversations
from parley.services.history import History
from parley.store.interface import Append, Mark, Marked, Outcome, Refused
from parley.testing import reducer

EMOJI = ("👍", "👎", "❤", "❤\ufe0f")
ROLES = (Role.OWNER, Role.ADMIN, Role.MEMBER)
KINDS = (
    "send", "send", "send", "reply", "edit", "edit", "delete", "react", "react", "unreact", "pin", "unpin", "join",
    "leave", "add", "remove", "role", "title", "name", "policy", "close",
)  # fmt: skip


@dataclass(frozen=True)
class Choice:
    """What was drawn: numbers that `Crowd.command` reads as it needs them."""

    kind: str
    who: int
    where: int
    which: int
    more: int


@dataclass
class Told:
    """A command that was answered."""

    actor: UserId
    command: c.Durable
    ack: Ack


@dataclass
class Kept:
    """A snapshot that somebody took, and the own marks they heard of since."""

    who: UserId
    where: ConversationId
    state: reducer.State
    reads: list[reducer.Json]


@dataclass
class Limits:
    rooms: int = 0


class Crowd:
    """Four people in a group, an open room, a direct conversation and the lobby."""

    def __init__(self, folder: Path, kit: str = "sqlite") -> None:
        self.runner = asyncio.Runner()
        self.store = Store(KITS[kit], folder).open()
        self.people = [self.store.user(name) for name in ("ann", "bob", "cid", "dan")]
        ann, bob, cid, dan = self.people
        self.places = [
            self.store.group(ann, bob, cid),
            self.store.open_room(bob, dan),
            self.store.direct(ann, bob),
            self.store.lobby,
        ]
        self.said: dict[ConversationId, list[MessageId]] = {place: [] for place in self.places}
        self.told: list[Told] = []
        self.kept: list[Kept] = []
        self._services()

    def _services(self) -> None:
        database = self.store.database
        self.history = History(database)
        self.conversations = Conversations(database, self.store.clock, self.store.ids, lambda *made: None, Limits())

    def close(self) -> None:
        self.runner.close()
        self.store.close()

    def restart(self) -> None:
        self.store.reopen()
        self._services()

    # Doing

    def command(self, choice: Choice, client_id: str) -> c.Durable:
        here = self.places[choice.where]
        said = self.said[here]
        # Now and then a message that is not there, or not here.
        message = said[-1 - choice.which % len(said)] if said and choice.which < 40 else MessageId(choice.which + 1)
        user = self.people[choice.which % len(self.people)]
        emoji = EMOJI[choice.more % len(EMOJI)]
        text = f"text {client_id}"
        commands: dict[str, c.Durable] = {
            "send": c.SendMessage(here, client_id, text, mentions=tuple(self.people[: choice.more % 3])),
            "reply": c.SendMessage(here, client_id, text, reply_to=message),
            "edit": c.EditMessage(here, client_id, message, text),
            "delete": c.DeleteMessage(here, client_id, message),
            "react": c.AddReaction(here, client_id, message, emoji),
            "unreact": c.RemoveReaction(here, client_id, message, emoji),
            "pin": c.AddPin(here, client_id, message),
            "unpin": c.RemovePin(here, client_id, message),
            "join": c.JoinConversation(here, client_id),
            "leave": c.LeaveConversation(here, client_id),
            "add": c.AddMember(here, client_id, user),
            "remove": c.RemoveMember(here, client_id, user),
            "role": c.ChangeRole(here, client_id, user, ROLES[choice.more % len(ROLES)]),
            "title": c.ChangeConversation(here, client_id, title=f"title {choice.more}"),
            "name": c.ChangeConversation(here, client_id, name=f"name{choice.more}"),
            "policy": c.ChangeConversation(here, client_id, join_policy=list(JoinPolicy)[choice.more % 2]),
            # A closed conversation is the end of all that is interesting in it.
            "close": c.CloseConversation(here, client_id) if choice.more == 0 else c.JoinConversation(here, client_id),
        }
        return commands[choice.kind]

    def act(self, choices: list[Choice]) -> None:
        """All of it as one batch."""
        self.store.clock.advance(0.7)
        asked = [(self.people[it.who], self.command(it, self.store.client_id())) for it in choices]
        outcomes = self.store.write(*[Append(actor, command) for actor, command in asked])
        for (actor, command), outcome in zip(asked, outcomes, strict=True):
            self._heard(actor, command, outcome)

    def _heard(self, actor: UserId, command: c.Durable, outcome: Outcome) -> None:
        if isinstance(outcome, Refused):
            return
        ack = ack_of(outcome)
        assert not ack.duplicate
        self.told.append(Told(actor, command, ack))
        if isinstance(command, c.SendMessage):
            assert ack.message_id is not None
            self.said[command.conversation_id].append(ack.message_id)

    def retry(self, which: int, altered: Choice | None) -> None:
        """Say it again, or something else under its client_id: the first answer, and nothing changes."""
        if not self.told:
            return
        told = self.told[which % len(self.told)]
        command = self.command(altered, told.command.client_id) if altered else told.command
        before = self.store.everything()

        [again] = self.store.write(Append(told.actor, command))

        assert again == msgspec.structs.replace(told.ack, duplicate=True)
        assert self.store.everything() == before

    def retry_all(self) -> None:
        before = self.store.everything()

        again = self.store.write(*[Append(told.actor, told.command) for told in self.told])

        assert again == [msgspec.structs.replace(told.ack, duplicate=True) for told in self.told]
        assert self.store.everything() == before

    def mark(self, who: int, where: int, seq: int) -> None:
        user, here = self.people[who], self.places[where]
        [marked] = self.store.mark(Mark(user, here, seq, seq))
        if isinstance(marked, Marked):
            read = {"user_id": str(user), "read_seq": marked.read_seq, "delivered_seq": marked.delivered_seq}
            for kept in self.kept:
                if (kept.who, kept.where) == (user, here):
                    kept.reads.append(read)

    # Reading

    def may_read(self, user: UserId, here: ConversationId) -> bool:
        return here in self.runner.run(self.conversations.heads(user, [here]))

    def snapshot(self, user: UserId, here: ConversationId) -> reducer.State:
        """As a client takes it: the conversation, and the messages page by page."""
        actor = Actor(user, "")
        conversation = plain(self.runner.run(self.conversations.describe(actor, here)))
        pages = [self.runner.run(self.history.messages_page(actor, here, limit=3))]
        while (before := pages[-1].next) is not None:
            pages.append(self.runner.run(self.history.messages_page(actor, here, limit=3, before=before)))
        messages = [message for page in reversed(pages) for message in plain(page.items)]
        return reducer.from_snapshot(conversation, messages, pages[0].head, str(user))

    def log(self, user: UserId, here: ConversationId, after: int = 0) -> list[reducer.Json]:
        entries: list[reducer.Json] = []
        cursor: int | None = after
        while cursor is not None:
            page = self.runner.run(self.history.log_page(Actor(user, ""), here, cursor, limit=5))
            entries += [json.loads(entry) for entry in page.entries]
            cursor = page.next_after
        return entries

    def keep(self, who: int, where: int) -> None:
        user, here = self.people[who], self.places[where]
        if self.may_read(user, here):
            self.kept.append(Kept(user, here, self.snapshot(user, here), []))


def plain(value: Any) -> Any:
    """As it goes over the wire."""
    return msgspec.json.decode(msgspec.json.encode(value))
