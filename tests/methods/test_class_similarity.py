"""Similarities of classes against golden values and NumPy, and which images they come from."""

import numpy as np
import pytest
import torch

from methods.class_similarity import cka, class_features, cosines, outputs, positions
from models import Features
from tests.methods import modern


def draw(*shape, seed=0):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def naive_cka(features):
    """By the definition, one pair of classes after the other."""
    centred = [rows - rows.mean(0) for rows in features.numpy()]

    def product(first, second):
        return np.linalg.norm(second.T @ first) ** 2

    return np.array([[product(a, b) / np.sqrt(product(a, a) * product(b, b)) for b in centred] for a in centred])


def features(maps, logits=None):
    embedding = maps.mean((2, 3))
    return Features(embedding if logits is None else logits, embedding, maps, (maps,), (maps,))


def test_golden():
    draws = modern.Draws(29)
    draws(7, 5)
    found = cka(draws(7, 8, 5))
    assert found[0, 1].item() == pytest.approx(modern.GOLDEN["wkd.cka[0,1]"], rel=1e-9)
    assert found.sum().item() == pytest.approx(modern.GOLDEN["wkd.cka.sum"], rel=1e-9)


@pytest.mark.parametrize("block", [1, 50, 2**26])
@pytest.mark.parametrize("shape", [(5, 9, 4), (5, 4, 9), (4, 6, 6), (2, 3, 1), (3, 2, 70)])
def test_alignment_is_that_of_each_pair_of_classes(shape, block, monkeypatch):
    monkeypatch.setattr("methods.class_similarity.BLOCK", block)
    given = draw(*shape)
    expected = naive_cka(given)
    np.testing.assert_allclose(cka(given.clone()), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(np.diag(expected), 1)


def test_alignment_knows_no_shift_scale_rotation_or_order_of_rows():
    given = draw(4, 9, 5)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    rotation = np.linalg.qr(draw(5, 5, seed=1).numpy())[0]
    moved = (3 * given @ torch.from_numpy(rotation) + draw(4, 1, 5, seed=2))[:, order]
    torch.testing.assert_close(cka(moved), cka(given.clone()))


@pytest.mark.parametrize("shape", [(3, 8, 2), (3, 2, 8)])
def test_a_class_that_does_not_vary_is_similar_to_none(shape):
    given = draw(*shape)
    given[1] = 0.0
    found = cka(given)
    assert torch.isfinite(found).all()
    assert torch.equal(found[1], torch.zeros(3, dtype=torch.float64))
    assert found[0, 2] > 0


def test_cosines_are_those_of_rows():
    rows = draw(4, 3)
    rows[2] = 0.0
    found = cosines(rows)
    assert torch.equal(found[2], torch.zeros(4, dtype=torch.float64))
    for one, other in ((0, 1), (1, 3), (0, 0)):
        a, b = rows[one].numpy(), rows[other].numpy()
        assert found[one, other].item() == pytest.approx(a @ b / np.sqrt(a @ a * (b @ b)), rel=1e-12)


def test_rows_are_positions_of_the_last_feat_or_whole_logits():
    maps, logits = draw(2, 3, 2, 2), draw(2, 4)
    logits[0, 1] = -torch.inf
    seen = features(maps, logits)
    assert positions(seen).shape == (2, 4, 3)
    assert torch.equal(positions(seen)[1, 3], maps[1, :, 1, 1])
    assert torch.equal(outputs(seen)[:, 0], logits.masked_fill(logits == -torch.inf, 0.0))


def test_each_class_has_its_first_images_in_order_as_many_as_the_smallest_class():
    labels = torch.tensor([2, 0, 2, 1, 0, 0, 2, 1, 0])
    maps = torch.arange(9.0)[:, None, None, None] + torch.tensor([0.0, 0.5]).view(1, 1, 1, 2).expand(9, 3, 1, 2)
    batches = [(features(maps[part]), labels[part]) for part in (slice(4), slice(4, 5), slice(5, 9))]
    found = class_features(batches, labels, 3, positions)
    assert found.shape == (3, 4, 3)
    assert found[:, :, 0].tolist() == [[1, 1.5, 4, 4.5], [3, 3.5, 7, 7.5], [0, 0.5, 2, 2.5]]


def test_a_class_without_images_is_0_and_does_not_count_as_the_smallest():
    labels = torch.tensor([0, 2, 0, 2, 2])
    found = class_features([(features(draw(5, 3, 1, 1)), labels)], labels, 4, positions)
    assert found.shape == (4, 2, 3)
    assert torch.equal(found[[1, 3]], torch.zeros(2, 2, 3, dtype=torch.float64))
    assert torch.isfinite(cka(found)).all()


def test_fewer_images_than_labels_are_enough():
    labels = torch.arange(20) % 2
    found = class_features([(features(draw(5, 3, 1, 1)), labels[:5])], labels, 2, positions)
    assert found.shape == (2, 2, 3)


def test_no_images_are_an_error():
    with pytest.raises(ValueError, match="class features need images"):
        class_features([], torch.arange(2), 2, positions)
