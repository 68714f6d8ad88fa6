import pytest
import torch

from assets.training.learning import hardware
from assets.training.learning.hardware import HardwareError, choose_hardware, cores_available, cpu_quota, has_native_bf16, processor_name


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("flags\t\t: fpu avx2 fma\n", False),
        ("flags\t\t: fpu avx512f avx512_bf16\n", True),
        ("flags\t\t: amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16\n", True),
        ("Features\t: fp asimd\n", False),
        ("model name : flags bf16\n", False),
        ("", False),
    ],
)
def test_bf16_is_taken_from_the_flags_of_the_processor(cpuinfo, expected):
    assert has_native_bf16(cpuinfo) is expected


def test_the_processor_has_a_name():
    assert processor_name("model name\t: Fast One\nmodel name\t: Fast One\n") == "Fast One"
    assert processor_name("") != ""


def test_the_notice_says_what_was_chosen(monkeypatch):
    monkeypatch.setattr("assets.training.learning.hardware._read_cpuinfo", lambda: "model name : Old One\nflags : avx2\n")
    hardware = choose_hardware("cpu")
    assert (hardware.device, hardware.precision, hardware.threads) == ("cpu", "fp32", 1)
    assert hardware.notice == (
        "Running on the CPU (Old One, 1 threads): no CUDA device is used; precision fp32, since it has no native bf16."
    )
    monkeypatch.setattr("assets.training.learning.hardware._read_cpuinfo", lambda: "model name : New One\nflags : avx512_bf16\n")
    assert choose_hardware("cpu").precision == "bf16"
    assert choose_hardware("cpu", "fp32").precision == "fp32"


def test_cuda_that_is_not_there_is_an_error(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(HardwareError, match=r"training.device: expected a CUDA device, found none"):
        choose_hardware("cuda")
    assert choose_hardware("auto").device == "cpu"


def test_products_run_in_the_chosen_precision():
    product = {}
    for precision in ("fp32", "bf16"):
        with choose_hardware("cpu", precision).autocast():
            product[precision] = (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    assert product == {"fp32": torch.float32, "bf16": torch.bfloat16}


@pytest.mark.parametrize(("quota", "cores"), [(None, 3), (8.0, 3), (2.0, 2), (1.5, 2), (0.2, 1)])
def test_only_the_cores_this_process_may_use_are_counted(monkeypatch, quota, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    monkeypatch.setattr(hardware, "cpu_quota", lambda root, membership: quota)
    assert cores_available() == cores


V1, V1_BOTH, V2 = "3:cpuset:/\n2:cpu:/pod/one\n1:name=systemd:/\n", "4:cpu,cpuacct:/pod/one\n", "0::/pod/one\n"


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        (V2, {}, None),
        (V2, {"pod/one/cpu.max": "max 100000\n"}, None),
        (V2, {"pod/one/cpu.max": "150000 100000\n"}, 1.5),
        (V2, {"pod/one/cpu.max": "max 100000\n", "pod/cpu.max": "400000 100000\n"}, 4.0),
        (V2, {"pod/one/cpu.max": "300000 100000\n", "pod/cpu.max": "200000 100000\n"}, 2.0),
        (V2, {"cpu.max": "50000 100000\n"}, 0.5),  # a container that sees its own group as the root
        (V2, {"pod/two/cpu.max": "50000 100000\n"}, None),
        ("0::/../elsewhere\n", {"cpu.max": "200000 100000\n"}, 2.0),
        (V1, {"cpu/pod/one/cpu.cfs_quota_us": "200000\n", "cpu/pod/one/cpu.cfs_period_us": "50000\n"}, 4.0),
        (V1, {"cpu/pod/one/cpu.cfs_quota_us": "-1\n", "cpu/pod/one/cpu.cfs_period_us": "100000\n"}, None),
        (V1, {"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1.0),
        (V1, {"cpuset/cpu.cfs_quota_us": "100000\n", "cpuset/cpu.cfs_period_us": "100000\n"}, None),
        (V1_BOTH, {"cpu,cpuacct/pod/one/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/pod/one/cpu.cfs_period_us": "100000\n"}, 3.0),
        ("", {"cpu.max": "50000 100000\n"}, None),
    ],
)
def test_the_least_cpu_time_of_all_control_groups_counts(tmp_path, membership, files, cores):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert cpu_quota(tmp_path, membership) == cores
