"""SRRL against known values and the formula, at the last layer and inside the teacher."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from methods import load
from methods.srrl import FORMS, consumed, fm_loss, pooled, transfer_mean, transfer_mean_and_deviation
from tests.methods.reference import draw

SRRL = load("srrl")


def naive_means(maps):
    return np.array([[np.mean(list(channel.flat)) for channel in image] for image in maps])


def test_golden(golden, wave):
    connected, teacher = wave.s(4, 3, 4, 4).relu(), wave.t(4, 3, 2, 2).relu()
    assert fm_loss(connected, teacher).item() == pytest.approx(golden["L_FM"], abs=1e-9)
    weight, bias = 0.5 * wave.t(5, 3, off=11), 0.1 * wave.s(5, off=5)
    regressed, logits = (functional.linear(pooled(maps), weight, bias) for maps in (connected, teacher))
    for form, key in (("l2", "L_SR_L2"), ("ce", "L_SR_CE"), ("kl", "L_SR_KL_T4")):
        loss = FORMS[form](regressed, logits, torch.arange(4), 4.0)
        assert loss.item() == pytest.approx(golden[key], abs=1e-9)


def test_feature_matching_formula():
    student, teacher = draw(3, 4, 5, 2), draw(3, 4, 3, 3, seed=1)
    expected = np.mean((naive_means(student.numpy()) - naive_means(teacher.numpy())) ** 2)
    assert fm_loss(student, teacher).item() == pytest.approx(expected, abs=1e-12)


def test_regression_formula():
    weight, bias, features, logits = draw(5, 3), draw(5, seed=1), draw(4, 3, seed=2), draw(4, 5, seed=3)
    regressed = np.array(
        [[w @ h + b for w, b in zip(weight.numpy(), bias.numpy(), strict=True)] for h in features.numpy()]
    )
    targets = torch.tensor([0, 4, 2, 2])
    softmax = np.exp(regressed) / np.exp(regressed).sum(1, keepdims=True)
    expected = {
        "l2": sum((a - b) ** 2 for a, b in zip(regressed.flat, logits.numpy().flat, strict=True)) / 20,
        "ce": -sum(np.log(softmax[row, target]) for row, target in enumerate(targets.tolist())) / 4,
    }
    for form, value in expected.items():
        found = FORMS[form](functional.linear(features, weight, bias), logits, targets, 4.0)
        assert found.item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("both", [False, True], ids=["teacher", "both"])
@pytest.mark.parametrize("form", FORMS)
def test_classes_that_the_teacher_masks_leave_value_and_slope_to_the_others(form, both, masked):
    regressed, teacher = draw(7, 9), masked(draw(7, 9, seed=1))
    regressed = (masked(regressed) if both else regressed).requires_grad_()
    loss = FORMS[form](regressed, teacher, teacher.argmax(dim=1), 4.0)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(regressed.grad).all()
    if form == "l2":
        known = np.isfinite(teacher.numpy())
        apart = np.where(known, regressed.detach().numpy(), 0) - np.where(known, teacher.numpy(), 0)
        assert loss.item() == pytest.approx(np.sum(apart**2) / 63, abs=1e-12)
        assert np.allclose(regressed.grad, 2 * apart / 63, atol=1e-12)


def test_transfer_formula():
    teacher, student = draw(2, 3, 4, 4), draw(2, 3, 2, 5, seed=1)
    mean, full = transfer_mean(teacher, student), transfer_mean_and_deviation(teacher, student)
    for image in range(2):
        for channel in range(3):
            mine, theirs = student[image, channel].numpy(), teacher[image, channel].numpy()
            shift = np.mean(mine) - np.mean(theirs)
            assert np.allclose(mean[image, channel], theirs + shift, atol=1e-12)
            ratio = np.sqrt((np.var(mine, ddof=1) + 1e-5) / (np.var(theirs, ddof=1) + 1e-5))
            assert np.allclose(full[image, channel], (theirs - np.mean(theirs)) * ratio + np.mean(mine), atol=1e-12)


def test_transfer_from_itself_changes_nothing_even_on_one_position():
    for transfer in (transfer_mean, transfer_mean_and_deviation):
        for maps in (draw(2, 3, 4, 4), draw(2, 3, 1, 1)):
            assert torch.allclose(transfer(maps, maps), maps, atol=1e-12)


def evaluated(bench, seen, **options):
    """Parts of a method in evaluation mode, with connectors that are the same at every call."""
    torch.manual_seed(0)
    method = SRRL(bench.pair, **options).eval()
    return method, method(seen.student, seen.teacher, seen.data)


def test_last_layer_regresses_the_connected_map_by_the_teachers_classifier(make_bench):
    bench = make_bench("wrn-10-1", "resnet10-narrow", sizes=(16, 24))
    seen = bench.batch()
    method, parts = evaluated(bench, seen, fm=3.0, sr=5.0)
    means = method.connectors["last"](seen.student.map).mean(dim=(2, 3))
    regressed = means @ bench.teacher.classifier.weight.T + bench.teacher.classifier.bias
    assert parts["fm"].item() == pytest.approx(3 * (means - seen.teacher.embedding).square().mean().item(), rel=1e-5)
    assert parts["sr"].item() == pytest.approx(5 * (regressed - seen.teacher.logits).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize("adain_std", ["teacher", "student"])
def test_inner_form_at_the_last_stage_equals_the_classifier(make_bench, adain_std):
    bench = make_bench("wrn-10-1", "wrn-10-2")
    seen = bench.batch()
    method, parts = evaluated(bench, seen, layers="conv4", adain_std=adain_std)
    moved = method.transfer(seen.teacher.map, method.connectors["conv4"](seen.student.map))
    inner = functional.mse_loss(bench.teacher.resume(3, moved), seen.teacher.logits)
    assert parts["sr"].item() == pytest.approx(inner.item(), rel=1e-4)
    last = evaluated(bench, seen, layers="last")[1]
    assert {name: part.item() for name, part in parts.items()} == {name: part.item() for name, part in last.items()}


@pytest.mark.parametrize("adain_std", ["teacher", "student"])
def test_inner_layer_feeds_the_moved_map_through_the_rest_of_the_teacher(make_bench, adain_std):
    bench = make_bench("wrn-10-1", "wrn-10-2")
    seen = bench.batch()
    method, parts = evaluated(bench, seen, layers="conv3", adain_std=adain_std)
    connected = method.connectors["conv3"](seen.student.preacts[2].relu())
    target = seen.teacher.preacts[2].relu()
    transfer = {"teacher": transfer_mean, "student": transfer_mean_and_deviation}[adain_std]
    regressed = bench.teacher.resume(2, transfer(target, connected))
    assert parts["fm"].item() == pytest.approx(fm_loss(connected, target).item(), rel=1e-5)
    assert parts["sr"].item() == pytest.approx((regressed - seen.teacher.logits).square().mean().item(), rel=1e-5)


@pytest.mark.parametrize(
    "name", ["mobilenetv2-half", "shufflenetv2", "resnet10-narrow", "resnet34-xnorpp-real", "vgg8", "wrn-10-1"]
)
def test_inner_layer_takes_what_the_next_layer_consumes(make_bench, name):
    bench = make_bench(name, "wrn-10-1", sizes=(32, 32))
    features = bench.batch().student
    for stage in range(1, len(features.feats)):
        logits = bench.student.resume(stage, consumed(features, bench.pair.student, stage))
        torch.testing.assert_close(logits, features.logits)


def test_connected_embedding_is_the_one_that_the_classifier_sees(make_bench):
    bench = make_bench("wrn-10-1", "wrn-10-2")
    seen = bench.batch()
    for layers in ("last", "conv4", "conv2+conv4"):
        method, parts = evaluated(bench, seen, fm=0.0, layers=layers)
        connected = method.project(seen.student)
        regressed = functional.mse_loss(bench.teacher.classifier(connected), seen.teacher.logits)
        if "+" not in layers:
            assert parts["sr"].item() == pytest.approx(regressed.item(), rel=1e-5)
        expected = method.connectors[layers.split("+")[-1]](seen.student.map).mean(dim=(2, 3))
        assert torch.equal(connected, expected)


def test_without_a_connector_between_the_last_maps_nothing_is_connected(make_bench):
    alike, unlike = make_bench("wrn-10-1", "wrn-10-2"), make_bench("wrn-10-1", "resnet10-narrow")
    assert SRRL(alike.pair, layers="conv2+conv3").project(alike.batch().student) is None
    # The student's last stage stands beside an inner one of the teacher.
    assert SRRL(unlike.pair, layers="conv4").project(unlike.batch().student) is None


def test_layers_add_up(make_bench):
    bench = make_bench("wrn-10-1", "wrn-10-2")
    seen = bench.batch()
    method, together = evaluated(bench, seen, layers="conv2+conv3+last")
    assert list(method.connectors) == ["conv2", "conv3", "last"]
    singles = []
    for layer in method.connectors:
        single = SRRL(bench.pair, layers=layer).eval()
        single.connectors[layer].load_state_dict(method.connectors[layer].state_dict())
        singles.append(single(seen.student, seen.teacher, seen.data))
    for part in ("fm", "sr"):
        assert together[part].item() == pytest.approx(sum(parts[part].item() for parts in singles), rel=1e-5)


@pytest.mark.parametrize("layers", ["last", "conv2"])
def test_regression_alone_reaches_the_student_through_the_frozen_teacher(make_bench, layers):
    bench = make_bench("wrn-10-1", "wrn-10-2")
    seen = bench.batch()
    parts = SRRL(bench.pair, fm=0.0, layers=layers)(seen.student, seen.teacher, seen.data)
    assert list(parts) == ["sr"]
    parts["sr"].backward()
    assert bench.student.conv1.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in bench.teacher.parameters())


def test_part_of_weight_zero_is_not_computed(make_bench, monkeypatch):
    bench = make_bench("wrn-10-1", "wrn-10-2")
    seen = bench.batch()
    # Without a classifier, regression would fail.
    monkeypatch.setattr(bench.teacher, "classifier", None)
    assert list(SRRL(bench.pair, sr=0.0)(seen.student, seen.teacher, seen.data)) == ["fm"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"form": "l1"}, "form must be among l2, ce, kl, not 'l1'"),
        ({"adain_std": "none"}, "adain_std must be among teacher, student, not 'none'"),
        ({"layers": "conv2+conv5"}, "layers must be among last, conv2, conv3, conv4, not 'conv5'"),
        ({"fm": 0.0, "sr": 0.0}, "both 0"),
    ],
)
def test_wrong_options_are_errors_that_name_the_right_ones(make_bench, options, message):
    pair = make_bench("wrn-10-1", "resnet10-narrow").pair
    with pytest.raises(ValueError, match=message):
        SRRL(pair, **options)
