"""The composition root: the only place that names implementations. Begin with `parley.py`."""

from parley.app.parley import Embedded, Parley, open_key, open_store, running

__all__ = ["Embedded", "Parley", "open_key", "open_store", "running"]
