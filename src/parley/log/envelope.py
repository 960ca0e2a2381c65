"""What passes through Kafka for the log, as JSON: commands on their way in, and their answers on the way back.

Both topics are inside the trust boundary. Who acts, and whether as an administrator, was decided by the gateway that
wrote the record; whoever else may write there can act as anybody.

A field may be added, with a default. Anything else is a new `VERSION`, which every node must be able to read before
the first one writes it.
"""

from collections.abc import Iterable, Sequence

import msgspec

from parley.protocol.commands import (
    AddMember,
    AddPin,
    AddReaction,
    ChangeConversation,
    ChangeRole,
    CloseConversation,
    CompleteAnswer,
    DeleteMessage,
    Durable,
    EditMessage,
    JoinConversation,
    LeaveConversation,
    RemoveMember,
    RemovePin,
    RemoveReaction,
    SendMessage,
    StartAnswer,
)
from parley.protocol.errors import ERRORS, Code
from parley.protocol.events import Ack
from parley.protocol.types import ConversationId, UserId
from parley.store.interface import Append, Appended, Outcome, Refused

VERSION = 1

COMMANDS: tuple[type[Durable], ...] = (
    SendMessage, EditMessage, DeleteMessage, AddReaction, RemoveReaction, AddPin, RemovePin, JoinConversation,
    LeaveConversation, AddMember, RemoveMember, ChangeRole, ChangeConversation, CloseConversation,
    StartAnswer, CompleteAnswer,
)  # fmt: skip


class Undecodable(Exception):
    """The record is not what a gateway writes; the text says what is wrong with it, and shows nothing of it."""


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where answers go: the partition of the results topic, and which process there asked. A process that started
    again has another `boot`, and the answers to the one before are nobody's."""

    boot: str
    partition: int


Answer = tuple[int, Outcome]
"""The number that the origin gave its command, and what became of it."""


class _Command(msgspec.Struct, frozen=True, array_like=True, gc=False):
    number: int
    kind: str
    command: msgspec.Raw
    actor: UserId
    name: str = ""
    admin: bool = False
    guest_of: ConversationId | None = None
    refusal: str | None = None
    detail: str | None = None


class _Commands(msgspec.Struct, frozen=True):
    v: int
    epoch: str
    boot: str
    partition: int
    commands: list[_Command]


class _Answer(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`ack` or `refusal`; `appended` tells a new entry from the repeat of an old answer."""

    number: int
    ack: Ack | None
    appended: bool
    refusal: str | None = None
    detail: str | None = None


class _Answers(msgspec.Struct, frozen=True):
    v: int
    boot: str
    answers: list[_Answer]


_encode = msgspec.json.Encoder().encode
_decode_commands = msgspec.json.Decoder(_Commands).decode
_decode_answers = msgspec.json.Decoder(_Answers).decode
_decode_kind = {kind.__name__: msgspec.json.Decoder(kind).decode for kind in COMMANDS}


def encode_command(number: int, append: Append) -> bytes:
    """One element of a record's list."""
    command = append.command
    refusal = append.refusal
    return _encode(
        (
            number,
            type(command).__name__,
            command,
            append.actor,
            append.name,
            append.admin,
            append.guest_of,
            None if refusal is None else refusal.name,
            append.detail,
        )
    )


class Envelope:
    """Around the commands of one process. `epoch`: of the database they are meant for."""

    def __init__(self, origin: Origin, epoch: str) -> None:
        head = _encode({"v": VERSION, "epoch": epoch, "boot": origin.boot, "partition": origin.partition})
        self._head = head[:-1] + b',"commands":['

    def of(self, commands: Iterable[bytes]) -> bytes:
        """The value of a record."""
        return b"%b%b]}" % (self._head, b",".join(commands))


class Decoded(msgspec.Struct, frozen=True, gc=False):
    epoch: str
    origin: Origin
    commands: list[tuple[int, Append]]


def decode_record(value: bytes | None) -> Decoded:
    """Raises Undecodable."""
    try:
        record = _decode_commands(value or b"")
        if record.v != VERSION:
            raise Undecodable(f"the record is of version {record.v}, and this node reads {VERSION}")
        return Decoded(
            record.epoch,
            Origin(record.boot, record.partition),
            [(carried.number, _append(carried)) for carried in record.commands],
        )
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error)[:300]) from error


def _append(carried: _Command) -> Append:
    decode = _decode_kind.get(carried.kind)
    if decode is None:
        raise Undecodable(f"there is no command {carried.kind[:64]!r}")
    # A refusal that only a newer node knows is still one.
    refusal = None if carried.refusal is None else ERRORS.get(carried.refusal, Code.INTERNAL)
    return Append(
        carried.actor, decode(carried.command), carried.admin, refusal, carried.detail, carried.name, carried.guest_of
    )


def encode_answers(boot: str, answers: Sequence[Answer]) -> bytes:
    """The value of a record on the results topic. Entries are not in it: they go by the fan-out."""
    return _encode({"v": VERSION, "boot": boot, "answers": [_answer(number, outcome) for number, outcome in answers]})


def _answer(number: int, outcome: Outcome) -> _Answer:
    if type(outcome) is Refused:
        return _Answer(number, None, False, outcome.spec.name, outcome.detail)
    if type(outcome) is Appended:
        return _Answer(number, outcome.ack, True)
    assert type(outcome) is Ack
    return _Answer(number, outcome, False)


def decode_answers(value: bytes | None) -> tuple[str, list[Answer]]:
    """The boot they are for, and the answers. Raises Undecodable."""
    try:
        record = _decode_answers(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Undecodable(str(error)[:300]) from error
    if record.v != VERSION:
        raise Undecodable(f"the answers are of version {record.v}, and this node reads {VERSION}")
    return record.boot, [(told.number, _outcome(told)) for told in record.answers]


def _outcome(told: _Answer) -> Outcome:
    if told.ack is None:
        return Refused(ERRORS.get(told.refusal or "", Code.INTERNAL), told.detail)
    return Appended(told.ack, ()) if told.appended else told.ack
