"""devices.py TRIBUTARY_PEFT.PY: which device the Python trainer takes, of stand-ins for what PyTorch says it has."""
import importlib.util
import os
import sys
from types import SimpleNamespace as Thing

spec = importlib.util.spec_from_file_location("tributary_peft", sys.argv[1])
trainer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(trainer)


def torch(cuda=0, xpu=0, mps=False, hip=None):
    """As PyTorch is with so many devices; one of before 2.4 has no xpu, as here with -1."""
    kinds = {name: Thing(is_available=lambda n=count: n > 0, device_count=lambda n=count: n)
             for name, count in (("cuda", cuda), ("xpu", xpu)) if count >= 0}
    return Thing(**kinds, backends=Thing(mps=Thing(is_available=lambda: mps)), __version__="2.4.0",
                 version=Thing(cuda=None if hip else "12.1", hip=hip), device=lambda kind, index=None: (kind, index))


def choose(of, local=0, **environment):
    for name in ("TRIBUTARY_DEVICE", "TRIBUTARY_GPUS", *trainer.VISIBLE):
        os.environ.pop(name, None)
    os.environ.update(environment)
    return trainer.choose_device(of, local)


def refusal(of, **environment):
    try:
        found = choose(of, **environment)
    except trainer.TaskError as error:
        return str(error)
    raise AssertionError(f"took {found}")


assert choose(torch(xpu=-1)) == ("cpu", None)
assert choose(torch(cuda=4), local=5) == ("cuda", 1)
assert choose(torch(cuda=2, xpu=2)) == ("cuda", 0)
assert choose(torch(xpu=6), local=7) == ("xpu", 1)
assert choose(torch(mps=True)) == ("mps", None)
assert choose(torch(cuda=2, xpu=2), TRIBUTARY_DEVICE="xpu") == ("xpu", 0)
assert choose(torch(cuda=2), TRIBUTARY_DEVICE="cpu", TRIBUTARY_GPUS="2") == ("cpu", None)
assert choose(torch(), TRIBUTARY_GPUS="0") == ("cpu", None)
assert trainer.device_kind(torch(hip="6.0"), "cuda") == "rocm"

text = refusal(torch(xpu=-1), TRIBUTARY_GPUS="4", CUDA_VISIBLE_DEVICES="")
assert "given 4 GPUs" in text and "PyTorch 2.4.0, built for cuda 12.1" in text and "CUDA_VISIBLE_DEVICES=)" in text, text
assert "no variable hides any" in refusal(torch(), TRIBUTARY_GPUS="1")
assert "TRIBUTARY_DEVICE=xpu and" in refusal(torch(cuda=1), TRIBUTARY_DEVICE="xpu")
assert "must be auto, cpu, cuda" in refusal(torch(cuda=1), TRIBUTARY_DEVICE="gpu")
print("all is well")
