"""What the server asks of `media.worker`, and what it says."""

import msgspec


class Task(msgspec.Struct):
    """Look into `path`, of `type`; lay a cleaned copy to `cleaned` and a small WebP to `thumbnail`."""

    path: str
    type: str
    cleaned: str | None
    thumbnail: str


class Found(msgspec.Struct, omit_defaults=True):
    """What is in a file. `type` is another than asked where it is not what it seemed."""

    type: str
    width: int | None = None
    height: int | None = None
    duration_ms: int | None = None
    cleaned_sha256: str | None = None
    """A cleaned copy was made, and this is its content."""
    cleaned_size: int = 0
    thumbnail_size: int = 0
