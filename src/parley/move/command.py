"""What `parley move` says while it works, and its exit code."""

from rich.console import Console

from parley.addresses import masked
from parley.clock import SystemClock
from parley.move.comparing import Comparison
from parley.move.run import move, release


def run(source: str, target: str | None, *, verify: bool, replace: bool) -> int:
    """Without a target only the source's mark is taken away. Returns the exit code: 1 if the two differ."""
    if target is None:
        release(source)
        _say(f"{masked(source)} may be served again.")
        return 0
    progress = Console(stderr=True, highlight=False)
    with progress.status("reading") as status:
        moved = move(
            source,
            target,
            now_ms=SystemClock().now_ms(),
            verify=verify,
            replace=replace,
            tell=lambda table, rows: status.update(f"{table}: {rows} rows"),
        )
    _say(f"{moved.rows} rows brought to {masked(target)}.")
    if moved.comparison is not None and not _told(moved.comparison):
        return 1
    _say(
        "Serve it with this as [store] url, the same signing key ([auth] signing_key_file) and the same files"
        " ([blobs] url). The source is marked as left."
    )
    return 0


def _say(*lines: str) -> None:
    """Whole lines, for whoever pipes them on."""
    out = Console(soft_wrap=True, highlight=False, markup=False)
    for line in lines:
        out.print(line)


def _told(comparison: Comparison) -> bool:
    if comparison.problems:
        _say(
            "The two databases differ; the target cannot be served:",
            *[f"  {problem}" for problem in comparison.problems],
        )
        return False
    _say(
        f"Compared: {comparison.messages} entries of {comparison.conversations} conversations and"
        f" {sum(comparison.rows.values())} rows in all are the same on both sides, and no entry is missing."
    )
    return True
