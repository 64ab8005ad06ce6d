import itertools
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmark.config.overrides import load_profile
from benchmark.config.resolve import ConfigResolver
from benchmark.config.teachers import TeacherChoice
from benchmark.data import (
    FileDataset,
    code_of,
    content_of,
    describe,
    image_folder,
    load,
    names,
    parquet_files,
    registry,
)
from benchmark.data.dataset import Split, canonical
from benchmark.data.images import central_pixels
from benchmark.errors import UserError
from benchmark.registry import plugins
from benchmark.runs.names import parse_method

BLACK = Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8))
SIZES = {"num_train": 6, "num_test": 4, "num_classes": 3, "image_size": 8}
FILE = """
from benchmark.data import image_folder, parquet_files

SOURCES = ({maker}("leaves", num_train=6, num_test=4, num_classes=3, image_size=8),)
"""
IN_FILES = FILE.replace("image_size=8", "image_size=8, in_memory=False")


@pytest.fixture
def splits(make_split):
    """Six training and four test images of 8x8 pixels in three classes, all of which occur."""
    train, test = make_split(6, seed=1, size=8, num_classes=3), make_split(4, seed=2, size=8, num_classes=3)
    train.labels[:] = [0, 0, 1, 1, 2, 2]
    test.labels[:] = [0, 0, 1, 2]
    return train, test


@pytest.fixture
def folder(tmp_path, splits):
    """The images as one folder a class."""

    def make(names=("train", "test"), enlarge=lambda image: image):
        for name, split in zip(names, splits, strict=True):
            for number, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
                path = tmp_path / "data/leaves" / name / f"class{label}" / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(enlarge(image)).save(path)
        return tmp_path / "data"

    return make


@pytest.fixture
def ids(folder, monkeypatch, tmp_path):
    """The ids of a run and of its teacher on the images in ``$KD_DATA``, or on what is changed."""
    monkeypatch.setenv("KD_DATA", str(folder()))
    monkeypatch.setenv(plugins.CACHE_VARIABLE, str(tmp_path / "cache"))

    def found(dataset="leaves"):
        registry.forget()  # the images may have changed
        taught = TeacherChoice("C100", "wrn-40-4")
        run = ConfigResolver(load_profile("digits"), {"dataset": dataset}).run(
            "C100", "wrn-16-2", parse_method("kd"), taught, 0
        )
        return {run.id, run.teacher.id}

    return found


@pytest.fixture
def use(monkeypatch, tmp_path):
    """``use(maker)`` makes a file with a data set known."""
    numbers = itertools.count()

    def make(maker="image_folder", text=FILE):
        path = tmp_path / f"plugin{next(numbers)}" / "leaves.py"  # files are read once a process
        path.parent.mkdir()
        path.write_text(text.format(maker=maker), encoding="utf-8")
        monkeypatch.setenv(plugins.VARIABLE, str(path))

    return make


def same(found, split):
    expected = canonical(split)
    assert np.array_equal(found.images, expected.images)
    assert np.array_equal(found.labels, expected.labels)


@pytest.mark.parametrize("test", ["test", "val"])
def test_a_folder_of_images_is_decoded_as_it_is(use, folder, splits, tmp_path, test):
    use()
    dataset = load("leaves", folder(("train", test)), tmp_path / "cache")
    same(dataset.train, splits[0])
    same(dataset.test, splits[1])
    assert (dataset.name, dataset.num_classes, dataset.official) == ("leaves", 3, None)


@pytest.mark.parametrize("test", ["test", "validation"])
def test_parquet_gives_the_same_as_a_folder(use, folder, splits, write_parquet, tmp_path, test):
    use()
    first = load("leaves", folder(), tmp_path / "cache")
    for name, split in zip(("train", test), splits, strict=True):
        write_parquet(tmp_path / "shards" / "leaves" / f"{name}-00000-of-00001.parquet", split, shuffle=3)
    use("parquet_files")
    second = load("leaves", tmp_path / "shards", tmp_path / "cache")
    assert first.fingerprint == second.fingerprint


def test_images_of_other_sizes_are_made_square(use, folder, splits, write_parquet, tmp_path, make_split):
    def enlarge(image):
        """Twice as large, with a border at the left and the right that the square leaves out."""
        return np.pad(image.repeat(2, axis=0).repeat(2, axis=1), ((0, 0), (4, 4), (0, 0)))

    use()
    dataset = load("leaves", folder(enlarge=enlarge), tmp_path / "cache")
    expected = Split(
        np.stack([central_pixels(Image.fromarray(enlarge(image)), 8, 8) for image in splits[0].images]),
        splits[0].labels,
    )
    same(dataset.train, expected)
    for name, count in (("train", 6), ("test", 4)):
        write_parquet(tmp_path / "shards" / "leaves" / f"{name}.parquet", make_split(count, size=20, num_classes=3))
    use("parquet_files")
    assert load("leaves", tmp_path / "shards", tmp_path / "cache").train.images.shape == (6, 8, 8, 3)


@pytest.mark.parametrize("name", ["new\nline", "\x1b[31mred", os.fsdecode(b"\xff\xfe"), "ä b"])
def test_odd_names_of_files_and_classes_are_names(use, folder, splits, tmp_path, name):
    use()
    place = folder()
    for split in ("train", "test"):
        for path in (place / "leaves" / split / "class2").iterdir():
            path.rename(path.with_name(f"{name}{path.name}"))
        (place / "leaves" / split / "class2").rename(place / "leaves" / split / f"class2{name}")
    for _ in range(2):
        same(load("leaves", place, tmp_path / "cache").train, splits[0])
    next((place / "leaves/train" / f"class2{name}").iterdir()).write_bytes(b"no image")
    with pytest.raises(UserError, match="the image cannot be decoded"):
        load("leaves", place, tmp_path / "cache")


def test_it_is_known_by_name_size_and_code(use):
    use()
    assert "leaves" in names()
    assert (describe("leaves").num_train, describe("leaves").image_size) == (6, 8)
    assert len(code_of("leaves")) == 64
    assert code_of("digits") == code_of("cifar100") == ""


def test_the_code_of_a_data_set_is_part_of_all_ids_that_rest_on_it(use, ids):
    use()
    first, others = ids(), ids("digits")
    use(text=FILE.replace("image_size=8", "image_size=16"))
    assert not first & ids()
    assert ids("digits") == others


@pytest.mark.parametrize("maker", ["image_folder", "parquet_files"])
def test_so_is_what_its_files_hold_wherever_they_lie(use, ids, splits, write_parquet, tmp_path, monkeypatch, maker):
    def write(label):
        splits[0].labels[0] = label
        for name, split in zip(("train", "test"), splits, strict=True):
            write_parquet(tmp_path / "data/leaves" / f"{name}.parquet", split)

    use(maker)
    write(0)
    first, others = ids(), ids("digits")
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.setenv("KD_DATA", str(tmp_path / "moved"))
    assert ids() == first
    (tmp_path / "moved").rename(tmp_path / "data")
    monkeypatch.setenv("KD_DATA", str(tmp_path / "data"))
    write(2)
    BLACK.save(tmp_path / "data/leaves/train/class0/0.png")
    assert not first & ids()
    assert ids("digits") == others
    assert content_of("digits") == content_of("cifar100") == ""


def test_images_that_are_not_there_are_a_line_before_anything_is_planned(use, ids, tmp_path, monkeypatch):
    use()
    monkeypatch.setenv("KD_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"data in .*nowhere: there is no such folder: .* --data or \$KD_DATA"):
        ids()
    monkeypatch.setenv("KD_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"data set 'leaves': there is no folder .*: put it into DIR and give --data"):
        ids()


@pytest.mark.parametrize(("right", "wrong"), [("num_train=6", "num_train=5"), ("num_test=4", "num_test=3")])
@pytest.mark.parametrize("maker", ["image_folder", "parquet_files"])
def test_wrong_numbers_are_found_where_the_images_are_cached(
    use, folder, splits, write_parquet, tmp_path, maker, right, wrong
):
    place = folder()
    for name, split in zip(("train", "test"), splits, strict=True):
        write_parquet(place / "leaves" / f"{name}.parquet", split)
    use(maker)
    load("leaves", place, tmp_path / "cache")
    use(maker, text=FILE.replace(right, wrong))
    with pytest.raises(UserError, match=f"{right[-1]} images where the data set's file says {wrong}: correct it"):
        load("leaves", place, tmp_path / "cache")


def test_other_columns_are_not_taken_from_the_cache(use, splits, write_parquet, tmp_path):
    for name, split in zip(("train", "test"), splits, strict=True):
        path = write_parquet(tmp_path / "data/leaves" / f"{name}.parquet", split)
        table = pq.read_table(path)
        pq.write_table(table.append_column("kind", pa.array(2 - split.labels)), path)
    use("parquet_files")
    first = load("leaves", tmp_path / "data", tmp_path / "cache")
    use("parquet_files", text=FILE.replace("image_size=8", "image_size=8, label=('kind',)"))
    second = load("leaves", tmp_path / "data", tmp_path / "cache")
    assert first.fingerprint != second.fingerprint


def encoded(split):
    """Labels and encoded images of a split that stays in files, in its order."""
    places = split.locations(np.arange(len(split)))
    contents = [Path(place.path).read_bytes()[place.start :] for place in places]
    return [
        (label, content[: place.length] if place.length >= 0 else content)
        for label, content, place in zip(split.labels.tolist(), contents, places, strict=True)
    ]


@pytest.fixture
def shards(folder, tmp_path):
    """The folder's images as Parquet files that name them."""

    def make():
        tree = folder() / "leaves"
        for name in ("train", "test"):
            paths = sorted((tree / name).glob("*/*"), reverse=True)
            cells = [{"bytes": path.read_bytes(), "path": f"any/{path.name}"} for path in paths]
            labels = [int(path.parent.name.removeprefix("class")) for path in paths]
            target = tmp_path / "shards" / "leaves" / f"{name}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"image": cells, "label": labels, "other": labels[::-1]}), target)
        return tmp_path / "shards"

    return make


def test_larger_images_stay_in_their_files_in_folders_and_parquet_alike(use, folder, shards, tmp_path):
    use(text=IN_FILES)
    first = load("leaves", folder(), tmp_path / "cache")
    use("parquet_files", text=IN_FILES)
    second = load("leaves", shards(), tmp_path / "cache")
    assert isinstance(first, FileDataset)
    assert (first.fingerprint, first.num_classes, first.official) == (second.fingerprint, 3, None)
    assert (len(first.train), len(first.test)) == (6, 4)
    for part in ("train", "test"):
        assert encoded(getattr(first, part)) == encoded(getattr(second, part))
    assert {(label, content) for label, content in encoded(first.test)} == {
        (int(path.parent.name[-1]), path.read_bytes()) for path in (tmp_path / "data/leaves/test").glob("*/*")
    }


def test_no_image_in_a_folder_is_read_before_it_is_needed(use, folder, tmp_path, monkeypatch):
    use(text=IN_FILES)
    place, _ = folder(), names()
    monkeypatch.setattr(Path, "open", lambda *_: pytest.fail("a file was opened"))
    assert len(load("leaves", place, tmp_path / "cache").train) == 6


@pytest.mark.parametrize("make", [image_folder, parquet_files])
@pytest.mark.parametrize(
    ("size", "stated", "stay"),
    [(64, {}, False), (65, {}, True), (224, {"in_memory": True}, False), (8, {"in_memory": False}, True)],
)
def test_images_of_more_than_64_pixels_stay_in_files_unless_the_data_set_says_otherwise(make, size, stated, stay):
    assert make("leaves", **(SIZES | {"image_size": size}), **stated).info.in_files == stay


def test_names_and_sizes_of_images_in_files_are_part_of_ids_wherever_they_lie(use, ids, tmp_path, monkeypatch):
    use(text=IN_FILES)
    first, others = ids(), ids("digits")
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.setenv("KD_DATA", str(tmp_path / "moved"))
    assert ids() == first
    image = tmp_path / "moved/leaves/train/class0/0.png"
    image.write_bytes(image.read_bytes() + b"0")
    second = ids()
    image.rename(image.with_name("new.png"))
    assert len({*first, *second, *ids()}) == 6
    assert ids("digits") == others


def test_other_columns_or_classes_are_not_taken_from_the_copy_of_encoded_images(use, shards, tmp_path):
    place = shards()
    use("parquet_files", text=IN_FILES)
    first = load("leaves", place, tmp_path / "cache")
    use("parquet_files", text=IN_FILES.replace("image_size=8", "image_size=8, label=('other',)"))
    assert load("leaves", place, tmp_path / "cache").train.labels.tolist() != first.train.labels.tolist()
    use("parquet_files", text=IN_FILES.replace("num_classes=3", "num_classes=2"))
    with pytest.raises(UserError, match="has label 2, it must be 0 to 1"):
        load("leaves", place, tmp_path / "cache")


@pytest.mark.parametrize(("right", "wrong"), [("num_train=6", "num_train=5"), ("num_test=4", "num_test=3")])
@pytest.mark.parametrize("maker", ["image_folder", "parquet_files"])
def test_wrong_numbers_of_images_in_files_are_found(use, folder, shards, tmp_path, maker, right, wrong):
    use(maker, text=IN_FILES.replace(right, wrong))
    place = folder() if maker == "image_folder" else shards()
    with pytest.raises(UserError, match=f"{right[-1]} images where the data set's file says {wrong}: correct it"):
        load("leaves", place, tmp_path / "cache")


def test_a_link_that_leads_nowhere_is_named(use, folder, tmp_path):
    use(text=IN_FILES)
    place = folder()
    image = place / "leaves/train/class0/0.png"
    image.unlink()
    image.symlink_to("gone.png")
    with pytest.raises(UserError, match=r"class0/0.png: cannot be read \(No such file or directory\): repair or fetch"):
        load("leaves", place, tmp_path / "cache")


SPOILT = {
    "7 images where the data set's file says num_train=6": lambda at: BLACK.save(at / "train/class0/more.png"),
    "train/class1/2.png: the image cannot be decoded": lambda at: (at / "train/class1/2.png").write_bytes(b"no image"),
    "4 class folders, there must be 3": lambda at: (at / "train/class9").mkdir(),
    "the folder test/ is missing": lambda at: (at / "test").rename(at / "elsewhere"),
}


@pytest.mark.parametrize("says", SPOILT)
def test_what_is_wrong_in_a_folder_is_named(use, folder, tmp_path, says):
    use()
    place = folder()
    SPOILT[says](place / "leaves")
    with pytest.raises(UserError, match=says):
        load("leaves", place, tmp_path / "cache")


def test_a_missing_parquet_split_is_named(use, splits, write_parquet, tmp_path):
    use("parquet_files")
    folder = tmp_path / "data" / "leaves"
    write_parquet(folder / "train.parquet", splits[0])
    with pytest.raises(UserError, match=r"leaves: the test split is missing: add test\*.parquet"):
        load("leaves", tmp_path / "data", tmp_path / "cache")


@pytest.mark.parametrize("make", [image_folder, parquet_files])
@pytest.mark.parametrize(
    ("name", "changes", "says"),
    [
        ("Leaves", {}, "a name is made of small letters"),
        ("l" * 101, {}, "a name is made of small letters, digits, - and _, at most 100 of them"),
        ("leaves", {"num_train": 0}, "num_train must be a whole number from 2, not 0"),
        ("leaves", {"num_test": "4"}, "num_test must be a whole number from 1, not '4'"),
        ("leaves", {"num_classes": 1}, "num_classes must be a whole number from 2"),
        ("leaves", {"image_size": 4}, "image_size must be a whole number from 8"),
        ("leaves", {"in_memory": "no"}, "in_memory must be True, False or None, not 'no'"),
        ("leaves", {"mean": (0.5, 0.5, 0.5)}, "state both mean and std, or neither"),
        ("leaves", {"mean": (0.5, 0.5), "std": (0.5,) * 3}, r"mean must be 3 numbers from 0 to 1, not \(0.5, 0.5\)"),
        ("leaves", {"mean": (0.5,) * 3, "std": (127, 127, 127)}, "std must be 3 numbers from 0 to 1"),
        ("leaves", {"mean": (0.5,) * 3, "std": (0, 0.5, 0.5)}, "std must be above 0"),
    ],
)
def test_values_that_make_no_sense_are_refused(make, name, changes, says):
    with pytest.raises(UserError, match=says):
        make(name, **(SIZES | changes))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("SOURCES = ()\nraise ValueError('no')", r"leaves.py:2: the file cannot be run \(ValueError: no\)"),
        ("SOURCES = ('leaves',)", "SOURCES must be a tuple of data sets"),
        (FILE.replace("leaves", "digits"), r"data set 'digits' of .*leaves.py: .*/digits.py has one of that name, too"),
        (FILE.replace("image_size=8", "image_size=2"), "image_size must be a whole number from 8, not 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(use, text, says):
    use(text=text)
    with pytest.raises(UserError, match=says):
        names()
