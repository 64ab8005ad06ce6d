import subprocess
from dataclasses import replace

import pytest

from benchmark.errors import UserError
from benchmark.registry import catalog, plugins
from benchmark.registry.method_info import read_method
from benchmark.registry.plugins import SourceFile

METHOD = '''
"""A file."""
from methods import base
from methods.base import Method

class Example(Method):
    """A method."""

    title = "Example"
    citation = "Nobody"
    {body}

    def __init__(self, pair, *, needed, size: int = 3, form="l2"):
        """Set up."""

    def forward(self, student, teacher, batch):
        return {{"example": student.logits.sum()}}
'''


@pytest.fixture
def written(write):
    """Writes the method with a body, or with a text replaced, and returns its file."""

    def make(body="", old="", new=""):
        text = METHOD.format(body=body)
        return SourceFile(plugins.METHOD, write("example.py", text.replace(old, new) if old else text))

    return make


def test_method_is_read_from_its_literals(written):
    info = read_method(
        written(
            'revision = 2; requires = ["teacher_in_train_mode"]; name = "no option of the catalog"; '
            'pretrain = "student"; candidates = [{"size": 2}, {"size": 3, "form": "l1"}]'
        )
    )
    assert (info.name, info.title, info.citation, info.revision) == ("example", "Example", "Nobody", 2)
    assert info.objective == {"ce": 1.0, "weight": 1.0}
    assert info.requires == ("teacher_in_train_mode",)
    assert info.pretrain == "student"
    assert info.candidates == ({"size": 2}, {"size": 3, "form": "l1"})
    assert info.options == {"size": 3, "form": "l2"}


def test_method_is_found_however_its_base_is_written(written):
    assert read_method(written(old="Example(Method)", new="Example(base.Method)")) is not None
    assert read_method(written(old="Example(Method)", new="Example")) is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('citation = "Nobody"', "", "it lacks 'citation'"),
        ("from methods import base", "class Other(Method): pass", "one file holds one method"),
        ("from methods import base", "from methods import", "no Python that can be read"),
        ('"Nobody"', '"Nobody"; requires = ("teacher_in_trainmode",)', "did you mean 'teacher_in_train_mode'"),
        ('"Nobody"', '"Nobody"; objective = {"weight": 2.0}', "objective: expected a mapping .* of length >= 2"),
        ('"Nobody"', '"Nobody"; pretrain = "students"', "pretrain: .* did you mean 'student'"),
        ('"Nobody"', '"Nobody"; candidates = ({"sice": 1},)', "candidates in .*'sice': did you mean 'size'"),
        ('"Nobody"', '"Nobody"; candidates = ("size",)', r"candidates\[0\]: expected a mapping"),
        ('"Nobody"', '"Nobody"; variants = {"tuned": {"size": 1}}', "variant 'tuned': .* and is not 'tuned'"),
        ('"Nobody"', '"Nobody"; variants = {"big": {"sice": 1}}', "variants in .*'sice': did you mean 'size'"),
        ('"Nobody"', "3", "citation: expected text, not 3"),
        ('"Example"', '""', "title: expected text of length >= 1"),
        ('"Nobody"', '"Nobody"; revision = -1', "revision: expected a whole number >= 0, not -1"),
    ],
)
def test_what_cannot_be_read_is_named(written, old, new, says):
    with pytest.raises(UserError, match=says) as caught:
        read_method(written(old=old, new=new))
    assert "example.py" in str(caught.value)


def test_one_class_of_several_is_read_where_an_entry_point_names_it(written):
    file = replace(written(old="from methods import base", new="class Other(Method): pass"), entry="mine")
    info = read_method(replace(file, attribute="Example"))
    assert (info.name, info.title, info.path) == ("mine", "Example", file.path)


DERIVED = """
import math
from dataclasses import replace

from methods.kd import KD

SCALES = (0.5, 2)

class Scaled(KD):
    title = "Scaled"
    variants = {f"t{scale}": {"temperature": 4.0 * scale} for scale in SCALES}
    candidates = [{"sizes": (1, 2)}, {"floor": math.pi}]

    def __init__(self, pair, *, floor=None, sizes=SCALES, **options):
        print("what a file prints is no description")
        super().__init__(pair, **options)
        self.floor, self.sizes = floor, sizes

print("what a file prints is no description")
"""


def test_a_method_that_derives_from_another_is_described_once(write, monkeypatch, tmp_path):
    file = SourceFile(plugins.METHOD, write("scaled.py", DERIVED))
    info = read_method(file)
    assert (info.name, info.title, info.path, info.code) == ("scaled", "Scaled", file.path, file.code)
    assert info.citation.startswith("Hinton")
    assert info.objective == {"ce": 0.1, "weight": 0.9}
    assert info.variants == {"t0.5": {"temperature": 2.0}, "t2": {"temperature": 8.0}}
    assert info.candidates == ({"sizes": [1, 2]}, {"floor": pytest.approx(3.14159, abs=1e-5)})
    assert info.options == {"floor": None, "sizes": [0.5, 2], **catalog.method("kd").options}
    [kept] = (tmp_path / "cache/methods.describe").iterdir()
    damaged = kept.read_text(encoding="utf-8").replace('"options"', '"option"')
    with monkeypatch.context() as without_process:
        without_process.setattr(subprocess, "run", None)
        assert read_method(file) == info
        kept.write_text(damaged, encoding="utf-8")
        with pytest.raises(TypeError, match="not callable"):
            read_method(file)


class Process:
    """Stands for the process that describes methods: it counts questions and gives one answer."""

    asked = 0
    answer = b"[]"
    error = b""

    def __call__(self, command, **_):
        self.asked += 1
        return subprocess.CompletedProcess(command, 1 if self.error else 0, self.answer, self.error)


@pytest.fixture
def process(monkeypatch):
    stub = Process()
    monkeypatch.setattr(subprocess, "run", stub)
    return stub


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"Nobody"', "CITATION"),
        ('"Nobody"', '"Nobody"; variants = {"a": {"size": len("a")}}'),
        ('"Nobody"', '"Nobody"; variants = {[]: {}}'),
        ('"Nobody"', '"Nobody"; citation += "!"'),
        ("size: int = 3", "size: int = SIZE"),
        ("size: int = 3", "size = {3}"),
        ("self, pair, *,", "self, pair, other=1, *,"),
        ("class Example", "@renamed\nclass Example"),
        ("Example(Method)", "Example(Mixin, Method)"),
        ("Example(Method)", "Example(Method, revision=2)"),
        ("def forward", "@property\n    def revision(self): ...\n    def forward"),
        ("def __init__", "@wrapped\n    def __init__"),
        ("class Example", "class Base(Method): ...\n\nclass Example(Base): ...\n\nclass Other"),
    ],
)
def test_a_process_describes_what_is_no_literal(written, process, old, new):
    assert read_method(written(old=old, new=new)) is None
    assert process.asked == 1


def test_what_the_process_finds_wrong_is_one_line(written, process):
    file = written(old='"Nobody"', new="CITATION")
    process.answer = b""
    with pytest.raises(UserError, match=r"^.*/example.py: it cannot be used: Expecting value"):
        read_method(file)
    process.error = f'Traceback\n  File "{file.path}", line 10, in Example\nNameError: no CITATION\n'.encode()
    with pytest.raises(UserError, match=r"^.*/example.py:10: it cannot be used: NameError: no CITATION$"):
        read_method(file)


def test_literals_need_no_process(written, process):
    info = read_method(written("shape = len('no attribute that planning reads'); choices = {'form': ['l1', 'l2']}"))
    assert info.choices == {"form": ("l1", "l2")}
    assert process.asked == 0


@pytest.mark.parametrize(
    "name",
    ["../../../../escaped", "", "a b", "a,b", "a]", "é", "a\n", "a" * 101],
)
def test_a_variant_that_could_not_be_typed_or_would_leave_its_folder_is_refused(written, name):
    with pytest.raises(UserError, match=r"example.py: variant .*: a variant's name is made of letters, digits"):
        read_method(written(f"variants = {{{name!r}: {{'size': 1}}}}"))
