"""A database with something of everything in it, more than one page of it, and the engines that it is moved to."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Executable, create_engine, insert, select, update

from parley.store import tables as t
from parley.store.migrate import upgrade
from parley.store.sqlite import writer_engine

SAID = ("hello", "你好", "👍🏽 e\u0301", " space ", "it's 'quoted' \\ %s :x", "x" * 8000)
PEOPLE, ENTRIES = 30, 2_500


@pytest.fixture
def source(tmp_path: Path) -> str:
    """The url of an SQLite database."""
    folder = tmp_path / "source"
    folder.mkdir()
    engine = writer_engine(folder / "parley.db")
    upgrade(engine, now_ms=1_700_000_000_000)
    random = Random(4)
    with engine.connect() as connection, connection.begin():
        lobby = connection.scalar(select(t.conversations.c.id))
        connection.execute(
            insert(t.users),
            [
                {
                    "id": number * 3, "username": f"p{number}", "username_key": f"p{number}",
                    "display_name": SAID[number % 5],
                    "role": "member", "guest": number % 7 == 0, "created_at": number,
                    "password_hash": "x" if number % 2 else None,
                }
                for number in range(1, PEOPLE + 1)
            ],
        )  # fmt: skip
        rooms = [{"id": 100 + n, "kind": "room", "name": name, "join_policy": "open", "created_at": n}
                 for n, name in enumerate(["Tea", "tea", "TEA"])]  # fmt: skip
        connection.execute(insert(t.conversations), rooms)
        connection.execute(
            insert(t.members),
            [{"conversation_id": 100 + n, "user_id": 3 * u, "role": "member", "joined_seq": 0, "joined_at": u}
             for n in range(3) for u in range(1, PEOPLE + 1)],
        )  # fmt: skip
        heads = {lobby: 0, 100: 0, 101: 0, 102: 0}
        rows = []
        for number in range(ENTRIES):
            conversation = random.choice(list(heads))
            kept = number % 50 == 0
            if not kept:
                heads[conversation] += 1
            rows.append(
                {
                    "id": (1 << 50) + number * 7, "conversation_id": conversation,
                    "seq": None if kept else heads[conversation], "ordinal": heads[conversation], "kind": 1,
                    "actor_id": 3, "client_id": f"c-{number}", "at": number, "edit": 0, "deleted": number % 9 == 0,
                    "body": f'{{"text":"{random.choice(SAID[:4])}"}}',
                }
            )  # fmt: skip
        connection.execute(insert(t.entries), rows)
        for conversation, head in heads.items():
            connection.execute(
                update(t.conversations).where(t.conversations.c.id == conversation).values(last_seq=head)
            )
        emoji = [
            {"message_id": rows[1]["id"], "user_id": 3, "emoji": one, "seq": 1} for one in ("👍", "👎", "a", "A", "ä")
        ]
        connection.execute(insert(t.reactions), emoji)
        connection.execute(
            insert(t.invites).values(id=41, code_hash="h", created_by=3, created_at=1, expires_at=2, uses=1)
        )
    engine.dispose()
    return f"sqlite:///{folder / 'parley.db'}"


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of an empty database."""
    if request.param == "sqlite":
        (tmp_path / "target").mkdir()
        return f"sqlite:///{tmp_path / 'target' / 'parley.db'}"
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def scalar(url: str, statement: Executable) -> object:
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            return connection.scalar(statement)
    finally:
        engine.dispose()
