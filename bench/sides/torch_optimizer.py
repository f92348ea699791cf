"""Optimizer updates of torch.optim on one thread, a slice at a time, for bench/optimizer.mjs.

Each line {"optimizer": expression over p, "floats": n, "steps": n} is answered by {"ms": of so many updates}, after one
that warms up. The parameters are one tensor: the most favourable case, without a loop over tensors.
"""

import json
import sys
import time

import torch

torch.set_num_threads(1)
known = {}
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    question = json.loads(line)
    key = (question["optimizer"], question["floats"])
    if key not in known:
        known = {k: v for k, v in known.items() if k[1] == question["floats"]}
        p = [torch.nn.Parameter(torch.rand(question["floats"]))]
        p[0].grad = torch.rand(question["floats"]) / 128
        known[key] = eval(f"torch.optim.{question['optimizer']}", {"torch": torch, "p": p})
    optimizer = known[key]
    optimizer.step()
    began = time.perf_counter()
    for _ in range(question["steps"]):
        optimizer.step()
    print(json.dumps({"ms": (time.perf_counter() - began) * 1000}), flush=True)
