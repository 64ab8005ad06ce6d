import subprocess
import sys

import pytest

from benchmark import devices
from benchmark.errors import UserError


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Eight cores and as many GPUs as asked for, none at first."""

    def have(gpus):
        monkeypatch.setattr(devices, "cuda_devices", lambda: gpus)

    monkeypatch.setattr(devices, "cores", lambda: 8)
    have(0)
    return have


@pytest.mark.parametrize(
    ("jobs", "threads", "expected"),
    [
        (None, 1, (["cpu"] * 8, 1)),
        (None, None, (["cpu"], 8)),
        (None, 16, (["cpu"], 16)),
        (3, None, (["cpu"] * 3, 2)),
        (20, None, (["cpu"] * 20, 1)),
        (2, 1, (["cpu"] * 2, 1)),
    ],
)
def test_cpu_workers_share_the_cores(jobs, threads, expected):
    assert devices.workers("cpu", jobs, threads) == devices.workers(None, jobs, threads) == expected


@pytest.mark.parametrize(
    ("device", "jobs", "places"),
    [
        (None, None, ["cuda:0", "cuda:1"]),
        ("cuda", 3, ["cuda:0", "cuda:1", "cuda:0"]),
        ("cuda:1", None, ["cuda:1"]),
        ("cuda:1", 2, ["cuda:1", "cuda:1"]),
    ],
)
def test_gpu_workers_are_spread_over_the_gpus(device, jobs, places, machine):
    machine(2)
    assert devices.workers(device, jobs, None)[0] == places


@pytest.mark.parametrize("device", ["gpu", "cpu:0", "cuda:x", "cuda:-1", "cuda:²", "mps"])
def test_unknown_devices(device, machine):
    machine(2)
    with pytest.raises(UserError, match="use cpu, cuda, or cuda:N"):
        devices.workers(device, None, None)


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_absent_devices(device, machine):
    with pytest.raises(UserError, match="shows 0 CUDA devices; use --device cpu"):
        devices.workers(device, None, None)
    machine(1)
    with pytest.raises(UserError, match="shows 1 CUDA devices"):
        devices.workers("cuda:1", None, None)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is what keeps memory")
def test_freed_memory_is_kept_and_used_again():
    code = (
        "import resource, sys, torch\n"
        "from benchmark.devices import keep_freed_memory\n"
        "if sys.argv[1] == 'kept': keep_freed_memory()\n"
        "for _ in range(12): torch.empty(16 * 2**20).fill_(1)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(4): torch.empty(16 * 2**20).fill_(1)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    faults = {
        mode: int(subprocess.run([sys.executable, "-c", code, mode], check=True, capture_output=True).stdout)
        for mode in ("kept", "returned")
    }
    assert faults["kept"] * 10 < faults["returned"]


CPUINFO = """processor\t: 0
cpu family\t: 26
model\t\t: 2
model name\t: Some CPU
stepping\t: 1
flags\t\t: fpu {flags} sse

processor\t: 1
model name\t: Another CPU
"""


@pytest.fixture
def cpuinfo(monkeypatch):
    """What Linux tells of the processors, None where it is no Linux."""

    def write(text):
        def read(self, encoding):
            assert (str(self), encoding) == ("/proc/cpuinfo", "utf-8")
            if text is None:
                raise FileNotFoundError
            return text

        monkeypatch.setattr(devices.Path, "read_text", read)
        for function in (devices._cpu_facts, devices.processor, devices.emulates_bf16):
            function.cache_clear()

    yield write
    for function in (devices._cpu_facts, devices.processor, devices.emulates_bf16):
        function.cache_clear()


def test_the_processor_is_named_with_its_version(cpuinfo, monkeypatch):
    cpuinfo(CPUINFO)
    assert devices.processor() == "Some CPU (26.2.1)"
    cpuinfo(None)
    monkeypatch.setattr(devices.platform, "processor", lambda: "")
    monkeypatch.setattr(devices.platform, "machine", lambda: "arm64")
    assert devices.processor() == "arm64"


@pytest.mark.parametrize(("flags", "slow"), [("avx2", True), ("avx512f", False), ("amx_bf16", False)])
def test_which_processors_emulate_bf16(flags, slow, cpuinfo):
    cpuinfo(CPUINFO.format(flags=flags))
    assert devices.emulates_bf16("cpu") is slow


def test_a_processor_that_tells_nothing_is_not_said_to_be_slow(cpuinfo):
    cpuinfo(None)
    assert devices.emulates_bf16("cpu") is False


class _Driver:
    """Two GPUs, as the driver tells of them; the first is a Volta, the second an Ampere."""

    def cuInit(self, _):  # noqa: N802
        return 0

    def cuDeviceGetAttribute(self, value, attribute, handle):  # noqa: N802
        assert attribute == 75
        value._obj.value = {10: 7, 11: 8}[handle.value]

    def cuDeviceGet(self, handle, index):  # noqa: N802
        handle._obj.value = 10 + index

    def cuDeviceGetName(self, text, length, handle):  # noqa: N802
        text.value = {10: b"First GPU", 11: b"Second GPU"}[handle.value]
        assert length > 100


def test_names_of_devices(monkeypatch):
    devices.name.cache_clear()
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda _: _Driver())
    assert [devices.name(device) for device in ("cpu", "cuda", "cuda:0", "cuda:1")] == [
        "cpu",
        "First GPU",
        "First GPU",
        "Second GPU",
    ]
    devices.name.cache_clear()


def test_gpus_before_ampere_emulate_bf16(monkeypatch):
    devices.emulates_bf16.cache_clear()
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda _: _Driver())
    assert [devices.emulates_bf16(device) for device in ("cuda", "cuda:0", "cuda:1")] == [True, True, False]
    devices.emulates_bf16.cache_clear()


def test_a_gpu_without_a_driver_has_no_name(monkeypatch):
    def absent(_):
        raise OSError

    devices.name.cache_clear()
    monkeypatch.setattr(devices.ctypes, "CDLL", absent)
    assert devices.name("cuda:0") == "cuda"
    assert devices.emulates_bf16("cuda:0") is False
    devices.name.cache_clear()
    devices.emulates_bf16.cache_clear()
