"""The SQL of the assistant's budgets and private memories."""

import msgspec
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from parley.protocol.types import UserId
from parley.store.assistant_tables import memories, usage

_u, _m = usage.c, memories.c


def reserve(
    connection: Connection, user: UserId, day: int, tokens: int, requests_a_day: int, tokens_a_day: int
) -> bool:
    """Count a request and its tokens, if the day's budget holds them; 0 is no bound. One statement decides, so that
    two at once cannot both take the last."""
    row = (_u.user_id == user, _u.day == day)
    within = []
    if requests_a_day:
        within.append(_u.requests < requests_a_day)
    if tokens_a_day:
        within.append(_u.tokens + tokens <= tokens_a_day)
    counted = update(usage).where(*row, *within).values(requests=_u.requests + 1, tokens=_u.tokens + tokens)
    if connection.execute(counted).rowcount:
        return True
    if tokens_a_day and tokens > tokens_a_day:
        return False
    try:
        with connection.begin_nested():
            connection.execute(insert(usage).values(user_id=user, day=day, requests=1, tokens=tokens))
    except IntegrityError:
        # The row is there: the budget is used up, unless another node has made the row just now.
        return bool(connection.execute(counted).rowcount)
    return True


def settle(connection: Connection, user: UserId, day: int, difference: int) -> None:
    """`difference`: what was used less what was reserved."""
    connection.execute(update(usage).where(_u.user_id == user, _u.day == day).values(tokens=_u.tokens + difference))


def used(connection: Connection, user: UserId, day: int) -> tuple[int, int]:
    """(requests, tokens) of a day."""
    row = connection.execute(select(_u.requests, _u.tokens).where(_u.user_id == user, _u.day == day)).one_or_none()
    return (row[0], row[1]) if row else (0, 0)


class Turn(msgspec.Struct, frozen=True):
    """One thing said in a private memory."""

    role: str
    text: str


_encode = msgspec.json.Encoder().encode
_turns = msgspec.json.Decoder(list[Turn]).decode


def recall(connection: Connection, memory_id: str, user: UserId, *, lock: bool = False) -> list[Turn] | None:
    """The turns of this user's memory, the oldest first; None if they have none of this id."""
    asked = select(_m.turns).where(_m.id == memory_id, _m.user_id == user)
    found = connection.execute(asked.with_for_update() if lock else asked).scalar_one_or_none()
    return None if found is None else _turns(found)


def remember(connection: Connection, memory_id: str, user: UserId, turns: list[Turn], at: int) -> None:
    """Keep these turns as the memory's, which is made if it is not there."""
    kept = {"turns": _encode(turns).decode(), "used_at": at}
    mine = (_m.id == memory_id, _m.user_id == user)
    connection.execute(update(memories).where(*mine).values(kept))
    # Not by the count of the update: MariaDB does not count a row that was the same already.
    if connection.execute(select(_m.id).where(*mine)).first() is None:
        connection.execute(insert(memories).values(id=memory_id, user_id=user, **kept))


def crowd_out(connection: Connection, user: UserId, most: int) -> None:
    """Forget the user's least used memories over `most`."""
    newest = (_m.used_at.desc(), _m.id)
    over = list(connection.scalars(select(_m.id).where(_m.user_id == user).order_by(*newest).offset(most).limit(100)))
    if over:
        connection.execute(delete(memories).where(_m.id.in_(over)))


def sweep(connection: Connection, memories_before: int, days_before: int) -> None:
    """Forget memories that were not used since then, and the counts of days long gone."""
    connection.execute(delete(memories).where(_m.used_at < memories_before))
    connection.execute(delete(usage).where(_u.day < days_before))
