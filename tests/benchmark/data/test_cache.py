import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

from benchmark.data.cache import Copy, Stored, stored
from benchmark.errors import UserError


@pytest.fixture
def builder(small):
    """Counts its calls."""
    splits = zip(("train", "test"), small, strict=True)
    arrays = {f"{name}_{part}": getattr(split, part) for name, split in splits for part in ("images", "labels")}

    def build(scratch):
        build.calls += 1
        (scratch / "inner").mkdir()
        (scratch / "inner" / "copy").write_bytes(b"beside the arrays")
        return Stored(arrays, fingerprint="abc")

    build.calls = 0
    return build


def ignore(_line):
    pass


@pytest.fixture
def copy_of(tmp_path):
    """Factory of copies of some content of a folder; ``root`` is the folder of all copies."""

    def make(content="abc", place="place", choice="", root="set"):
        return Copy(tmp_path / root, content, choice, tmp_path / place)

    return make


def copies(tmp_path):
    return {path.name for path in (tmp_path / "set").iterdir() if path.is_dir()}


def test_second_load_maps_what_the_first_one_wrote(copy_of, builder, small):
    copy = copy_of(choice="key")
    folder = copy.folder
    assert folder.name == "abc-key"
    for _ in range(2):
        result = stored(copy, builder, ignore)
        assert isinstance(result.arrays["train_images"], np.memmap)
        np.testing.assert_array_equal(result.arrays["train_images"], small[0].images)
        np.testing.assert_array_equal(result.arrays["test_labels"], small[1].labels)
        assert (folder / "inner" / "copy").read_bytes() == b"beside the arrays"
        assert result.fingerprint == "abc"
    assert builder.calls == 1


@pytest.mark.parametrize("file", ["train_images.npy", "train_labels.npy", "test_images.npy", "meta.json"])
@pytest.mark.parametrize("harm", ["removed", "truncated", "emptied", "replaced"])
def test_corrupt_cache_is_rebuilt(copy_of, builder, small, file, harm):
    copy = copy_of()
    folder = copy.folder
    stored(copy, builder, ignore)
    path = folder / file
    content = path.read_bytes()
    path.unlink()
    if harm != "removed":
        path.write_bytes({"truncated": content[: len(content) // 2], "emptied": b"", "replaced": b"[1]" * 99}[harm])
    lines = []
    result = stored(copy, builder, lines.append)
    assert builder.calls == 2
    assert "corrupt" in lines[0]
    np.testing.assert_array_equal(result.arrays["test_images"], small[1].images)
    assert (folder / "inner" / "copy").read_bytes() == b"beside the arrays"


def test_arrays_of_another_shape_are_not_taken(copy_of, builder, small):
    copy = copy_of()
    folder = copy.folder
    stored(copy, builder, ignore)
    np.save(folder / "test_labels.npy", small[0].labels)
    assert len(stored(copy, builder, ignore).arrays["test_labels"]) == len(small[1])


def test_what_a_killed_process_left_is_swept_away(tmp_path, copy_of, builder):
    for name in (".abc.tmp", ".other.tmp"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "train_images.npy").write_bytes(b"half")
    stored(copy_of(), builder, ignore)
    assert copies(tmp_path) == {"abc"}


def test_simultaneous_builders_build_once(copy_of, builder):
    results = []

    def build(scratch):
        for thread in others:  # begin while this one has the lock
            thread.start()
        return builder(scratch)

    def take():
        results.append(stored(copy_of(), build, ignore))

    others = [threading.Thread(target=take) for _ in range(3)]
    take()
    for thread in others:
        thread.join()
    assert [result.fingerprint for result in results] == ["abc"] * 4
    assert builder.calls == 1


def test_a_failed_build_leaves_nothing_and_frees_the_lock(tmp_path, copy_of, builder):
    def fail(scratch):
        (scratch / "half").touch()
        raise UserError("no image")

    with pytest.raises(UserError, match="no image"):
        stored(copy_of(), fail, ignore)
    assert copies(tmp_path) == set()
    stored(copy_of(), builder, ignore)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, copy_of, builder):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/set: cannot write"):
        stored(copy_of(root="file/set"), builder, ignore)


def test_a_copy_goes_when_its_place_holds_other_content_and_another_copy_is_made(tmp_path, copy_of, builder):
    stored(copy_of("old", choice="small"), builder, ignore)
    stored(copy_of("old", choice="large"), builder, ignore)
    assert copies(tmp_path) == {"old-small", "old-large"}
    stored(copy_of("new"), builder, ignore)
    assert copies(tmp_path) == {"new"}


def test_a_copy_stays_while_another_place_holds_its_content(tmp_path, copy_of, builder):
    stored(copy_of("old"), builder, ignore)
    stored(copy_of("other", place="elsewhere"), builder, ignore)
    assert copies(tmp_path) == {"old", "other"}
    stored(copy_of("new"), builder, ignore)
    assert copies(tmp_path) == {"new", "other"}


def test_a_copy_stays_while_it_is_used(tmp_path, copy_of, builder):
    used = stored(copy_of("old"), builder, ignore)
    stored(copy_of("new"), builder, ignore)
    assert copies(tmp_path) == {"old", "new"}
    del used
    gc.collect()
    stored(copy_of("newer"), builder, ignore)
    assert copies(tmp_path) == {"newer"}


USER = """
import sys
from pathlib import Path
from benchmark.data.cache import Copy, stored
root, place = map(Path, sys.argv[1:])
used = stored(Copy(root, "old", "", place), None, print)
print("opened", flush=True)
sys.stdin.read()
"""


def test_a_copy_stays_while_another_process_uses_it(tmp_path, copy_of, builder):
    copy = copy_of("old")
    stored(copy, builder, ignore)
    command = [sys.executable, "-c", USER, str(copy.root), str(copy.place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "opened\n"
        stored(copy_of("new"), builder, ignore)
        assert copies(tmp_path) == {"old", "new"}
        process.communicate(timeout=60)
    stored(copy_of("newer"), builder, ignore)
    assert copies(tmp_path) == {"newer"}


def test_places_that_cannot_be_read_are_forgotten(tmp_path, copy_of, builder):
    stored(copy_of("old"), builder, ignore)
    (tmp_path / "set" / "places.json").write_text("[1]")
    stored(copy_of("new"), builder, ignore)
    assert copies(tmp_path) == {"new"}
