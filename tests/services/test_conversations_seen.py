"""What members see of conversations, and what everybody else does not."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import insert, update
from tests.services.world import EPOCH, World

from parley.protocol.commands import Actor, AddMember, CloseConversation, JoinConversation, LeaveConversation
from parley.protocol.errors import ChatError, Code
from parley.protocol.types import ConversationId, JoinPolicy, UserId
from parley.store.tables import members, users


@pytest.fixture
async def ann(world: World) -> Actor:
    return await world.account("ann")


@pytest.fixture
async def bob(world: World) -> Actor:
    return await world.account("bob")


async def refusal(asked: object) -> object:
    with pytest.raises(ChatError) as caught:
        await asked  # type: ignore[misc]
    return caught.value.spec


async def test_a_view_tells_where_one_stands(world: World, ann: Actor, bob: Actor) -> None:
    group = await world.group(ann, bob)
    for text in ("one", "two", "three"):
        await world.say(ann, group, text)
    await world.read(bob, group, 3)

    view = await world.conversations.view(bob, group)

    assert (view.head, view.read_seq, view.delivered_seq, view.unread, view.role) == (5, 3, 3, 2, "member")
    assert view.last_message is not None
    last = msgspec.json.decode(view.last_message)
    assert (last["text"], last["seq"], last["ordinal"], last["by"]) == ("three", 5, 3, str(ann.user_id))
    assert (await world.conversations.view(ann, group)).unread == 0


async def test_its_shape_is_the_protocols(world: World, ann: Actor, bob: Actor) -> None:
    direct, _ = await world.conversations.open_direct(ann, bob.user_id)

    shape = msgspec.json.decode(msgspec.json.encode(await world.conversations.describe(ann, direct)))

    assert list(shape) == [
        "id", "kind", "name", "title", "head", "epoch", "join_policy", "role", "member_count", "read_seq",
        "delivered_seq", "unread", "peer", "last_message", "created_at", "closed",
    ]  # fmt: skip
    assert list(shape["peer"]) == ["id", "username", "display_name", "role", "guest", "created_at"]
    assert shape["id"] == str(direct)
    assert shape["peer"]["id"] == str(bob.user_id)


async def test_strangers_do_not_learn_that_private_conversations_exist(world: World, ann: Actor, bob: Actor) -> None:
    """A group, an invitation room and a direct answer like an id that was never given out."""
    cid = await world.account("cid")
    hidden = [
        await world.group(ann),
        await world.room(ann, "inner", join_policy=JoinPolicy.INVITE),
        (await world.conversations.open_direct(ann, bob.user_id))[0],
        ConversationId(999),
    ]
    for conversation in hidden:
        assert await refusal(world.conversations.view(cid, conversation)) is Code.UNKNOWN_CONVERSATION
        assert await refusal(world.conversations.members(cid, conversation)) is Code.UNKNOWN_CONVERSATION
        assert await refusal(world.history.log_page(cid, conversation)) is Code.UNKNOWN_CONVERSATION
        assert await refusal(world.history.messages_page(cid, conversation)) is Code.UNKNOWN_CONVERSATION
    assert await world.conversations.heads(cid.user_id, hidden) == {}


async def test_of_an_open_room_strangers_know_that_they_may_join(world: World, ann: Actor, bob: Actor) -> None:
    room = await world.room(ann, "here")

    assert await refusal(world.conversations.view(bob, room)) is Code.NOT_A_MEMBER

    await world.do(bob, JoinConversation(room, "join"))
    assert (await world.conversations.view(bob, room)).role == "member"


async def test_who_has_left_sees_nothing_more(world: World, ann: Actor, bob: Actor) -> None:
    group = await world.group(ann, bob)
    await world.do(bob, LeaveConversation(group, "go"))

    assert await refusal(world.conversations.view(bob, group)) is Code.UNKNOWN_CONVERSATION
    assert group not in (await world.conversations.welcome_list(bob.user_id)).heads
    assert await world.history.entries_after(group, 0, 100, 10_000, bob.user_id) is None


async def test_the_lobby_is_everybodys_but_the_guests(world: World, ann: Actor) -> None:
    boss, guest = await world.account("boss", admin=True), await world.account("passer", guest=True)
    await world.account("gone", gone=True)

    views = [await world.conversations.view(actor, world.lobby) for actor in (ann, boss)]

    assert [(view.name, view.role, view.member_count) for view in views] == [
        ("lobby", "member", 2),
        ("lobby", "admin", 2),
    ]
    assert await refusal(world.conversations.view(guest, world.lobby)) is Code.NOT_A_MEMBER
    assert world.lobby not in await world.conversations.heads(guest.user_id, [world.lobby])


async def test_the_lobby_counts_a_new_account_at_once_and_a_lost_one_within_a_second(world: World, ann: Actor) -> None:
    async def size() -> int:
        return (await world.conversations.view(ann, world.lobby)).member_count

    assert await size() == 1
    bob = await world.account("bob")
    assert await size() == 2

    gone = update(users).where(users.c.id == bob.user_id).values(deactivated_at=1)
    await world.database.write(lambda connection: connection.execute(gone))
    world.clock.advance(1)
    assert await size() == 1


async def test_the_list_has_what_was_spoken_in_last_first(world: World, ann: Actor, bob: Actor) -> None:
    """The silent stand by their birth; the lobby is among them."""
    old = await world.group(ann)
    world.clock.advance(1)
    new = await world.group(ann)
    world.clock.advance(1)
    await world.say(bob, world.lobby)
    assert [view.id for view in (await world.conversations.page(ann))[0]] == [world.lobby, new, old]

    await world.say(ann, old)
    assert [view.id for view in (await world.conversations.page(ann))[0]] == [old, world.lobby, new]


async def test_pages_of_the_list_are_the_list(world: World, ann: Actor) -> None:
    """Also where several were made in the same millisecond."""
    for _ in range(7):
        await world.group(ann)
    whole, end = await world.conversations.page(ann, 50)
    assert (len(whole), end) == (8, None)

    paged, after = await world.conversations.page(ann, 3)
    while after is not None:
        more, after = await world.conversations.page(ann, 3, after)
        paged += more

    assert paged == whole


async def test_welcome_shows_the_most_recent_and_tells_all_heads(world: World, ann: Actor, bob: Actor) -> None:
    groups = [await world.group(ann) for _ in range(3)]
    foreign = await world.group(bob)
    await world.say(ann, groups[0])

    welcome = await world.conversations.welcome_list(ann.user_id, limit=2)

    assert welcome.epoch == EPOCH
    assert len(welcome.views) == 2
    assert welcome.views[0].id == groups[0]
    assert welcome.heads == {groups[0]: 2, groups[1]: 1, groups[2]: 1, world.lobby: 0}
    assert foreign not in welcome.heads


async def test_heads_are_those_one_may_read(world: World, ann: Actor, bob: Actor) -> None:
    mine, foreign = await world.group(ann), await world.group(bob)

    found = await world.conversations.heads(ann.user_id, [mine, foreign, world.lobby, ConversationId(999)])

    assert found == {mine: 1, world.lobby: 0}


async def test_several_see_one_conversation_each_their_own_way(world: World, ann: Actor, bob: Actor) -> None:
    """The same as if each had asked alone."""
    cid = await world.account("cid")
    group = await world.group(ann, bob)
    direct, _ = await world.conversations.open_direct(ann, bob.user_id)
    await world.say(ann, group)
    await world.say(ann, direct)

    for conversation in (group, direct):
        together = await world.conversations.views_for(conversation, [ann.user_id, bob.user_id, cid.user_id])
        alone = {actor.user_id: await world.conversations.view(actor, conversation) for actor in (ann, bob)}
        assert together == alone


async def test_a_closed_conversation_can_still_be_read(world: World, ann: Actor, bob: Actor) -> None:
    group = await world.group(ann, bob)
    await world.do(ann, CloseConversation(group, "end"))

    view = await world.conversations.view(bob, group)

    assert (view.closed, view.head) == (True, 3)


async def test_the_directory_lists_open_rooms_by_name(world: World, ann: Actor, bob: Actor) -> None:
    """Not the lobby, not what is closed, not what one is invited to."""
    await world.room(ann, "inner", join_policy=JoinPolicy.INVITE)
    await world.group(ann)
    closed = await world.room(ann, "closed")
    await world.do(ann, CloseConversation(closed, "end"))
    for name in ("tea", "Music", "art"):
        await world.room(ann, name, title=f"All about {name}")
    music = (await world.conversations.rooms(bob, "music"))[0][0]
    await world.do(bob, JoinConversation(music.id, "join"))

    found, end = await world.conversations.rooms(bob)

    assert ([(room.name, room.joined, room.member_count) for room in found], end) == (
        [("Music", True, 2), ("art", False, 1), ("tea", False, 1)],
        None,
    )


async def test_the_directory_finds_by_the_beginning_of_name_or_title(world: World, ann: Actor) -> None:
    await world.room(ann, "tea", title="Green%")
    await world.room(ann, "team")
    await world.room(ann, "steam")

    async def found(q: str) -> list[str]:
        return [room.name for room in (await world.conversations.rooms(ann, q))[0]]

    assert await found("TEA") == ["tea", "team"]
    assert await found("green") == ["tea"]
    assert await found("%") == []
    assert await found("green_") == []


async def test_the_directory_goes_on_after_a_name(world: World, ann: Actor) -> None:
    for name in "abcde":
        await world.room(ann, name)

    names, after = [], None
    while True:
        page, after = await world.conversations.rooms(ann, limit=2, after=after)
        names.append([room.name for room in page])
        if after is None:
            break

    assert names == [["a", "b"], ["c", "d"], ["e"]]


async def test_members_are_paged_by_id(world: World, ann: Actor) -> None:
    others = [await world.account(f"user{n}") for n in range(4)]
    group = await world.group(ann, *others)

    first, after = await world.conversations.members(ann, group, limit=3)
    rest, end = await world.conversations.members(ann, group, limit=3, after=after or 0)

    assert end is None
    found = [(member.user["id"], member.role) for member in first + rest]
    assert found == [(str(ann.user_id), "owner"), *((str(other.user_id), "member") for other in others)]


async def test_the_lobbys_members_are_the_accounts(world: World, ann: Actor) -> None:
    boss = await world.account("boss", admin=True)
    await world.account("passer", guest=True)

    found, _ = await world.conversations.members(ann, world.lobby)

    assert [(member.user["username"], member.role) for member in found] == [("ann", "member"), ("boss", "admin")]
    assert await world.conversations.member_ids(world.lobby) == [ann.user_id, boss.user_id]


async def test_member_ids_follow_the_log(world: World, ann: Actor, bob: Actor) -> None:
    group = await world.group(ann)
    await world.do(ann, AddMember(group, "add", bob.user_id))

    assert await world.conversations.member_ids(group) == [ann.user_id, bob.user_id]


async def test_who_shares_a_conversation_with_whom(world: World, ann: Actor, bob: Actor) -> None:
    """Accounts share the lobby; a guest only what it was let into."""
    gone = await world.account("gone", gone=True)
    guest, other_guest = await world.account("passer", guest=True), await world.account("other", guest=True)
    everybody = [ann.user_id, bob.user_id, gone.user_id, guest.user_id, UserId(999)]
    shares = world.conversations.shares_conversation

    assert await shares(ann.user_id, everybody) == {ann.user_id, bob.user_id}
    assert await shares(guest.user_id, [*everybody, other_guest.user_id]) == set()

    group = await world.group(ann)
    await seat(world, group, guest)
    assert await shares(guest.user_id, everybody) == {ann.user_id, guest.user_id}
    assert await shares(ann.user_id, [guest.user_id]) == {guest.user_id}


async def seat(world: World, conversation: ConversationId, guest: Actor) -> None:
    """As a legacy room lets a guest in: by a members row."""
    row = {"conversation_id": conversation, "user_id": guest.user_id, "role": "member", "joined_seq": 1, "joined_at": 1}
    await world.database.write(lambda connection: connection.execute(insert(members).values(row)))
