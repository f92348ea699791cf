"""Records the learning rates of PyTorch's schedulers, for packages/core/test/optim/schedule-parity.test.ts.

Run with torch 1.13:  python3 test/parity/optimizers-schedules.py > test/parity/optimizers-schedules.json
The rate of each update is the optimizer's before it; scheduler.step() follows each update. Rates are float64, little
endian, base64. For ReduceLROnPlateau the metric of every validation is recorded with the rate after it.
"""

import base64
import json
import math
import struct

import torch
from torch.optim import lr_scheduler as s


def base64_of(values):
    return base64.b64encode(struct.pack(f"<{len(values)}d", *values)).decode()


def optimizer(lr):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)


def rates(lr, make, updates):
    o = optimizer(lr)
    scheduler = make(o)
    found = []
    for update in range(updates):
        found.append(o.param_groups[0]["lr"])
        o.step()
        if update + 1 < updates:
            scheduler.step()
    return base64_of(found)


cases = []


def record(ours, lr, make, updates=60):
    cases.append(dict(schedule=ours, updates=updates, rates=rates(lr, make, updates)))


record(dict(kind="step", initial=0.3, everySteps=7, factor=0.1), 0.3, lambda o: s.StepLR(o, 7, 0.1))
record(dict(kind="step", initial=0.3, everySteps=1, factor=0.9), 0.3, lambda o: s.StepLR(o, 1, 0.9))
record(
    dict(kind="multiStep", initial=0.3, milestones=[1, 8, 40], factor=0.2), 0.3, lambda o: s.MultiStepLR(o, [1, 8, 40], 0.2)
)
record(dict(kind="exponential", initial=0.7, factor=0.95), 0.7, lambda o: s.ExponentialLR(o, 0.95), 200)
record(
    dict(kind="polynomial", initial=0.7, totalSteps=50, power=2.5), 0.7, lambda o: s.PolynomialLR(o, total_iters=50, power=2.5)
)
record(
    dict(kind="polynomial", initial=0.07, final=0.35, totalSteps=9),
    0.7,
    lambda o: s.LinearLR(o, start_factor=0.1, end_factor=0.5, total_iters=9),
)
record(dict(kind="cosine", initial=0.7, final=0.01, totalSteps=40), 0.7, lambda o: s.CosineAnnealingLR(o, 40, 0.01), 41)
for factor, period in [(1, 10), (2, 5), (3, 4)]:
    record(
        dict(kind="cosineRestarts", peak=0.7, final=0.01, periodSteps=period, periodFactor=factor),
        0.7,
        lambda o: s.CosineAnnealingWarmRestarts(o, period, factor, 0.01),
        200,
    )
for annealing, theirs in [("cosine", "cos"), ("linear", "linear")]:
    for three in [False, True]:
        for total, share in [(100, 0.3), (33, 0.25), (7, 0.4)]:
            record(
                dict(kind="oneCycle", peak=0.7, totalSteps=total, annealing=annealing, threePhase=three, warmupShare=share),
                0.7,
                lambda o: s.OneCycleLR(
                    o, 0.7, total_steps=total, pct_start=share, anneal_strategy=theirs, three_phase=three, cycle_momentum=False
                ),
                total,
            )
record(
    dict(kind="oneCycle", peak=0.7, totalSteps=50, initialDivisor=10, finalDivisor=100),
    0.7,
    lambda o: s.OneCycleLR(o, 0.7, total_steps=50, div_factor=10, final_div_factor=100, cycle_momentum=False),
    50,
)
record(
    dict(kind="warmup", steps=9, startFactor=0.25, rate=dict(kind="exponential", initial=0.7, factor=0.9)),
    0.7,
    lambda o: s.SequentialLR(o, [s.LinearLR(o, 0.25, 1.0, 9), s.ExponentialLR(o, 0.9)], [9]),
)
record(
    dict(kind="warmup", steps=9, startFactor=0.25, rate=dict(kind="cosineRestarts", peak=0.7, periodSteps=6)),
    0.7,
    lambda o: s.SequentialLR(o, [s.LinearLR(o, 0.25, 1.0, 9), s.CosineAnnealingWarmRestarts(o, 6)], [9]),
)
record(
    dict(
        kind="sequence",
        parts=[
            dict(steps=5, rate=dict(kind="constant", value=0.07)),
            dict(steps=20, rate=dict(kind="exponential", initial=0.7, factor=0.8)),
        ],
        last=dict(kind="step", initial=0.7, everySteps=4, factor=0.5),
    ),
    0.7,
    lambda o: s.SequentialLR(
        o, [s.ConstantLR(o, 0.1, 100), s.ExponentialLR(o, 0.8), s.StepLR(o, 4, 0.5)], [5, 25]
    ),
)

metrics = [3.0, 2.5, 2.6, 2.4999, 2.4998, 2.5, 2.7, 2.2, 2.3, 2.3, 2.3, 2.3, 2.3, 2.0, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1, 2.1]
metrics += [math.nan, 2.1, 1.0, 1.0, 1.0, 0.99999, 0.5, 0.6, math.inf, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6, 0.6]


def plateau(ours, lr, **theirs):
    signed = [-m for m in metrics] if theirs["mode"] == "max" else metrics
    o = optimizer(lr)
    scheduler = s.ReduceLROnPlateau(o, eps=0, **theirs)
    found = []
    for metric in signed:
        scheduler.step(metric)
        found.append(o.param_groups[0]["lr"])
    return dict(options=ours, lr=lr, metrics=base64_of(signed), rates=base64_of(found))


plateaus = []
for mode in ["min", "max"]:
    for threshold, threshold_mode in [(1e-4, "rel"), (0.1, "rel"), (0.05, "abs")]:
        for patience, cooldown, min_lr in [(0, 0, 0.0), (2, 0, 0.0), (1, 3, 0.0), (2, 1, 0.02)]:
            ours = dict(
                metric="loss",
                mode=mode,
                factor=0.3,
                patience=patience,
                threshold=threshold,
                thresholdMode="relative" if threshold_mode == "rel" else "absolute",
                cooldown=cooldown,
                minLr=min_lr,
            )
            theirs = dict(
                mode=mode,
                factor=0.3,
                patience=patience,
                threshold=threshold,
                threshold_mode=threshold_mode,
                cooldown=cooldown,
                min_lr=min_lr,
            )
            plateaus.append(plateau(ours, 0.7, **theirs))

document = dict(torch=torch.__version__, cases=[], plateaus=plateaus)
document["cases"] = [dict(schedule=json.dumps(case["schedule"]), updates=case["updates"], rates=case["rates"]) for case in cases]
print(json.dumps(document, indent=2).replace("e-0", "e-"))  # as the formatter writes it
