"""PyTorch's own profile of forward and backward passes on one thread, for bench/nodes.mjs.

Usage: torch_nodes.py MODEL SAMPLES   (MODEL as in sides/models.mjs)

Each line {"steps": n} is answered by {"ms": median of a step without the profiler, "operators": [{"name", "inputs": shapes,
"ms": of its own in a step}]}, the longest first.
"""

import json
import sys
import time

import torch
from torch.profiler import ProfilerActivity, profile
from torch_steps import build

torch.set_num_threads(1)
samples = int(sys.argv[2])
model, loss_of, x, y, _ = build(sys.argv[1])
x, y = x[:samples].contiguous(), y[:samples].contiguous()


def step():
    model.zero_grad(set_to_none=True)
    loss_of(model(x), y).backward()


def timed():
    began = time.perf_counter()
    step()
    return (time.perf_counter() - began) * 1000


step()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    steps = json.loads(line)["steps"]
    took = sorted(timed() for _ in range(steps))
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as found:
        for _ in range(steps):
            step()
    operators = [
        {
            "name": event.key,
            "inputs": [shape for shape in event.input_shapes if shape],
            "ms": event.self_cpu_time_total / 1000 / steps,
        }
        for event in found.key_averages(group_by_input_shape=True)
    ]
    operators.sort(key=lambda operator: -operator["ms"])
    print(json.dumps({"ms": took[len(took) // 2], "operators": operators}), flush=True)
