"""All-reduce over gloo and loopback, a slice at a time, for bench/exchange.mjs.

Usage: torch_allreduce.py RANKS FLOATS. The process that is started is only the launcher. Each line {"steps": n} is
answered by {"ms": of n sums, of the slowest rank}.
"""

import json
import os
import sys
import time

from torch_steps import launch


def serve(ranks, floats):
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=int(os.environ["RANK"]), world_size=ranks)
    values = torch.ones(floats)
    dist.all_reduce(values)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        steps = json.loads(line)["steps"]
        values.fill_(1e-20)
        dist.all_reduce(values)
        began = time.perf_counter()
        for _ in range(steps):
            dist.all_reduce(values)
        print(json.dumps({"ms": (time.perf_counter() - began) * 1000}), flush=True)


if __name__ == "__main__":
    ranks, floats = int(sys.argv[1]), int(sys.argv[2])
    if "TUTTI_BENCH_RANK" in os.environ:
        serve(ranks, floats)
    else:
        launch(os.path.abspath(__file__), sys.argv[1:], ranks)
