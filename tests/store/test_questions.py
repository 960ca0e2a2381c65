"""Conformance: what accounts, sessions, invites and the older dialects ask; no other suite asks it of every engine."""

from __future__ import annotations

from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError
from tests.store.stores import Store

from parley.protocol.types import ConversationId, MessageId, ServerRole, SessionId, UserId
from parley.store.sql import accounts, legacy
from parley.store.sql import conversations as sql
from parley.store.tables import conversations

T = TypeVar("T")


def account(store: Store, name: str, shown: str | None = None) -> accounts.UserRow | None:
    return store.on_writer(
        lambda connection: accounts.add_user(
            connection, username=name, key=name.casefold(), display_name=shown or name, password_hash="hash",
            role=ServerRole.MEMBER, now_ms=5,
        )
    )  # fmt: skip


def session(store: Store, user: UserId, id_: int, expires_at: int = 1000) -> SessionId:
    store.on_writer(
        lambda connection: accounts.add_session(
            connection, session_id=SessionId(id_), user_id=user, kind="native", secret="s", now_ms=id_,
            expires_at=expires_at, user_agent="", address="",
        )
    )  # fmt: skip
    return SessionId(id_)


def ask(store: Store, question: Any, *values: Any, **more: Any) -> Any:
    return store.on_writer(lambda connection: question(connection, *values, **more))


def test_an_account_is_made_once_and_begins_at_the_lobbys_end(store: Store, ann: UserId) -> None:
    store.say(ann, store.lobby)
    made = account(store, "Eve")

    assert made is not None
    assert account(store, "eve") is None
    assert store.rows("SELECT read_seq, read_ordinal FROM marks WHERE user_id = :u", u=made.id) == [(1, 1)]
    login = ask(store, accounts.login_row, "eve")
    assert (login.user, login.password_hash, login.active) == (made, "hash", True)
    assert ask(store, accounts.login_row, "EVE") is None
    assert ask(store, accounts.login_row, "eve\0") is None
    assert ask(store, accounts.replace_password, made.id, "hash", "new")
    assert not ask(store, accounts.replace_password, made.id, "hash", "newer")
    assert ask(store, accounts.rename, made.id, "Évé 👍").display_name == "Évé 👍"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("a", ["a_b", "a%c", "A/d", "aXb"]), ("a_", ["a_b"]), ("a%", ["a%c"]), ("a/", ["A/d"]), ("A_B", ["a_b"]),
        ("é", ["é"]), ("'", ["'; --"]), ("\\", ["\\x"]), ("", ["a_b", "a%c", "A/d", "aXb", "é", "'; --", "\\x"]),
        ("\x00", []), ("a\x00", []),
    ],
)  # fmt: skip
def test_people_and_rooms_are_found_by_how_they_begin(store: Store, asked: str, found: list[str]) -> None:
    """And by nothing that means something in a pattern, or to an engine's strings."""
    owner = store.user("0owner")
    for n, shown in enumerate(("a_b", "a%c", "A/d", "aXb", "é", "'; --", "\\x")):
        account(store, f"user{n}", shown)
        ask(store, legacy.make_room, f"room{n}", 1)
        title = conversations.update().where(conversations.c.name == f"room{n}").values(title=shown)
        ask(store, Connection.execute, title).close()
    begins = asked.casefold()

    people = ask(store, accounts.find_users, "\x01" if not asked else begins, asked, owner, 100)
    rooms = ask(store, sql.open_rooms, owner, asked, None, 100)

    assert [user.display_name for user in people] == found
    assert [room.title for room in rooms] == found


def test_a_session_goes_through_its_life(store: Store) -> None:
    eve = account(store, "eve")
    assert eve is not None
    one, two = session(store, eve.id, 11), session(store, eve.id, 12)

    state = ask(store, accounts.session, one, lock=True)
    assert (state.user, state.generation, state.revoked, state.active) == (eve, 0, False, True)
    assert ask(store, accounts.rotate, one, 0, 20, 2000)
    assert not ask(store, accounts.rotate, one, -1, 21, 2000)
    ask(store, accounts.touch, [(two, 30, None), (one, 31, 3000)])
    assert [it.id for it in ask(store, accounts.sessions_of, eve.id, 40, 0, 10)] == [one, two]
    assert ask(store, accounts.standing_among, [one, two, 99], 999) == {one: False, two: False}
    assert ask(store, accounts.revoke, two, eve.id, 40)
    assert not ask(store, accounts.revoke, two, eve.id, 41)
    assert ask(store, accounts.tidy, eve.id, 0, 1, 50) == []
    third = session(store, eve.id, 60)
    assert ask(store, accounts.tidy, eve.id, 45, 1, 61) == [one]
    assert ask(store, accounts.session, two) is None
    assert ask(store, accounts.revoke_all, eve.id, None, 70) == [third]
    assert ask(store, accounts.highest_session) == third


def test_an_invite_is_used_as_often_as_it_says(store: Store, ann: UserId) -> None:
    made = ask(store, accounts.add_invite, code_hash="h", created_by=ann, uses=2, now_ms=1, expires_at=100)

    assert [ask(store, accounts.use_invite, "h", 5) for _ in range(3)] == [True, True, False]
    assert not ask(store, accounts.invite_is_good, "h", 5)
    assert [it.used for it in ask(store, accounts.list_invites, 0, 10)] == [2]
    assert ask(store, accounts.remove_invite, made.id)
    assert not ask(store, accounts.remove_invite, made.id)


def test_what_the_older_dialects_ask(store: Store, ann: UserId, bob: UserId) -> None:
    room = ask(store, legacy.make_room, "Here", 1)
    with pytest.raises(IntegrityError):
        ask(store, legacy.make_room, "Here", 1)
    assert ask(store, legacy.room_named, "Here").id == room
    assert ask(store, legacy.room_named, "here") is None
    assert ask(store, legacy.room_named, "Here\0") is None
    direct, here = store.direct(ann, bob), store.group(ann, bob)
    message = store.say(ann, here)
    assert ask(store, legacy.seq_of, here, message) == 3
    assert ask(store, legacy.seq_of, here, MessageId(404)) is None
    assert ask(store, legacy.about, [direct])[direct].pair == (ann, bob)
    assert ask(store, legacy.joined, bob, [here, ConversationId(404)]) == {here: 2}
    for marks in ({here: 5}, {here: 3, direct: 1}, {here: 7}):
        ask(store, legacy.move_marks, ann, "kama", marks)
    assert ask(store, legacy.marks_of, ann, "kama") == {here: 7, direct: 1}
    guest = ask(store, legacy.make_guest, "guest:1", "Visitor", 1)
    assert ask(store, legacy.names, [guest, ann]) == {guest: "Visitor", ann: "Ann"}
    assert not ask(store, legacy.name_is_taken, "Visitor", "visitor")
    assert not ask(store, legacy.name_is_taken, "ann\0", "ann\0")
    assert ask(store, legacy.name_is_taken, "ann", "ann")
    assert ask(store, legacy.sweep_guests, 100) == 1
