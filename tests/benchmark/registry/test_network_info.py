import subprocess
from importlib import metadata
from importlib.metadata import PackageNotFoundError

import pytest

from benchmark.config.teachers import TeacherChoice
from benchmark.errors import UserError
from benchmark.registry import catalog, network_info, plugins
from benchmark.runs.names import parse_method

ROWS = """name,family,params,macs,in_size,classes,feats,map
plain,plain,5000,123456,32,100,16x32x32 32x16x16,32x16x16
other,plain,1,1,1,1,1x1x1,1x1x1
"""
NETWORK = """
from models import register

@register("plain")
def build(request): return {factor}
"""


@pytest.fixture
def asked(monkeypatch):
    """The files that a process was started for; it answers with `ROWS`, or fails with ``asked.fault``."""

    class Asked(list):
        fault = ""
        rows = ROWS

    files = Asked()

    def run(command, *, env, **_):
        files.append((command[-1], env[plugins.VARIABLE]))
        return subprocess.CompletedProcess(command, 1 if files.fault else 0, files.rows.encode(), files.fault.encode())

    monkeypatch.setattr(subprocess, "run", run)
    return files


@pytest.fixture
def use(monkeypatch, write, forget):
    """``use(factor=2)`` makes a file with a network known, and returns it."""

    def make(text=NETWORK, name="net.py", **values):
        path = write(name, text.format(**values) if values else text)
        monkeypatch.setenv(plugins.VARIABLE, str(path))
        forget()
        return path

    return make


def test_a_network_is_measured_once_and_kept_by_its_code(use, asked, tmp_path):
    path = use(factor=2)
    info = catalog.networks()["plain"]
    assert (info.params, info.macs, info.feats, info.path) == (5000, 123456, "16x32x32 32x16x16", path)
    assert asked == [(str(path), str(path))]
    assert [file.stem for file in (tmp_path / "cache" / "models.describe").iterdir()] == [info.code]
    use(factor="2  # words")
    assert catalog.networks()["plain"] == info
    assert len(asked) == 1
    use(factor=3)
    assert catalog.networks()["plain"].code != info.code
    assert len(asked) == 2


def test_what_was_kept_and_cannot_be_read_is_measured_again(use, asked, tmp_path):
    use(factor=2)
    catalog.networks()
    for file in (tmp_path / "cache" / "models.describe").iterdir():
        file.write_text("name,family\nplain", encoding="utf-8")
    use(factor=2)
    assert catalog.networks()["plain"].params == 5000
    assert len(asked) == 2


def test_a_file_that_cannot_be_run_is_named_with_its_line(use, asked):
    path = use(factor=2)
    asked.fault = f'Traceback\n  File "{path}", line 2, in <module>\n  File "elsewhere.py", line 9\nTypeError: no'
    with pytest.raises(UserError, match=r"net.py:2: it cannot be used: TypeError: no$"):
        catalog.networks()


def test_a_name_of_the_projects_own_collides(use):
    use(NETWORK.replace("plain", "vgg8").format(factor=1))
    with pytest.raises(UserError, match=r"net.py:4: it cannot be used: ValueError: network 'vgg8' is regis"):
        catalog.networks()


@pytest.mark.usefixtures("asked")
def test_two_plugins_that_register_one_name_collide(use, monkeypatch, forget):
    first, second = use(factor=1), use(name="other.py", factor=2)
    monkeypatch.setenv(plugins.VARIABLE, f"{first}:{second}")
    forget()
    with pytest.raises(UserError, match=r"network 'plain' of .*/other.py: .*/net.py registers one of that name, too"):
        catalog.networks()


@pytest.mark.parametrize("name", ["../../../../esc", "a:b", "a--b", "-a", "é", "n" * 101])
def test_a_name_that_breaks_paths_or_pairs_is_refused(use, asked, name):
    use(factor=1)
    asked.rows = ROWS.replace("other", name)
    with pytest.raises(UserError, match=r"net.py: network '.*': a name is made of letters and digits, .* 100 char"):
        catalog.networks()


def test_a_new_network_in_the_project_is_a_draft_until_the_csv_names_it(monkeypatch, forget):
    settled = network_info.settled()
    kept = {name: info for name, info in settled.items() if name not in ("vgg8", "vgg13")}
    monkeypatch.setattr(network_info, "settled", lambda: kept)
    forget()
    rows = ROWS.replace("plain,", "vgg8,", 1).replace("other,", "vgg13,").encode()
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, rows, b""))
    found = catalog.networks()
    assert found["vgg8"].path.name == "vgg.py"
    assert found["vgg8"].code == found["vgg13"].code != ""
    assert found["wrn-16-2"] == settled["wrn-16-2"]


ONE = "name,family,revision,params,macs,in_size,classes,feats,map\n{},wrapped,{},5000,123456,224,1000,,512x1x1\n"


def kept(tmp_path):
    return sorted((tmp_path / "cache" / "models.describe").iterdir())


def test_a_name_of_a_pattern_is_measured_when_it_is_asked_for_and_is_not_listed(asked, tmp_path, forget):
    asked.rows = ONE.format("wrn-22-3", 3)
    assert {*catalog.networks()} == network_info.settled().keys()
    assert not asked
    for _ in range(2):
        assert "wrn-22-3" in catalog.networks()
        info = catalog.networks()["wrn-22-3"]
        assert (info.params, info.macs, info.in_size, info.revision, info.code, info.path) == (
            *(5000, 123456, 224),
            *(3, "", None),
        )
        assert catalog.networks().get("wrn-22-3") is info
        forget()
    assert asked == [("wrn-22-3", "")]
    assert len(kept(tmp_path)) == 1
    assert "wrn-22-3" not in {*catalog.networks()}


@pytest.mark.parametrize("name", ["none", "nothing", "wrn-22-3-4", "other/resnet18", ""])
def test_what_fits_no_pattern_is_unknown_without_a_process(asked, name):
    assert name not in catalog.networks()
    assert catalog.networks().get(name) is None
    with pytest.raises(KeyError):
        catalog.networks()[name]
    assert not asked


def test_a_package_s_network_has_its_version_and_is_measured_again_for_another(asked, monkeypatch, forget):
    name, found = "torchvision/resnet18", []
    asked.rows = ONE.format(name, 1)
    for version in ("0.29.1+cpu", "0.29.1+cu130", "0.30.0"):
        monkeypatch.setattr(network_info, "version", {"torchvision": version}.__getitem__)
        forget()
        found.append(catalog.networks()[name])
    assert [info.package for info in found] == ["torchvision 0.29.1", "torchvision 0.29.1", "torchvision 0.30.0"]
    assert asked == [(name, "")] * 2
    assert {info.code for info in found} == {""}


def test_networks_of_the_project_have_no_package():
    assert {info.package for info in network_info.settled().values()} == {""}


def test_a_package_that_is_not_installed_is_named_without_a_process(asked, monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(network_info, "version", absent)
    with pytest.raises(UserError, match=r"^network 'timm/resnet18' needs the package timm: pip install timm$"):
        catalog.networks().get("timm/resnet18")
    assert not asked


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("Warning: w\nunknown network 'wrn-23-3': the nearest is x\n", "unknown network 'wrn-23-3': the nearest is x"),
        ("Traceback\nRuntimeError: no memory\n", "network 'wrn-23-3' cannot be built: RuntimeError: no memory"),
        ("\n", "network 'wrn-23-3' cannot be built: no answer"),
    ],
)
def test_a_name_that_cannot_be_built_is_refused_in_one_line_and_not_kept(asked, tmp_path, printed, message):
    asked.fault = printed
    with pytest.raises(UserError) as caught:
        assert "wrn-23-3" in catalog.networks()
    assert str(caught.value) == message
    assert not (tmp_path / "cache").exists()


def test_a_description_that_was_kept_and_cannot_be_read_is_made_again(asked, tmp_path, forget):
    asked.rows = ONE.format("wrn-22-3", 1)
    assert "wrn-22-3" in catalog.networks()
    [file] = kept(tmp_path)
    file.write_text("name,family\n", encoding="utf-8")
    forget()
    assert catalog.networks()["wrn-22-3"].params == 5000
    assert len(asked) == 2


PATTERN = """
from models import register

@register("plain", pattern="plain-[a-z:]+")
def build(request): return {factor}
"""


def test_a_name_of_a_plugin_s_pattern_is_a_draft(use, asked):
    path = use(PATTERN, factor=2)
    asked.rows = ROWS
    catalog.networks()
    asked.rows = ONE.format("plain-x", 4)
    info = catalog.networks()["plain-x"]
    assert (info.path, info.code, info.revision) == (path, catalog.networks()["plain"].code, 1)
    assert asked[-1] == ("plain-x", str(path))
    use(PATTERN, factor=3)
    asked.rows = ROWS
    catalog.networks()
    asked.rows = ONE.format("plain-x", 4)
    assert catalog.networks()["plain-x"].code != info.code


def test_a_name_of_a_plugin_s_pattern_that_breaks_pairs_is_refused(use, asked):
    use(PATTERN, factor=2)
    asked.rows = ROWS
    catalog.networks()
    asked.rows = ONE.format("plain-a:b", 1)
    with pytest.raises(UserError, match=r"net\.py: network 'plain-a:b': a name is made of letters and digits"):
        catalog.networks().get("plain-a:b")


def test_a_network_of_torchvision_is_measured_by_a_process_that_alone_loads_torch():
    info = catalog.networks()["torchvision/resnet18"]
    assert (info.params, info.family, info.map) == (11689512, "resnet", "512x7x7")
    assert info.package == f"torchvision {metadata.version('torchvision').partition('+')[0]}"


@pytest.mark.usefixtures("asked")
def test_the_code_of_a_network_is_part_of_all_ids_that_rest_on_it(use, resolver):
    def ids():
        made, method = resolver(), parse_method("kd")
        student = made.run("C100", "plain", method, TeacherChoice("C100", "wrn-16-2"), 0)
        teacher = made.run("C100", "wrn-16-2", method, TeacherChoice("C100", "plain"), 0)
        other = made.run("C100", "wrn-16-2", method, TeacherChoice("C100", "wrn-40-2"), 0)
        jobs = student, teacher, teacher.teacher, made.probe("PROBE-STL10", student)
        return [job.id for job in jobs], [student.teacher.id, other.id]

    use(factor=2)
    (first, others), _ = ids(), use(factor=3)
    second, same = ids()
    assert not {*first} & {*second}
    assert others == same
