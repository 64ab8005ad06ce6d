import errno
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from benchmark.errors import UserError
from benchmark.files import LONGEST, below, expanded, fitted, is_plain, write_atomically
from tests.benchmark.runs.test_store import files


@pytest.mark.parametrize("name", ["kd", "srrl[fm=1]+kd", "a" * LONGEST, "ä" * 127 + "a", ""])
def test_what_fits_stays_as_it_is(name):
    assert fitted(name) == name


@pytest.mark.parametrize("name", ["a" * 256, "ä" * 128, "漢" * 500, "a" * 250 + "漢" * 5, "\udcff" * 300])
@pytest.mark.parametrize("room", [0, 10, 11])
def test_what_is_too_long_in_bytes_keeps_its_beginning_and_can_be_written(name, room, tmp_path):
    short = fitted(name, room)
    begin, tilde, digest = short.rpartition("~")
    assert (tilde, len(digest)) == ("~", 12)
    assert name.startswith(begin)
    assert len(short.encode()) <= LONGEST - room
    assert len(begin) > 70 or "\udcff" in name  # of which no file can hold a part
    (tmp_path / f"{short}{'.' * room}").write_text("written")
    assert fitted(name, room) == short


def test_long_names_that_begin_alike_are_told_apart():
    names = {fitted("a" * 300 + end) for end in ("", "b", "c", "bc")}
    assert len(names) == 4


@pytest.mark.parametrize("place", ["../x", "a/../../x", "m[../../../x]/seed0", "/etc/passwd", "a/.."])
def test_no_path_leads_out_of_its_folder(place, tmp_path):
    with pytest.raises(UserError, match="leads out of"):
        below(tmp_path, place)


@pytest.mark.parametrize("place", ["C100/a--b/kd/seed0-0.json", "m[form=..]", "...x", "a..b"])
def test_other_paths_lie_below(place, tmp_path):
    assert below(tmp_path / ".." / "results", place) == tmp_path / ".." / "results" / place


@pytest.mark.parametrize("name", ["fm", "a-b", "v1.5", "_x", "2+2", "a" * 100])
def test_plain_names(name):
    assert is_plain(name)


@pytest.mark.parametrize("name", ["", "..", ".x", "-x", "a/b", "a b", "é", "a\n", "x[y]", "a=b", "a,b", "a" * 101, 3])
def test_names_that_are_not_plain(name):
    assert not is_plain(name)


def test_the_home_of_nobody_is_no_traceback(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert expanded("~/x.py") == Path("/somewhere/x.py")
    assert expanded(Path("~nobody-of-that-name/x.py")) == Path("~nobody-of-that-name/x.py")


@pytest.mark.parametrize(("where", "step"), [(os, "fsync"), (Path, "replace")])
def test_a_write_that_fails_leaves_the_old_content_and_nothing_else(where, step, tmp_path, monkeypatch):
    path = tmp_path / "folder" / "record.json"
    write_atomically(path, b"old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(where, step, fail)
        with pytest.raises(UserError, match="No space left"):
            write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == [path]
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"
    assert files(tmp_path) == [path]


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_before_that_is_told(tmp_path, monkeypatch):
    path, done = tmp_path / "record.json", []
    real, move = os.fsync, Path.replace

    def sync(descriptor):
        there = Path(f"/proc/self/fd/{descriptor}").resolve()
        done.append("folder" if there == tmp_path else f"file of {there.stat().st_size} bytes")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", lambda self, target: (done.append("name"), move(self, target))[1])
    write_atomically(path, b"content")
    assert done == ["file of 7 bytes", "name", "folder"]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_folder_that_cannot_be_synchronised_is_no_fault_unless_the_disk_is(code, tmp_path, monkeypatch):
    real = os.fsync

    def sync(descriptor):
        if os.fstat(descriptor).st_mode & 0o040000:
            raise OSError(code, os.strerror(code))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", sync)
    with nullcontext() if code == errno.EINVAL else pytest.raises(UserError, match="cannot write"):
        write_atomically(tmp_path / "record.json", b"content")
    assert (tmp_path / "record.json").read_bytes() == b"content"


def test_nobody_else_writes_to_the_same_temporary_file(tmp_path, monkeypatch):
    names, move = [], Path.replace
    monkeypatch.setattr(Path, "replace", lambda self, target: (names.append(self), move(self, target))[1])
    for _ in range(3):
        write_atomically(tmp_path / "record.json", b"content")
    assert len({*names}) == 3
    assert all(f"{os.uname().nodename}-{os.getpid()}-" in path.name for path in names)
    # Two hosts that share a folder: one of them has the file open that the other one wants.
    monkeypatch.setattr(os, "urandom", lambda _: b"same")
    taken = names[0].with_name(f".{os.uname().nodename}-{os.getpid()}-{b'same'.hex()}.tmp")
    taken.write_bytes(b"of another")
    with pytest.raises(UserError, match="File exists"):
        write_atomically(tmp_path / "record.json", b"new")
    assert (tmp_path / "record.json").read_bytes() == b"content"


def test_a_file_has_the_rights_that_all_new_files_have(tmp_path):
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "record.json", b"content")
    finally:
        os.umask(before)
    assert (tmp_path / "record.json").stat().st_mode & 0o777 == 0o640
