from dataclasses import replace

from benchmark.report.mixtures import mixtures
from tests.benchmark import made_up


def test_mixed_conditions_are_told(small_table, named, record):
    table = small_table()
    assert mixtures(table, named({"kd": [record(), record()], "teacher": [record(teacher_weights=None)]})) == ()
    facts = mixtures(
        table, named({"kd": [record(), record(device="cuda")], "at": [record(threads=2, teacher_weights="cd34")]})
    )
    assert facts == (
        "This table mixes devices: cpu, cuda.",
        "This table mixes numbers of threads: 1, 2.",
        "This table mixes teachers: students learned from different weights of big.",
    )


def test_conditions_of_failed_runs_do_not_count(small_table, named, record):
    assert mixtures(small_table(), named({"kd": [record(), record(None, "failed", device="cuda")]})) == ()


def test_versions_of_one_data_set_are_a_mixture_and_two_data_sets_are_none(small_table, named, record):
    cifar, other, stl = (
        record(data={"name": name, "fingerprint": print_}) for name, print_ in (("c", "1"), ("c", "2"), ("s", "3"))
    )
    assert mixtures(small_table(), named({"kd": [cifar], "at": [stl]})) == ()
    facts = mixtures(small_table(), named({"kd": [cifar, stl], "at": [other]}))
    assert facts == ("This table mixes versions of c: 1, 2.",)


def test_jobs_of_different_kinds_may_differ(small_table, named, job, kinds):
    run, other = (made_up.record(job(precision=precision)) for precision in ("fp32", "bf16"))
    probe = made_up.record(kinds(precision="bf16")["probe"])
    assert mixtures(small_table(), named({"kd": [run], "at": [probe]})) == ()
    facts = mixtures(small_table(), named({"kd": [run], "at": [other]}))
    assert facts == ("This table mixes precisions: bf16, fp32.",)


def test_a_teacher_has_weights_of_its_own_under_each_recipe(small_table, record):
    table = small_table()
    rows = (replace(table.rows[0], recipe="A"), replace(table.rows[0], recipe="B", pair="big:tiny"))
    table = replace(table, rows=rows, paper=table.paper * 2)
    records = {
        f"table06/big:{student}/kd/top1": [record(teacher_weights=weights)]
        for student, weights in (("small", "ab"), ("tiny", "cd"))
    }
    assert mixtures(table, records) == ()
    same = replace(table, rows=(rows[0], replace(rows[1], recipe="A")))
    assert mixtures(same, records) == ("This table mixes teachers: students learned from different weights of big.",)
