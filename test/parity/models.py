"""Records 20 steps of PyTorch on small whole models, for packages/core/test/run/models.parity.test.ts.

Run: OPENBLAS_CORETYPE=SkylakeX /usr/bin/python3 test/parity/models.py   (torch 1.13, one thread)
Every step is plain SGD on one batch, in float32, and again in float64 from the same start. Recorded are the columns, and for
each step the parameters before it (base64 of little-endian float32, in order), their gradient and the mean loss.
"""
import base64
import copy
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(3)
torch.set_num_threads(1)
steps = 20


class Residual(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return x + self.body(x)


class Characters(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(9, 5)
        self.lstm = nn.LSTM(5, 6, batch_first=True)
        self.head = nn.Linear(6, 9)

    def forward(self, x):
        return self.head(self.lstm(self.embed(x))[0]).flatten(0, 1)


class Gpt(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.positions = nn.Embedding(6, 8)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(8, 2, 16, dropout=0, activation="gelu", batch_first=True, norm_first=True) for _ in range(2)
        )
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 11, bias=False)

    def forward(self, x):
        h = self.embed(x) + self.positions.weight
        mask = torch.triu(torch.full((6, 6), float("-inf"), dtype=h.dtype), 1)
        for block in self.blocks:
            h = block(h, src_mask=mask)
        return self.head(self.norm(h)).flatten(0, 1)


lenet = nn.Sequential(
    nn.Conv2d(1, 3, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 5)
)
resnet = nn.Sequential(
    nn.Conv2d(2, 4, 3, padding=1, bias=False),
    nn.BatchNorm2d(4),
    nn.ReLU(),
    Residual(
        nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
        )
    ),
    nn.ReLU(),
    nn.AdaptiveAvgPool2d(1),
    nn.Flatten(),
    nn.Linear(4, 3),
)


def text(count, length, vocabulary):
    tokens = torch.randint(0, vocabulary, (count, length + 1))
    return {"x": tokens[:, :-1], "label": tokens[:, 1:]}


def images(count, channels, size, classes):
    return {"x": torch.randn(count, channels, size, size), "label": torch.randint(0, classes, (count,))}


def flat(tensors):
    return base64.b64encode(torch.cat([t.detach().flatten() for t in tensors]).numpy().astype("<f4").tobytes()).decode()


def record(model, columns, lr):
    double = copy.deepcopy(model).double()
    states = []
    for _ in range(steps):
        model.zero_grad()
        loss = F.cross_entropy(model(columns["x"]), columns["label"].flatten())
        loss.backward()
        parameters = list(model.parameters())
        state = {"loss": loss.item(), "parameters": flat(parameters), "gradients": flat(p.grad for p in parameters)}
        double.zero_grad()
        x = columns["x"].double() if columns["x"].is_floating_point() else columns["x"]
        exact = F.cross_entropy(double(x), columns["label"].flatten())
        exact.backward()
        states.append({**state, "exactLoss": exact.item()})
        with torch.no_grad():
            for net in (model, double):
                for p in net.parameters():
                    p -= lr * p.grad
    return {
        "lr": lr,
        "columns": {n: {"shape": list(c.shape), "values": c.flatten().tolist()} for n, c in columns.items()},
        "shapes": {n: list(p.shape) for n, p in model.named_parameters()},
        "states": states,
        "buffers": {n: b.flatten().tolist() for n, b in model.named_buffers() if b.is_floating_point()},
    }


models = {
    "lenet": record(lenet, images(6, 1, 12, 5), 0.1),
    "resnet": record(resnet, images(5, 2, 6, 3), 0.1),
    "characters": record(Characters(), text(4, 7, 9), 0.5),
    "gpt": record(Gpt(), text(3, 6, 11), 0.1),
}
target = pathlib.Path(__file__).parents[2] / "packages/core/test/run/models.parity.json"
target.write_text(json.dumps(models, separators=(",", ":")) + "\n")
for name, m in models.items():
    print(name, [round(s["loss"], 4) for s in m["states"][::5]], m["states"][-1]["loss"])
print(target.stat().st_size)
