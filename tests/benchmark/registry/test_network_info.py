import subprocess

import pytest

from benchmark.config.resolve import TeacherChoice
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
