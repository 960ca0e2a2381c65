"""A database that several nodes share. Imported only where it is asked for: the drivers take their time."""

from parley.store.shared import Shared


class OfMany(Shared):
    """The store of one of several nodes."""

    shared = True
