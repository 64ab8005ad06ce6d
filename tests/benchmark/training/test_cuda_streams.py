import pytest
import torch

from benchmark.training.cuda_streams import ONE_STREAM, CudaStreams, streams_for


def test_a_cpu_has_one_stream():
    assert streams_for(torch.device("cpu")) is ONE_STREAM


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_streams_wait_for_earlier_work_and_the_main_stream_for_them():
    device = torch.device("cuda")
    streams = CudaStreams(device)
    large = torch.ones(4096, 4096, device=device)
    start = large @ large
    results = []
    with streams.fork_join(3):
        for index in range(3):
            with streams.stream(index):
                assert torch.cuda.current_stream() != torch.cuda.default_stream()
                with streams.main_stream():
                    shared = start + index
                results.append(shared.sum())
    expected = [(4096.0 + index) * 4096**2 for index in range(3)]
    assert torch.stack(results).tolist() == pytest.approx(expected)
