"""Who works on this database: each process claims a number, which stands in every id that it makes.

A claim lasts `LEASE_MS` by the database's clock and is to be renewed every few seconds. A process that finds it lost
(it slept for longer) must stop: another one may make ids with the same number.
"""

import secrets

import msgspec
from sqlalchemy import Connection, delete, insert, select, update

from parley.ids import NODES
from parley.store.cluster_tables import nodes
from parley.store.sql.now import now_ms
from parley.store.tables import meta

LEASE_MS = 60_000

_n = nodes.c


class Node(msgspec.Struct, frozen=True):
    """A process that lives. `owner`: its name, made at its start. `roles`: such as `gateway,appender`."""

    id: int
    owner: str
    roles: str


class NoFreeNode(Exception):
    """All numbers are taken, or the one that was asked for is."""


def new_owner() -> str:
    return secrets.token_hex(8)


def claim(connection: Connection, owner: str, roles: str, wanted: int | None = None) -> Node:
    """The lowest free number, or `wanted`. To be called in a write transaction. Raises NoFreeNode."""
    # One at a time: what is free must not be decided twice.
    connection.execute(select(meta.c.value).where(meta.c.key == "epoch").with_for_update())
    now: int = connection.execute(select(now_ms())).scalar_one()
    seen = {row.id: row.seen_at for row in connection.execute(select(_n.id, _n.seen_at))}
    free = [id_ for id_ in ((wanted,) if wanted is not None else range(NODES)) if seen.get(id_, 0) <= now - LEASE_MS]
    if not free:
        which = f"node {wanted} is at work" if wanted is not None else f"all {NODES} nodes are at work"
        raise NoFreeNode(f"{which}; a node that was killed is free again after {LEASE_MS // 1000} s")
    if free[0] in seen:
        connection.execute(delete(nodes).where(_n.id == free[0]))
    connection.execute(insert(nodes).values(id=free[0], owner=owner, roles=roles, seen_at=now))
    return Node(free[0], owner, roles)


def renew(connection: Connection, node: Node) -> bool:
    """False: the number belongs to another process now."""
    mine = (_n.id == node.id, _n.owner == node.owner)
    return connection.execute(update(nodes).where(*mine).values(seen_at=now_ms())).rowcount == 1


def release(connection: Connection, node: Node) -> None:
    connection.execute(delete(nodes).where(_n.id == node.id, _n.owner == node.owner))


def live(connection: Connection) -> list[Node]:
    """All that were seen within the lease, by number."""
    alive = _n.seen_at > now_ms() - LEASE_MS
    return [Node(*row) for row in connection.execute(select(_n.id, _n.owner, _n.roles).where(alive).order_by(_n.id))]
