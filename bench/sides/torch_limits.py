"""Copies of memory and matrix products of PyTorch's BLAS on one thread, for bench/limits.mjs.

Each line {"what", "steps"} is answered by {"ms": of so many}.
"""

import json
import sys
import time

import torch

torch.set_num_threads(1)
source, target = torch.ones(10_000_000), torch.ones(10_000_000)


def product(size):
    a, b, c = (torch.rand(size, size) for _ in range(3))
    return lambda: torch.mm(a, b, out=c)


work = {"copy": lambda: target.copy_(source), "gemm512": product(512), "gemm1024": product(1024)}
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    call = work[question["what"]]
    call()
    began = time.perf_counter()
    for _ in range(question["steps"]):
        call()
    print(json.dumps({"ms": (time.perf_counter() - began) * 1000}), flush=True)
