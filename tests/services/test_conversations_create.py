"""Making conversations: once per client_id for ever, with everybody in, or not at all."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import func, select
from tests.services.world import EPOCH, World

from parley.protocol.commands import Actor, ChangeRole, LeaveConversation
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationKind, EntryKind, JoinPolicy, Role, UserId
from parley.store.tables import conversations, entries, marks, members

ROOM, GROUP, DIRECT = ConversationKind.ROOM, ConversationKind.GROUP, ConversationKind.DIRECT


@pytest.fixture
async def ann(world: World) -> Actor:
    return await world.account("ann")


@pytest.fixture
async def bob(world: World) -> Actor:
    return await world.account("bob")


async def refused(code: object, asked: object) -> ChatError:
    with pytest.raises(ChatError) as caught:
        await asked  # type: ignore[misc]
    assert caught.value.spec is code
    return caught.value


async def test_a_group_begins_with_everybody_joining(world: World, ann: Actor, bob: Actor) -> None:
    """One entry each, contiguous from 1; the founder's carries the command's client_id."""
    view, created = await world.conversations.create(ann, "make-1", GROUP, title="We", member_ids=[bob.user_id])

    assert created
    assert (view.kind, view.title, view.head, view.role, view.member_count, view.epoch) == (
        "group",
        "We",
        2,
        "owner",
        2,
        EPOCH,
    )
    found = await world.history.entries_after(view.id, 0)
    assert found is not None
    log, head = found
    assert head == 2
    assert [(entry.seq, entry.kind, entry.by, entry.user_id) for entry in log] == [
        (1, EntryKind.MEMBER_JOINED, ann.user_id, ann.user_id),
        (2, EntryKind.MEMBER_JOINED, ann.user_id, bob.user_id),
    ]
    assert [entry.body for entry in log] == [
        b'{"user_id":"%d","name":"Ann","role":"owner"}' % ann.user_id,
        b'{"user_id":"%d","name":"Bob","role":"member"}' % bob.user_id,
    ]
    assert log[0].client_id == "make-1" != log[1].client_id


async def test_members_and_marks_stand_at_the_seq_of_their_joining(world: World, ann: Actor, bob: Actor) -> None:
    view, _ = await world.conversations.create(ann, "make-1", GROUP, member_ids=[bob.user_id])

    m, k = members.c, marks.c
    rows = await world.database.read(
        lambda connection: connection.execute(
            select(m.user_id, m.role, m.joined_seq, k.read_seq, k.delivered_seq)
            .join(marks, (k.user_id == m.user_id) & (k.conversation_id == m.conversation_id))
            .where(m.conversation_id == view.id)
            .order_by(m.user_id)
        ).all()
    )
    assert [tuple(row) for row in rows] == [(ann.user_id, "owner", 1, 1, 1), (bob.user_id, "member", 2, 2, 2)]


async def test_a_new_conversation_is_announced_once_with_its_entries(world: World, ann: Actor, bob: Actor) -> None:
    view, _ = await world.conversations.create(ann, "make-1", GROUP, member_ids=[bob.user_id])
    await world.conversations.create(ann, "make-1", GROUP, member_ids=[bob.user_id])

    [(conversation, log, user_ids)] = world.announced
    assert (conversation, user_ids) == (view.id, [ann.user_id, bob.user_id])
    assert ([entry.seq for entry in log], {entry.conversation_id for entry in log}) == ([1, 2], {view.id})
    assert (log, 2) == await world.history.entries_after(view.id, 0)


async def test_a_repeat_gets_the_same_conversation_whatever_it_says(world: World, ann: Actor) -> None:
    """A repeat is answered before anything in it is looked at."""
    first, _ = await world.conversations.create(ann, "make-1", ROOM, name="here")

    again, created = await world.conversations.create(ann, "make-1", GROUP, member_ids=[UserId(999)], name="no good")

    assert (again.id, created) == (first.id, False)


async def test_racing_repeats_make_one(world: World, ann: Actor) -> None:
    made = await asyncio.gather(*(world.conversations.create(ann, "make-1", ROOM, name="here") for _ in range(20)))

    assert len({view.id for view, _ in made}) == 1
    assert [created for _, created in made].count(True) == 1
    assert len(world.announced) == 1


async def test_a_client_id_is_the_actors_own(world: World, ann: Actor, bob: Actor) -> None:
    """Two people may hit on the same one."""
    first, _ = await world.conversations.create(ann, "make-1", GROUP)
    second, created = await world.conversations.create(bob, "make-1", GROUP)

    assert created
    assert first.id != second.id


async def test_who_has_left_since_hears_nothing_new_by_repeating(world: World, ann: Actor, bob: Actor) -> None:
    view, _ = await world.conversations.create(ann, "make-1", GROUP, title="Before", member_ids=[bob.user_id])
    await world.do(ann, ChangeRole(view.id, "hand", bob.user_id, Role.OWNER))
    await world.do(ann, LeaveConversation(view.id, "go"))
    await world.say(bob, view.id, "about ann")

    again, created = await world.conversations.create(ann, "make-1", GROUP)

    assert (again.id, created) == (view.id, False)
    assert (again.head, again.last_message, again.member_count, again.title) == (1, None, 1, None)


async def test_unknown_members_are_named_and_nothing_is_made(world: World, ann: Actor, bob: Actor) -> None:
    guest = await world.account("passer", guest=True)
    gone = await world.account("gone", gone=True)
    ids = [bob.user_id, UserId(900), guest.user_id, gone.user_id]

    error = await refused(Code.UNKNOWN_USER, world.conversations.create(ann, "make-1", GROUP, member_ids=ids))

    assert f"900, {guest.user_id}, {gone.user_id}" in error.message
    assert (
        await world.database.read(
            lambda connection: connection.execute(select(func.count()).select_from(entries)).scalar_one()
        )
        == 0
    )
    assert world.announced == []


async def test_the_founder_and_repeated_members_count_once(world: World, ann: Actor, bob: Actor) -> None:
    ids = [bob.user_id, ann.user_id, bob.user_id]

    view, _ = await world.conversations.create(ann, "make-1", GROUP, member_ids=ids)

    assert (view.member_count, view.head) == (2, 2)


async def test_a_rooms_name_is_taken_once(world: World, ann: Actor, bob: Actor) -> None:
    await world.room(ann, "here")

    await refused(Code.NAME_TAKEN, world.conversations.create(bob, "make-2", ROOM, name="here"))
    await refused(Code.NAME_TAKEN, world.conversations.create(bob, "make-3", ROOM, name="lobby"))
    await refused(Code.NAME_TAKEN, world.conversations.create(bob, "make-4", ROOM, name="Lobby"))


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (ROOM, {}),
        (ROOM, {"name": ""}),
        (ROOM, {"name": "a b"}),
        (ROOM, {"name": "x" * 65}),
        (ROOM, {"name": "here\n"}),
        (ROOM, {"name": "here", "title": " "}),
        (ROOM, {"name": "here", "title": "a\0b"}),
        (ROOM, {"name": "here", "user_id": UserId(1)}),
        (GROUP, {"name": "here"}),
        (GROUP, {"join_policy": JoinPolicy.OPEN}),
        (DIRECT, {}),
        (DIRECT, {"user_id": UserId(1), "title": "us"}),
        (DIRECT, {"user_id": UserId(1), "member_ids": [UserId(1)]}),
    ],
)
async def test_what_no_conversation_can_be_is_refused(
    world: World, ann: Actor, kind: ConversationKind, more: dict[str, object]
) -> None:
    await refused(Code.BAD_PAYLOAD, world.conversations.create(ann, "make-1", kind, **more))  # type: ignore[arg-type]


async def test_a_title_and_a_circle_have_a_largest_size(world: World, ann: Actor) -> None:
    create = world.conversations.create
    await refused(Code.TOO_LONG, create(ann, "make-1", GROUP, title="x" * 201))
    await refused(Code.TOO_LONG, create(ann, "make-2", GROUP, member_ids=[UserId(n) for n in range(100, 301)]))


async def test_rooms_and_groups_are_bounded_and_directs_are_not(world: World, ann: Actor, bob: Actor) -> None:
    world.limits.most = 2
    await world.room(ann, "one")
    await world.group(ann)

    await refused(Code.LIMIT_REACHED, world.conversations.create(ann, "make-3", GROUP))
    assert (await world.conversations.open_direct(ann, bob.user_id))[1]


async def test_no_limit_is_none(world: World, ann: Actor) -> None:
    world.limits.most = 0
    await world.group(ann)


async def test_guests_make_nothing(world: World, bob: Actor) -> None:
    guest = await world.account("passer", guest=True)

    await refused(Code.FORBIDDEN, world.conversations.create(guest, "make-1", GROUP))
    await refused(Code.FORBIDDEN, world.conversations.open_direct(guest, bob.user_id))


async def test_a_client_id_is_needed(world: World, ann: Actor) -> None:
    await refused(Code.BAD_PAYLOAD, world.conversations.create(ann, "not one", GROUP))


async def test_a_caller_that_goes_away_leaves_nothing_unannounced(world: World, ann: Actor) -> None:
    """Whoever is cancelled while the conversation is being written: it is committed, and it is announced."""
    asked = asyncio.create_task(world.conversations.create(ann, "make-1", GROUP))
    loop = asyncio.get_running_loop()
    world.limits.looked = lambda: loop.call_soon_threadsafe(asked.cancel)
    with pytest.raises(asyncio.CancelledError):
        await asked

    again, created = await world.conversations.create(ann, "make-1", GROUP)

    assert not created
    assert [conversation for conversation, _, _ in world.announced] == [again.id]


async def test_the_store_never_holds_half_a_conversation(world: World, ann: Actor, bob: Actor) -> None:
    """Whoever fails last takes everything back: a name taken in between undoes entries and members."""
    await world.room(ann, "here")
    await refused(
        Code.NAME_TAKEN, world.conversations.create(bob, "make-2", ROOM, name="here", member_ids=[ann.user_id])
    )

    count = select(func.count()).select_from(conversations).where(conversations.c.lobby.is_(False))
    assert await world.database.read(lambda connection: connection.execute(count).scalar_one()) == 1
