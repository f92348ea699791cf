"""Functions of PyTorch forward and backward on one thread, for bench/ops.mjs.

Each line {"inputs": shapes, "indices": {"shape", "below"} or absent, "torch": a lambda's text, "steps": n} is answered by
{"ms": of n calls}, after one that warms up.
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    function = eval(question["torch"], {"torch": torch, "F": F})
    inputs = [torch.rand(shape).mul(2).sub(1).requires_grad_(True) for shape in question["inputs"]]
    indices = question.get("indices")
    rest = [] if indices is None else [torch.arange(indices["shape"][0]) * 7919 % indices["below"]]
    dy = torch.rand_like(function(*inputs, *rest))
    torch.autograd.grad(function(*inputs, *rest), inputs, dy)
    began = time.perf_counter()
    for _ in range(question["steps"]):
        torch.autograd.grad(function(*inputs, *rest), inputs, dy)
    print(json.dumps({"ms": (time.perf_counter() - began) * 1000}), flush=True)
