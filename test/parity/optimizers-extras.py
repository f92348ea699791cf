"""Records what PyTorch does with penalties, parameter groups, limited row norms and averaged weights, for
packages/core/test/optim/extras.parity.test.ts.

Run with torch 1.13:  python3 test/parity/optimizers-extras.py > test/parity/optimizers-extras.json
A weight [5, 7] and a bias [5], 50 steps. Penalties come from autograd; all gradients are of the loss that is linear in the
parameters with the recorded slopes. Numbers are float32, little endian, base64; weight, then bias, of every kept step.
"""

import base64
import json

import torch
from torch.optim.swa_utils import AveragedModel

STEPS = 50
RECORDED = [1, 2, 3, 5, 10, 20, 35, 50]

torch.manual_seed(2)
torch.set_num_threads(1)
weight = torch.randn(5, 7)
weight[2, 3] = 0.0  # where |θ| has its kink
bias = torch.randn(5) * 0.1
slopes = torch.randn(STEPS, 40) + 0.1


def base64_of(tensor):
    return base64.b64encode(tensor.detach().contiguous().numpy().astype("<f4").tobytes()).decode()


class Linear(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(weight.clone())
        self.bias = torch.nn.Parameter(bias.clone())


def flat(module):
    return torch.cat([module.weight.detach().reshape(-1), module.bias.detach().reshape(-1)])


def trajectory(make, l1=0.0, l2=0.0, max_norm=None, ema=None):
    model = Linear()
    optimizer = make(model)
    average = None
    if ema is not None:
        average = AveragedModel(model, avg_fn=lambda old, new, count: ema * old + (1 - ema) * new)
    kept, averages = [], []
    for step in range(STEPS):
        loss = (slopes[step] * torch.cat([model.weight.reshape(-1), model.bias])).sum()
        for parameter in model.parameters():
            loss = loss + l1 * parameter.abs().sum() + l2 / 2 * parameter.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if max_norm is not None:
            with torch.no_grad():
                model.weight.copy_(torch.renorm(model.weight, 2, 0, max_norm))
        if average is not None:
            average.update_parameters(model)
        if step + 1 in RECORDED:
            kept.append(flat(model))
            if average is not None:
                averages.append(flat(average.module))
    recorded = dict(parameters=base64_of(torch.stack(kept)))
    if average is not None:
        recorded["averages"] = base64_of(torch.stack(averages))
    return recorded


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def adam(model):
    return torch.optim.Adam(model.parameters(), lr=0.01)


def grouped_adam_w(model):
    groups = [dict(params=[model.weight]), dict(params=[model.bias], lr=0.03, weight_decay=0.0, betas=(0.8, 0.95))]
    return torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1)


def grouped_sgd(model):
    groups = [dict(params=[model.bias], lr=0.005), dict(params=[model.weight], weight_decay=0.2)]
    return torch.optim.SGD(groups, lr=0.05, momentum=0.9)


SGD = dict(kind="sgd", options=dict(lr=0.05, momentum=0.9))
ADAM = dict(kind="adam", options=dict(lr=0.01))
cases = []


def record(name, make, definition, extra, **how):
    options = dict(definition["options"], **extra)
    cases.append(dict(name=name, kind=definition["kind"], options=options, **trajectory(make, **how)))


record("L1", sgd, SGD, dict(l1=0.05), l1=0.05)
record("L2", adam, ADAM, dict(l2=0.1), l2=0.1)
record("the elastic net", adam, ADAM, dict(l1=0.05, l2=0.1), l1=0.05, l2=0.1)
record("limited row norms", sgd, SGD, dict(maxNorm=2.0), max_norm=2.0)
record("limited row norms", adam, ADAM, dict(maxNorm=1.5), max_norm=1.5)
record("averaged weights", sgd, SGD, dict(ema=dict(decay=0.9)), ema=0.9)
record("averaged weights", adam, ADAM, dict(ema=dict(decay=0.99), maxNorm=1.5), ema=0.99, max_norm=1.5)
record(
    "parameter groups",
    grouped_adam_w,
    dict(kind="adamW", options=dict(lr=0.01, weightDecay=0.1)),
    dict(groups=[dict(match="*.bias", lr=0.03, weightDecay=0.0, beta1=0.8, beta2=0.95)]),
)
record(
    "parameter groups",
    grouped_sgd,
    SGD,
    dict(groups=[dict(match="x.bia?", lrScale=0.1), dict(match="*", weightDecay=0.2)]),
)

document = dict(
    torch=torch.__version__,
    steps=STEPS,
    recordedSteps=" ".join(map(str, RECORDED)),
    start=base64_of(torch.cat([weight.reshape(-1), bias])),
    gradients=base64_of(slopes),
    cases=cases,
)
print(json.dumps(document, indent=2).replace("e-0", "e-"))  # as the formatter writes it
