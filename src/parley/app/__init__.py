"""The composition root: the only place that names implementations. Begin with `parley.py`."""

from parley.app.logs import Partitions, open_topics
from parley.app.parley import Parley, running
from parley.app.stores import Embedded, Store, open_key, open_store

__all__ = [
    "Embedded",
    "Parley",
    "Partitions",
    "Store",
    "open_key",
    "open_store",
    "open_topics",
    "running",
]
