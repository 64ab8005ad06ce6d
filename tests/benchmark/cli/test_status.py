"""Counts of what is done, table by table."""

from benchmark.config.teachers import TeacherChoice
from benchmark.runs.names import parse_method

PAIR = "wrn-40-4:wrn-16-2"


def test_counts_what_does_not_apply_and_what_is_to_do(command, session_of, resolver):
    store = session_of().store
    for method in ("kd", "srrl"):
        run = resolver().run("C100", "wrn-16-2", parse_method(method), TeacherChoice("C100", "wrn-40-4"), 0)
        store.write(run, "not_applicable", {}, failure={"reason": "their maps differ"})
    shown = command("status", "--table", "6", "--pairs", PAIR, "--methods", "kd,srrl", "--seeds", "1")
    assert shown.status == 0
    # The teacher and the student alone are still to be trained.
    heading, count, disk = shown.out.splitlines()
    assert heading.startswith("profile digits (")
    assert count.startswith("table 6: 0 of ")
    assert ", 2 not applicable, 0 failed, " in count
    assert disk == f"0 MiB of checkpoints, weights and logs in {store.checkpoints}"
    assert "\nleaderboard: 0 of " in command("status").out
