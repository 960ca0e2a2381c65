"""What passes through Kafka comes out as it went in, and what is not ours is told from it."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.log.envelope import (
    COMMANDS,
    Envelope,
    Origin,
    Undecodable,
    decode_answers,
    decode_record,
    encode_answers,
    encode_command,
)
from parley.protocol.commands import Durable, SendMessage
from parley.protocol.errors import ERRORS, Code
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Append, Appended, Refused

ORIGIN = Origin("boot", 3)
TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
VALUES: dict[Any, st.SearchStrategy[Any]] = {str: TEXT, int: st.integers(0, 2**63 - 1), bool: st.booleans()}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of this type of a command's field."""
    hint = getattr(hint, "__supertype__", hint)
    return VALUES[hint] if hint in VALUES else st.from_type(hint)


def commands() -> st.SearchStrategy[Any]:
    return st.sampled_from(COMMANDS).flatmap(
        lambda kind: st.builds(kind, **{name: _field(hint) for name, hint in typing.get_type_hints(kind).items()})
    )


def _field(hint: Any) -> st.SearchStrategy[Any]:
    inner = typing.get_args(hint)
    if typing.get_origin(hint) is tuple:
        return st.lists(values(inner[0]), max_size=3).map(tuple)
    if type(None) in inner:
        return st.none() | _field(inner[0])
    if typing.get_origin(hint) is dict:
        return st.dictionaries(TEXT, TEXT, max_size=3)
    return values(hint)


def appends() -> st.SearchStrategy[Append]:
    return st.builds(
        Append,
        actor=VALUES[int],
        command=commands(),
        admin=st.booleans(),
        refusal=st.none() | st.sampled_from(sorted(ERRORS.values(), key=lambda row: row.code)),
        detail=st.none() | TEXT,
        name=TEXT,
        guest_of=st.none() | VALUES[int],
    )


def subclasses(kind: type[Durable]) -> set[type[Durable]]:
    return {kind}.union(*map(subclasses, kind.__subclasses__()))


def test_every_durable_command_can_pass() -> None:
    """A new one would otherwise reach the store by the direct log only."""
    assert subclasses(Durable) - {Durable} == set(COMMANDS)


@given(st.lists(appends(), max_size=5))
def test_commands_come_out_as_they_went_in(sent: list[Append]) -> None:
    numbered = list(enumerate(sent, 7))

    decoded = decode_record(Envelope(ORIGIN, "here").of(encode_command(*it) for it in numbered))

    assert (decoded.epoch, decoded.origin) == ("here", ORIGIN)
    assert decoded.commands == numbered
    # Compared by identity where it matters.
    assert all(got.refusal is was.refusal for (_, got), was in zip(decoded.commands, sent, strict=True))


ACK = Ack(ConversationId(1), 5, 123, False, None, 9)


@pytest.mark.parametrize(
    "outcome",
    [Appended(ACK, ()), ACK, Refused(Code.NOT_A_MEMBER), Refused(Code.BAD_PAYLOAD, "text must not be empty.")],
    ids=["appended", "duplicate", "refused", "explained"],
)
def test_answers_come_out_as_they_went_in(outcome: Any) -> None:
    assert decode_answers(encode_answers("boot", [(4, outcome)])) == ("boot", [(4, outcome)])


@given(st.binary(max_size=60) | st.none())
def test_anything_else_is_undecodable_and_nothing_worse(value: bytes | None) -> None:
    with pytest.raises(Undecodable):
        decode_record(value)
    with pytest.raises(Undecodable):
        decode_answers(value)


def record(**changed: Any) -> bytes:
    command = SendMessage(ConversationId(1), "c1", "secret text")
    value = msgspec.json.decode(Envelope(ORIGIN, "here").of([encode_command(1, Append(UserId(1), command))]))
    return msgspec.json.encode({**value, **changed})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (record(v=2), "the record is of version 2, and this node reads 1"),
        (record(commands=[[1, "Shout", {}, 1]]), "there is no command 'Shout'"),
        (record(commands=[[1, "SendMessage", {"conversation_id": "x"}, 1]]), "Expected `int`, got `str`"),
        (record(boot=1), "Expected `str`, got `int`"),
    ],
)
def test_it_is_told_what_is_wrong(value: bytes, told: str) -> None:
    with pytest.raises(Undecodable, match=told):
        decode_record(value)


def test_what_a_newer_node_adds_is_passed_over() -> None:
    assert decode_record(record(colour="red")).commands[0][0] == 1
