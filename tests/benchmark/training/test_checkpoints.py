import os
import warnings

import pytest
import torch

from benchmark.training.checkpoints import pack, unpack

CPU = torch.device("cpu")
STATE = {"id": "abc", "epoch": 3, "network": {"weight": torch.arange(6.0).reshape(2, 3)}, "curves": {"lr": [0.1, None]}}


def test_round_trip(tmp_path):
    path = tmp_path / "run.pt"
    path.write_bytes(pack(STATE))
    state = unpack(path)
    assert torch.equal(state.pop("network")["weight"], STATE["network"]["weight"])
    assert state == {key: value for key, value in STATE.items() if key != "network"}


def test_memory_layout_survives(tmp_path):
    weight = torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    (tmp_path / "run.pt").write_bytes(pack({"weight": weight}))
    assert unpack(tmp_path / "run.pt")["weight"].stride() == weight.stride()


def test_no_file_is_no_checkpoint_and_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unpack(tmp_path / "run.pt") is None


@pytest.mark.parametrize("where", [0, 40, -200, -1])
def test_one_wrong_byte_is_noticed(where, tmp_path):
    content = bytearray(pack(STATE))
    content[where] ^= 1
    (tmp_path / "run.pt").write_bytes(content)
    with pytest.warns(UserWarning, match="run.pt is damaged: the run starts anew"):
        assert unpack(tmp_path / "run.pt") is None


@pytest.mark.parametrize("content", [b"", b"half", b"not a checkpoint, but long enough to hold a digest and more"])
def test_other_content_is_noticed(content, tmp_path):
    (tmp_path / "run.pt").write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged"):
        assert unpack(tmp_path / "run.pt") is None


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
def test_what_is_no_file_is_named(make, tmp_path):
    make(tmp_path / "run.pt")
    with pytest.warns(UserWarning, match="is no file"):
        assert unpack(tmp_path / "run.pt") is None
