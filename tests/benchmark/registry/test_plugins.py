import os
import re
import subprocess
import sys
import warnings

import pytest

import models.plugins
from benchmark.config import overrides
from benchmark.errors import UserError
from benchmark.registry import catalog, plugins
from benchmark.registry.source_hash import code_of
from benchmark.runs.names import parse_method
from tests.benchmark.registry.conftest import METHOD

NETWORK = """
from models import register

@register("plain")
def build(request): ...
"""
DATA = "SOURCES = ()\n"


@pytest.fixture
def install(write, monkeypatch, tmp_path, forget):
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
    path = write("plugged.py")
    catalog.use([path])
    info = catalog.method("plugged")
    assert (info.name, info.title, info.path, info.options) == ("plugged", "Mine", path, {"power": 2.0})
    assert len(info.code) == 64
    assert {name: info.code for name, info in catalog.methods().items() if name != "plugged"} == before
    assert overrides.parse_changes(["objectives.plugged.weight=3"]) == {"objectives.plugged.weight": 3}
    assert parse_method("plugged[power=3]+kd") == "kd+plugged[power=3]"


def test_what_is_no_plugin_any_more_is_forgotten(write, monkeypatch):
    catalog.use([write("plugged.py")])
    assert "plugged" in catalog.methods()
    monkeypatch.delenv(plugins.VARIABLE)
    assert "plugged" not in catalog.methods()
    with pytest.raises(UserError, match="unknown recipe key"):
        overrides.parse_changes(["objectives.plugged.weight=3"])


def test_the_variable_names_whole_paths_of_all_files_once(write, monkeypatch, tmp_path):
    write("plugged.py")
    write("net.py", NETWORK)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(plugins.VARIABLE, "net.py")
    catalog.use(["plugged.py", tmp_path / "net.py"], tmp_path / "cache")
    assert os.environ[plugins.VARIABLE] == f"{tmp_path}/net.py{os.pathsep}{tmp_path}/plugged.py"
    assert plugins.cache_folder() == tmp_path / "cache"
    assert models.plugins.files() == [tmp_path / "net.py", tmp_path / "plugged.py"]


def outside():
    """Files from outside the project."""
    kinds = plugins.METHOD, plugins.NETWORKS, plugins.DATASETS
    return [file for kind in kinds for file in plugins.discovered(kind) if not file.inside]


def test_files_are_told_apart_by_what_they_hold(write):
    catalog.use([write("plugged.py"), write("net.py", NETWORK), write("data-set.py", DATA)])
    held = [("plugged", plugins.METHOD), ("net", plugins.NETWORKS), ("data-set", plugins.DATASETS)]
    assert [(file.name, file.kind) for file in outside()] == held


def test_files_of_the_project_are_found_with_those_of_data_sets():
    assert {"kd", "srrl"} <= {file.name for file in plugins.discovered(plugins.METHOD)}
    assert {"wrn", "vgg"} <= {file.name for file in plugins.discovered(plugins.NETWORKS)}
    assert {"digits", "cifar10"} <= {file.name for file in plugins.discovered(plugins.DATASETS)}
    assert outside() == []


@pytest.mark.usefixtures("project")
def test_code_of_a_method_is_that_of_the_projects_helpers_too(write):
    write("connector.py", "x = 1", "methods")
    path = write("plugged.py", METHOD + "from methods.connector import x\n")
    first = plugins.own_code(path)
    write("connector.py", "x = 2", "methods")
    assert plugins.own_code(path) != first


@pytest.mark.parametrize("folder", ["methods", "models"])
@pytest.mark.parametrize("line", ["from .helper import x", "from {}.helper import x", "from {} import helper"])
@pytest.mark.usefixtures("project")
def test_code_of_a_draft_in_the_project_is_that_of_its_helpers_too(write, folder, line):
    path = write("plugged.py", line.format(folder), folder)
    write("helper.py", "x = 1", folder)
    first = plugins.own_code(path)
    write("helper.py", "x = 2", folder)
    assert plugins.own_code(path) != first


@pytest.mark.parametrize("text", [METHOD, NETWORK, DATA], ids=["method", "network", "data set"])
def test_code_of_a_file_is_that_of_what_it_imports_from_beside_it(write, text, forget):
    codes = set()
    for value in (1, 2):
        write("near.py", f"x = {value}")
        path = write("plugged.py", text + "from near import x\n")
        forget()
        catalog.use([path])
        codes |= {file.code for file in outside()}
    assert len(codes) == 2


def test_what_states_and_finds_methods_and_networks_is_apart(write):
    imports = (
        "import benchmark.data\nimport models.registry\nfrom models import Features\nfrom methods.base import Pair\n"
    )
    path = write("plugged.py", imports)
    assert plugins.own_code(path) == code_of(path, "plugged", {})
    write("more.py", "from models.layers import activated\n")
    assert plugins.own_code(path.with_name("more.py")) != code_of(path.with_name("more.py"), "more", {})


def test_packages_that_are_installed_beside_a_file_are_not_its_own(write):
    path = write("plugged.py", "import near\n")
    write("near.py", "x = 1")
    write("METADATA", "", "near-1.dist-info")
    assert plugins.own_code(path) == code_of(path, "plugged", {})


def test_code_is_read_anew_and_what_is_loaded_stays_as_it_was(write):
    path = write("plugged.py")
    first = plugins.loaded_code(path)
    assert plugins.own_code(path) == first
    write("plugged.py", METHOD + "x = 1\n")
    assert plugins.own_code(path) != first
    assert plugins.loaded_code(path) == first


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("plugged.py", "def f(:", r"plugged.py: this is no Python that can be read"),
        (
            "plugged.py",
            "x = 1",
            r"plugged.py: it holds no method \(a class of Method\), no networks .* and no data sets",
        ),
        (
            "plugged.py",
            METHOD + NETWORK,
            r"plugged.py: it holds a method and networks: put each into a file of its own",
        ),
        ("plugged.py", METHOD + DATA, r"plugged.py: it holds a method and data sets"),
        ("My-Loss.py", METHOD, r"method 'My-Loss' of .* small letters, digits and _"),
        ("plugged.txt", METHOD, r"plugged.txt: there is no such Python file"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(write, name, text, says):
    with pytest.raises(UserError, match=says):
        catalog.use([write(name, text)])


def test_a_file_whose_classes_are_no_methods_is_named(write, install, monkeypatch):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, b"[]", b""))
    install("pack.losses:Other")
    with pytest.warns(UserWarning, match=r"left out: .*/pack/losses.py: it holds no method"):
        catalog.use([])
    with pytest.raises(UserError, match=r"plugged.py: it holds no method"):
        catalog.use([write("plugged.py", "class Mine(dict): ...")])


@pytest.mark.parametrize("name", ["methods/kd.py", "models/vgg.py", "benchmark/data/digits.py"])
def test_files_of_the_project_are_no_plugins(name):
    with pytest.raises(UserError, match=f"{name}: the project finds files of its own folders"):
        catalog.use([plugins.ROOT / name])


@pytest.mark.parametrize("name", ["none.py", "~nobody-of-that-name/x.py"])
def test_a_file_that_is_not_there_is_named(name):
    with pytest.raises(UserError, match=rf"--plugin .*/{name}: there is no such Python file"):
        catalog.use([name])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("kd", "methods/kd.py has that name, too"),
        ("connector", "methods/connector.py has that name, too"),
        ("student", "'student' and 'teacher' are reserved names"),
        ("teacher", "'student' and 'teacher' are reserved names"),
    ],
)
def test_a_name_that_is_taken_collides(write, name, says):
    with pytest.raises(UserError, match=rf"method '{name}' of .*/{name}.py: .*{says}"):
        catalog.use([write(f"{name}.py")])


def test_two_files_of_one_name_collide(write):
    with pytest.raises(UserError, match=r"method 'plugged' of .*/b/plugged.py: .*/a/plugged.py has that name, too"):
        catalog.use([write("plugged.py", folder="a"), write("plugged.py", folder="b")])


@pytest.mark.parametrize("value", ["pack.losses:Mine", "pack.losses"])
def test_a_package_is_found_by_its_entry_point_and_not_imported(install, value):
    install(value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        catalog.use([])
    info = catalog.method("packed")
    assert (info.name, info.title, info.path.name) == ("packed", "Mine", "losses.py")
    assert len(info.code) == 64
    assert "pack" not in sys.modules


def test_code_of_a_package_is_that_of_its_own_modules(install, write, forget):
    install(text=METHOD + "from .helper import x\n")
    codes = set()
    for text in ("x = 1", "x = 2"):
        write("pack/helper.py", text, "site")
        forget()
        info = catalog.method("packed")
        assert info.code == plugins.own_code(info.path, info.package)
        codes.add(info.code)
    assert len(codes) == 2


def test_a_single_module_is_found(install, write):
    write("alone.py", METHOD, "site")
    install("alone:Mine")
    assert catalog.method("packed").path.name == "alone.py"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"value": "nowhere.losses:Mine"}, "there is no module nowhere.losses"),
        ({"value": "pack.nothing:Mine"}, "there is no module pack.nothing"),
        ({"text": "x = 1", "value": "pack.losses"}, "it holds no method"),
        ({"text": "def f(:"}, "this is no Python"),
        ({"name": "Packed"}, "small letters, digits and _: choose another name"),
        ({"name": "kd"}, "methods/kd.py has that name, too"),
        ({"name": "student"}, "'student' and 'teacher' are reserved names"),
        ({"text": METHOD + METHOD.replace("Mine", "Other"), "value": "pack.losses"}, "one file holds one method"),
    ],
)
def test_a_package_that_cannot_be_used_is_a_warning(install, changes, says):
    install(**changes)
    with pytest.warns(UserWarning, match=rf"method '\w+' of the package pack-of-losses is left out: .*{says}"):
        catalog.use([])
    assert not any(info.code for info in catalog.methods().values())
    assert catalog.method("kd").path == plugins.ROOT / "methods" / "kd.py"


def test_a_file_takes_the_place_of_a_method_of_a_package(install, write):
    install(name="plugged")
    path = write("plugged.py")
    with pytest.warns(
        UserWarning, match=r"'plugged' of the package pack-of-losses is left out: .*plugged.py has that name"
    ):
        catalog.use([path])
    assert catalog.method("plugged").path == path


def test_of_two_packages_with_one_name_none_is_taken(install, write, forget):
    install()
    write("METADATA", "Metadata-Version: 2.1\nName: other\nVersion: 1\n", "site/other-1.dist-info")
    write("entry_points.txt", f"[{plugins.GROUP}]\npacked = pack.other:Mine\n", "site/other-1.dist-info")
    forget()
    with pytest.warns(UserWarning, match="'packed' of the package other is left out: more than one"):
        catalog.use([])
    assert "packed" not in catalog.methods()


def test_planning_with_plugins_does_not_import_torch(write):
    code = (
        "import sys; from benchmark import data; from benchmark.config import overrides; "
        "from benchmark.registry import catalog, plugins; "
        "catalog.use(sys.argv[1:]); "
        "catalog.method('plugged'); data.names(); overrides.parse_changes(['objectives.plugged.weight=3']); "
        "assert 'torch' not in sys.modules"
    )
    files = [str(write("plugged.py")), str(write("set.py", DATA))]
    subprocess.run([sys.executable, "-c", code, *files], check=True, cwd=plugins.ROOT)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("def f(:", "bad.py: this is no Python that can be read"),
        (METHOD.replace("title", "name"), "bad.py: it lacks 'title'"),
        (
            "from . import helper\n" + METHOD.replace('title = "Mine"', 'title = "Mine"; revision = 0'),
            "helper.py: this is",
        ),
    ],
)
@pytest.mark.usefixtures("project")
def test_a_draft_that_cannot_be_read_is_left_out_unless_it_is_asked_for(write, text, fault):
    write("good.py", METHOD, "methods")
    write("helper.py", "def f(:" if "helper" in text else "", "methods")
    write("bad.py", text, "methods")
    with pytest.warns(UserWarning, match="is left out") as told:
        catalog.use([])
    assert any(re.match(f"method 'bad' is left out: .*methods/{fault}", str(warning.message)) for warning in told)
    assert list(catalog.methods()) == ["good"]
    assert parse_method("good") == "good"
    with pytest.raises(UserError, match=f"^method 'bad' is left out: .*methods/{fault}"):
        parse_method("bad")


@pytest.mark.parametrize("name", ["a-b.py", "é.py", "a\x1b.py"])
@pytest.mark.usefixtures("project")
def test_a_file_among_the_project_s_methods_has_a_plain_name(write, name):
    write(name, folder="methods")
    with pytest.warns(UserWarning, match="is left out: .*: a method's name is made of"):
        catalog.use([])
    assert catalog.methods() == {}


LISTS = METHOD.replace("power: float = 2.0", "power: float = 2.0, sizes: list = []").replace(
    '"unpublished"', '"unpublished"; variants = {"deep": {"sizes": ["../../../../x"]}, "two": {"sizes": [1, 2]}}'
)


def test_no_value_of_an_option_leads_out_of_its_folder(write):
    catalog.use([write("plugged.py", LISTS)])
    for text in ("plugged[deep]", "plugged[deep,power=3]"):
        with pytest.raises(UserError, match="option sizes of plugged must be of type list"):
            parse_method(text)
    with pytest.raises(UserError, match="option sizes of plugged must be of type list"):
        overrides.parse_changes(['objectives.plugged.options.sizes=["../../../../x"]'])
    assert parse_method("plugged[two,power=3]") == "plugged[power=3,sizes=[1,2]]"
