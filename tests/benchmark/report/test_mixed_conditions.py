from dataclasses import replace

import pytest

from benchmark.report import build
from benchmark.report.mixed_conditions import comparisons, elsewhere, mixtures
from benchmark.runs.names import PairName
from benchmark.tables.reader import load
from tests.benchmark import made_up

AMD, INTEL = "AMD EPYC (26.2.1)", "Intel Xeon (6.85.7)"


def machine(processor=AMD, torch="2.9", **others):
    return made_up.PROVENANCE | {"processor": processor, "versions": {"torch": torch}} | others


@pytest.fixture
def runs_on(named, record):
    """``runs_on(METHOD=PROCESSORS)``: the small table's records, by the processor of each seed, None for unknown."""

    def make(**processors):
        def known(processor):
            return {name: value for name, value in machine(processor).items() if value is not None}

        return named(
            {
                method: [record(seed=seed, **known(one)) for seed, one in enumerate(found)]
                for method, found in processors.items()
            }
        )

    return make


def test_runs_of_different_machines_that_are_compared_are_told(small_table, runs_on):
    def told(at):
        return mixtures(small_table(), runs_on(student=(AMD, AMD), kd=(AMD, AMD), at=at))

    assert told((AMD, AMD)) == ()
    assert told((AMD, None)) == ()  # unknown is not different
    [sentence] = told((AMD, INTEL))
    assert sentence == (
        f"On the one pair, runs that are compared were made on different machines (processor: {AMD}, {INTEL}), which "
        "can change their numbers: --retrain trains again here what other machines left."
    )


def test_seeds_are_not_compared_with_each_other(small_table, runs_on):
    assert mixtures(small_table(), runs_on(student=(AMD, INTEL), kd=(AMD, INTEL))) == ()


@pytest.fixture
def two_pairs(small_table):
    table = small_table()
    rows = tuple(replace(table.rows[0], pair=PairName("big", student)) for student in ("small", "tiny"))
    return replace(table, rows=rows, paper=table.paper * 2)


def test_pairs_of_networks_are_not_compared_with_each_other(two_pairs, record):
    def found(pair, method, **conditions):
        return {f"table06/{pair}/{method}/top1": [record(**machine(**conditions))]}

    here = found("big:small", "student") | found("big:small", "kd")
    there = found("big:tiny", "student", processor=INTEL)
    assert mixtures(two_pairs, here | there | found("big:tiny", "kd", processor=INTEL)) == ()
    [told] = mixtures(two_pairs, here | there | found("big:tiny", "kd", processor=INTEL, torch="2.10"))
    assert told.startswith("On 1 of 2 pairs, runs that are compared were made on different machines (torch: 2.10, 2.9)")


def test_the_machine_of_the_teacher_plays_no_part(small_table, runs_on):
    assert mixtures(small_table(), runs_on(student=[AMD], kd=[AMD], teacher=[INTEL])) == ()


@pytest.fixture
def chain(kinds):
    """By method a job of every kind: a run that has a first stage, and what looks at it."""
    return {method: kinds(method=method) for method in ("fsp", "ab")}


@pytest.fixture
def told(small_table, named, chain):
    """``told(kind, of, known)``: what is said of jobs of a kind, by what they were made on and what is known beside."""

    def tell(kind, fsp, ab, known=()):
        jobs = {"at": (chain["fsp"][kind], fsp), "kd": (chain["ab"][kind], ab)}
        records = {method: [made_up.record(job, provenance=made)] for method, (job, made) in jobs.items()}
        return mixtures(small_table(), named(records), {job.id: made_up.record(job, provenance=p) for job, p in known})

    return tell


def test_first_stages_belong_to_their_run(told, chain):
    [stage] = chain["fsp"]["train"].stages
    assert told("train", machine(), machine()) == told("train", machine(), machine(), [(stage, machine())]) == ()
    assert f"(processor: {AMD}, {INTEL})" in told("train", machine(), machine(), [(stage, machine(INTEL))])[0]


@pytest.mark.parametrize(("kind", "noun"), [("probe", "probe"), ("analyse", "analysis")])
def test_what_looks_at_a_run_rests_on_its_machine(kind, noun, told, chain):
    runs, here, there = [chain[method]["train"] for method in ("fsp", "ab")], machine(), machine(INTEL)
    assert f"(processor: {AMD}, {INTEL})" in told(kind, here, here, zip(runs, (there, here), strict=True))[0]
    # Where one was trained is unknown; both were looked at elsewhere than they were trained; one of them was.
    assert told(kind, here, here, [(runs[0], there)]) == ()
    assert told(kind, here, here, zip(runs, (there, there), strict=True)) == ()
    mixed = told(kind, here, there, zip(runs, (there, there), strict=True))
    assert f"(processor of the {noun}: {AMD}, {INTEL})" in mixed[0]


def test_numbers_of_weights_that_were_replaced_are_told(small_table, named, chain):
    run, look = chain["fsp"]["train"], chain["fsp"]["analyse"]
    made = {job.id: made_up.record(job, weights=sha * 64) for job, sha in ((run, "a"), (run.stages[0], "b"))}
    for read, count in (({}, 0), ({run.id: "a" * 64}, 0), ({run.id: "c" * 64}, 1)):
        analysis = made_up.record(look, provenance=machine(rests_on=read))
        told = mixtures(small_table(), named({"at": [analysis]}), made)
        sentence = "Some numbers rest on weights of runs that were trained again since: --retrain makes them anew."
        assert told == (sentence,) * count
    made[run.id] = made_up.record(run, weights="a" * 64, provenance=machine(rests_on={run.stages[0].id: "d" * 64}))
    analysis = made_up.record(look, provenance=machine(rests_on={run.id: "a" * 64}))
    assert len(mixtures(small_table(), named({"at": [analysis]}), made)) == 1


@pytest.fixture
def odd(small_table, runs_on):
    """By method, what is to be known of its cell, by the processors of its seeds."""

    def tell(judges=("student",), **processors):
        table = small_table(columns=tuple(processors))
        compared = comparisons(table.cells, runs_on(**processors))
        found = {cell.method: elsewhere(compared, cell, {"student": "Student"}, judges) for cell in table.cells}
        return {method: one for method, one in found.items() if one}

    return tell


def test_the_odd_one_is_told_with_whom_it_is_compared(odd):
    found = odd(student=[AMD] * 2, kd=[AMD] * 2, at=[INTEL] * 2, ofd=[AMD] * 2, crd=[AMD] * 2)
    assert [*found] == ["at"]
    assert found["at"].seeds == 2
    reason = f"made on another machine than Student, kd, ofd, 1 more (processor: {INTEL}, there {AMD})"
    assert found["at"].reason == reason


def test_all_are_odd_whose_judge_was_made_elsewhere(odd):
    found = odd(student=[INTEL], kd=[AMD], at=[AMD])
    assert [*found] == ["student", "kd", "at"]
    assert found["kd"].reason == f"made on another machine than Student (processor: {AMD}, there {INTEL})"
    assert [*odd((), student=[INTEL], kd=[AMD], at=[AMD])] == ["student"]
    assert [*odd(("kd",), student=[AMD], kd=[INTEL], at=[AMD])] == ["student", "kd", "at"]


def test_without_a_judge_most_of_the_others_are_one(odd):
    assert [*odd(kd=[AMD], at=[AMD], ofd=[INTEL])] == ["ofd"]
    assert [*odd(kd=[AMD], at=[INTEL])] == ["at"]


def test_the_seeds_are_named_where_not_all_are_odd(odd):
    found = odd(student=[AMD] * 3, kd=[AMD, INTEL, INTEL])["kd"]
    reason = f"seed 1, 2: made on another machine than Student (processor: {INTEL}, there {AMD})"
    assert (found.seeds, found.reason) == (2, reason)


@pytest.mark.parametrize(("kind", "number", "pair"), [("table", "6", "wrn-16-2"), ("figure", "2", "wrn-16-4")])
def test_tables_and_figures_say_so_in_their_notes(kind, number, pair, record, context):
    start = f"{kind}0{number}/wrn-40-4:{pair}"
    records = {f"{start}/student/top1": [record(**machine())], f"{start}/srrl/top1": [record(**machine(INTEL))]}
    made = build(load(number, kind), records, context)
    notes = made.notes if kind == "figure" else made.grid.notes
    assert sum("runs that are compared were made on different machines" in note for note in notes) == 1


def test_mixed_conditions_are_told(two_pairs, record):
    same = {"table06/big:small/kd/top1": [record()], "table06/big:small/teacher/top1": [record(teacher_weights=None)]}
    assert mixtures(two_pairs, same) == ()
    other = record(device="cuda", threads=2, teacher_weights="cd34")
    assert mixtures(two_pairs, same | {"table06/big:tiny/kd/top1": [other]}) == (
        "This table mixes devices: cpu, cuda.",
        "This table mixes numbers of threads: 1, 2.",
        "This table mixes teachers: students learned from different weights of big.",
    )
    # On one pair they are compared, which is told once and in more words.
    told = mixtures(two_pairs, same | {"table06/big:small/at/top1": [other]})
    assert len(told) == 2
    assert "(device: cpu, cuda; threads: 1, 2)" in told[0]


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
    rows = (replace(table.rows[0], recipe="A"), replace(table.rows[0], recipe="B", pair=PairName("big", "tiny")))
    table = replace(table, rows=rows, paper=table.paper * 2)
    records = {
        f"table06/big:{student}/kd/top1": [record(teacher_weights=weights)]
        for student, weights in (("small", "ab"), ("tiny", "cd"))
    }
    assert mixtures(table, records) == ()
    same = replace(table, rows=(rows[0], replace(rows[1], recipe="A")))
    assert mixtures(same, records) == ("This table mixes teachers: students learned from different weights of big.",)
