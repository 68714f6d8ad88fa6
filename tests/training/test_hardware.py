import pytest
import torch

from assets.training.hardware import HardwareError, choose_hardware, cores_available, has_native_bf16, processor_name


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
    monkeypatch.setattr("assets.training.hardware._read_cpuinfo", lambda: "model name : Old One\nflags : avx2\n")
    hardware = choose_hardware("cpu")
    assert (hardware.device, hardware.precision, hardware.threads) == ("cpu", "fp32", 1)
    assert hardware.notice == (
        "Running on the CPU (Old One, 1 threads): no CUDA device is used; precision fp32, since it has no native bf16."
    )
    monkeypatch.setattr("assets.training.hardware._read_cpuinfo", lambda: "model name : New One\nflags : avx512_bf16\n")
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


def test_only_the_cores_this_process_may_use_are_counted(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert cores_available() == 3
