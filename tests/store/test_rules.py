"""Conformance: who may do what, as a table: each command by each kind of person in each kind of conversation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain

import pytest
from tests.store.stores import KITS, Cast, Store, ack_of

from parley.protocol import commands as c
from parley.protocol.errors import Code, ErrorSpec
from parley.protocol.types import ConversationId, JoinPolicy, MessageId, Role, UserId
from parley.store.interface import Append, Refused
from parley.store.rules import RULES

OK = "appended"
KEPT = "nothing to do"
NOT_IN = Code.NOT_A_MEMBER
UNKNOWN = Code.UNKNOWN_CONVERSATION
ROLE = Code.ROLE_REQUIRED
NOT_SO = Code.UNSUPPORTED
PASS_ON = Code.OWNER_MUST_TRANSFER
Expected = str | ErrorSpec


@dataclass
class Here:
    """A conversation with its cast; `owners` and `members` are messages that these two wrote."""

    id: ConversationId
    cast: Cast
    owners: MessageId
    members: MessageId


Make = Callable[[Here, str], c.Durable]

COMMANDS: dict[str, Make] = {
    "send": lambda h, i: c.SendMessage(h.id, i, "hello"),
    "edit the member's": lambda h, i: c.EditMessage(h.id, i, h.members, "better"),
    "edit the owner's": lambda h, i: c.EditMessage(h.id, i, h.owners, "better"),
    "delete the member's": lambda h, i: c.DeleteMessage(h.id, i, h.members),
    "delete the owner's": lambda h, i: c.DeleteMessage(h.id, i, h.owners),
    "react": lambda h, i: c.AddReaction(h.id, i, h.members, "👍"),
    "unreact": lambda h, i: c.RemoveReaction(h.id, i, h.members, "👍"),
    "pin": lambda h, i: c.AddPin(h.id, i, h.members),
    "unpin": lambda h, i: c.RemovePin(h.id, i, h.members),
    "join": lambda h, i: c.JoinConversation(h.id, i),
    "leave": lambda h, i: c.LeaveConversation(h.id, i),
    "add": lambda h, i: c.AddMember(h.id, i, h.cast.newcomer),
    "remove a member": lambda h, i: c.RemoveMember(h.id, i, h.cast.second_member),
    "remove an admin": lambda h, i: c.RemoveMember(h.id, i, h.cast.second_admin),
    "remove the owner": lambda h, i: c.RemoveMember(h.id, i, h.cast.owner),
    "make admin": lambda h, i: c.ChangeRole(h.id, i, h.cast.second_member, Role.ADMIN),
    "make owner": lambda h, i: c.ChangeRole(h.id, i, h.cast.second_member, Role.OWNER),
    "demote the owner": lambda h, i: c.ChangeRole(h.id, i, h.cast.owner, Role.MEMBER),
    "title": lambda h, i: c.ChangeConversation(h.id, i, title="Ours"),
    "name": lambda h, i: c.ChangeConversation(h.id, i, name=f"n{h.id}{i[-6:]}"),
    "policy": lambda h, i: c.ChangeConversation(h.id, i, join_policy=JoinPolicy.INVITE),
    "close": lambda h, i: c.CloseConversation(h.id, i),
}
PEOPLE = ("owner", "admin", "member", "stranger", "ex")

# Of an open room: owner, admin, member, stranger, who was a member once.
OPEN_ROOM: dict[str, tuple[Expected, ...]] = {
    "send":                (OK, OK, OK, NOT_IN, NOT_IN),
    "edit the member's":   (OK, OK, OK, NOT_IN, NOT_IN),
    "edit the owner's":    (OK, OK, ROLE, NOT_IN, NOT_IN),
    "delete the member's": (OK, OK, OK, NOT_IN, NOT_IN),
    "delete the owner's":  (OK, OK, ROLE, NOT_IN, NOT_IN),
    "react":               (OK, OK, OK, NOT_IN, NOT_IN),
    "unreact":             (KEPT, KEPT, KEPT, NOT_IN, NOT_IN),
    "pin":                 (OK, OK, OK, NOT_IN, NOT_IN),
    "unpin":               (KEPT, KEPT, KEPT, NOT_IN, NOT_IN),
    "join":                (KEPT, KEPT, KEPT, OK, OK),
    "leave":               (PASS_ON, OK, OK, NOT_IN, NOT_IN),
    "add":                 (OK, OK, ROLE, NOT_IN, NOT_IN),
    "remove a member":     (OK, OK, ROLE, NOT_IN, NOT_IN),
    "remove an admin":     (OK, ROLE, ROLE, NOT_IN, NOT_IN),
    "remove the owner":    (PASS_ON, ROLE, ROLE, NOT_IN, NOT_IN),
    "make admin":          (OK, ROLE, ROLE, NOT_IN, NOT_IN),
    "make owner":          (OK, ROLE, ROLE, NOT_IN, NOT_IN),
    "demote the owner":    (PASS_ON, ROLE, ROLE, NOT_IN, NOT_IN),
    "title":               (OK, OK, ROLE, NOT_IN, NOT_IN),
    "name":                (OK, OK, ROLE, NOT_IN, NOT_IN),
    "policy":              (OK, OK, ROLE, NOT_IN, NOT_IN),
    "close":               (OK, ROLE, ROLE, NOT_IN, NOT_IN),
}  # fmt: skip


def private(**other: tuple[Expected, ...]) -> dict[str, tuple[Expected, ...]]:
    """As an open room, but that strangers do not learn that it is there."""
    hidden = {what: (*expected[:3], UNKNOWN, UNKNOWN) for what, expected in OPEN_ROOM.items()}
    return {**hidden, **{what.replace("_", " "): expected for what, expected in other.items()}}


INVITE_ROOM = private(
    join=(KEPT, KEPT, KEPT, Code.INVITE_ONLY, Code.INVITE_ONLY), policy=(KEPT, KEPT, ROLE, UNKNOWN, UNKNOWN)
)
GROUP = private(name=(NOT_SO, NOT_SO, ROLE, UNKNOWN, UNKNOWN), policy=(KEPT, KEPT, ROLE, UNKNOWN, UNKNOWN))
UNCHANGING = ("leave", "add", "remove a member", "remove an admin", "remove the owner", "make admin", "make owner",
              "demote the owner", "close")  # fmt: skip
# Nobody has a role in a direct conversation; the two who are in it are called owner and member here.
DIRECT: dict[str, tuple[Expected, ...]] = {
    what: (
        NOT_SO if what in UNCHANGING
        else ROLE if what in {"title", "name", "policy", "edit the member's", "delete the member's"}
        else OPEN_ROOM[what][2] if what not in {"edit the owner's", "delete the owner's"}
        else OK,
        UNKNOWN,
        NOT_SO if what in UNCHANGING else OPEN_ROOM[what][2],
        UNKNOWN,
        UNKNOWN,
    )
    for what in COMMANDS
}  # fmt: skip
TABLES: dict[str, dict[str, tuple[Expected, ...]]] = {
    "open room": OPEN_ROOM,
    "invite room": INVITE_ROOM,
    "group": GROUP,
    "direct": DIRECT,
}


@pytest.fixture(scope="module", params=list(KITS), ids=list(KITS))
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for the whole table: each row makes its own conversation."""
    store = Store(KITS[request.param], tmp_path_factory.mktemp("rules")).open()
    yield store
    store.close()


@pytest.fixture(scope="module")
def actors(stage: Store) -> Cast:
    return Cast.of(stage)


def made(stage: Store, cast: Cast, kind: str) -> Here:
    if kind == "direct":
        # A pair has one for ever, and its members write in it: each row needs a new pair.
        cast = Cast.of_new_pair(stage, cast)
        id_ = stage.direct(cast.owner, cast.member)
    else:
        found = {"open room": stage.open_room, "invite room": stage.invite_room, "group": stage.group}[kind]
        id_ = cast.gather(stage, found)
    return said(stage, id_, cast)


def said(stage: Store, id_: ConversationId, cast: Cast) -> Here:
    """With a message of the owner's and one of the member's."""
    sends = [Append(by, c.SendMessage(id_, stage.client_id(), "hello")) for by in (cast.owner, cast.member)]
    owners, members = (ack_of(outcome).message_id or MessageId(0) for outcome in stage.write(*sends))
    return Here(id_, cast, owners, members)


@pytest.mark.parametrize("what", COMMANDS)
@pytest.mark.parametrize("kind", TABLES)
def test_who_may_do_what(stage: Store, actors: Cast, kind: str, what: str) -> None:
    found: dict[str, Expected] = {}
    here = made(stage, actors, kind)
    for who in PEOPLE:
        head = stage.head(here.id)

        [outcome] = stage.write(Append(getattr(here.cast, who), COMMANDS[what](here, stage.client_id())))

        grown = stage.head(here.id) - head
        found[who] = outcome.spec if isinstance(outcome, Refused) else OK if grown else KEPT
        assert grown == (0 if found[who] != OK else 2 if what == "make owner" else 1)
        if grown:
            here = made(stage, actors, kind)

    assert found == dict(zip(PEOPLE, TABLES[kind][what], strict=True))


@pytest.mark.parametrize("what", COMMANDS)
def test_nobody_changes_a_closed_conversation(stage: Store, actors: Cast, what: str) -> None:
    """Nothing comes after its closing: members are told so, strangers no more than before."""
    here = made(stage, actors, "open room")
    stage.do(actors.owner, c.CloseConversation(here.id, stage.client_id()))
    head = stage.head(here.id)

    outcomes = stage.write(*[Append(getattr(actors, who), COMMANDS[what](here, stage.client_id())) for who in PEOPLE])

    if what == "join":
        outcomes, strangers = outcomes[3:], Code.CONVERSATION_CLOSED
    else:
        assert [getattr(outcome, "spec", OK) for outcome in outcomes[:3]] == [Code.CONVERSATION_CLOSED] * 3
        outcomes, strangers = outcomes[3:], NOT_IN
    assert [getattr(outcome, "spec", OK) for outcome in outcomes] == [strangers] * 2
    assert stage.head(here.id) == head


LOBBY: dict[str, tuple[Expected, ...]] = {
    # An administrator of the server, anybody else.
    **dict.fromkeys(COMMANDS, (NOT_SO, NOT_SO)),
    "send": (OK, OK),
    "edit the member's": (OK, OK),
    "edit the owner's": (OK, ROLE),
    "delete the member's": (OK, OK),
    "delete the owner's": (OK, ROLE),
    "react": (OK, OK),
    "unreact": (KEPT, KEPT),
    "pin": (OK, OK),
    "unpin": (KEPT, KEPT),
    "join": (KEPT, KEPT),
    "title": (OK, ROLE),
    "name": (NOT_SO, ROLE),
    "policy": (NOT_SO, ROLE),
}


@pytest.mark.parametrize("what", COMMANDS)
def test_who_may_do_what_in_the_lobby(stage: Store, actors: Cast, what: str) -> None:
    """Everybody is a member, administrators of the server moderate, and nobody comes or goes."""
    found: list[Expected] = []
    for admin in (True, False):
        stage.do(
            actors.admin, c.ChangeConversation(stage.lobby, stage.client_id(), title=stage.client_id()), admin=True
        )
        here = said(stage, stage.lobby, actors)
        before = stage.head(stage.lobby)

        [outcome] = stage.write(Append(actors.member, COMMANDS[what](here, stage.client_id()), admin))

        grown = stage.head(stage.lobby) - before
        found.append(outcome.spec if isinstance(outcome, Refused) else OK if grown else KEPT)
    assert tuple(found) == LOBBY[what]


@pytest.mark.parametrize("kind", TABLES)
def test_an_administrator_of_the_server_is_a_stranger_elsewhere(stage: Store, actors: Cast, kind: str) -> None:
    """The role on the server counts in the lobby only."""
    here = made(stage, actors, kind)
    commands = [make(here, stage.client_id()) for what, make in COMMANDS.items() if what != "join"]

    outcomes = stage.write(*[Append(here.cast.stranger, command, admin=True) for command in commands])

    assert {getattr(outcome, "spec", OK) for outcome in outcomes} == {NOT_IN if kind == "open room" else UNKNOWN}


def test_of_what_is_not_there_nobody_learns_more(stage: Store, actors: Cast) -> None:
    nowhere = Here(ConversationId(1 << 40), actors, MessageId(1), MessageId(2))

    outcomes = stage.write(
        *[Append(actors.owner, make(nowhere, stage.client_id()), admin=True) for make in COMMANDS.values()]
    )

    assert {getattr(outcome, "spec", OK) for outcome in outcomes} == {UNKNOWN}


def test_every_rule_has_its_row(stage: Store, actors: Cast) -> None:
    """A new command without one fails here."""
    here = Here(ConversationId(1), actors, MessageId(1), MessageId(2))
    # Nobody but the server submits these two, and they ask for no role; tests/assistant has them.
    assert {type(make(here, "c")) for make in COMMANDS.values()} == set(RULES) - {c.StartAnswer, c.CompleteAnswer}
    assert all(set(table) == set(COMMANDS) for table in chain(TABLES.values(), [LOBBY]))


def test_removing_oneself_is_leaving(stage: Store, actors: Cast) -> None:
    here = made(stage, actors, "group")

    ack = stage.do(actors.member, c.RemoveMember(here.id, stage.client_id(), actors.member))

    assert stage.log(here.id)[ack.seq - 1].body == b'{"user_id":"%d","reason":"left"}' % actors.member


def test_the_last_one_out_may_be_the_owner(stage: Store, actors: Cast) -> None:
    alone = stage.group(actors.owner)

    stage.do(actors.owner, c.LeaveConversation(alone, stage.client_id()))

    assert stage.rows("SELECT member_count FROM conversations WHERE id = :id", id=alone) == [(0,)]


@pytest.mark.parametrize("unfit", ["guest", "gone", "nobody"])
def test_only_living_accounts_are_let_in(stage: Store, actors: Cast, unfit: str) -> None:
    """Neither by their own hand nor by another's."""
    someone = UserId(1 << 40) if unfit == "nobody" else stage.user(stage.client_id(), **{unfit: True})
    room = stage.open_room(actors.owner)

    outcomes = stage.write(
        Append(actors.owner, c.AddMember(room, stage.client_id(), someone)),
        Append(someone, c.JoinConversation(room, stage.client_id())),
    )

    assert [getattr(outcome, "spec", OK) for outcome in outcomes] == [Code.UNKNOWN_USER] * 2


def test_who_is_not_a_member_cannot_be_removed_or_promoted(stage: Store, actors: Cast) -> None:
    here = made(stage, actors, "group")
    commands: list[c.Durable] = [
        c.RemoveMember(here.id, stage.client_id(), actors.stranger),
        c.ChangeRole(here.id, stage.client_id(), actors.ex, Role.ADMIN),
    ]

    outcomes = stage.write(*[Append(actors.owner, command) for command in commands])

    assert [getattr(outcome, "spec", OK) for outcome in outcomes] == [Code.UNKNOWN_USER] * 2


def test_a_room_name_has_one_owner_until_it_closes(stage: Store, actors: Cast) -> None:
    one, two = stage.open_room(actors.owner), stage.open_room(actors.owner)
    take = c.ChangeConversation(one, stage.client_id(), name="wanted")
    also = c.ChangeConversation(two, stage.client_id(), name="wanted")

    first, refused = stage.write(Append(actors.owner, take), Append(actors.owner, also))
    stage.do(actors.owner, c.CloseConversation(one, stage.client_id()))
    [free] = stage.write(Append(actors.owner, also))

    assert (ack_of(first).duplicate, getattr(refused, "spec", OK)) == (False, Code.NAME_TAKEN)
    assert stage.log(two)[ack_of(free).seq - 1].body == b'{"name":"wanted"}'
