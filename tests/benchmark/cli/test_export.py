"""Trained networks as folders: which run is meant, what is refused, and one trained, exported and loaded for real."""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from benchmark.config.overrides import parse_changes
from benchmark.config.teachers import TeacherChoice
from benchmark.ids import canonical_json
from benchmark.lineage.records import Archive
from benchmark.registry.catalog import ROOT
from benchmark.runs.names import parse_method, parse_pair
from tests.benchmark.made_up import parts

PAIR = "wrn-40-4:wrn-16-2"
CELL = f"table06/{PAIR}/kd"
EPOCH = {"epoch": 6, "top1": 97.5, "topk": 99.0, "loss": 0.25}


@pytest.fixture
def runs(resolver):
    teacher, student = PAIR.split(":")
    return [
        resolver().run("C100", student, parse_method("kd"), TeacherChoice("C100", teacher), seed) for seed in (0, 1, 2)
    ]


@pytest.fixture
def leave(session_of):
    """Leaves what a finished run leaves."""

    def make(job, status="done", run=None, *, weights=True, **form):
        store, given = session_of().store, {"metrics": {"last": EPOCH, "best": EPOCH}} if status == "done" else {}
        store.write(job, status, {}, **parts(job.kind, status, **given))
        if weights:
            about = canonical_json({"run": run or job.id, **form})
            content = save({"classifier.weight": np.zeros((10, 4), np.float16)}, {"about": about})
            path = store.weights_path(job)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            return content
        return b""

    return make


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def exports(command):
    """Runs the command; gives the exported folder and its configuration."""

    def run(name, *arguments):
        shown = command("export", name, *arguments)
        assert (shown.status, shown.err) == (0, "")
        written, loaded = shown.out.splitlines()
        place = ast.literal_eval(re.search(r"models.load\((.*)\)", loaded)[1])
        assert written == f"written: {place}/model.safetensors, {place}/config.json, {place}/README.md"
        return Path(place), json.loads((Path(place) / "config.json").read_text())

    return run


@pytest.fixture
def refused(command):
    """Runs the command, which refuses; gives the line of the error."""

    def run(name, *arguments):
        shown = command("export", name, *arguments)
        assert (shown.status, shown.out, shown.err.count("\n")) == (2, "", 1)
        return shown.err.removeprefix("error: ").rstrip("\n")

    return run


def test_writes_the_weights_as_they_are_stored(exports, leave, runs):
    content = leave(runs[0])
    place, config = exports(CELL)
    assert place == Path(f"exports/wrn-16-2-{runs[0].id[:12]}")
    assert sorted(path.name for path in place.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert (place / "model.safetensors").read_bytes() == content
    assert (config["run"], config["num_classes"]) == (runs[0].id, 10)
    assert config["sha256"] == hashlib.sha256(content).hexdigest()
    assert f"models.load('{place.name}')" in (place / "README.md").read_text()


def test_what_a_method_has_built_around_the_network_is_part_of_the_configuration(exports, leave, runs, tmp_path):
    leave(runs[0])
    assert "wrapping" not in exports(CELL)[1]
    form = {"kind": "reused-classifier", "size": [2, 2]}
    for _ in range(2):  # the second record states the first file
        leave(runs[0], wrapping=form)
    assert exports(CELL, "--to", str(tmp_path / "other"))[1]["wrapping"] == form


def test_altered_weights_are_refused(exports, refused, leave, runs, session_of, tmp_path):
    leave(runs[0])
    content = leave(runs[0])  # the record states them now
    assert exports(CELL)[1]["sha256"] == hashlib.sha256(content).hexdigest()
    path = session_of().store.weights_path(runs[0])
    path.write_bytes(content.replace(bytes(8), b"\x01" * 8))
    assert f"weights {path} are not those that were measured" in refused(CELL, "--to", str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("name", "seed"),
    [(CELL, 1), (f"{CELL}/top1", 1), (f"{CELL}/seed2", 2), (f"{CELL}/top1/seed2", 2)],
)
def test_the_first_seed_that_is_done_unless_one_is_named(name, seed, exports, leave, runs):
    leave(runs[0], status="failed")
    leave(runs[1])
    leave(runs[2])
    assert exports(name)[1]["run"] == runs[seed].id


def test_a_teacher_out_of_the_kept_ones(exports, leave, runs, session_of):
    teacher, store = runs[0].teacher, session_of().store
    leave(teacher)
    store.keep_teacher(teacher)
    store.weights_path(teacher).unlink()
    assert exports(f"table06/{PAIR}/teacher")[1]["run"] == teacher.id


def test_the_card_of_a_chains_student_names_all_its_teachers(exports, leave, resolver):
    pair = "wrn-40-4>wrn-16-4[kd]:wrn-16-2"
    teacher = TeacherChoice.of(parse_pair(pair), "C100")
    run = resolver().run("C100", "wrn-16-2", parse_method("kd"), teacher, 0)
    for job in (run.teacher.teacher, run.teacher, run):
        leave(job)
    place, config = exports(f"table06/{pair}/kd")
    card = (place / "README.md").read_text()
    assert config["run"] == run.id
    assert "# wrn-16-2, distilled from wrn-16-4 by kd, itself distilled from wrn-40-4 by kd" in card
    assert f"The teacher's teacher: wrn-40-4, run `{run.teacher.teacher.id}`." in card


def test_a_number_about_a_network_means_the_network(exports, leave, resolver):
    made, teacher = resolver(), TeacherChoice("C100", "wrn-40-4")
    run = made.run("C100", "wrn-16-4", parse_method("kd"), teacher, 0)
    leave(run)
    assert exports("table02/wrn-40-4:wrn-16-4/kd/kl_div_with_teacher")[1]["run"] == run.id
    assert exports("table04/wrn-40-4:wrn-16-4/kd", "--to", "probed")[1]["run"] == run.id
    assert exports(made.analysis("similarity", run, teacher).id[:12], "--to", "other")[1]["run"] == run.id


@pytest.mark.parametrize("name", ['of "mine"', "of 'mine'", "back\\slash"])
def test_a_card_names_its_folder_alone_whatever_it_is_called(name, exports, leave, runs, tmp_path_factory):
    leave(runs[0])
    folder = tmp_path_factory.mktemp("elsewhere") / name
    place, _ = exports(CELL, "--to", str(folder))
    assert place == folder
    text = (place / "README.md").read_text()
    assert ast.literal_eval(re.search(r"models.load\((.*)\)  #", text)[1]) == name
    assert str(folder.parent) not in text


SETS = """
from benchmark.data import image_folder
SOURCES = (image_folder("leaves", num_train=24, num_test=12, num_classes=6, image_size=32),)
"""


def test_a_card_names_plug_ins_without_their_folders(exports, leave, runs, tmp_path):
    leave(runs[0])
    path = tmp_path / "deep" / "mine.py"
    path.parent.mkdir()
    path.write_text(SETS)
    place, _ = exports(CELL, "--plugin", str(path))
    assert (
        f"`python run_all.py why {runs[0].id[:12]} --profile digits --plugin mine.py` "
        in (place / "README.md").read_text()
    )


def test_a_network_of_ones_own_says_what_loading_it_takes(leave, resolver, command, own_network):
    own_network()
    run = resolver().run("C100", "of-mine", parse_method("kd"), TeacherChoice("C100", "wrn-40-4"), 0)
    leave(run)
    needs = command("export", run.id).out.splitlines()[2]
    assert needs.endswith("set SRRL_BENCH_PLUGINS to the path of mine.py, which registers it, before Python starts")


def test_what_cannot_be_exported(refused, leave, runs, kinds, session_of, tmp_path):
    run = f"run {runs[0].id[:12]}"
    assert refused(CELL).startswith(f"{run} is missing: train the table that it stands in")
    leave(runs[0], status="failed")
    assert refused(CELL).startswith(f"{run} is failed: train the table that it stands in, with --retry-failed")
    session_of().store.write(runs[0], "not_applicable", {}, failure={"reason": "their maps differ"})
    assert refused(CELL) == f"{run} does not apply: their maps differ"
    for job in (kinds()["stage"], kinds()["evaluate"]):
        leave(job)
        assert "trains no network to export" in refused(job.id[:12])
    assert refused(f"{CELL}/seed7").endswith("there is no such run; the wanted seeds are 0, 1, 2")
    leave(runs[1], weights=False)
    assert refused(f"{CELL}/seed1").startswith(
        f"the weights of run {runs[1].id[:12]} are not here: the repository keeps teachers' weights, not students'. "
        f"To train it again, remove {session_of().store.record_path(runs[1]).relative_to(tmp_path)} and repeat"
    )
    leave(runs[2], run="0" * 64)
    assert "are those of another run than" in refused(f"{CELL}/seed2")
    session_of().store.weights_path(runs[2]).write_bytes(b"broken")
    assert "cannot be read" in refused(f"{CELL}/seed2")


def test_only_an_empty_folder_is_written(exports, refused, leave, runs, tmp_path):
    leave(runs[0])
    assert exports(runs[0].id[:6], "--to", str(tmp_path / "mine"))[0] == Path("mine")
    assert refused(CELL, "--to", str(tmp_path / "mine")) == "mine is not empty: choose another folder with --to"
    (tmp_path / "file").write_text("")
    for name in ("file", "n" * 300):
        assert "choose a writable folder with --to" in refused(CELL, "--to", str(tmp_path / name))


CHANGES = ("epochs=1", "train_limit=64")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A pair trained by the real command, in a process of its own; the arguments that find it."""
    root = tmp_path_factory.mktemp("trained")
    found = ["--results", f"{root}/results", "--checkpoints", f"{root}/checkpoints"]
    found += [word for change in CHANGES for word in ("--set", change)]
    select = ["--table", "6", "--pairs", "wrn-16-10:wrn-10-10", "--methods", "kd", "--seeds", "1", "--jobs", "1"]
    command = [sys.executable, str(ROOT / "run_all.py"), *select, "--profile", "digits", *found]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, done.stderr
    return found


def _environment():
    return {key: value for key, value in os.environ.items() if key != "KD_DATA"}


def _accuracy_by_the_card(place, tmp_path):
    """Top-1 accuracy on the test images, by the code that the model card shows."""
    import torch

    from benchmark.data import load

    test = load("digits", None, tmp_path).test
    (code,) = re.findall(r"```python\n(.*?)```", (place / "README.md").read_text(), flags=re.DOTALL)
    names = {"images": torch.from_numpy(np.array(test.images)).permute(0, 3, 1, 2) / 255}
    exec(code, names)
    assert not names["network"].training
    return 100 * (names["logits"].argmax(1).numpy() == test.labels).mean(), len(test.labels)


@pytest.mark.parametrize("method", ["kd", "teacher"])
def test_trained_exported_loaded_and_as_accurate_as_its_record_says(
    method, trained, exports, resolver, tmp_path, monkeypatch
):
    place, config = exports(f"table06/wrn-16-10:wrn-10-10/{method}", *trained)
    monkeypatch.chdir(place.parent)  # the card names the folder that it lies in
    place = Path(place.name)
    results = Path(trained[1]) / resolver(**parse_changes(CHANGES)).folder
    (known,) = Archive(results).beginning(config["run"])
    assert known.method == ("kd" if method == "kd" else "student")
    accuracy, images = _accuracy_by_the_card(place, tmp_path)
    assert images == 600
    assert accuracy == pytest.approx(known.record.metrics.last["top1"], abs=1e-5)
