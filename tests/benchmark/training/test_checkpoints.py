import warnings

import pytest
import torch

from benchmark.training.checkpoints import pack, unpack

STATE = {"id": "abc", "epoch": 3, "curves": {"lr": [0.1, None]}}


def test_round_trip(tmp_path):
    path, weight = tmp_path / "run.pt", torch.randn(4, 3, 3, 3).contiguous(memory_format=torch.channels_last)
    path.write_bytes(pack({**STATE, "weight": weight}))
    state = unpack(path)
    read = state.pop("weight")
    assert torch.equal(read, weight)
    assert read.stride() == weight.stride()
    assert state == STATE


def test_no_file_is_no_checkpoint_and_no_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert unpack(tmp_path / "run.pt") is None


def changed(where):
    content = bytearray(pack(STATE))
    content[where] ^= 1
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [*map(changed, (0, 40, -200, -1)), b"", b"half", b"not a checkpoint, but long enough to hold a digest and more"],
)
def test_one_wrong_byte_and_other_content_are_noticed(content, tmp_path):
    (tmp_path / "run.pt").write_bytes(content)
    with pytest.warns(UserWarning, match="run.pt is damaged: the run starts again"):
        assert unpack(tmp_path / "run.pt") is None


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "run.pt").mkdir()
    with pytest.warns(UserWarning, match="cannot be read"):
        assert unpack(tmp_path / "run.pt") is None
