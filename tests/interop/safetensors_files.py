"""Files of the safetensors library through core/safetensors and back: safetensors_files.py SAFETENSORS_COPY"""
import subprocess
import sys
import tempfile

import torch
from safetensors import safe_open
from safetensors.torch import save_file

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16, torch.int8,
         torch.uint8, torch.bool]


def read(path):
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


torch.manual_seed(1)
tensors = {f"{str(dtype)[6:]}.{shape}": (100 * torch.randn(shape)).to(dtype)
           for dtype in TYPES for shape in [(), (0, 3), (7,), (3, 5, 2)]}
tensors['name with "quotes", \\ and \u00e9'] = torch.ones(3)
metadata = {"format": "pt", "note": "with \u00fcmlauts"}
with tempfile.TemporaryDirectory() as directory:
    save_file(tensors, f"{directory}/theirs", metadata)
    subprocess.run([sys.argv[1], f"{directory}/theirs", f"{directory}/ours"], check=True)
    copied, copied_metadata = read(f"{directory}/ours")
assert copied_metadata == metadata, copied_metadata
assert set(copied) == set(tensors)
for name, tensor in tensors.items():
    assert copied[name].dtype == tensor.dtype and copied[name].shape == tensor.shape, name
    assert torch.equal(copied[name], tensor), name
print(f"{len(tensors)} tensors of {len(TYPES)} types came back as they were")
