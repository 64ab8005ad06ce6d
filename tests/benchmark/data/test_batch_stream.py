"""What both streams have in common, and the stream of images on the device."""

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.data.augment import Augmentation, augment, normalise
from benchmark.data.batch_stream import Stream, evaluation_batches, resized, upload
from benchmark.data.decoders import Decoders
from benchmark.data.filestream import FileStream
from benchmark.data.images import Crops
from benchmark.data.strong_view import StrongDraws, strong_view
from benchmark.errors import UserError

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
CROPS = Augmentation(2, "reflect", 0.5, MEAN, STD)
PLAIN = Augmentation(0, "zero", 0.0, MEAN, STD)


@pytest.fixture
def split(make_split):
    return make_split(50, size=8)


@pytest.fixture
def make(split):
    def make_stream(augmentation=CROPS, batch_size=16, seed=0, data=None, **options):
        return Stream(data or upload(split, "cpu"), augmentation, batch_size, seed, "cpu", **options)

    return make_stream


@pytest.fixture(params=["memory", "files"])
def make_any(request, make, files):
    """Factory of streams of 50 images in memory, or of 6 in files."""

    def make_file_stream(batch_size=4, seed=0, **options):
        crops = Crops(16, (0.2, 1.0), 20, 0.5, MEAN, STD)
        return FileStream(files.train, crops, batch_size, seed, "cpu", Decoders(0, pin=False), **options)

    return make if request.param == "memory" else make_file_stream


def joined(batches):
    """Images, targets, indices and, where they were asked for, strong views of all batches."""
    return [torch.cat(parts) for parts in zip(*batches, strict=True) if parts[0] is not None]


def same(first, second):
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_epoch_shows_every_sample_once_in_batches(make_any):
    stream = make_any(batch_size=4)
    batches = list(stream.epoch(1))
    count = stream.num_samples
    assert len(stream) == len(batches) == -(-count // 4)
    assert [len(batch.targets) for batch in batches] == [4] * (count // 4) + [2]
    images, targets, indices = joined(batches)
    assert sorted(indices.tolist()) == list(range(count))
    assert torch.equal(targets, stream.labels[indices])
    assert (images.shape[:2], images.dtype) == ((count, 3), torch.float32)
    assert batches[0].images.is_contiguous(memory_format=torch.channels_last)


def test_stream_is_a_function_of_seed_and_epoch(make_any):
    first = joined(make_any(seed=1).epoch(2))
    torch.manual_seed(99)
    stream = make_any(seed=1)
    joined(stream.epoch(1))
    assert same(joined(stream.epoch(2)), first)
    assert same(joined(make_any(seed=1, batch_size=7).epoch(2)), first)
    for other in (stream.epoch(3), make_any(seed=2).epoch(2)):
        assert not torch.equal(joined(other)[2], first[2])


def test_global_random_state_is_left_alone(make_any):
    before = torch.get_rng_state()
    joined(make_any().epoch(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_train_limit_keeps_the_first_rows(make_any):
    stream = make_any(train_limit=5, batch_size=3)
    assert (stream.num_samples, len(stream)) == (5, 2)
    assert torch.equal(stream.labels, make_any().labels[:5])
    assert sorted(joined(stream.epoch(1))[2].tolist()) == list(range(5))


@pytest.mark.parametrize(
    ("limit", "batch_size", "sizes"),
    [(5, 4, [5]), (5, 2, [2, 3]), (4, 3, [4]), (4, 2, [2, 2]), (5, 3, [3, 2]), (1, 4, [1]), (3, 1, [1, 1, 1])],
)
@pytest.mark.parametrize("strong", [False, True])
def test_last_batch_of_one_image_joins_the_batch_before_it(make_any, limit, batch_size, sizes, strong):
    stream = make_any(train_limit=limit, batch_size=batch_size)
    batches = list(stream.epoch(1, strong=strong))
    assert [len(batch.targets) for batch in batches] == [len(batch.images) for batch in batches] == sizes
    assert len(stream) == len(sizes)
    assert same(joined(batches), joined(make_any(train_limit=limit, batch_size=limit).epoch(1, strong=strong)))


def test_strong_views_leave_all_else_as_it_is(make_any):
    weak, both = list(make_any(seed=1).epoch(2)), list(make_any(seed=1).epoch(2, strong=True))
    assert all(batch.strong is None for batch in weak)
    assert same(joined(weak), joined(both)[:3])
    for batch in both:
        assert (batch.strong.shape, batch.strong.dtype) == (batch.images.shape, torch.float32)
        assert batch.strong.is_contiguous(memory_format=torch.channels_last)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_strong_views_are_a_function_of_seed_and_epoch(make_any):
    images, _, _, first = joined(make_any(seed=1).epoch(2, strong=True))
    torch.manual_seed(99)
    before = torch.get_rng_state()
    stream = make_any(seed=1)
    joined(stream.epoch(1, strong=True))
    assert torch.equal(joined(stream.epoch(2, strong=True))[3], first)
    assert torch.equal(joined(make_any(seed=1, batch_size=7).epoch(2, strong=True))[3], first)
    assert torch.equal(torch.get_rng_state(), before)
    assert (first != images).flatten(1).any(1).all()


@pytest.mark.parametrize("other", [(1, 3), (2, 2)])
def test_strong_draws_differ_in_every_seed_and_epoch(make_any, other):
    def draws(seed, epoch):
        numbers = make_any(seed=seed).strong_draws(epoch)
        return numbers if isinstance(numbers, StrongDraws) else numbers.views

    assert not torch.equal(draws(1, 2).boxes, draws(*other).boxes)
    assert not torch.equal(draws(1, 2).kinds, draws(*other).kinds)


def test_nothing_is_drawn_for_strong_views_that_nobody_asks_for(make_any, monkeypatch):
    stream = make_any()
    monkeypatch.setattr(stream, "strong_draws", lambda _: pytest.fail("drawn"))
    joined(stream.epoch(1))


@pytest.mark.parametrize("limit", [0, -1, 51])
def test_limit_out_of_range_is_an_error(make_any, limit):
    with pytest.raises(UserError, match=rf"train_limit must be from 1 to {make_any().num_samples}, not {limit}"):
        make_any(train_limit=limit)


def test_images_and_targets_are_those_of_the_indices(make, split):
    images, targets, indices = joined(make(PLAIN).epoch(1))
    assert torch.equal(targets, torch.from_numpy(split.labels)[indices])
    assert torch.equal(images, normalise(torch.from_numpy(split.images)[indices], MEAN, STD))


def test_images_are_the_augmented_ones_of_the_draws(make, split):
    stream = make()
    draws = stream.draws(3)
    expected = augment(torch.from_numpy(split.images)[draws.permutation], draws.offsets, draws.flips, CROPS)
    assert torch.equal(joined(stream.epoch(3))[0], expected)


def test_strong_views_are_those_of_the_draws(make, make_split):
    data = upload(make_split(1_150, size=32), "cpu")  # more than are made at once
    stream = make(data=data, batch_size=100)
    *_, indices, views = joined(stream.epoch(3, strong=True))
    assert torch.equal(views, strong_view(data.images[indices], stream.strong_draws(3), CROPS))


def test_strong_views_are_the_ones_that_results_were_measured_with(make):
    # A change here changes every result: the engine's numerics version must be raised with it.
    draws = make(seed=0).strong_draws(1)
    assert draws.offsets[:4].tolist() == [[2, 3], [1, 4], [2, 3], [4, 3]]
    assert draws.flips[:8].int().tolist() == [1, 0, 0, 1, 1, 0, 1, 1]
    assert draws.kinds[:4].tolist() == [[4, 4], [1, 9], [2, 10], [7, 11]]
    assert (draws.factors[0] * 1_000).int().tolist() == [163, 714]
    assert draws.masks[3].tolist() == [240, 255]
    assert draws.boxes[:3].tolist() == [[4, 0, 4, 0], [6, 4, 6, 4], [6, 2, 6, 2]]


def test_stream_is_the_one_that_results_were_measured_with(make):
    # A change here changes every result: the engine's numerics version must be raised with it.
    draws = make(seed=0).draws(1)
    assert draws.permutation[:8].tolist() == [4, 26, 39, 7, 38, 3, 49, 47]
    assert draws.offsets[:4].tolist() == [[3, 1], [2, 0], [2, 3], [3, 4]]
    assert draws.flips[:8].int().tolist() == [1, 0, 0, 1, 0, 1, 1, 1]


def test_offsets_and_flips_are_evenly_drawn(make_split):
    stream = Stream(upload(make_split(20_000, size=1), "cpu"), Augmentation(4, "zero", 0.3, MEAN, STD), 128, 0, "cpu")
    draws = stream.draws(1)
    for side in draws.offsets.T:
        counts = np.bincount(side.numpy(), minlength=9)
        assert len(counts) == 9
        assert np.abs(counts - 20_000 / 9).max() < 5 * np.sqrt(20_000 / 9)
    assert abs(draws.flips.float().mean() - 0.3) < 0.02


def test_upload_takes_read_only_memory_maps(tmp_path, split, recwarn):
    np.save(tmp_path / "images.npy", split.images)
    mapped = type(split)(np.load(tmp_path / "images.npy", mmap_mode="r"), split.labels)
    assert torch.equal(upload(mapped, "cpu").images, torch.from_numpy(split.images))
    assert not recwarn.list


@pytest.mark.parametrize("size", [4, 6, 12])
def test_resized_images_are_close_to_those_of_another_library(make_split, size):
    split = make_split(510, size=12)  # more than are resized at once
    images = [Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR) for image in split.images]
    result = resized(split, size)
    assert (result.images.dtype, result.images.shape) == (np.uint8, (510, size, size, 3))
    assert np.abs(result.images.astype(int) - np.stack([np.asarray(image) for image in images])).max() <= 1
    assert result.labels is split.labels


def test_evaluation_is_in_order_and_normalised_only(split):
    data = upload(split, "cpu")
    batches = list(evaluation_batches(data, CROPS, 16))
    assert [len(targets) for _, targets in batches] == [16, 16, 16, 2]
    images, targets = joined(batches)
    assert torch.equal(targets, data.labels)
    assert torch.equal(images, normalise(data.images, MEAN, STD))


def test_evaluation_may_end_with_a_batch_of_one(split):
    batches = evaluation_batches(upload(split, "cpu"), CROPS, 7)
    assert [len(targets) for _, targets in batches] == [7] * 7 + [1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: its batches are not compared with the CPU's")
@pytest.mark.parametrize("mode", ["zero", "reflect"])
def test_cuda_makes_the_same_batches_without_waiting(make, split, mode):
    augmentation = Augmentation(2, mode, 0.5, MEAN, STD)
    stream = Stream(upload(split, "cuda"), augmentation, 16, 0, "cuda")
    next(stream.epoch(1, strong=True))  # constants are sent once
    torch.cuda.set_sync_debug_mode("error")
    try:
        batches = list(stream.epoch(2, strong=True))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    images, targets, indices, views = (part.cpu() for part in joined(batches))
    expected = joined(make(augmentation).epoch(2, strong=True))
    assert torch.equal(targets, expected[1])
    assert torch.equal(indices, expected[2])
    torch.testing.assert_close(images, expected[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(views, expected[3], rtol=0, atol=1e-6)
