import gc
import subprocess
import sys
import textwrap
import time
import weakref
from functools import cache
from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision import transforms

from benchmark.data import load
from benchmark.data.augment import Augmentation, normalise
from benchmark.data.decoders import Decoders
from benchmark.data.filestream import FileStream, file_evaluation_batches
from benchmark.data.images import Crops, training_pixels
from benchmark.data.strong_view import strong_view
from benchmark.errors import UserError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
CROPS = Crops(16, (0.2, 1.0), 20, 0.5, MEAN, STD)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def decoders():
    """Factory: so many processes, each number started once."""
    return cache(lambda count: Decoders(count, pin=False))


@pytest.fixture
def make(files, decoders):
    def make_stream(split=None, batch_size=4, seed=0, count=0, crops=CROPS, **options):
        return FileStream(split or files.train, crops, batch_size, seed, "cpu", decoders(count), **options)

    return make_stream


def joined(batches):
    """Images, targets, indices and, where they were asked for, strong views of all batches."""
    return [torch.cat(parts) for parts in zip(*batches, strict=True) if parts[0] is not None]


def same(first, second):
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def opened(split, row):
    return Image.open(split.locations([row])[0].path).convert("RGB")


def test_images_are_the_crops_of_the_draws(make, files):
    stream = make(seed=3)
    draws = stream.draws(2)
    images, _, indices = joined(stream.epoch(2))
    assert torch.equal(indices, draws.permutation)
    for image, row, numbers in zip(images, indices.tolist(), draws.crops.tolist(), strict=True):
        pixels = training_pixels(opened(files.train, row), CROPS, numbers)
        assert torch.equal(image, normalise(torch.tensor(pixels.copy())[None], MEAN, STD)[0])


def test_strong_views_are_other_crops_of_the_draws(make, files):
    stream = make(seed=3)
    draws, indices = stream.strong_draws(2), stream.draws(2).permutation.tolist()
    assert not torch.equal(draws.crops, stream.draws(2).crops)
    crops = [
        training_pixels(opened(files.train, row), CROPS, numbers)
        for row, numbers in zip(indices, draws.crops.tolist(), strict=True)
    ]
    unchanged = Augmentation(0, "zero", 0.0, MEAN, STD)
    expected = strong_view(torch.stack([torch.tensor(crop.copy()) for crop in crops]), draws.views, unchanged)
    assert torch.equal(joined(stream.epoch(2, strong=True))[3], expected)


def test_stream_is_the_one_that_results_were_measured_with(make):
    # A change here changes every result: the engine's numerics version must be raised with it.
    draws = make().draws(1)
    assert draws.permutation.tolist() == [2, 4, 3, 1, 0, 5]
    assert (draws.crops[0, [0, 1, -1]] * 1_000).int().tolist() == [672, 89, 816]
    strong = make().strong_draws(1)
    assert (strong.crops[0, [0, 1, -1]] * 1_000).int().tolist() == [985, 630, 426]
    assert strong.views.kinds[:4].tolist() == [[7, 11], [9, 7], [7, 2], [0, 13]]


@pytest.mark.parametrize("strong", [False, True])
def test_form_of_the_files_and_number_of_processes_change_nothing(make, shards, tmp_path, strong):
    expected = [joined(make().epoch(epoch, strong=strong)) for epoch in (1, 2)]
    copied = load("imagenet", shards, tmp_path / "cache")
    for count in (0, 2):
        stream = make(copied.train, count=count)
        assert all(same(joined(stream.epoch(epoch, strong=strong)), expected[epoch - 1]) for epoch in (1, 2))


def test_evaluation_shows_all_centres_in_order(files, decoders):
    batches = list(file_evaluation_batches(files.test, CROPS, 3, CPU, decoders(0)))
    assert [len(targets) for _, targets in batches] == [3, 1]
    images, targets = joined(batches)
    assert targets.tolist() == files.test.labels.tolist()
    look = transforms.Compose(
        [transforms.Resize(20), transforms.CenterCrop(16), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    )
    expected = torch.stack([look(opened(files.test, row)) for row in range(4)])
    torch.testing.assert_close(images, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("count", [0, 2])
@pytest.mark.parametrize("strong", [False, True])
def test_an_epoch_left_early_does_not_disturb_the_next(make, count, strong):
    expected = joined(make().epoch(2, strong=strong))
    stream = make(batch_size=2, count=count)
    abandoned = stream.epoch(1, strong=strong)
    next(abandoned)
    assert same(joined(stream.epoch(2, strong=strong)), expected)


@pytest.mark.parametrize("strong", [False, True])
def test_decoders_end_with_the_last_who_knows_them(files, strong):
    decoders = Decoders(0, pin=False)
    known, stream = weakref.ref(decoders), FileStream(files.train, CROPS, 2, 0, "cpu", decoders)
    abandoned = stream.epoch(1, strong=strong)
    next(abandoned)
    gc.disable()
    try:
        del abandoned, stream, decoders
        assert known() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("count", [0, 2])
def test_image_that_cannot_be_decoded_is_named_on_one_line(make, files, count):
    row = 4
    location = files.train.locations([row])[0]
    Path(location.path).write_bytes(b"?" * 99)
    with pytest.raises(UserError) as caught:
        list(make(count=count).epoch(1))
    assert str(caught.value).startswith(f"{location.name}: the image cannot be decoded")
    assert "\n" not in str(caught.value)
    assert len(joined(make(files.train.part(0, row), count=count).epoch(1))[1]) == row  # the processes live on


@pytest.mark.parametrize("harm", ["damaged", "cut"])
def test_image_in_a_copy_is_named_by_its_row(make, shards, tmp_path, harm):
    split = load("imagenet", shards, tmp_path / "cache").train
    location = max(split.locations(range(6)))  # the last image of a file
    with Path(location.path).open("r+b") as file:
        file.seek(location.start)
        file.write(b"?" * location.length)
        file.truncate(location.start + location.length - (harm == "cut"))
    message = {"damaged": "the image cannot be decoded", "cut": "the file is too short: delete data/"}[harm]
    with pytest.raises(UserError, match=rf"train-0000.-of-00002\.images: row \d: {message}"):
        list(make(split).epoch(1))


def test_image_that_is_gone_is_named(make, files):
    location = files.train.locations([0])[0]
    Path(location.path).unlink()
    with pytest.raises(UserError, match=f"{location.name}: cannot be read .*has it been moved"):
        list(make().epoch(1))


SCRIPT = """
import sys
from multiprocessing import active_children
from pathlib import Path
import numpy as np
from PIL import Image
from benchmark.data.dataset import ImageLocation
from benchmark.data.decoders import Decoders, DecodeTask
from benchmark.data.images import Crops

if __name__ == "__main__":
    path = Path(sys.argv[1])
    Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(path, "PNG")
    place = ImageLocation(str(path), 0, -1, "x")
    tasks = [DecodeTask([place], Crops(16, (1.0, 1.0), 16, 0.0, (0,) * 3, (1,) * 3), None)] * 50
    batches = Decoders(1, pin=False).run(tasks)
    next(batches)
    print(active_children()[0].pid, flush=True)
    raise KeyboardInterrupt
"""


def test_processes_end_with_their_parent(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    root = Path(__file__).parents[3]
    command = [sys.executable, str(script), str(tmp_path / "x.png")]
    done = subprocess.run(command, capture_output=True, text=True, env={"PYTHONPATH": str(root)}, check=False)
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    child = Path(f"/proc/{done.stdout.strip()}")
    deadline = time.monotonic() + 600
    while child.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not child.exists()
