import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from benchmark.data.augment import Augmentation, crop_and_flip, normalise
from benchmark.data.rand_augment import OPERATIONS, make_operation, operate
from benchmark.data.strong_view import StrongDraws, cut_out, cutout_boxes, draw_strong_views, strong_view

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
CROPS = Augmentation(2, "reflect", 0.5, MEAN, STD)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count, height=16, width=12):
    return torch.randint(256, (count, height, width, 3), dtype=torch.uint8, generator=generator(1))


def draw(count, height=16, width=12, seed=0):
    return draw_strong_views(count, height, width, CROPS, generator(seed))


def same(first, second):
    return all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_view_is_crop_flip_two_operations_and_cutout():
    batch, draws = images(200), draw(200)
    view = strong_view(batch, draws, CROPS)
    steps = crop_and_flip(batch, draws.offsets, draws.flips, CROPS)
    steps = operate(operate(steps, draws.operation(0)), draws.operation(1))
    assert torch.equal(view, normalise(cut_out(steps, draws.boxes), MEAN, STD))
    assert (view.shape, view.dtype) == ((200, 3, 16, 12), torch.float32)
    assert view.is_contiguous(memory_format=torch.channels_last)


def test_images_do_not_depend_on_the_batch():
    batch, draws = images(40), draw(40)
    parts = [
        strong_view(batch[start : start + 9], StrongDraws(*(values[start : start + 9] for values in draws)), CROPS)
        for start in range(0, 40, 9)
    ]
    assert torch.equal(torch.cat(parts), strong_view(batch, draws, CROPS))


@pytest.mark.parametrize(("height", "width"), [(8, 8), (32, 32), (12, 20), (20, 12)])
def test_cutout_fills_the_rectangle_that_pillow_draws(height, width):
    batch = images(500, height, width)
    numbers = torch.rand((500, 3), generator=generator(), dtype=torch.float64)
    numbers[:2] = torch.tensor([[0.999, 0.999, 0.999], [0.0, 0.0, 0.0]])
    result = cut_out(batch, cutout_boxes(numbers, height, width)).numpy()
    for image, filled, (share, x, y) in zip(batch.numpy(), result, numbers.tolist(), strict=True):
        side = width * share / 2
        left, top = int(max(0, width * x - side / 2)), int(max(0, height * y - side / 2))
        expected = Image.fromarray(image)
        corners = (left, top, min(width, left + side), min(height, top + side))
        ImageDraw.Draw(expected).rectangle(corners, (125, 123, 114))
        np.testing.assert_array_equal(filled, np.asarray(expected))


def test_draws_are_a_function_of_the_generator():
    assert same(draw(50, seed=3), draw(50, seed=3))
    assert not any(torch.equal(one, other) for one, other in zip(draw(50, seed=3), draw(50, seed=4), strict=True))


def test_operations_are_evenly_drawn_with_replacement():
    count = 28_000
    kinds = draw(count).kinds
    for slot in kinds.T:
        times = torch.bincount(slot, minlength=len(OPERATIONS))
        assert (len(times), len(OPERATIONS)) == (14, 14)
        assert (times - count / 14).abs().max() < 5 * (count / 14) ** 0.5
    assert abs((kinds[:, 0] == kinds[:, 1]).sum() - count / 14) < 5 * (count / 14) ** 0.5


def test_magnitudes_are_evenly_drawn_from_their_ranges():
    draws = draw(40_000)
    operations = [name for name in OPERATIONS for _ in range(101)]
    magnitudes = torch.cat([torch.linspace(*bounds, 101, dtype=torch.float64) for bounds in OPERATIONS.values()])
    kinds = torch.tensor([list(OPERATIONS).index(name) for name in operations])
    for values, bounds in zip(draws.operation(0), make_operation(kinds, magnitudes, 16, 12), strict=True):
        for kind in range(len(OPERATIONS)):
            drawn, allowed = values[draws.kinds[:, 0] == kind].double(), bounds[kinds == kind].double()
            width = (allowed.amax(0) - allowed.amin(0)).clamp(min=1e-9)
            assert ((drawn >= allowed.amin(0)) & (drawn <= allowed.amax(0))).all()
            assert ((drawn.mean(0) - allowed.mean(0)).abs() <= 0.05 * width).all()


def test_no_value_is_read_on_the_host():
    # Tensors of the meta device have no values: an operation that reads one, or whose shape depends on one, fails.
    batch, draws = images(14).to("meta"), StrongDraws(*(values.to("meta") for values in draw(14)))
    assert strong_view(batch, draws, CROPS).shape == (14, 3, 16, 12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: its views are not compared with the CPU's")
@pytest.mark.parametrize(("height", "width"), [(32, 32), (9, 17)])
def test_cuda_makes_the_same_views_without_waiting(height, width):
    batch, draws = images(500, height, width), draw(500, height, width)
    there, theirs = batch.cuda(), StrongDraws(*(values.cuda() for values in draws))
    strong_view(there, theirs, CROPS)  # constants are sent once
    torch.cuda.set_sync_debug_mode("error")
    try:
        views = strong_view(there, theirs, CROPS)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(views.cpu(), strong_view(batch, draws, CROPS), rtol=0, atol=1e-6)
