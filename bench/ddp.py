"""PyTorch DistributedDataParallel over gloo: whole training steps, for bench/steps.mjs.

Usage: ddp.py MODEL BATCH RANKS THREADS STEPS   (MODEL: linear or mlp; BATCH is global)
Prints one JSON object: the median step in ms, ms from the start of the process to the end of the first step, and the
proportional set size of all ranks in MB. Data is in memory and cut with indices, as a DataLoader without workers would.
"""

import json
import os
import sys
import time

STARTED = time.time()


def pss_mb():
    with open("/proc/self/smaps_rollup") as lines:
        for line in lines:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def run(rank, kind, batch, ranks, threads, steps, queue):
    import torch
    import torch.distributed as dist
    from torch import nn
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    width = 784 if kind == "mlp" else 10
    x = torch.rand(4096, width)
    if kind == "mlp":
        y = torch.arange(4096) % 10
        model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
        loss_of = nn.CrossEntropyLoss()
    else:
        y = (torch.arange(4096) % 3).float().unsqueeze(1)
        model = nn.Linear(10, 1)
        loss_of = nn.MSELoss()
    if ranks > 1:
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=os.environ.get("BENCH_PORT", "29533"))
        dist.init_process_group("gloo", rank=rank, world_size=ranks)
        model = DistributedDataParallel(model)
    optimizer = (
        torch.optim.RMSprop(model.parameters(), lr=1e-3) if kind == "mlp" else torch.optim.SGD(model.parameters(), lr=1e-3)
    )
    own = batch // ranks
    times = []
    first = None
    for step in range(steps):
        began = time.perf_counter()
        rows = (torch.arange(own) * 7 + step * batch + rank * own) % 4096
        optimizer.zero_grad()
        loss = loss_of(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        loss.item()
        times.append(time.perf_counter() - began)
        if first is None:
            first = time.time() - STARTED
    queue.put({"first": first, "times": times, "pss": pss_mb()})


if __name__ == "__main__":
    kind, batch, ranks, threads, steps = sys.argv[1], *map(int, sys.argv[2:6])
    import torch.multiprocessing as mp

    context = mp.get_context("spawn" if ranks > 1 else "fork")
    queue = context.Queue()
    if ranks == 1:
        run(0, kind, batch, 1, threads, steps, queue)
        results = [queue.get()]
    else:
        workers = [context.Process(target=run, args=(rank, kind, batch, ranks, threads, steps, queue)) for rank in range(ranks)]
        for worker in workers:
            worker.start()
        results = [queue.get() for _ in workers]
        for worker in workers:
            worker.join()
    times = sorted(results[0]["times"][20:])
    pss = sum(result["pss"] for result in results) + (pss_mb() if ranks > 1 else 0)
    print(json.dumps({"msPerStep": times[len(times) // 2] * 1000, "firstStepMs": results[0]["first"] * 1000, "pssMb": pss}))
