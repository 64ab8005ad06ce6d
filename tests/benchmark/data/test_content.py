import os
import shutil

import pytest

from benchmark.data import content
from benchmark.data.content import content_hash
from benchmark.errors import UserError


@pytest.fixture
def place(tmp_path):
    """A folder with two files."""
    folder = tmp_path / "place"
    folder.mkdir()
    for name in ("a", "b"):
        (folder / name).write_text(name * 9)
    return folder


@pytest.fixture
def hashed(tmp_path, monkeypatch):
    """``hashed(folder)``: the hash of a folder's files, and the names of those that were read for it."""
    read, file_digest = [], content.file_digest
    monkeypatch.setattr(content, "file_digest", lambda path: read.append(path.name) or file_digest(path))
    memory = tmp_path / "memory" / "place.json"

    def find(folder):
        read.clear()
        found = content_hash({path.name: path for path in folder.iterdir()}, memory)
        return found, sorted(read)

    find.memory = memory
    return find


def settle(memory):
    """Let a hash be stored long after its files changed."""
    os.utime(memory, ns=(2**62, 2**62))


def test_files_are_read_once_unless_they_had_just_changed(hashed, place):
    first = hashed(place)
    assert first[1] == ["a", "b"]
    settle(hashed.memory)
    assert hashed(place) == (first[0], [])
    os.utime(hashed.memory, ns=(0, 0))
    assert hashed(place) == first


def test_a_new_time_stamp_is_no_new_content(hashed, place):
    first = hashed(place)
    settle(hashed.memory)
    os.utime(place / "a", (1, 1))
    assert hashed(place) == first


@pytest.mark.parametrize("replace", ["in place", "by another file"])
def test_other_bytes_under_equal_size_and_time_stamp_are_noticed(hashed, place, replace):
    first, _ = hashed(place)
    settle(hashed.memory)
    path, stat = place / "a", (place / "a").stat()
    while path.stat().st_ctime_ns == stat.st_ctime_ns:  # the clock of a file system may tick every few milliseconds
        if replace == "in place":
            path.write_text("c" * 9)
        else:
            (place.parent / "c").write_text("c" * 9)
            (place.parent / "c").replace(path)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    assert hashed(place)[0] != first


def test_a_copy_elsewhere_has_the_same_content_and_another_name_has_not(hashed, place):
    first, _ = hashed(place)
    assert hashed(shutil.copytree(place, place.parent / "copy"))[0] == first
    (place / "a").rename(place / "c")
    assert hashed(place)[0] != first


@pytest.mark.parametrize("text", ["", "cut", "[]", "{}", '{"state": 1, "sha256": 2}'])
def test_a_memory_that_is_damaged_is_not_trusted(hashed, place, text):
    first = hashed(place)
    hashed.memory.write_text(text)
    settle(hashed.memory)
    assert hashed(place) == first


def test_files_that_change_while_they_are_read_are_an_error(place, tmp_path, monkeypatch):
    def change(path):
        path.write_text("more than before")
        return "0" * 64

    monkeypatch.setattr(content, "file_digest", change)
    with pytest.raises(UserError, match=r"place: the files change while they are read: wait"):
        content_hash({"a": place / "a"}, tmp_path / "memory.json")


def test_what_is_no_file_is_named_and_not_waited_for(place, tmp_path):
    os.mkfifo(place / "pipe")
    with pytest.raises(UserError, match=r"place/pipe: it is not a file: remove it"):
        content_hash({"pipe": place / "pipe"}, tmp_path / "memory.json")
    (place / "link").symlink_to(tmp_path / "gone")
    with pytest.raises(UserError, match=r"the data cannot be read \(.*link"):
        content_hash({"link": place / "link"}, tmp_path / "memory.json")


def test_the_memory_may_be_unwritable(place, tmp_path):
    (tmp_path / "file").touch()
    assert len(content_hash({"a": place / "a"}, tmp_path / "file" / "memory.json")) == 64
