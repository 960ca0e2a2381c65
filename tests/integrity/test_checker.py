"""The checker judges every crash test, so each promise has a broken history here that it must catch, by name."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest

from parley.testing.checker import Demands, check, main
from parley.testing.history import (
    Acked,
    AnyEvent,
    Connected,
    Disconnected,
    Fault,
    Finished,
    Healed,
    History,
    Live,
    Received,
    Refused,
    Reset,
    Resumed,
    Sent,
    fingerprint,
    read_history,
)
from parley.testing.store_log import ANSWER, ListedLog, SqliteLog, StoredConversation, StoredEntry
from parley.testing.truth import Breach

ANNA, BOB, MALLORY = "1", "2", "3"
ROOM = "7"
MEMBERS = frozenset({ANNA, BOB})


def stored(seq: int, *, by: str = ANNA) -> StoredEntry:
    text = fingerprint(f"text {seq}")
    return StoredEntry(ROOM, seq, "message.created", by, client_id=f"c{seq}", message_id=f"{seq}00", body=text)


def received(seq: int, *, by: str = ANNA) -> Received:
    text = fingerprint(f"text {seq}")
    return Received(
        conversation=ROOM, seq=seq, kind="message.created", by=by, client_id=f"c{seq}", message_id=f"{seq}00", body=text
    )


def sent(seq: int) -> Sent:
    return Sent(conversation=ROOM, client_id=f"c{seq}", body=fingerprint(f"text {seq}"))


def acked(seq: int, *, duplicate: bool = False) -> Acked:
    return Acked(conversation=ROOM, client_id=f"c{seq}", seq=seq, message_id=f"{seq}00", duplicate=duplicate)


@dataclass
class Case:
    """A run in which nothing went wrong. Each test sabotages one thing of it."""

    anna: list[AnyEvent] = field(default_factory=list)
    bob: list[AnyEvent] = field(default_factory=list)
    rows: list[StoredEntry] = field(default_factory=list)
    last_seq: int = 4

    def store(self) -> ListedLog:
        return ListedLog([StoredConversation(ROOM, self.last_seq, MEMBERS)], {ROOM: self.rows})

    def histories(self) -> list[list[AnyEvent]]:
        """With times: one event a second, so that the third second is the third event."""
        named = (("anna", self.anna), ("bob", self.bob))
        return [[at(event, float(n), name) for n, event in enumerate(events)] for name, events in named]

    def check(self, demands: Demands | None = None) -> None:
        check(self.histories(), self.store(), demands)


def at(event: AnyEvent, time: float, client: str) -> AnyEvent:
    return msgspec.structs.replace(event, time=time, client=client)


@pytest.fixture
def case() -> Case:
    """Anna sends 1 to 4, is cut off after 2, and comes back; Bob hears everything live."""
    resumed = Resumed(epoch="e", cursors={ROOM: 0})
    whole = Finished(cursors={ROOM: 4})
    return Case(
        anna=[
            Connected(user=ANNA, epoch="e", heads={ROOM: 0}),
            resumed,
            Live(heads={ROOM: 0}),
            sent(1),
            received(1),
            acked(1),
            sent(2),
            Disconnected(code=1006),
            Connected(user=ANNA, epoch="e", heads={ROOM: 2}),
            Resumed(epoch="e", cursors={ROOM: 1}),
            received(2),
            Live(heads={ROOM: 2}),
            sent(2),
            acked(2, duplicate=True),
            sent(3),
            acked(3),
            received(3),
            sent(4),
            received(4),
            acked(4),
            whole,
        ],
        bob=[
            Connected(user=BOB, epoch="e", heads={ROOM: 0}),
            resumed,
            Live(heads={ROOM: 0}),
            *(received(seq) for seq in range(1, 5)),
            whole,
        ],
        rows=[stored(seq) for seq in range(1, 5)],
    )


def breach_of(case: Case, demands: Demands | None = None) -> Breach:
    with pytest.raises(Breach) as caught:
        case.check(demands)
    return caught.value


def without(events: list[AnyEvent], gone: AnyEvent) -> list[AnyEvent]:
    return [event for event in events if event != gone]


def test_a_run_without_a_fault_passes(case: Case) -> None:
    figures = check(case.histories(), case.store(), Demands(min_acks=4))
    assert (figures.acks, figures.duplicates, figures.sends, figures.received) == (4, 1, 5, 8)


def test_a_lost_ack_is_caught(case: Case) -> None:
    """I1: acknowledged, and not in the store."""
    case.rows, case.last_seq = case.rows[:3], 3
    case.bob = []
    case.anna = without(case.anna, received(4))

    found = breach_of(case)

    assert (found.invariant, "c4" in found.what, "lost" in found.what) == ("I1", True, True)


def test_an_ack_at_another_seq_is_caught(case: Case) -> None:
    """I1: the acknowledged seq is not where the entry is."""
    case.anna[5] = Acked(conversation=ROOM, client_id="c1", seq=3, message_id="100")

    found = breach_of(case)

    assert (found.invariant, "c1" in found.what, "seq 3" in found.what) == ("I1", True, True)


def test_an_ack_of_another_message_is_caught(case: Case) -> None:
    """I1: the acknowledged message id is not the stored one."""
    case.anna[5] = Acked(conversation=ROOM, client_id="c1", seq=1, message_id="900")

    assert "message 900" in breach_of(case).what


def test_an_altered_body_is_caught(case: Case) -> None:
    """I1: what is stored is not what was sent."""
    case.rows[2] = replace(case.rows[2], body=fingerprint("forged"))
    case.bob = []
    case.anna = without(case.anna, received(3))

    found = breach_of(case)

    assert (found.invariant, "c3" in found.what) == ("I1", True)


def test_a_body_emptied_without_a_deletion_is_caught(case: Case) -> None:
    """I1: only a delete may empty an acknowledged message."""
    case.rows[2] = replace(case.rows[2], body=None)

    assert breach_of(case).invariant == "I1"


def test_a_deleted_body_may_be_empty(case: Case) -> None:
    case.rows[2] = replace(case.rows[2], body=None, deleted=True)

    case.check()


def test_a_doubled_client_id_is_caught(case: Case) -> None:
    """I2: the same message is stored twice."""
    case.rows.append(replace(case.rows[0], seq=5))
    case.last_seq = 5

    found = breach_of(case)

    assert (found.invariant, "c1" in found.what) == ("I2", True)


def test_a_client_id_of_a_kept_answer_counts_as_stored(case: Case) -> None:
    """I2 also holds over the answers to no-ops, which are not in the log."""
    case.rows.insert(0, replace(case.rows[0], seq=None, kind=ANSWER))

    assert breach_of(case).invariant == "I2"


def test_an_ack_of_a_no_op_names_the_entry_that_had_done_it(case: Case) -> None:
    """I1: the kept answer stays what it was."""
    case.rows.insert(0, StoredEntry(ROOM, None, ANSWER, ANNA, client_id="again", answer=1))
    case.anna.append(Acked(conversation=ROOM, client_id="again", seq=1, message_id="100"))
    case.check()

    case.rows[0] = replace(case.rows[0], answer=2)
    assert "again" in breach_of(case).what


def test_a_hole_in_the_seq_is_caught(case: Case) -> None:
    """I3: the store's log is dense."""
    del case.rows[1]

    found = breach_of(case)

    assert (found.invariant, "seq 3 follows seq 1" in found.what) == ("I3", True)


def test_a_head_beyond_the_log_is_caught(case: Case) -> None:
    """I3: the conversation's head is its last entry."""
    case.last_seq = 5

    assert breach_of(case).invariant == "I3"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda row: replace(row, body=fingerprint("other")), id="body"),
        pytest.param(lambda row: replace(row, message_id="900"), id="message-id"),
        pytest.param(lambda row: replace(row, kind="message.edited"), id="kind"),
    ],
)
def test_an_entry_that_changed_after_it_was_heard_is_caught(
    case: Case, change: Callable[[StoredEntry], StoredEntry]
) -> None:
    """I3: a seq never changes its content."""
    case.rows[3] = change(case.rows[3])
    case.anna = case.anna[:16]
    case.bob = [*case.bob[:-1]]

    found = breach_of(case)

    assert (found.invariant, "seq 4" in found.what) == ("I3", True)


def test_a_gap_in_what_was_received_is_caught(case: Case) -> None:
    """I4: live entries come without a hole."""
    case.bob = without(case.bob, received(3))

    found = breach_of(case)

    assert (found.invariant, found.what) == ("I4", "bob received conversation 7 seq 4, but 3 was next")


def test_a_resume_that_was_answered_without_its_pages_is_caught(case: Case) -> None:
    """I4: everything up to `live` has been sent when the resume is acknowledged."""
    case.anna = case.anna[:10] + case.anna[11:]

    found = breach_of(case)

    assert (found.invariant, "live from 2" in found.what, "up to 1" in found.what) == ("I4", True, True)


def test_an_end_that_never_came_is_caught(case: Case) -> None:
    """I4: a client that finished has everything that the store has."""
    case.bob = without(case.bob, received(4))

    found = breach_of(case)

    assert (found.invariant, "bob finished" in found.what, "seq 3" in found.what) == ("I4", True, True)


def test_an_entry_received_again_is_caught(case: Case) -> None:
    """I5: nothing is shown twice."""
    case.bob.insert(5, received(2))

    found = breach_of(case)

    assert (found.invariant, found.what) == ("I5", "bob received conversation 7 seq 2 again, 3 was next")


def test_a_range_asked_for_again_is_no_repeat(case: Case) -> None:
    case.bob[5:5] = [Resumed(epoch="e", cursors={ROOM: 0}), received(1), received(2), Live(heads={ROOM: 2})]

    case.check()


def test_a_log_begins_anew_after_a_reset(case: Case) -> None:
    case.bob[2:6] = [Reset(heads={ROOM: 3})]

    case.check()


def test_reordered_sends_are_caught(case: Case) -> None:
    """I6: 3 was sent before 4 on one connection, so it is stored before it."""
    case.rows[2:] = [replace(stored(4), seq=3), replace(stored(3), seq=4)]
    case.bob = []
    case.anna = [*case.anna[:14], sent(3), sent(4)]

    found = breach_of(case)

    assert (found.invariant, "c3 (seq 4) before c4 (seq 3)" in found.what) == ("I6", True)


def test_a_refused_attempt_has_no_place_in_the_order(case: Case) -> None:
    """3 is refused, 4 goes ahead of its retry: nothing is reordered."""
    refused = Refused(conversation=ROOM, client_id="c3", code=1203, name="busy", retryable=True)
    case.rows[2:] = [replace(stored(4), seq=3), replace(stored(3), seq=4)]
    case.bob = []
    case.anna = [*case.anna[:14], sent(3), refused, sent(4), sent(3)]

    case.check()


def test_an_entry_that_the_store_does_not_have_is_caught(case: Case) -> None:
    """I7: somebody was shown what never was."""
    case.bob.insert(7, received(5))

    found = breach_of(case)

    assert (found.invariant, "seq 5" in found.what, "phantom" in found.what) == ("I7", True, True)


def test_a_message_nobody_sent_is_caught(case: Case) -> None:
    """I7: the store holds a message that its sender's history does not."""
    case.rows.append(stored(5))
    case.last_seq = 5
    case.anna.pop()
    case.bob.pop()

    found = breach_of(case)

    assert (found.invariant, "never sent c5" in found.what) == ("I7", True)


def test_a_non_member_who_hears_something_is_caught(case: Case) -> None:
    """I7: nothing reaches an outsider."""
    case.bob[0] = Connected(user=MALLORY, epoch="e", heads={})

    found = breach_of(case)

    assert (found.invariant, "user 3, who is not a member" in found.what) == ("I7", True)


def test_a_member_who_left_hears_nothing_more(case: Case) -> None:
    """I7: the own leaving is the last entry one hears."""
    leaving = Received(conversation=ROOM, seq=3, kind="member.left", by=BOB)
    case.rows[2] = StoredEntry(ROOM, 3, "member.left", BOB, user=BOB)
    case.anna = []
    case.bob = [*case.bob[:5], leaving, received(4)]

    found = breach_of(case)

    assert (found.invariant, "who had left" in found.what) == ("I7", True)


def test_everybody_may_hear_the_lobby(case: Case) -> None:
    case.bob[0] = Connected(user=MALLORY, epoch="e", heads={ROOM: 0})
    store = ListedLog([StoredConversation(ROOM, 4, None)], {ROOM: case.rows})

    check(case.histories(), store)


def test_a_test_with_too_few_acks_does_not_count(case: Case) -> None:
    found = breach_of(case, Demands(min_acks=5))

    assert (found.invariant, found.what) == ("ran", "4 acks, at least 5 were wanted")


def test_a_fault_that_found_nothing_in_flight_does_not_count(case: Case) -> None:
    """Anna's second send is open at 6.5 s; at 5.5 s nothing is."""
    hit: list[AnyEvent] = [Fault(name="kill", time=6.5)]
    missed: list[AnyEvent] = [Fault(name="kill", time=5.5)]

    figures = check([*case.histories(), hit], case.store(), Demands(min_in_flight=1, min_faults_hit=1.0))
    assert (figures.faults, figures.in_flight_at_faults) == (1, 1)
    with pytest.raises(Breach, match="0 sends in flight"):
        check([*case.histories(), missed], case.store(), Demands(min_in_flight=1))


def test_a_slow_recovery_is_caught(case: Case) -> None:
    """I8: the ack after the fault's end at 7.5 s comes at 13 s."""
    faults: list[AnyEvent] = [Fault(name="kill", time=6.5), Healed(name="kill", time=7.5)]

    with pytest.raises(Breach, match=r"I8.*5\.50 s"):
        check([*case.histories(), faults], case.store(), Demands(recover_s=5))


def test_a_history_is_read_back_as_it_was_written(tmp_path: Path, case: Case) -> None:
    with History(tmp_path / "anna.jsonl", "anna", clock=lambda: 1.5) as history:
        for event in case.anna:
            history.write(event)

    assert list(read_history(history.path)) == [at(event, 1.5, "anna") for event in case.anna]


def test_a_line_cut_off_by_the_death_of_its_writer_is_left_out(tmp_path: Path) -> None:
    with History(tmp_path / "anna.jsonl", "anna") as history:
        history.write(sent(1))
    with history.path.open("ab") as file:
        file.write(b'{"event":"ack","conv')

    assert [type(event) for event in read_history(history.path)] == [Sent]


def sqlite_store(path: Path, case: Case) -> None:
    """The columns of the server's tables that the checker reads, and its way of keeping a body."""
    database = sqlite3.connect(path)
    database.executescript(
        """
        CREATE TABLE conversations (id INTEGER PRIMARY KEY, last_seq INTEGER, lobby INTEGER);
        CREATE TABLE members (conversation_id INTEGER, user_id INTEGER);
        CREATE TABLE entries (
            id INTEGER PRIMARY KEY, conversation_id INTEGER, seq INTEGER, kind INTEGER,
            actor_id INTEGER, client_id TEXT, message_id INTEGER, body TEXT
        );
        """
    )
    database.execute("INSERT INTO conversations VALUES (?, ?, 0)", (ROOM, case.last_seq))
    database.executemany("INSERT INTO members VALUES (?, ?)", [(ROOM, user) for user in MEMBERS])
    for row in case.rows:
        body = json.dumps({"message": {"id": f"{row.seq}00", "text": f"text {row.seq}"}})
        values = (f"{row.seq}00", ROOM, row.seq, row.by, row.client_id, body)
        database.execute("INSERT INTO entries VALUES (?, ?, ?, 1, ?, ?, NULL, ?)", values)
    database.commit()
    database.close()


def test_the_command_reads_histories_and_a_sqlite_file(
    tmp_path: Path, case: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 0 and the figures, or with 1 and the breach."""
    paths = []
    for name, events in (("anna", case.anna), ("bob", case.bob)):
        with History(tmp_path / name, name) as history:
            paths.append(str(history.path))
            for event in events:
                history.write(event)
    sqlite_store(tmp_path / "parley.db", case)
    assert SqliteLog(tmp_path / "parley.db").check_database() == "ok"
    assert main([*paths, "--store", str(tmp_path / "parley.db"), "--min-acks", "4"]) == 0
    assert "acks=4" in capsys.readouterr().out

    with sqlite3.connect(tmp_path / "parley.db") as database:
        database.execute("UPDATE entries SET client_id = 'c9' WHERE seq = 2")
    database.close()

    assert main([*paths, "--store", str(tmp_path / "parley.db")]) == 1
    assert "c2" in capsys.readouterr().err
