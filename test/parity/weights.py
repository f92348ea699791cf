"""Exchanges safetensors files with PyTorch, for packages/core/test/weights: reader and writer here are struct and json alone.

Run: python3 test/parity/weights.py packages/core/test/weights/files   (torch 1.13; then format the json: npx biome check --write packages/core/test/weights)
Writes torch.safetensors (PyTorch's tensors, half floats among them) and torch.json: the float32 bits PyTorch makes of it, and what a PyTorch
model computes with the weights of ours.base64, which the test writes.
"""
import base64
import json
import struct
import sys
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

folder = Path(sys.argv[1])
names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64"}
torch.manual_seed(11)


def raw(t):
    if t.dtype in (torch.float16, torch.bfloat16):
        t = t.view(torch.int16)
    return t.contiguous().numpy().tobytes()


def write(path, tensors):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, t in tensors.items():
        piece = raw(t)
        header[name] = {"dtype": names[t.dtype], "shape": list(t.shape), "data_offsets": [len(data), len(data) + len(piece)]}
        data += piece
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def read(bytes_):
    (size,) = struct.unpack("<Q", bytes_[:8])
    header = json.loads(bytes_[8 : 8 + size])
    header.pop("__metadata__", None)
    data = bytes_[8 + size :]
    tensors = {}
    for name, entry in header.items():
        assert entry["dtype"] == "F32", entry
        begin, end = entry["data_offsets"]
        tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=torch.float32).reshape(entry["shape"])
    return tensors


# Every kind of half float: normal, subnormal, the largest, zeros, infinities; and random bits that are no NaN.
half = torch.tensor([0.0, -0.0, 1.0, -2.5, 65504.0, 6.1e-5, 5.96e-8, -6.0e-8, float("inf"), -float("inf"), 3.14159, 1e-6], dtype=torch.float16)
bits = torch.arange(-32768, 32768, 17, dtype=torch.int32).to(torch.int16)
all_half = bits.view(torch.float16)
all_half = all_half[~all_half.isnan()]
all_brain = bits.view(torch.bfloat16)
all_brain = all_brain[~all_brain.isnan()]
tensors = {
    "bn.num_batches_tracked": torch.tensor(7),
    "half": torch.cat([half, all_half]),
    "brain": all_brain,
    "single": torch.randn(3, 2),
}
write(folder / "torch.safetensors", tensors)
# float32 bits, added up in a way that depends on every place.
def fingerprint(t):
    words = t.float().contiguous().view(torch.int32).flatten().tolist()
    total = 0
    for word in words:
        total = (total * 31 + (word & 0xFFFFFFFF)) % 2**32
    return {"shape": list(t.shape), "fingerprint": total}


result = {"tensors": {name: fingerprint(t) for name, t in tensors.items() if t.is_floating_point()}}

model = nn.Sequential(OrderedDict(fc1=nn.Linear(3, 4), act=nn.ReLU(), fc2=nn.Linear(4, 2)))
model.load_state_dict(read(base64.b64decode((folder / "ours.base64").read_text())), strict=True)
x = torch.tensor([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
result["ours"] = {"x": x.flatten().tolist(), "y": [float(f"{v:.9g}") for v in model(x).flatten().tolist()]}
(folder / "torch.json").write_text(json.dumps(result))
