import numpy as np
import pytest

from benchmark.data.dataset import Split, canonical, fingerprint


def shuffled(split, seed):
    order = np.random.default_rng(seed).permutation(len(split))
    return Split(split.images[order], split.labels[order])


def test_canonical_order_forgets_the_order_of_the_rows(make_split):
    split = make_split(40)
    first, second = canonical(split), canonical(shuffled(split, 3))
    np.testing.assert_array_equal(first.images, second.images)
    np.testing.assert_array_equal(first.labels, second.labels)
    assert not np.array_equal(first.labels, split.labels)


def test_canonical_order_keeps_images_and_labels_together(make_split):
    split = make_split(40)
    label_of = {image.tobytes(): label for image, label in zip(split.images, split.labels, strict=True)}
    result = canonical(split)
    assert [label_of[image.tobytes()] for image in result.images] == result.labels.tolist()
    assert sorted(result.labels) == sorted(split.labels)


def test_equal_images_under_two_labels_have_one_order(make_split):
    split = make_split(40)
    split.labels[1] = (split.labels[0] + 1) % 100
    np.testing.assert_array_equal(canonical(split).labels, canonical(shuffled(split, 5)).labels)


@pytest.mark.parametrize("change", ["pixel", "label", "shape", "split"])
def test_fingerprint_sees_every_change(small, change):
    train, test = small
    before = fingerprint(train, test)
    images, labels = train.images.copy(), train.labels.copy()
    if change == "pixel":
        images[3, 4, 5, 1] ^= 1
    elif change == "label":
        labels[3] += 1
    elif change == "shape":
        images = images.reshape(30, 16, 64, 3)
    changed = Split(images, labels)
    assert fingerprint(train, test) == before
    assert fingerprint(*((test, train) if change == "split" else (changed, test))) != before
