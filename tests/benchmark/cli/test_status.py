"""Counts of what is done, table by table."""

from benchmark.cli import status
from benchmark.config.resolve import TeacherChoice
from benchmark.runs.names import parse_method

PAIR = "wrn-40-4:wrn-16-2"


def test_what_does_not_apply_is_counted_too(request_of, resolver):
    session, said = request_of("--table", "6", "--pairs", PAIR, "--methods", "kd,srrl", "--seeds", "1"), []
    for method in ("kd", "srrl"):
        run = resolver().run("C100", "wrn-16-2", parse_method(method), TeacherChoice("C100", "wrn-40-4"), 0)
        session.store.write(run, "not_applicable", {}, failure={"reason": "their maps differ"})
    assert status.run(session, said.append) == 0
    # The teacher and the student alone are still to be trained.
    _, count, disk = said
    assert count.startswith("table 6: 0 of ")
    assert ", 2 not applicable, 0 failed, " in count
    assert disk == f"0 MiB of checkpoints, weights and logs in {session.store.checkpoints}"
