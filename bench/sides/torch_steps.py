"""PyTorch, alone or as DistributedDataParallel over gloo: whole training steps, a slice at a time, for bench/steps.mjs.

Usage: torch_steps.py MODEL BATCH RANKS THREADS [FIRST_ONLY]   (MODEL as in sides/models.mjs; BATCH is global)

The process that is started imports nothing: it only starts the ranks and passes on lines. Each line {"steps": n} is
answered by {"ms": of n steps, of the slowest rank}. Rows are in memory as float32, cut by index as a DataLoader without
workers would; gradients are set to None, nothing is read back within a slice.
"""

import json
import os
import subprocess
import sys
import time

ROWS = 4096


def build(kind):
    """Module, loss of (output, target), input, target and optimizer of a model."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    if kind == "linear":
        x, y = torch.rand(ROWS, 10), torch.rand(ROWS, 1)
        model = nn.Linear(10, 1)
        return model, nn.MSELoss(), x, y, torch.optim.SGD(model.parameters(), lr=1e-3)
    if kind == "mlp":
        x, y = torch.rand(ROWS, 784), torch.arange(ROWS) % 10
        model = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
        return model, nn.CrossEntropyLoss(), x, y, torch.optim.RMSprop(model.parameters(), lr=1e-3)
    if kind == "cnn":
        x, y = torch.rand(ROWS, 1, 28, 28), torch.arange(ROWS) % 10
        model = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(9216, 128), nn.ReLU(), nn.Linear(128, 10),
        )  # fmt: skip
        return model, nn.CrossEntropyLoss(), x, y, torch.optim.RMSprop(model.parameters(), lr=1e-3)
    width = int(kind.removeprefix("gpt"))
    return gpt(width, layers=4, heads=4, context=64, symbols=65)


def gpt(width, layers, heads, context, symbols):
    import math

    import torch
    from torch import nn
    from torch.nn import functional as F

    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.out = nn.Linear(width, width)
            self.register_buffer("mask", torch.full((context, context), float("-inf")).triu(1), persistent=False)

        def forward(self, x):
            n, t, d = x.shape
            q, k, v = (part.view(n, t, heads, d // heads).transpose(1, 2) for part in self.qkv(x).split(d, dim=2))
            scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(d // heads)) + self.mask
            mixed = F.softmax(scores, dim=-1) @ v
            return self.out(mixed.transpose(1, 2).reshape(n, t, d))

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attention = Attention()
            self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x):
            x = x + self.attention(self.norm1(x))
            return x + self.feed(self.norm2(x))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Embedding(symbols, width)
            self.positions = nn.Parameter(torch.randn(context, width) * 0.02)
            self.blocks = nn.Sequential(*[Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, symbols)

        def forward(self, x):
            return self.head(self.norm(self.blocks(self.embedding(x) + self.positions)))

    x = torch.randint(symbols, (ROWS, context))
    y = torch.randint(symbols, (ROWS, context))
    model = Gpt()
    loss = lambda logits, target: F.cross_entropy(logits.view(-1, symbols), target.view(-1))  # noqa: E731
    return model, loss, x, y, torch.optim.AdamW(model.parameters(), lr=1e-3)


def serve(kind, batch, ranks, threads):
    import torch

    torch.set_num_threads(threads)
    rank = int(os.environ.get("RANK", "0"))
    model, loss_of, x, y, optimizer = build(kind)
    module = model
    if ranks > 1:
        import torch.distributed as dist
        from torch.nn.parallel import DistributedDataParallel

        dist.init_process_group("gloo", rank=rank, world_size=ranks)
        module = DistributedDataParallel(model, gradient_as_bucket_view=True)
    own = batch // ranks
    order = torch.randperm(ROWS)
    position = rank * own

    def step():
        nonlocal position
        rows = order[position : position + own]
        position = (position + batch) % ROWS
        optimizer.zero_grad(set_to_none=True)
        loss_of(module(x[rows]), y[rows]).backward()
        optimizer.step()

    step()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        steps = json.loads(line)["steps"]
        step()
        began = time.perf_counter()
        for _ in range(steps):
            step()
        print(json.dumps({"ms": (time.perf_counter() - began) * 1000}), flush=True)


def launch(script, arguments, ranks):
    own = [sys.executable, script, *arguments]
    children = [
        subprocess.Popen(
            own,
            env={**os.environ, "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "TUTTI_BENCH_RANK": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(ranks)
    ]

    def answers():
        lines = [child.stdout.readline() for child in children]
        if not all(lines):
            sys.exit("a rank ended early")
        return [json.loads(line) for line in lines]

    answers()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        for child in children:
            child.stdin.write(line)
            child.stdin.flush()
        print(json.dumps({"ms": max(answer["ms"] for answer in answers())}), flush=True)
    for child in children:
        child.stdin.close()
    for child in children:
        child.wait()


if __name__ == "__main__":
    ranks, threads = int(sys.argv[3]), int(sys.argv[4])
    if ranks > 1 and "TUTTI_BENCH_RANK" not in os.environ:
        launch(os.path.abspath(__file__), sys.argv[1:], ranks)
    else:
        serve(sys.argv[1], int(sys.argv[2]), ranks, threads)
