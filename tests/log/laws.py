"""What every log must do, as functions: the suite calls them, and the controls hold them against broken logs."""

from __future__ import annotations

from itertools import groupby

from tests.log.logs import Watched, turn

from parley.store.interface import Appended


async def answers_come_after_durability(watched: Watched) -> None:
    """Nothing is acknowledged or published while the commit runs; everything is once it is through."""
    watched.send("c1")
    watched.send("c2")
    await watched.store.batch()
    await turn()
    assert watched.published == [], "published before it was durable"
    assert dict(watched.answers) == {}, "acknowledged before it was durable"

    await watched.commit()

    assert watched.published == watched.store.durable
    assert [type(watched.answer(client_id)) for client_id in ("c1", "c2")] == [Appended, Appended]


async def order_is_kept(watched: Watched) -> None:
    """Changes of one conversation are written, published and numbered in the order in which they were submitted."""
    for n in range(30):
        watched.send(f"c{n}", conversation=n % 3)
        if n % 10 == 4:
            await watched.store.batch()
            await turn()
        if n % 10 == 9:
            await watched.commit()
    while watched.store.waiting or len(watched.answers) < 30:
        await watched.commit()

    by_conversation = sorted(watched.published, key=lambda entry: entry.conversation_id)
    for conversation, entries in groupby(by_conversation, key=lambda entry: entry.conversation_id):
        told = [(entry.seq, entry.client_id) for entry in entries]
        assert told == [(seq, f"c{conversation + 3 * (seq - 1)}") for seq in range(1, 11)], "out of order or not whole"
