"""Arithmetic and the search for a rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parley.bench.figures import gaps, percentile
from parley.bench.openloop import Schedule
from parley.bench.search import RateSearch
from parley.bench.stage import read_metrics


@pytest.mark.parametrize(("share", "expected"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.0, 1), (0.001, 1)])
def test_percentile_is_the_value_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == expected


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_a_percentile_is_one_of_the_values(values: list[float], share: float) -> None:
    assert percentile(values, share) in values


def test_gaps_tell_holes_and_repeats() -> None:
    assert gaps([4, 5, 6]) == []
    assert gaps([4, 6, 6]) == ["6 after 4", "6 after 6"]


@given(st.floats(1, 1e5))
def test_the_search_ends_just_below_what_holds(limit: float) -> None:
    """Whether the first rate is far below or far above."""
    search = RateSearch(500, tolerance=0.1, trials=40)
    while (rate := search.next()) is not None:
        search.record(rate, rate <= limit)

    assert search.best is not None
    assert limit / 1.1 * 0.999 <= search.best <= limit


def test_the_search_gives_up_when_nothing_holds() -> None:
    search = RateSearch(500, trials=5)
    tried = []
    while (rate := search.next()) is not None:
        tried.append(rate)
        search.record(rate, False)

    assert search.best is None
    assert tried == [500, 250, 125, 62.5, 31.25]


def test_the_search_stops_at_its_bound() -> None:
    search = RateSearch(500, highest=1500)
    while (rate := search.next()) is not None:
        search.record(rate, True)

    assert search.best == 1500


def test_messages_are_due_by_their_number_and_the_first_fifth_only_warms_up() -> None:
    schedule = Schedule(first=100, count=50, rate=10.0)

    assert schedule.due(110) - schedule.due(100) == pytest.approx(1.0)
    assert [n for n in range(90, 160) if schedule.counts(n)] == list(range(110, 150))


def test_metrics_are_summed_over_labels() -> None:
    page = '# HELP a b\nparley_x_total{type="a",outcome="ok"} 3.0\nparley_x_total{type="b"} 1e+1\nparley_y 2.0\n'

    assert read_metrics(page) == {"parley_x_total": 13.0, "parley_y": 2.0}
