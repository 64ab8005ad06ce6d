import os
import subprocess
import sys
import warnings

import pytest

import models.plugins
from benchmark import catalog, layers
from benchmark.catalog import plugins
from benchmark.errors import UserError
from benchmark.objectives import parse_method

METHOD = """
from methods import Method

class Mine(Method):
    title = "Mine"
    citation = "unpublished"
    def __init__(self, pair, *, power: float = 2.0): ...
    def forward(self, student, teacher, batch): return {"mine": POWER * student.logits.sum()}
"""
NETWORK = """
from models import register

@register("plain")
def build(request): ...
"""
DATA = "SOURCES = ()\n"


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    """The variables as they were, whatever a test makes of them."""
    for name in (plugins.VARIABLE, plugins.CACHE_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    forget()


def forget():
    """Let what is installed be looked for again."""
    for known in (plugins._installed, plugins._found, catalog._methods, layers._known_beside):
        known.cache_clear()


@pytest.fixture
def write(tmp_path):
    def make(name, text=METHOD, folder="."):
        path = tmp_path / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture
def install(write, monkeypatch, tmp_path):
    """Puts a package with an entry point where packages lie."""

    def make(value="pack.losses:Mine", name="packed", text=METHOD, file="pack/losses.py"):
        write(file, text, "site")
        write("pack/__init__.py", "raise RuntimeError('imported')", "site")
        write("METADATA", "Metadata-Version: 2.1\nName: pack-of-losses\nVersion: 1\n", "site/pack-1.dist-info")
        write("entry_points.txt", f"[{plugins.GROUP}]\n{name} = {value}\n", "site/pack-1.dist-info")
        monkeypatch.syspath_prepend(tmp_path / "site")
        forget()

    return make


def test_the_contract_between_the_packages_is_one_variable_and_one_group():
    import methods

    assert plugins.VARIABLE == models.plugins.VARIABLE
    assert plugins.GROUP == methods.GROUP


def test_a_method_is_known_with_its_options_and_its_code(write):
    before = {name: info.code for name, info in catalog.methods().items()}
    path = write("mine.py")
    plugins.use([path])
    info = catalog.method("mine")
    assert (info.name, info.title, info.path, info.options) == ("mine", "Mine", path, {"power": 2.0})
    assert len(info.code) == 64
    assert {name: info.code for name, info in catalog.methods().items() if name != "mine"} == before
    assert layers.parse_changes(["objectives.mine.weight=3"]) == {"objectives.mine.weight": 3}
    assert parse_method("mine[power=3]+kd").name == "kd+mine[power=3]"


def test_what_is_no_plugin_any_more_is_forgotten(write, monkeypatch):
    plugins.use([write("mine.py")])
    assert "mine" in catalog.methods()
    monkeypatch.delenv(plugins.VARIABLE)
    assert "mine" not in catalog.methods()
    with pytest.raises(UserError, match="unknown recipe key"):
        layers.parse_changes(["objectives.mine.weight=3"])


def test_the_variable_names_whole_paths_of_all_files_once(write, monkeypatch, tmp_path):
    write("mine.py")
    write("net.py", NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(plugins.VARIABLE, "net.py")
    plugins.use(["mine.py", tmp_path / "net.py"], tmp_path / "cache")
    assert os.environ[plugins.VARIABLE] == f"{tmp_path}/net.py{os.pathsep}{tmp_path}/mine.py"
    assert plugins.cache_folder() == tmp_path / "cache"
    assert models.plugins.files() == [tmp_path / "net.py", tmp_path / "mine.py"]


def test_nothing_named_is_nothing_written():
    plugins.use([])
    assert plugins.VARIABLE not in os.environ
    assert plugins.cache_folder() == plugins.ROOT / ".cache"


def test_files_are_told_apart_by_what_they_hold(write):
    plugins.use([write("mine.py"), write("net.py", NETWORK), write("data-set.py", DATA)])
    found = plugins.found()
    assert [info.name for info in found.methods] == ["mine"]
    assert [(file.path.name, file.names) for file in found.networks] == [("net.py", ("plain",))]
    assert [file.path.name for file in found.datasets] == ["data-set.py"]


def test_code_of_a_method_is_that_of_the_projects_helpers_too(write, monkeypatch, tmp_path):
    helpers = tmp_path / "methods"
    monkeypatch.setattr(plugins, "_METHODS", helpers)
    write("connector.py", "x = 1", "methods")
    path = write("mine.py", METHOD + "from methods.connector import x\n")
    first = plugins.method_code(path, "mine")
    write("connector.py", "x = 2", "methods")
    assert plugins.method_code(path, "mine") != first


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("mine.py", "def f(:", r"mine.py: this is no Python that can be read"),
        ("mine.py", "x = 1", r"mine.py: it holds no method \(a class of Method\), no networks .* and no data sets"),
        ("mine.py", METHOD + NETWORK, r"mine.py: it holds a method and networks: put each into a file of its own"),
        ("mine.py", METHOD + DATA, r"mine.py: it holds a method and data sets"),
        ("My-Loss.py", METHOD, r"My-Loss.py: rename the file: .* small letters, digits and _, not 'My-Loss'"),
        ("2fast.py", METHOD, r"2fast.py: rename the file"),
        ("mine.txt", METHOD, r"mine.txt: there is no such Python file"),
        ("mine.py", METHOD.replace('"unpublished"', "CITATION"), r"mine.py:6: class attributes .* must be literals"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(write, name, text, says):
    with pytest.raises(UserError, match=says):
        plugins.use([write(name, text)])


@pytest.mark.parametrize("name", ["methods/kd.py", "models/vgg.py", "benchmark/data/digits.py"])
def test_files_of_the_project_are_no_plugins(name):
    with pytest.raises(UserError, match=f"{name}: what lies there is found by itself"):
        plugins.use([plugins.ROOT / name])


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"--plugin .*none.py: there is no such Python file"):
        plugins.use([tmp_path / "none.py"])
    with pytest.raises(UserError, match="may not contain"):
        plugins.use([tmp_path / f"a{os.pathsep}b.py"])


@pytest.mark.parametrize("name", ["kd", "connector", "base"])
def test_a_name_of_the_projects_own_collides(write, name):
    plugins.use([write(f"{name}.py")])
    with pytest.raises(UserError, match=rf"method '{name}' of .*/{name}.py: .*methods/{name}.py has that name, too"):
        catalog.methods()


@pytest.mark.parametrize("name", ["student", "teacher"])
def test_a_name_that_tables_use_for_something_else_collides(write, name):
    plugins.use([write(f"{name}.py")])
    with pytest.raises(UserError, match=f"method '{name}' of .*: tables call something else so"):
        catalog.methods()


def test_two_files_of_one_name_collide(write):
    plugins.use([write("mine.py", folder="a"), write("mine.py", folder="b")])
    with pytest.raises(UserError, match=r"method 'mine' of .*/b/mine.py: .*/a/mine.py has that name, too"):
        catalog.methods()


@pytest.mark.parametrize("value", ["pack.losses:Mine", "pack.losses"])
def test_a_package_is_found_by_its_entry_point_and_not_imported(install, value):
    install(value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plugins.use([])
    info = catalog.method("packed")
    assert (info.name, info.title, info.path.name) == ("packed", "Mine", "losses.py")
    assert len(info.code) == 64
    assert "pack" not in sys.modules


def test_code_of_a_package_is_that_of_its_own_modules(install, write):
    install(text=METHOD + "from .helper import x\n")
    write("pack/helper.py", "x = 1", "site")
    codes = set()
    for text in ("x = 1", "x = 2"):
        write("pack/helper.py", text, "site")
        forget()
        codes.add(plugins.found().methods[0].code)
    assert len(codes) == 2


def test_a_single_module_is_found(install, write):
    write("alone.py", METHOD, "site")
    install("alone:Mine")
    assert plugins.found().methods[0].path.name == "alone.py"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"value": "nowhere.losses:Mine"}, "there is no module nowhere.losses"),
        ({"value": "pack.nothing:Mine"}, "there is no module pack.nothing"),
        ({"value": "pack.losses:Other"}, "holds no class Other of Method"),
        ({"text": "x = 1", "value": "pack.losses"}, "holds no class of Method"),
        ({"text": "def f(:"}, "this is no Python"),
        ({"name": "Packed"}, "its entry point must be renamed"),
        ({"text": METHOD + METHOD.replace("Mine", "Other"), "value": "pack.losses"}, "one file holds one method"),
    ],
)
def test_a_package_that_cannot_be_used_is_a_warning(install, changes, says):
    install(**changes)
    with pytest.warns(UserWarning, match=rf"method '\w+' of the package pack-of-losses is left out: .*{says}"):
        plugins.use([])
    assert not plugins.found().methods
    assert "kd" in catalog.methods()


def test_a_package_and_a_file_of_one_name_collide(install, write):
    install(name="mine")
    plugins.use([write("mine.py")])
    with pytest.raises(UserError, match=r"method 'mine' of .*losses.py: .*mine.py has that name, too"):
        catalog.methods()


def test_planning_with_plugins_does_not_import_torch(write):
    code = (
        "import sys; from benchmark import catalog, data, layers; from benchmark.catalog import plugins; "
        "plugins.use(sys.argv[1:]); "
        "catalog.method('mine'); data.names(); layers.parse_changes(['objectives.mine.weight=3']); "
        "assert 'torch' not in sys.modules"
    )
    files = [str(write("mine.py")), str(write("set.py", DATA))]
    subprocess.run([sys.executable, "-c", code, *files], check=True, timeout=60, cwd=plugins.ROOT)
