"""Whatever people do: the log has no hole, retries change nothing, and a snapshot with its log is a fresh snapshot."""

from __future__ import annotations

import tempfile
from itertools import product
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.properties.conversing import KINDS, Choice, Crowd

from parley.testing import reducer

people = st.integers(0, 3)
places = st.integers(0, 3)
choices = st.builds(
    Choice,
    st.sampled_from(KINDS),
    people,
    st.sampled_from([0, 0, 0, 1, 1, 2, 3]),
    st.integers(0, 41),
    st.integers(0, 11),
)

reactions = st.builds(
    Choice, st.sampled_from(["react", "react", "unreact"]), st.integers(0, 2), st.just(0), st.just(0), st.integers(0, 2)
)


class Conversing(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.crowd = Crowd(Path(self.folder.name))

    def teardown(self) -> None:
        if hasattr(self, "crowd"):
            try:
                self.the_end()
                self.every_snapshot_follows_the_log_to_now()
                for who, where in product(range(4), range(4)):
                    self.following_from_the_beginning_makes_the_pages(who, where)
            finally:
                self.crowd.close()
                self.folder.cleanup()

    @rule(batch=st.lists(choices, min_size=1, max_size=6))
    def act(self, batch: list[Choice]) -> None:
        self.crowd.act(batch)

    @rule(batch=st.lists(reactions, min_size=3, max_size=10))
    def react_a_lot(self, batch: list[Choice]) -> None:
        """To the last message of the group, where the order of emoji can become involved."""
        self.crowd.act([Choice("send", 0, 0, 0, 0)])
        self.crowd.act(batch)

    @rule(which=st.integers(0, 200), altered=st.none() | choices)
    def retry(self, which: int, altered: Choice | None) -> None:
        self.crowd.retry(which, altered)

    @rule(who=people, where=places, seq=st.integers(0, 60))
    def read_up_to(self, who: int, where: int, seq: int) -> None:
        self.crowd.mark(who, where, seq)

    @rule(who=people, where=places)
    def take_a_snapshot(self, who: int, where: int) -> None:
        self.crowd.keep(who, where)

    @rule()
    def restart(self) -> None:
        self.crowd.restart()

    @rule()
    def every_snapshot_follows_the_log_to_now(self) -> None:
        for kept in self.crowd.kept:
            if not self.crowd.may_read(kept.who, kept.where):
                continue
            state = reducer.follow(kept.state, self.crowd.log(kept.who, kept.where, kept.state.head))
            for read in kept.reads:
                state = reducer.apply_read(state, read)
            fresh = self.crowd.snapshot(kept.who, kept.where)
            assert state.messages == fresh.messages
            assert state.conversation == fresh.conversation

    @rule(who=people, where=places)
    def following_from_the_beginning_makes_the_pages(self, who: int, where: int) -> None:
        user, here = self.crowd.people[who], self.crowd.places[where]
        if self.crowd.may_read(user, here):
            messages: tuple[reducer.Json, ...] = ()
            for entry in self.crowd.log(user, here):
                messages = reducer.change_messages(messages, entry, str(here))
            assert messages == self.crowd.snapshot(user, here).messages

    def the_end(self) -> None:
        """Everybody takes one more snapshot; the last messages go, members leave, conversations close; then everything
        that was ever said is said again."""
        for who, where in product(range(4), range(4)):
            self.crowd.keep(who, where)
        ends = ("delete", "leave", "close")
        self.crowd.act([Choice(kind, who, where, 0, 0) for kind, who, where in product(ends, range(4), range(4))])
        self.crowd.retry_all()

    @invariant()
    def seqs_are_dense_and_ordinals_count_messages(self) -> None:
        if not hasattr(self, "crowd"):
            return
        for here in self.crowd.places:
            log = self.crowd.store.log(here)
            assert [entry.seq for entry in log] == list(range(1, self.crowd.store.head(here) + 1))
            made = 0
            for entry in log:
                made += entry.kind.wire == "message.created"
                assert entry.ordinal == made


Conversing.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,
    # What was found is told as it was found: to shrink it takes minutes. Add Phase.shrink to understand it.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestConversing = Conversing.TestCase
