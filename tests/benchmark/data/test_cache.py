import threading

import numpy as np
import pytest

from benchmark.data.cache import CachedArrays, load_or_build
from benchmark.errors import UserError


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "set" / "abc"


@pytest.fixture
def builder(small):
    """Counts its calls."""
    splits = zip(("train", "test"), small, strict=True)
    arrays = {f"{name}_{part}": getattr(split, part) for name, split in splits for part in ("images", "labels")}

    def build(scratch):
        build.calls += 1
        (scratch / "inner").mkdir()
        (scratch / "inner" / "copy").write_bytes(b"beside the arrays")
        return CachedArrays(arrays, fingerprint="abc", facts={"mean": [0.5]})

    build.calls = 0
    return build


def ignore(_line):
    pass


def test_second_load_maps_what_the_first_one_wrote(folder, builder, small):
    for _ in range(2):
        result = load_or_build(folder, builder, ignore)
        assert isinstance(result.arrays["train_images"], np.memmap)
        np.testing.assert_array_equal(result.arrays["train_images"], small[0].images)
        np.testing.assert_array_equal(result.arrays["test_labels"], small[1].labels)
        assert (folder / "inner" / "copy").read_bytes() == b"beside the arrays"
        assert (result.fingerprint, result.facts) == ("abc", {"mean": [0.5]})
    assert builder.calls == 1


@pytest.mark.parametrize("file", ["train_images.npy", "test_labels.npy", "meta.json"])
@pytest.mark.parametrize("harm", ["removed", "truncated", "emptied", "replaced"])
def test_corrupt_cache_is_rebuilt(folder, builder, small, file, harm):
    load_or_build(folder, builder, ignore)
    path = folder / file
    content = path.read_bytes()
    path.unlink()
    if harm != "removed":
        path.write_bytes({"truncated": content[: len(content) // 2], "emptied": b"", "replaced": b"[1]" * 99}[harm])
    lines = []
    result = load_or_build(folder, builder, lines.append)
    assert builder.calls == 2
    assert "corrupt" in lines[0]
    np.testing.assert_array_equal(result.arrays["test_images"], small[1].images)
    assert (folder / "inner" / "copy").read_bytes() == b"beside the arrays"


def test_what_a_killed_process_left_is_removed(folder, builder):
    left = folder.with_name(".abc.tmp")
    left.mkdir(parents=True)
    (left / "train_images.npy").write_bytes(b"half")
    load_or_build(folder, builder, ignore)
    assert [path for path in folder.parent.iterdir() if path.is_dir()] == [folder]


def test_simultaneous_builders_build_once(folder, builder):
    results = []

    def build(scratch):
        for thread in others:  # begin while this one has the lock
            thread.start()
        return builder(scratch)

    def take():
        results.append(load_or_build(folder, build, ignore))

    others = [threading.Thread(target=take) for _ in range(3)]
    take()
    for thread in others:
        thread.join()
    assert [result.fingerprint for result in results] == ["abc"] * 4
    assert builder.calls == 1


def test_a_failed_build_leaves_nothing_and_frees_the_lock(folder, builder):
    def fail(scratch):
        (scratch / "half").touch()
        raise UserError("no image")

    with pytest.raises(UserError, match="no image"):
        load_or_build(folder, fail, ignore)
    assert not [path for path in folder.parent.iterdir() if path.is_dir()]
    load_or_build(folder, builder, ignore)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, builder):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write to .*file/set .*--checkpoints"):
        load_or_build(tmp_path / "file/set/abc", builder, ignore)
