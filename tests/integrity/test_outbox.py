"""A message that a user has sent is not forgotten by the client before the server has it."""

from pathlib import Path
from random import Random

import pytest

from parley.testing import Backoff, Outbox, OutboxFull, uuid7
from parley.testing.outbox import Pending
from parley.testing.timing import asked_delay


def pending(n: int, conversation: str = "1") -> Pending:
    return Pending(conversation, f"c{n}", f"text {n}")


def test_messages_leave_in_the_order_of_their_conversation() -> None:
    outbox = Outbox()
    for message in (pending(1), pending(2), pending(3, "2")):
        outbox.put(message)

    assert (outbox.first("1"), outbox.first("2"), len(outbox)) == (pending(1), pending(3, "2"), 3)
    outbox.done(pending(1))
    assert (outbox.first("1"), sorted(outbox.conversations())) == (pending(2), ["1", "2"])
    with pytest.raises(ValueError):
        outbox.done(pending(9))


def test_what_was_pending_is_pending_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "outbox.jsonl"
    outbox = Outbox(path)
    for n in (1, 2, 3):
        outbox.put(pending(n))
    outbox.done(pending(1))
    outbox.close()
    with path.open("ab") as file:
        file.write(b'{"put":{"conversation":"1","cli')  # its writer died

    again = Outbox(path)

    assert (again.first("1"), len(again), "c1" in again, "c3" in again) == (pending(2), 2, False, True)
    again.close()


def test_a_full_outbox_says_so(tmp_path: Path) -> None:
    outbox = Outbox(bound=1)
    outbox.put(pending(1))

    with pytest.raises(OutboxFull):
        outbox.put(pending(2))


def test_client_ids_are_unique_and_ordered_by_time() -> None:
    ids = [uuid7() for _ in range(1000)]

    assert len(set(ids)) == 1000
    assert [id_[:13] for id_ in ids] == sorted(id_[:13] for id_ in ids)
    assert {(id_[14], id_[19] in "89ab") for id_ in ids} == {("7", True)}


def test_coming_back_is_spread_over_a_bound_that_doubles() -> None:
    random, backoff = Random(1), Backoff(1.0, 30.0)

    delays = {attempt: [backoff.delay(attempt, random) for _ in range(300)] for attempt in (0, 3, 100)}

    assert all(min(found) < 0.1 * bound for found, bound in zip(delays.values(), (1, 8, 30), strict=True))
    assert all(0.9 * bound < max(found) <= bound for found, bound in zip(delays.values(), (1, 8, 30), strict=True))


def test_the_delay_of_a_draining_server_is_read_from_its_reason() -> None:
    assert (asked_delay("draining, come back in 1500 ms"), asked_delay("draining")) == (1.5, None)
