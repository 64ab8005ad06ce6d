import ast

import pytest

from benchmark.errors import UserError
from benchmark.registry.plugins import ROOT
from benchmark.registry.source_hash import parsed
from benchmark.registry.syntax import has_subclass, method_classes, network_names

IMPORT = "from models import register; SIZES = {}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from methods import Method\nclass A(Method): ...", ["A"]),
        ("import methods\nclass A(methods.Method): ...", ["A"]),
        ("from methods.base import Method\nclass A(Method): ...\nclass B(Method): ...", ["A", "B"]),
        ("from methods import Method\nclass A(Method): ...\nclass B(A): ...\nclass C(A): ...", ["B", "C"]),
        ("from methods.kd import KD\nclass A(KD): ...", ["A"]),
        ("from .kd import KD\nclass A(KD): ...", ["A"]),
        ("from methods import kd as base\nclass A(base.KD): ...", ["A"]),
        ("import methods.kd\nclass A(methods.kd.KD): ...", ["A"]),
        ("from methods import NotApplicableError\nclass A(NotApplicableError): ...", []),
        ("from methods.base import Batch\nclass A(Batch): ...", []),
        ("from torch import nn\nclass A(nn.Module): ...", []),
        ("from mine import Base\nclass A(Base): ...", []),
        ("class A: ...\nclass B: ...", []),
    ],
)
def test_classes_of_methods_are_found_by_their_bases(text, found):
    tree = ast.parse(text)
    assert [node.name for node in method_classes(tree)] == found
    assert has_subclass(tree) == ("class A(" in text)


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
    assert network_names(ast.parse(text), tmp_path) == ("a", "b", "c", "d", "e")
    for unclear in ("*names()", "*MISSING", "NAME", "*[name for name in SIZES]"):
        with pytest.raises(UserError, match=r"net.py:2: names of networks must be literals"):
            network_names(ast.parse(f"{IMPORT}\n@register({unclear})\ndef f(request): ..."), tmp_path / "net.py")


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
    assert network_names(tree, tmp_path) == (("a",) if counts else ())


def test_a_loss_that_dispatches_on_types_registers_no_network(tmp_path):
    text = "from functools import singledispatch\n@singledispatch\ndef f(x): ...\n@f.register(int)\ndef g(x): ..."
    assert network_names(ast.parse(text), tmp_path) == ()


@pytest.mark.parametrize("name", ["../../../../esc", "a/b", "a:b", "a--b", "-a", "a-", "a b", "", "é", "a\\n"])
def test_a_name_that_breaks_paths_or_pairs_is_refused(name, tmp_path):
    tree = ast.parse(f"{IMPORT}\n@register('fine',\n'{name}')\ndef build(request): ...")
    with pytest.raises(UserError, match=r"net.py:3: network '.*': a name is made of letters and digits"):
        network_names(tree, tmp_path / "net.py")


def test_names_of_all_families_can_be_read():
    files = sorted((ROOT / "models").glob("*.py"))
    assert {"wrn-16-2", "vgg8", "resnet20", "resnet18-imagenet", "mobilenetv2-half"} <= {
        name for path in files for name in network_names(parsed(path), path)
    }


def test_a_network_s_name_leaves_room_for_that_of_its_teacher(tmp_path):
    def tree(length):
        return ast.parse(f"{IMPORT}\n@register('{'n' * length}')\ndef build(request): ...")

    assert network_names(tree(100), tmp_path) == ("n" * 100,)
    with pytest.raises(UserError, match="100 characters at most"):
        network_names(tree(101), tmp_path)
