"""Records what PyTorch's optimizers do with given gradients, for packages/core/test/optim/parity.test.ts.

Run with torch 1.13:  python3 test/parity/optimizers.py > test/parity/optimizers.json
Eight parameters of different scales, 50 steps, every combination of the options that PyTorch has. Numbers are float32,
little endian, base64; parameters are kept after the steps listed in "recordedSteps".
"""

import base64
import itertools
import json

import torch

STEPS = 50
RECORDED = [1, 2, 3, 5, 10, 20, 35, 50]

torch.manual_seed(1)
torch.set_num_threads(1)
start = torch.tensor([0.5, -1.25, 3.0, -0.01, 20.0, 0.0, 1e-4, -7.0])
scale = torch.tensor([1.0, 1e-3, 30.0, 0.1, 5.0, 1.0, 1e-5, 0.5])
gradients = torch.randn(STEPS, 8) * scale + 0.3 * scale
gradients[:, 5] *= torch.rand(STEPS) < 0.3  # mostly zero, also at the first step
gradients[0, 5] = 0.0


def base64_of(tensor):
    return base64.b64encode(tensor.detach().contiguous().numpy().astype("<f4").tobytes()).decode()


def product(**choices):
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values))


def trajectory(make, options, clip_norm=None, clip_value=None):
    parameter = torch.nn.Parameter(start.clone())
    optimizer = make([parameter], **options)
    kept = []
    for step in range(STEPS):
        parameter.grad = gradients[step].clone()
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_([parameter], clip_norm)
        if clip_value is not None:
            torch.nn.utils.clip_grad_value_([parameter], clip_value)
        optimizer.step()
        if step + 1 in RECORDED:
            kept.append(parameter.detach().clone())
    return base64_of(torch.stack(kept))


COMMON = dict(weight_decay=[0.0, 0.01], maximize=[False, True])
NAMES = dict(
    weight_decay="weightDecay",
    lr_decay="lrDecay",
    initial_accumulator_value="initialAccumulator",
    eps="epsilon",
    momentum_decay="momentumDecay",
)

cases = []


def record(kind, make, options, clip_norm=None, clip_value=None):
    ours = {NAMES.get(name, name): value for name, value in options.items()}
    if "betas" in ours:
        ours["beta1"], ours["beta2"] = ours.pop("betas")
    ours.pop("foreach", None)
    if clip_norm is not None:
        ours["clipNorm"] = clip_norm
    if clip_value is not None:
        ours["clipValue"] = clip_value
    cases.append(dict(kind=kind, options=ours, parameters=trajectory(make, options, clip_norm, clip_value)))


for options in product(lr=[0.01], momentum=[0.0, 0.9], dampening=[0.0, 0.1], nesterov=[False, True], **COMMON):
    if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
        continue  # refused by PyTorch
    record("sgd", torch.optim.SGD, options)
for options in product(
    lr=[0.05], lr_decay=[0.0, 0.1], initial_accumulator_value=[0.0, 0.1], eps=[1e-10, 1e-3], **COMMON
):
    record("adagrad", torch.optim.Adagrad, options)
for options in product(
    lr=[0.01], alpha=[0.99, 0.9], eps=[1e-8, 1e-3], momentum=[0.0, 0.9], centered=[False, True], **COMMON
):
    record("rmsprop", torch.optim.RMSprop, options)
ADAM = dict(betas=[(0.9, 0.999), (0.5, 0.9)], eps=[1e-8, 1e-3], **COMMON)
for options in product(lr=[0.01], amsgrad=[False, True], **ADAM):
    record("adam", torch.optim.Adam, options)
for options in product(lr=[0.01], amsgrad=[False, True], **ADAM):
    record("adamW", torch.optim.AdamW, options)
for options in product(lr=[1.0, 0.1], rho=[0.9, 0.5], eps=[1e-6, 1e-3], **COMMON):
    record("adadelta", torch.optim.Adadelta, options)
# foreach: the other implementation in 1.13 multiplies the product of momenta by the last one twice (corrected in 2.0).
for options in product(
    lr=[0.01],
    betas=[(0.9, 0.999), (0.5, 0.9)],
    eps=[1e-8, 1e-3],
    momentum_decay=[0.004, 0.0, 1.0],
    weight_decay=[0.0, 0.01],
    foreach=[True],
):
    record("nadam", torch.optim.NAdam, options)
for clip in [dict(clip_norm=1.0), dict(clip_norm=1e4), dict(clip_value=0.05)]:
    record("sgd", torch.optim.SGD, dict(lr=0.1, momentum=0.9, weight_decay=0.01), **clip)
    record("adagrad", torch.optim.Adagrad, dict(lr=0.05, maximize=True), **clip)
    record("rmsprop", torch.optim.RMSprop, dict(lr=0.01, momentum=0.9, weight_decay=0.01), **clip)
    record("adam", torch.optim.Adam, dict(lr=0.01, amsgrad=True, weight_decay=0.01), **clip)
    record("adamW", torch.optim.AdamW, dict(lr=0.01, weight_decay=0.1), **clip)
    record("adadelta", torch.optim.Adadelta, dict(lr=1.0, weight_decay=0.01), **clip)
    record("nadam", torch.optim.NAdam, dict(lr=0.01, weight_decay=0.01, foreach=True), **clip)

document = dict(
    torch=torch.__version__,
    steps=STEPS,
    recordedSteps=" ".join(map(str, RECORDED)),
    start=base64_of(start),
    gradients=base64_of(gradients),
)

document["cases"] = cases
print(json.dumps(document, indent=2).replace("e-0", "e-"))  # as the formatter writes it
