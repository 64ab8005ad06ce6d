from benchmark.training.curves import CurveRecorder


def _tested(*top1):
    curves = CurveRecorder()
    for epoch, value in enumerate(top1, 1):
        curves.add_test(epoch, {"top1": value, "topk": 99.0, "loss": 1.0})
    return curves


def test_last_and_best():
    curves = _tested(10.0, 30.0, 30.0, 20.0)
    assert curves.best == {"epoch": 2, "top1": 30.0, "topk": 99.0, "loss": 1.0}
    assert curves.metrics(-1)["top1"] == 20.0
    assert curves.latest["top1"] == 20.0


def test_training_is_noted_by_epoch():
    curves = CurveRecorder()
    curves.add_training(1, 0.1, {"ce": 2.0000001, "kd.kd": 1e-9})
    curves.add_training(2, 0.01, {"ce": 1.5, "kd.kd": 0.0})
    assert curves.state["lr"] == [0.1, 0.01]
    assert curves.state["parts"] == {"ce": [2.0, 1.5], "kd.kd": [1e-9, 0.0]}
    assert curves.latest == {"loss": 1.5, "top1": None}
