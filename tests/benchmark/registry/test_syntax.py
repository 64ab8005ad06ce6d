import ast

import pytest

from benchmark.registry.plugins import ROOT
from benchmark.registry.source_hash import parsed
from benchmark.registry.syntax import has_subclass, method_classes, network_names


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


def test_names_of_networks_are_read_from_their_decorators():
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

@registry.register(*NAMES, "e", name(), *mine(), images=IMAGENET)
def third(request): ...

@other("f")
def fourth(request): ...
"""
    assert network_names(ast.parse(text)) == ["a", "b", "c", "d", "e", "name()", "*mine()"]


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
def test_only_the_register_of_models_names_networks(imported, written, counts):
    tree = ast.parse(f"{imported}\n@{written}('a')\ndef build(request): ...")
    assert network_names(tree) == (["a"] if counts else [])


def test_names_of_all_families_can_be_read():
    files = sorted((ROOT / "models").glob("*.py"))
    assert {"wrn-16-2", "vgg8", "resnet20", "resnet18-imagenet", "mobilenetv2-half"} <= {
        name for path in files for name in network_names(parsed(path))
    }
