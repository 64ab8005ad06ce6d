import subprocess
import sys
from pathlib import Path

import pytest

from benchmark import analysis
from benchmark.analysis import MeasureInfo, load, measures, read_measure
from benchmark.errors import UserError

ROOT = Path(analysis.__file__).parents[2]
MEASURE = "REVISION = {}\nCOMPARES = {}\ndef measure(subject, teacher, num_classes): ...\n"


def test_finds_the_paper_s_measures():
    assert {name: info.compares for name, info in measures().items()} == {
        "similarity": True,
        "distance": True,
        "clusters": False,
        "tsne": False,
    }


def test_literals_are_those_of_the_modules():
    for name, info in measures().items():
        module = sys.modules[load(name).__module__]
        assert (info.name, info.revision, info.compares) == (name, module.REVISION, module.COMPARES)


def test_planning_imports_neither_torch_nor_scikit_learn():
    code = (
        "import sys; from benchmark.analysis import measures\n"
        "print(len(measures()), {'torch', 'sklearn'} & {*sys.modules})"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout.split() == [str(len(measures())), "set()"]


def test_unknown_measure_names_its_neighbour():
    with pytest.raises(UserError, match="unknown measure 'tnse': did you mean 'tsne'"):
        load("tnse")


def test_measures_run_from_common_arguments(outputs):
    subject = outputs(connected=7)
    for name, info in measures().items():
        result = load(name)(subject, outputs(seed=1) if info.compares else None, 5)
        assert result["metrics"]
        assert all(isinstance(value, float) for value in result["metrics"].values())


def test_reads_a_file(tmp_path):
    path = tmp_path / "spread.py"
    path.write_text("import nothing_of_the_kind\n" + MEASURE.format(3, "True"))
    assert read_measure(path) == MeasureInfo("spread", 3, compares=True)
    path.write_text("REVISION = 3\nCOMPARES = True\n")
    assert read_measure(path) is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (MEASURE.format("1.5", "True"), "REVISION as a literal int, like REVISION = 1"),
        (MEASURE.format("True", "True"), "REVISION as a literal int"),
        (MEASURE.format("1", "bool(1)"), "COMPARES as a literal bool, like COMPARES = True"),
        (MEASURE.format("1", "1"), "COMPARES as a literal bool"),
        ("def measure(", "not valid Python"),
    ],
)
def test_a_broken_file_is_named(tmp_path, text, complaint):
    path = tmp_path / "broken.py"
    path.write_text(text)
    with pytest.raises(UserError, match=f"broken.py: .*{complaint}"):
        read_measure(path)


@pytest.mark.parametrize("name", ["a b", "..", "a@b", "é"])
def test_a_measure_s_name_is_plain(tmp_path, name):
    path = tmp_path / f"{name}.py"
    path.write_text(MEASURE.format("1", "True"))
    with pytest.raises(UserError, match="rename the file, since a measure's name is made of letters, digits"):
        read_measure(path)
