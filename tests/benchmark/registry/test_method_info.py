import ast

import pytest

from benchmark.errors import UserError
from benchmark.registry.method_info import read_method, registered
from benchmark.registry.plugins import ROOT
from benchmark.registry.source_hash import parsed

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

IMPORT = "from models import register; SIZES = {}"


@pytest.fixture
def write(tmp_path):
    def make(body="", old="", new=""):
        path = tmp_path / "example.py"
        path.write_text(METHOD.format(body=body).replace(old, new) if old else METHOD.format(body=body))
        return path

    return make


def test_method_is_read_from_its_literals(write):
    info = read_method(
        write(
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


def test_method_is_found_however_its_base_is_written(write):
    assert read_method(write(old="Example(Method)", new="Example(base.Method)")) is not None
    assert read_method(write(old="Example(Method)", new="Example")) is None


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
        ('"Nobody"', '"Nobody"; pretrain = "students"', "did you mean 'student'"),
        ('"Nobody"', '"Nobody"; pretrain = None', "unknown pretrain"),
        ('"Nobody"', '"Nobody"; candidates = ({"sice": 1},)', "candidates in .*'sice': did you mean 'size'"),
        ('"Nobody"', '"Nobody"; candidates = {"size": 1}', "candidates must be sets of options"),
        ('"Nobody"', '"Nobody"; candidates = ("size",)', "candidates must be sets of options"),
        ('"Nobody"', '"Nobody"; variants = {"tuned": {"size": 1}}', "no variant may be called 'tuned'"),
        ('"Nobody"', '"Nobody"; variants = {"big": {"sice": 1}}', "variants in .*'sice': did you mean 'size'"),
        ('"Nobody"', '"Nobody"; variants = {"big": 1}', "variants must be sets of options"),
        ('"Nobody"', '"Nobody"; variants = {"../../x": {"size": 1}}', "variant '../../x': a variant's name is made of"),
        ('"Nobody"', "3", "citation must be a text, not 3"),
        ('"Example"', '""', "title must be a text"),
        ("self, pair, *,", "self, pair, other=1, *,", "come after a \\*"),
        ('"Nobody"', '"Nobody"; revision = -1', "revision must be a whole number, 0 for a draft"),
        ('"Nobody"', '"Nobody"; revision = "1"', "revision must be a whole number"),
    ],
)
def test_what_cannot_be_read_is_named(write, old, new, says):
    with pytest.raises(UserError, match=says) as caught:
        read_method(write(old=old, new=new))
    assert "example.py" in str(caught.value)


def test_one_class_of_several_is_read_where_it_is_named(write):
    path = write(old="from methods import base", new="class Other(Method): pass")
    info = read_method(path, "mine", "Example")
    assert (info.name, info.title, info.path) == ("mine", "Example", path)
    assert read_method(path, "mine", "Nothing") is None


def test_names_of_networks_are_read_from_their_decorators(tmp_path):
    text = """
import models
from models import registry
from models.registry import register

SIZES = {"b": 1, "c": 2}
NAMES = ("d",)

@register("a", pattern="x.*")
def first(request): ...

@models.register(*SIZES)
def second(request): ...

@registry.register(*NAMES, "e", images=IMAGENET)
def third(request): ...

@other("f")
def fourth(request): ...
"""
    assert registered(ast.parse(text), tmp_path) == ("a", "b", "c", "d", "e")
    for unclear in ("*names()", "*MISSING", "NAME", "*[name for name in SIZES]"):
        with pytest.raises(UserError, match=r"net.py:2: names of networks must be literals"):
            registered(ast.parse(f"{IMPORT}\n@register({unclear})\ndef f(request): ..."), tmp_path / "net.py")


@pytest.mark.parametrize(
    ("imported", "written", "counts"),
    [
        ("from models import register", "register", True),
        ("from models.registry import register", "register", True),
        ("from .registry import register", "register", True),
        ("from . import registry", "registry.register", True),
        ("import models.registry", "models.register", True),
        ("import models.registry", "models.registry.register", True),
        ("import models.registry as known", "known.register", True),
        ("from functools import singledispatch", "singledispatch.register", False),
        ("from mine import register", "register", False),
        ("from models import Network", "Network.register", False),
        ("", "register", False),
        ("", "loss.register", False),
    ],
)
def test_only_the_register_of_models_names_networks(imported, written, counts, tmp_path):
    tree = ast.parse(f"{imported}\n@{written}('a')\ndef build(request): ...")
    assert registered(tree, tmp_path) == (("a",) if counts else ())


def test_a_loss_that_dispatches_on_types_registers_no_network(tmp_path):
    text = "from functools import singledispatch\n@singledispatch\ndef f(x): ...\n@f.register(int)\ndef g(x): ..."
    assert registered(ast.parse(text), tmp_path) == ()


@pytest.mark.parametrize("name", ["../../../../esc", "a/b", "a:b", "a--b", "-a", "a-", "a b", "", "é", "a\\n"])
def test_a_name_that_breaks_paths_or_pairs_is_refused(name, tmp_path):
    tree = ast.parse(f"{IMPORT}\n@register('fine',\n'{name}')\ndef build(request): ...")
    with pytest.raises(UserError, match=r"net.py:3: network '.*': a name is made of letters and digits"):
        registered(tree, tmp_path / "net.py")


def test_names_of_all_families_can_be_read():
    files = sorted((ROOT / "models").glob("*.py"))
    assert {"wrn-16-2", "vgg8", "resnet20", "resnet18-imagenet", "mobilenetv2-half"} <= {
        name for path in files for name in registered(parsed(path), path)
    }


@pytest.mark.parametrize(
    "name",
    ["../../../../escaped", "/tmp/x", "a/b", "..", ".x", "", "a b", "a,b", "a=b", "a]", "é", "a\n", "a" * 101, 3],
)
def test_a_variant_that_could_not_be_typed_or_would_leave_its_folder_is_refused(write, name):
    with pytest.raises(UserError, match=r"example.py: variant .*: a variant's name is made of letters, digits"):
        read_method(write(f"variants = {{{name!r}: {{'size': 1}}}}"))


@pytest.mark.parametrize("name", ["fm", "v1.5", "a-b", "x_2", "2+2"])
def test_plain_variants_are_read(write, name):
    assert read_method(write(f"variants = {{{name!r}: {{'size': 1}}}}")).variants == {name: {"size": 1}}


def test_a_network_s_name_leaves_room_for_that_of_its_teacher(tmp_path):
    def tree(length):
        return ast.parse(f"{IMPORT}\n@register('{'n' * length}')\ndef build(request): ...")

    assert registered(tree(100), tmp_path) == ("n" * 100,)
    with pytest.raises(UserError, match="100 characters at most"):
        registered(tree(101), tmp_path)
