"""The description of a method that planning asks for."""

import sys

import pytest

import methods
from methods.describe import describe
from models import plugins

METHOD = """
from methods import Method
{more}

class Mine(Method):
    title = "Mine"
    citation = "unpublished"
    variants = {variants}

    def __init__(self, pair, {options}):
        super().__init__(pair)
"""
DERIVED = """
class Base(Method):
    def __init__(self, pair, *, size=1, kind=None):
        super().__init__(pair)

class Derived(Base):
    title = "Derived"
    citation = "unpublished"
    def __init__(self, pair, *, size=(2, 3), **options):
        super().__init__(pair, **options)
"""


@pytest.fixture
def described(monkeypatch, tmp_path):
    """Describes a method with other variants, options or text."""

    def make(variants="{}", options="*, needed, size=3", more=""):
        path = tmp_path / "described.py"
        path.write_text(METHOD.format(variants=variants, options=options, more=more), encoding="utf-8")
        monkeypatch.setenv(plugins.VARIABLE, str(path))
        for name in [name for name in sys.modules if name.startswith("srrl_bench_plugin_")]:
            monkeypatch.delitem(sys.modules, name)
        return describe("described")

    return make


def test_attributes_and_options_are_described_with_inherited_ones(described):
    [found] = described("{name: {'size': len(name)} for name in ('a', 'bc')}")
    assert found["options"] == {"size": 3}
    assert found["attributes"] == {
        "title": "Mine",
        "citation": "unpublished",
        "revision": 1,
        "objective": {"ce": 1.0, "weight": 1.0},
        "variants": {"a": {"size": 1}, "bc": {"size": 2}},
        "choices": {},
        "teacher": "given",
        "views": 1,
        "recipe": {},
        "published_recipe": "",
        "formula": "",
        "requires": (),
        "pretrain": "",
        "candidates": (),
    }


def test_options_of_base_classes_are_options_where_they_are_handed_on(described):
    derived, own = described(more=DERIVED)
    assert (derived["attributes"]["title"], derived["options"]) == ("Derived", {"size": (2, 3), "kind": None})
    assert (own["attributes"]["title"], own["options"]) == ("Mine", {"size": 3})


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"variants": "{'a': {'size': {1}}}"},
            "'variants' must be made of None, numbers, texts,",
        ),
        ({"options": "*, size=float('inf')"}, "'size' must be made of None, numbers, texts, lists and"),
        ({"options": "*, size=Method"}, "'size' must be made of .*, not <class 'methods.base.Method'>"),
        ({"options": "size=3"}, r"options of a method come after a \*, each with a default"),
    ],
)
def test_values_that_json_lacks_and_positional_options_are_faults(described, changes, fault):
    with pytest.raises(TypeError, match=fault):
        described(**changes)


def test_a_helper_defines_no_method():
    assert describe("connector") == []
    assert [found["attributes"]["title"] for found in describe("kd")] == [methods.load("kd").title]
