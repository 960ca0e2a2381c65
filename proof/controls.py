"""The negative controls: what was sabotaged, and the test that turned red. A proof that cannot fail proves nothing."""

from __future__ import annotations

CHECKER = "tests/integrity/test_checker.py"
POWER = "tests/crash/test_powercut.py"
SABOTAGE = "tests/crash/test_sabotage.py"
NODES = "tests/end_to_end/cluster/test_sabotage.py"

CONTROLS: tuple[tuple[str, str], ...] = (
    ("storage that does not sync (SQLite `NORMAL`), power cut", f"{POWER}::test_the_cut_is_a_real_one"),
    ("a server that acks before it commits, kill -9", f"{SABOTAGE}::test_an_ack_before_the_commit_is_caught_by_kill_9"),
    (
        "a server that acks before it commits, full disk",
        f"{SABOTAGE}::test_an_ack_before_the_commit_is_caught_by_a_full_disk",
    ),
    (
        "a server that does not sync, power cut",
        f"{SABOTAGE}::test_a_commit_that_is_not_synced_is_caught_by_a_power_cut",
    ),
    (
        "a server without UNIQUE(actor, client_id), lost acks",
        f"{SABOTAGE}::test_a_client_id_that_is_not_unique_is_caught_by_lost_acks",
    ),
    (
        "a server that subscribes after fetching, connections cut",
        f"{SABOTAGE}::test_a_careless_resume_is_caught_by_cuts",
    ),
    ("a server that drains without a word, SIGTERM", f"{SABOTAGE}::test_a_rude_drain_is_caught_by_rolling_restarts"),
    (
        "nodes that do not compare heads with the store",
        f"{NODES}::test_nodes_that_do_not_compare_heads_are_caught",
    ),
    (
        "revocation not told to other nodes, and not asked for",
        f"{NODES}::test_nodes_that_are_not_told_of_ended_sessions_are_caught",
    ),
    ("an acknowledged message is not in the store", f"{CHECKER}::test_a_lost_ack_is_caught"),
    ("it is there at another seq", f"{CHECKER}::test_an_ack_at_another_seq_is_caught"),
    ("it is there under another id", f"{CHECKER}::test_an_ack_of_another_message_is_caught"),
    ("it is there with another body", f"{CHECKER}::test_an_altered_body_is_caught"),
    ("its body is gone and nobody deleted it", f"{CHECKER}::test_a_body_emptied_without_a_deletion_is_caught"),
    ("no UNIQUE: one client_id is stored twice", f"{CHECKER}::test_a_doubled_client_id_is_caught"),
    (
        "no UNIQUE over kept answers to no-ops",
        f"{CHECKER}::test_a_client_id_of_a_kept_answer_counts_as_stored",
    ),
    ("a kept answer changes", f"{CHECKER}::test_an_ack_of_a_no_op_names_the_entry_that_had_done_it"),
    ("a hole in the store's seq", f"{CHECKER}::test_a_hole_in_the_seq_is_caught"),
    ("a head beyond the last entry", f"{CHECKER}::test_a_head_beyond_the_log_is_caught"),
    ("an entry changes after it was heard", f"{CHECKER}::test_an_entry_that_changed_after_it_was_heard_is_caught"),
    ("a live entry is skipped", f"{CHECKER}::test_a_gap_in_what_was_received_is_caught"),
    (
        "subscribe after fetch: a resume without its pages",
        f"{CHECKER}::test_a_resume_that_was_answered_without_its_pages_is_caught",
    ),
    ("the last entry never comes", f"{CHECKER}::test_an_end_that_never_came_is_caught"),
    ("an entry comes twice", f"{CHECKER}::test_an_entry_received_again_is_caught"),
    ("two sends of one connection swap places", f"{CHECKER}::test_reordered_sends_are_caught"),
    ("broadcast before commit: heard, not stored", f"{CHECKER}::test_an_entry_that_the_store_does_not_have_is_caught"),
    ("a message nobody sent", f"{CHECKER}::test_a_message_nobody_sent_is_caught"),
    ("a stranger hears a conversation", f"{CHECKER}::test_a_non_member_who_hears_something_is_caught"),
    ("a member who left goes on hearing", f"{CHECKER}::test_a_member_who_left_hears_nothing_more"),
    ("a test in which too little happened", f"{CHECKER}::test_a_test_with_too_few_acks_does_not_count"),
    ("faults that found nothing in flight", f"{CHECKER}::test_a_fault_that_found_nothing_in_flight_does_not_count"),
    ("a server that comes back too late", f"{CHECKER}::test_a_slow_recovery_is_caught"),
)
"""(what is broken, the test that catches it). `tests/integrity` holds every name here against the tests that exist."""
