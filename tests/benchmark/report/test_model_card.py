import json
import re
from dataclasses import replace

import pytest
import yaml

from benchmark.lineage.records import Archive
from benchmark.registry import catalog, plugins
from benchmark.report.model_card import Exported, card, config
from benchmark.runs.store import Store
from tests.benchmark import made_up
from tests.benchmark.hostile import ESCAPES, MARKUP, hidden
from tests.benchmark.made_up import parts

FOLDER = "net"


@pytest.fixture
def exported(tmp_path, run):
    """Factory: what is exported of a run whose record lies in a folder of the test's own."""

    def make(method="kd", student="wrn-16-2", **provenance):
        job, store = run(method, student), Store(tmp_path / "digits", tmp_path)
        for one in (job, *job.needs):
            epoch = {"epoch": 6, "top1": 97.5, "topk": 99.0, "loss": 0.25}
            facts = {"data": {"name": "digits", "fingerprint": "ab" * 32}, "teacher_weights": "cd" * 32} | provenance
            metrics = {"last": epoch, "best": epoch | {"epoch": 3, "top1": 98.0}}
            store.write(one, "done", facts, **parts(one.kind, metrics=metrics))
        known = {one.id: one for one in Archive(store.results)}
        teacher = known[job.teacher.id] if job.teacher else None
        return Exported(known[job.id], teacher, 10, "ef" * 32, "digits", "A remark.", "python run_all.py why abc")

    return make


@pytest.fixture
def run():
    from benchmark.config.overrides import load_profile
    from benchmark.config.resolve import ConfigResolver
    from benchmark.config.teachers import TeacherChoice
    from benchmark.runs.names import parse_method

    resolver = ConfigResolver(load_profile("digits"), {})
    return lambda method, student: resolver.run(
        "CRD100", student, parse_method(method), TeacherChoice("CRD100", "wrn-40-2"), 1
    )


def front(text):
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


def test_front_matter_is_what_hugging_face_reads(exported):
    what = exported("kd+srrl")
    head, _ = front(card(what, FOLDER))
    assert head["license"] == "mit"
    assert head["datasets"] == ["digits"]
    assert head["tags"] == ["image-classification", "knowledge-distillation", "wrn-16-2", "kd", "srrl"]
    (model,) = head["model-index"]
    (result,) = model["results"]
    assert model["name"] == f"wrn-16-2-{what.known.id[:12]}"
    assert result["metrics"] == [{"type": "accuracy", "value": 97.5, "name": "top-1 accuracy, last epoch"}]


def test_the_card_tells_how_it_was_made(exported):
    what = exported("kd+srrl", revision="c0ffee", dirty=True, device="cpu", threads=1, versions={"torch": "2.9"})
    _, text = front(card(what, FOLDER))
    for line in [
        "# wrn-16-2, distilled from wrn-40-2 by kd+srrl",
        f"on digits: run `{what.known.id[:12]}`, seed 1.",
        "A remark.",
        "| these weights, last epoch | 6 | 97.50 | 99.00 | 0.2500 |",
        "| best epoch, chosen on the test data | 3 | 98.00 | 99.00 | 0.2500 |",
        "| its teacher wrn-40-2, last epoch | 6 | 97.50 | 99.00 | 0.2500 |",
        "network = models.load('net')  # in evaluation mode, float32",
        "Objective: 0.1 * cross-entropy + 0.9 * kd (revision=1) + ",
        f"Teacher: wrn-40-2, run `{what.teacher.id}`, weights of SHA-256 `{'cd' * 32}`.",
        "| recipe CRD100 | |",
        "| lr | 0.05 |",
        "| beta2 | null |",
        f"| run | {what.known.id} |",
        f"| weights | SHA-256 {'ef' * 32} |",
        "| code | revision c0ffee, with changes that were not committed |",
        "| versions | torch 2.9 |",
        "| machine | cpu, 1 thread |",
        f"| data | digits, fingerprint {'ab' * 32} |",
        "`python run_all.py why abc` shows",
        "  title = {Knowledge Distillation via Softmax Regression Representation Learning},",
        "- KD: ",
    ]:
        assert line in text, line
    assert "\n\n\n" not in text


def test_the_card_tells_of_a_chain_of_teachers(exported, tmp_path):
    from benchmark.config.overrides import load_profile
    from benchmark.config.resolve import ConfigResolver
    from benchmark.config.teachers import TeacherChoice
    from benchmark.runs.names import parse_method, parse_pair

    teacher = TeacherChoice.of(parse_pair("wrn-40-4>wrn-40-2[srrl[sr]]>wrn-16-4[at]:wrn-16-2"), "CRD100")
    job = ConfigResolver(load_profile("digits"), {}).run("CRD100", "wrn-16-2", parse_method("kd"), teacher, 0)
    last, middle = job.teacher, job.teacher.teacher
    store = Store(tmp_path / "chain", tmp_path)
    for one in (job, last, middle):
        store.write(one, "done", {}, **parts(one.kind))
    archive = Archive(store.results)
    [known] = archive.beginning(job.id)
    first, *earlier = archive.teachers(known)
    text = card(replace(exported(), known=known, teacher=first, earlier=tuple(earlier)), FOLDER)
    assert (
        "# wrn-16-2, distilled from wrn-16-4 by kd, itself distilled from wrn-40-2 by at, itself distilled from "
        "wrn-40-4 by srrl\\[sr\\]\n"
    ) in text
    assert (
        f"\nTeacher: wrn-16-4, run `{last.id}`.\nThe teacher's teacher: wrn-40-2, run `{middle.id}`.\n"
        f"Before that: wrn-40-4, run `{middle.teacher.id}`.\n"
    ) in text
    assert "\n\n\n" not in text


def test_a_network_trained_alone_has_no_teacher(exported):
    text = card(exported("student"), FOLDER)
    assert "# wrn-16-2, trained with cross-entropy alone" in text
    assert "Teacher:" not in text
    assert "knowledge-distillation" not in text
    assert "Losses:" not in text
    assert "\n\n\n" not in text


def test_first_stages_are_named(exported):
    what = exported("fsp")
    assert f"First stage: `{what.spec['stages'][0]}`." in card(what, FOLDER)


def test_a_teacher_that_was_given_has_no_epoch(exported, kinds):
    given = made_up.record(kinds()["evaluate"], metrics={"last": {"top1": 73.31}})
    what = exported()
    what = replace(what, teacher=replace(what.teacher, record=given))
    assert "| its teacher wrn-40-2, last epoch | – | 73.31 | 99.50 | 0.1000 |" in card(what, FOLDER)


def test_a_network_of_ones_own_says_which_file_has_to_be_named(exported, own_network, monkeypatch):
    own_network("first")
    what = exported(student="of-mine")
    code = what.spec["code"]["network"]
    words = f"of-mine is not part of srrl-bench (SHA-256 of its code: {code}). To load it, "
    start = f"{words}set SRRL_BENCH_PLUGINS to the path of"
    assert what.needs == f"{start} mine.py, which registers it, before Python starts"
    assert f"\n{what.needs}.\n\nFrom a clone" in card(what, FOLDER)

    own_network("second", "\nOTHER = 1\n")  # another network by the same name
    assert what.needs == f"{start} the file that registers it, before Python starts"
    monkeypatch.delenv(plugins.VARIABLE)
    assert what.needs == f"{start} the file that registers it, before Python starts"


def test_a_draft_among_the_project_s_networks_says_where_its_file_belongs(exported, own_network, monkeypatch):
    own_network("first")
    what = exported(student="of-mine")
    draft = replace(catalog.networks()["of-mine"], path=catalog.ROOT / "models" / "mine.py")
    monkeypatch.setattr(catalog, "networks", lambda: {"of-mine": draft})
    assert what.needs.endswith("To load it, copy models/mine.py, which registers it, into the clone")
    monkeypatch.setattr(catalog, "networks", lambda: {"of-mine": replace(draft, code="", path=None)})
    assert what.needs == ""  # it has become one of the project's


def test_the_project_s_own_networks_need_nothing_else(exported):
    what = exported()
    assert what.needs == ""
    assert "## Use\n\nFrom a clone of srrl-bench" in card(what, FOLDER)


def test_config_has_what_a_network_is_built_from(exported):
    what = exported()
    found = json.loads(config(what))
    assert [found[key] for key in ("network", "num_classes", "in_size", "width")] == ["wrn-16-2", 10, 8, 0.25]
    assert found["preprocessing"] == {
        "crop": "pad",
        "crop_size": None,
        "resize": None,
        "mean": [0.3, 0.3, 0.3],
        "std": [0.35, 0.35, 0.35],
    }
    assert (found["run"], found["seed"], found["method"]) == (what.known.id, 1, "kd")


def test_texts_of_records_are_data(exported):
    what = exported(device=f"{ESCAPES} {MARKUP}", revision=f"a|b {ESCAPES}", teacher_weights=f"`{ESCAPES}`")
    what = replace(what, note=f"# {MARKUP}", why=f"python run_all.py why abc --set 'x=`{ESCAPES}'")
    head, text = front(card(what, FOLDER))
    assert head["license"] == "mit"
    assert hidden(text) == []
    assert "\n\\# \\</script>\\<script>alert(1)\\</script> \\&lt;b\\&gt; \\|" in text
    assert "``python run_all.py why abc --set 'x=`" in text.replace("`` python", "``python")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {3, 6}
