"""Records what PyTorch makes of small models, for packages/core/test/run/parity.test.ts.

Run: OPENBLAS_CORETYPE=SkylakeX /usr/bin/python3 test/parity/mlp.py   (torch 1.13, float32, one thread)
Losses and gradients are sums over the batch, before any division.
"""
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(7)
torch.set_num_threads(1)


def record(model, columns, loss_of):
    loss = loss_of(model, columns)
    loss.sum().backward()
    parameters = {name: p.detach().flatten().tolist() for name, p in model.named_parameters()}
    gradients = {name: p.grad.flatten().tolist() for name, p in model.named_parameters()}
    shapes = {name: list(p.shape) for name, p in model.named_parameters()}
    return {
        "columns": {name: c.flatten().tolist() for name, c in columns.items()},
        "shapes": shapes,
        "parameters": parameters,
        "loss": loss.detach().flatten().tolist(),
        "gradients": gradients,
    }


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(12, 16)
        self.fc2 = nn.Linear(16, 8)
        self.fc3 = nn.Linear(8, 5, bias=False)

    def forward(self, x):
        return self.fc3(torch.tanh(self.fc2(F.relu(self.fc1(x)))))


class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(10, 3)

    def forward(self, x):
        return self.fc(x)


batch = 10
cases = {
    "mlp": record(
        Mlp(),
        {"x": torch.randint(0, 256, (batch, 12)), "label": torch.randint(0, 5, (batch,))},
        lambda m, c: F.cross_entropy(m(c["x"].float() / 255), c["label"], reduction="none"),
    ),
    # Logits up to about 1e4: exp overflows unless the maximum is taken off first.
    "mlpLargeLogits": record(
        Mlp(),
        {"x": torch.randint(0, 256, (batch, 12)), "label": torch.randint(0, 5, (batch,))},
        lambda m, c: F.cross_entropy(m(c["x"].float() / 255) * 2e4, c["label"], reduction="none"),
    ),
    "linear": record(
        Linear(),
        {"x": torch.randn(batch, 10), "y": torch.randn(batch, 3), "weight": torch.rand(batch)},
        lambda m, c: ((m(c["x"]) - c["y"]) ** 2).mean(1) * c["weight"],
    ),
    # Classes on axis 1 with another axis behind them.
    "tokens": record(
        Linear(),
        {"x": torch.randn(batch, 4, 10), "label": torch.randint(0, 3, (batch, 4))},
        lambda m, c: F.cross_entropy(m(c["x"]).transpose(1, 2), c["label"], reduction="none"),
    ),
}

target = pathlib.Path(__file__).parents[2] / "packages/core/test/run/mlp.parity.json"
# Nine digits give a float32 back exactly.
rounded = json.loads(json.dumps(cases), parse_float=lambda s: float(f"{float(s):.9g}"))
target.write_text(json.dumps(rounded, separators=(",", ":")) + "\n")
