import ast
import dataclasses

import pytest

from benchmark import catalog
from benchmark.errors import UserError

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
def write(tmp_path):
    def make(body="", old="", new=""):
        path = tmp_path / "example.py"
        path.write_text(METHOD.format(body=body).replace(old, new) if old else METHOD.format(body=body))
        return path

    return make


def test_method_is_read_from_its_literals(write):
    info = catalog.read_method(
        write(
            'revision = 2; requires = ["teacher_in_train_mode"]; name = "no option of the catalog"; '
            'first_stage = "student"; candidates = [{"size": 2}, {"size": 3, "form": "l1"}]'
        )
    )
    assert (info.name, info.title, info.citation, info.revision) == ("example", "Example", "Nobody", 2)
    assert info.objective == {"ce": 1.0, "weight": 1.0}
    assert info.requires == ("teacher_in_train_mode",)
    assert info.first_stage == "student"
    assert info.candidates == ({"size": 2}, {"size": 3, "form": "l1"})
    assert info.options == {"size": 3, "form": "l2"}


def test_method_is_found_however_its_base_is_written(write):
    assert catalog.read_method(write(old="Example(Method)", new="Example(base.Method)")) is not None
    assert catalog.read_method(write(old="Example(Method)", new="Example")) is None


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"Nobody"', "CITATION", "must be literals"),
        ("size: int = 3", "size: int = SIZE", "must be literals"),
        ('citation = "Nobody"', "", "lacks the class attribute 'citation'"),
        ("from methods import base", "class Other(Method): pass", "one file holds one method"),
        ("from methods import base", "from methods import", "no Python that can be read"),
        ('"Nobody"', '"Nobody"; requires = ("teacher_in_trainmode",)', "did you mean 'teacher_in_train_mode'"),
        ('"Nobody"', '"Nobody"; objective = {"weight": 2.0}', "objective must be two numbers"),
        ('"Nobody"', '"Nobody"; requires = ("equal_channel",)', "did you mean 'equal_channels'"),
        ('"Nobody"', '"Nobody"; first_stage = "students"', "did you mean 'student'"),
        ('"Nobody"', '"Nobody"; first_stage = None', "unknown first_stage"),
        ('"Nobody"', '"Nobody"; candidates = ({"sice": 1},)', "candidates in .*'sice': did you mean 'size'"),
        ('"Nobody"', '"Nobody"; candidates = {"size": 1}', "candidates must be sets of options"),
        ('"Nobody"', '"Nobody"; candidates = ("size",)', "candidates must be sets of options"),
        ('"Nobody"', '"Nobody"; variants = {"tuned": {"size": 1}}', "no variant may be called 'tuned'"),
        ("self, pair, *,", "self, pair, other=1, *,", "come after a \\*"),
    ],
)
def test_what_cannot_be_read_is_named(write, old, new, says):
    with pytest.raises(UserError, match=says) as caught:
        catalog.read_method(write(old=old, new=new))
    assert "example.py" in str(caught.value)


def test_code_hash_sees_code_and_no_words():
    def code(text):
        return catalog._code_hash(ast.parse(text))

    plain = code("class A:\n    def f(x):\n        return x + 1")
    assert (
        code(
            '"""Words."""\nclass A:\n    """Words."""\n\n    def f(x):  # words\n        "Words."\n        return x + 1'
        )
        == plain
    )
    assert code("class A:\n    def f(x):\n        return x + 2") != plain


def test_unknown_method_names_student_too():
    with pytest.raises(UserError, match=r"did you mean 'student'.*known are ab, at, .*student"):
        catalog.method("studnet")


@pytest.mark.parametrize(
    ("network", "params"),
    [("wrn-16-2", 703_284), ("wrn-40-4", 8_972_340), ("resnet34-wide", 21_328_292), ("mobilenetv2-cifar", 2_369_380)],
)
def test_networks_have_the_papers_sizes(network, params):
    info = catalog.networks()[network]
    assert (info.params, info.in_size, info.classes) == (params, 32, 100)
    assert info.macs > info.params


@pytest.mark.parametrize(
    ("teacher", "student", "expected"),
    [
        ("wrn-40-2", "wrn-16-2", True),
        ("wrn-40-2", "wrn-40-1", False),
        ("resnet56", "resnet20", True),
        ("resnet110", "resnet32", True),
        ("resnet32x4", "resnet8x4", True),
        ("vgg13", "vgg8", True),
        ("vgg13", "mobilenetv2-half", False),
        ("resnet50-crd", "vgg8", False),
        ("wrn-40-2", "shufflenetv1", False),
        ("wrn-40-4", "resnet8x4", False),
    ],
)
def test_equal_channels_are_needed_only_by_who_asks_for_them(teacher, student, expected):
    networks = catalog.networks()[student], catalog.networks()[teacher]
    assert catalog.applies(catalog.method("fsp"), *networks) is expected
    assert catalog.applies(catalog.method("kd"), *networks)


def test_taps_are_paired_from_the_stem_on():
    fsp, three = catalog.method("fsp"), catalog.networks()["resnet20"]
    four = dataclasses.replace(three, taps="16x8x8 16x8x8 32x4x4 64x2x2 128x1x1")
    other_stem = dataclasses.replace(three, taps=three.taps.replace("16x", "24x", 1))
    assert catalog.applies(fsp, three, four)
    assert catalog.applies(fsp, four, three)
    assert not catalog.applies(fsp, other_stem, three)
