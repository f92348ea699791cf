"""Whole steps of DistributedDataParallel over gloo, one rank on each host, for bench/cables.mjs.

Usage: torch_cables.py RANKS HIDDEN BATCH STEPS   (with RANK, MASTER_ADDR, MASTER_PORT and GLOO_SOCKET_IFNAME)

The model, the optimizer and the global batch are those of bench/cables.mjs. Prints {"step", "wallMs"} after every step.
"""

import json
import os
import sys
import time

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

ranks, hidden, batch, steps = (int(argument) for argument in sys.argv[1:])
torch.manual_seed(0)
torch.set_num_threads(1)
dist.init_process_group("gloo", rank=int(os.environ["RANK"]), world_size=ranks)
model = nn.Sequential(nn.Linear(784, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 10))
module = DistributedDataParallel(model, gradient_as_bucket_view=True)
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
loss_of = nn.CrossEntropyLoss()
own = batch // ranks
x, y = torch.rand(own, 784), torch.arange(own) % 10
for step in range(1, steps + 1):
    began = time.perf_counter()
    optimizer.zero_grad(set_to_none=True)
    loss_of(module(x), y).backward()
    optimizer.step()
    print(json.dumps({"step": step, "wallMs": (time.perf_counter() - began) * 1000}), flush=True)
