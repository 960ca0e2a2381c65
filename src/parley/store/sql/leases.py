"""Work that one node at a time does: whoever holds its lease, until it gives it back or lets it run out.

A lease is no fence. Who was asleep past its end still believes in it for a moment: work under a lease must do no harm
when done twice.
"""

from sqlalchemy import Connection, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from parley.store.cluster_tables import leases
from parley.store.sql.now import read_ms

_l = leases.c


def take_lease(connection: Connection, name: str, owner: str, ms: int) -> bool:
    """Get it or keep it, for `ms` from now. False: somebody else holds it."""
    now = read_ms(connection)
    free = or_(_l.owner == owner, _l.until < now)
    taken = update(leases).where(_l.name == name, free).values(owner=owner, until=now + ms)
    if connection.execute(taken).rowcount == 1:
        return True
    if connection.scalar(select(_l.owner).where(_l.name == name)) is not None:
        return False
    try:
        with connection.begin_nested():
            connection.execute(insert(leases).values(name=name, owner=owner, until=now + ms))
    except IntegrityError:
        # Another node made the row just now.
        return False
    return True


def give_back_lease(connection: Connection, name: str, owner: str) -> None:
    """So that the next one need not wait for its end. Does nothing if it is somebody else's by now."""
    connection.execute(update(leases).where(_l.name == name, _l.owner == owner).values(until=0))
