import threading

import numpy as np
import pytest

from benchmark.data.cache import Stored, stored
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


def test_second_load_maps_what_the_first_one_wrote(tmp_path, builder, small):
    folder = tmp_path / "data" / "set-key"
    for _ in range(2):
        result = stored(folder, builder, ignore)
        assert isinstance(result.arrays["train_images"], np.memmap)
        np.testing.assert_array_equal(result.arrays["train_images"], small[0].images)
        np.testing.assert_array_equal(result.arrays["test_labels"], small[1].labels)
        assert (folder / "inner" / "copy").read_bytes() == b"beside the arrays"
        assert result.fingerprint == "abc"
    assert builder.calls == 1


@pytest.mark.parametrize("file", ["train_images.npy", "train_labels.npy", "test_images.npy", "meta.json"])
@pytest.mark.parametrize("harm", ["removed", "truncated", "emptied", "replaced"])
def test_corrupt_cache_is_rebuilt(tmp_path, builder, small, file, harm):
    folder = tmp_path / "set-key"
    stored(folder, builder, ignore)
    path = folder / file
    content = path.read_bytes()
    path.unlink()
    if harm != "removed":
        path.write_bytes({"truncated": content[: len(content) // 2], "emptied": b"", "replaced": b"[1]" * 99}[harm])
    lines = []
    result = stored(folder, builder, lines.append)
    assert builder.calls == 2
    assert "corrupt" in lines[0]
    np.testing.assert_array_equal(result.arrays["test_images"], small[1].images)
    assert (folder / "inner" / "copy").read_bytes() == b"beside the arrays"


def test_arrays_of_another_shape_are_not_taken(tmp_path, builder, small):
    folder = tmp_path / "set-key"
    stored(folder, builder, ignore)
    np.save(folder / "test_labels.npy", small[0].labels)
    assert len(stored(folder, builder, ignore).arrays["test_labels"]) == len(small[1])


def test_what_a_killed_process_left_is_swept_away(tmp_path, builder):
    left = tmp_path / ".set-key.tmp"
    left.mkdir()
    (left / "train_images.npy").write_bytes(b"half")
    stored(tmp_path / "set-key", builder, ignore)
    assert not left.exists()


def test_simultaneous_builders_build_once(tmp_path, builder):
    results = []

    def build(scratch):
        for thread in others:  # begin while this one has the lock
            thread.start()
        return builder(scratch)

    def take():
        results.append(stored(tmp_path / "set-key", build, ignore))

    others = [threading.Thread(target=take) for _ in range(3)]
    take()
    for thread in others:
        thread.join()
    assert [result.fingerprint for result in results] == ["abc"] * 4
    assert builder.calls == 1


def test_a_failed_build_leaves_nothing_and_frees_the_lock(tmp_path, builder):
    def fail(scratch):
        (scratch / "half").touch()
        raise UserError("no image")

    with pytest.raises(UserError, match="no image"):
        stored(tmp_path / "set-key", fail, ignore)
    assert [path.name for path in tmp_path.iterdir()] == ["set-key.lock"]
    stored(tmp_path / "set-key", builder, ignore)


def test_a_folder_that_cannot_be_written_is_named(tmp_path, builder):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file/set-key: cannot write"):
        stored(tmp_path / "file" / "set-key", builder, ignore)
