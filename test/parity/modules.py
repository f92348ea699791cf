"""Records what PyTorch makes of single modules and losses, for packages/core/test/nn/parity.test.ts.

Run: OPENBLAS_CORETYPE=SkylakeX /usr/bin/python3 test/parity/modules.py   (torch 1.13, float32, one thread)
A module's gradients are those of the sum of output * direction, by its parameters and its float inputs. A loss's are those
of PyTorch's own mean.
"""
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(11)
torch.set_num_threads(1)


def tensor(t):
    return {"shape": list(t.shape), "values": t.detach().flatten().tolist()}


def inputs_of(inputs):
    kinds = {torch.float32: "float32", torch.int64: "int64", torch.bool: "bool"}
    return {n: {"dtype": kinds[t.dtype], **tensor(t.int() if t.dtype == torch.bool else t)} for n, t in inputs.items()}


def record(module, inputs, forward=None, training=False):
    """`forward(module, inputs)`; by default the module of x. Parameters are made irregular first."""
    module.train(training)
    with torch.no_grad():
        for name, b in module.named_buffers():
            if not training and b.dtype == torch.float32:
                b.copy_(torch.rand_like(b) + (0.1 if name.endswith("var") else -0.5))
        for name, p in module.named_parameters():
            if name.endswith("bias") or "norm" in name or p.dim() == 1:
                p.add_(0.3 * torch.randn_like(p))
    state = {n: tensor(b) for n, b in module.named_buffers() if b.dtype == torch.float32}
    for t in inputs.values():
        if t.dtype == torch.float32:
            t.requires_grad_(True)
    output = forward(module, inputs) if forward else module(inputs["x"])
    direction = torch.randn_like(output)
    (output * direction).sum().backward()
    result = {
        "inputs": inputs_of(inputs),
        "parameters": {n: tensor(p) for n, p in module.named_parameters()},
        "buffers": state,
        "output": tensor(output),
        "direction": direction.flatten().tolist(),
        "gradients": {n: p.grad.flatten().tolist() for n, p in module.named_parameters()},
        "inputGradients": {n: t.grad.flatten().tolist() for n, t in inputs.items() if t.requires_grad},
    }
    if training and state:
        result["buffersAfter"] = {n: b.flatten().tolist() for n, b in module.named_buffers() if b.dtype == torch.float32}
    return result


def loss(inputs, mean):
    for t in inputs.values():
        if t.dtype == torch.float32:
            t.requires_grad_(True)
    value = mean(inputs)
    value.backward()
    return {
        "inputs": inputs_of(inputs),
        "mean": value.item(),
        "inputGradients": {n: t.grad.flatten().tolist() for n, t in inputs.items() if t.grad is not None},
    }


def x(*shape):
    return {"x": torch.randn(*shape)}


class Recurrent(nn.Module):
    """Output and last state side by side, so that both are checked."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        output, last = self.net(x)
        hidden = last[0] if isinstance(last, tuple) else last
        directions = 2 if self.net.bidirectional else 1
        final = torch.cat(list(hidden[-directions:]), -1)
        return torch.cat([output, final.unsqueeze(1)], 1)


def padded(m, i):
    return m(i["x"], i["x"], i["x"], key_padding_mask=i["padding"], need_weights=False)[0]


def causal(m, i):
    mask = torch.triu(torch.full((4, 4), float("-inf")), 1)
    return m(i["x"], i["x"], i["x"], attn_mask=mask, need_weights=False)[0]


def cross(m, i):
    return m(i["x"], i["key"], i["value"], need_weights=False)[0]


def decoder(m, i):
    mask = torch.triu(torch.full((3, 3), float("-inf")), 1)
    return m(i["x"], i["memory"], tgt_mask=mask, memory_key_padding_mask=i["padding"])


tail = torch.tensor([[False, False, False, False], [False, False, True, True], [False, False, False, True]])

modules = {
    "linear": record(nn.Linear(5, 3), x(3, 2, 5)),
    "conv1d": record(nn.Conv1d(4, 6, 3, stride=2, padding=1, dilation=1, groups=2), x(2, 4, 7)),
    "conv2d": record(nn.Conv2d(2, 3, 3, padding=1), x(2, 2, 5, 4)),
    "conv2dStrided": record(nn.Conv2d(2, 4, (3, 2), stride=2, padding=(1, 0), dilation=(1, 2), bias=False), x(2, 2, 6, 7)),
    "conv2dSame": record(nn.Conv2d(1, 2, (4, 3), padding="same"), x(2, 1, 5, 4)),
    "convTranspose2d": record(nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, output_padding=1, groups=2), x(2, 4, 3, 3)),
    "maxPool2d": record(nn.MaxPool2d(2), x(2, 2, 4, 5)),
    "maxPool2dOverlap": record(nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), x(1, 2, 6, 5)),
    "maxPool1d": record(nn.MaxPool1d(2, stride=1, dilation=2), x(2, 2, 6)),
    "avgPool2d": record(nn.AvgPool2d(2, stride=1, padding=1), x(1, 2, 4, 3)),
    "avgPool2dExclude": record(nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False), x(1, 2, 5, 5)),
    "avgPool1d": record(nn.AvgPool1d(2), x(2, 2, 5)),
    "adaptiveAvgPool2d": record(nn.AdaptiveAvgPool2d((2, 3)), x(2, 2, 5, 4)),
    "adaptiveAvgPool2dEven": record(nn.AdaptiveAvgPool2d((2, 2)), x(2, 2, 4, 6)),
    "adaptiveAvgPool2dOne": record(nn.AdaptiveAvgPool2d(1), x(2, 3, 4, 5)),
    "adaptiveAvgPool1d": record(nn.AdaptiveAvgPool1d(3), x(2, 2, 7)),
    "batchNorm1dTraining": record(nn.BatchNorm1d(4), x(6, 4), training=True),
    "batchNorm1dSequence": record(nn.BatchNorm1d(3, momentum=0.3), x(3, 3, 4), training=True),
    "batchNorm2dTraining": record(nn.BatchNorm2d(3, eps=1e-3), x(3, 3, 2, 4), training=True),
    "batchNorm2dPlain": record(nn.BatchNorm2d(2, affine=False, momentum=None), x(3, 2, 2, 2), training=True),
    "batchNorm2d": record(nn.BatchNorm2d(3, eps=1e-3), x(2, 3, 2, 2)),
    "batchNorm1d": record(nn.BatchNorm1d(4, affine=False), x(3, 4)),
    "batchNorm1dRows": record(nn.BatchNorm1d(2), x(2, 2, 3)),
    "layerNorm": record(nn.LayerNorm(6), x(2, 3, 6)),
    "layerNormTwoAxes": record(nn.LayerNorm([3, 4], eps=1e-3), x(2, 3, 4)),
    "layerNormPlain": record(nn.LayerNorm(5, elementwise_affine=False), x(3, 5)),
    "groupNorm": record(nn.GroupNorm(2, 4), x(2, 4, 3, 2)),
    "groupNormFlat": record(nn.GroupNorm(2, 6), x(3, 6)),
    "embedding": record(nn.Embedding(5, 3), {"x": torch.tensor([[0, 4, 4], [1, 0, 3]])}),
    "embeddingPadding": record(nn.Embedding(5, 3, padding_idx=2), {"x": torch.tensor([[2, 4, 2], [1, 2, 3]])}),
    "attention": record(nn.MultiheadAttention(6, 2, batch_first=True), x(3, 4, 6), lambda m, i: m(i["x"], i["x"], i["x"])[0]),
    "attentionCausal": record(nn.MultiheadAttention(6, 3, batch_first=True), x(2, 4, 6), causal),
    "attentionPadding": record(nn.MultiheadAttention(4, 2, batch_first=True), {**x(3, 4, 4), "padding": tail}, padded),
    "attentionCross": record(
        nn.MultiheadAttention(4, 2, bias=False, batch_first=True),
        {**x(2, 3, 4), "key": torch.randn(2, 5, 4), "value": torch.randn(2, 5, 4)},
        cross,
    ),
    "encoderLayer": record(nn.TransformerEncoderLayer(4, 2, 6, dropout=0, batch_first=True), x(2, 3, 4), training=True),
    "encoderLayerNormFirst": record(
        nn.TransformerEncoderLayer(4, 2, 6, dropout=0, activation="gelu", norm_first=True, batch_first=True),
        {**x(3, 4, 4), "padding": tail},
        lambda m, i: m(i["x"], src_key_padding_mask=i["padding"]),
        training=True,
    ),
    "decoderLayer": record(
        nn.TransformerDecoderLayer(4, 2, 5, dropout=0, batch_first=True),
        {**x(3, 3, 4), "memory": torch.randn(3, 4, 4), "padding": tail},
        decoder,
        training=True,
    ),
    "decoderLayerNormFirst": record(
        nn.TransformerDecoderLayer(4, 1, 5, dropout=0, norm_first=True, batch_first=True),
        {**x(3, 3, 4), "memory": torch.randn(3, 4, 4), "padding": tail},
        decoder,
        training=True,
    ),
    "rnn": record(Recurrent(nn.RNN(3, 4, batch_first=True)), x(2, 5, 3)),
    "rnnRelu": record(Recurrent(nn.RNN(3, 4, nonlinearity="relu", bias=False, batch_first=True)), x(2, 3, 3)),
    "lstm": record(Recurrent(nn.LSTM(3, 4, batch_first=True)), x(2, 5, 3)),
    "lstmDeep": record(Recurrent(nn.LSTM(2, 3, num_layers=2, bidirectional=True, batch_first=True)), x(2, 4, 2)),
    "gru": record(Recurrent(nn.GRU(3, 4, batch_first=True)), x(2, 5, 3)),
    "gruDeep": record(Recurrent(nn.GRU(2, 3, num_layers=2, bidirectional=True, bias=False, batch_first=True)), x(2, 3, 2)),
    "relu": record(nn.ReLU(), x(3, 5)),
    "leakyRelu": record(nn.LeakyReLU(0.2), x(3, 5)),
    "prelu": record(nn.PReLU(3, 0.1), x(2, 3, 4)),
    "elu": record(nn.ELU(1.5), x(3, 5)),
    "selu": record(nn.SELU(), x(3, 5)),
    "gelu": record(nn.GELU(), x(3, 5)),
    "geluTanh": record(nn.GELU(approximate="tanh"), x(3, 5)),
    "silu": record(nn.SiLU(), x(3, 5)),
    "mish": record(nn.Mish(), x(3, 5)),
    "softplus": record(nn.Softplus(), x(3, 5)),
    "softsign": record(nn.Softsign(), x(3, 5)),
    "hardSigmoid": record(nn.Hardsigmoid(), x(3, 5)),
    "hardSwish": record(nn.Hardswish(), x(3, 5)),
    "sigmoid": record(nn.Sigmoid(), x(3, 5)),
    "tanh": record(nn.Tanh(), x(3, 5)),
    "softmax": record(nn.Softmax(-1), x(3, 5)),
    "logSoftmax": record(nn.LogSoftmax(1), x(2, 4, 2)),
}


def pair(*shape):
    return {"x": torch.randn(*shape), "y": 1.5 * torch.randn(*shape)}


def classes(*shape, count=4):
    return {"x": 2 * torch.randn(shape[0], count, *shape[1:]), "label": torch.randint(0, count, shape)}


def signs(n):
    return torch.where(torch.rand(n) < 0.5, -1.0, 1.0)


weight = torch.tensor([0.5, 2.0, 1.25, 0.1])
ignoring = {"x": torch.randn(6, 4), "label": torch.tensor([1, -100, 3, 0, -100, 2])}
ignoring_tokens = {"x": torch.randn(3, 4, 2), "label": torch.tensor([[1, 2], [2, 0], [3, 2]])}

losses = {
    "mse": loss(pair(4, 3), lambda i: F.mse_loss(i["x"], i["y"])),
    "l1": loss(pair(4, 3), lambda i: F.l1_loss(i["x"], i["y"])),
    "huber": loss(pair(5, 3), lambda i: F.huber_loss(i["x"], i["y"], delta=0.7)),
    "smoothL1": loss(pair(5, 3), lambda i: F.smooth_l1_loss(i["x"], i["y"], beta=0.4)),
    "crossEntropy": loss(classes(6), lambda i: F.cross_entropy(i["x"], i["label"])),
    "crossEntropyWeight": loss(classes(6), lambda i: F.cross_entropy(i["x"], i["label"], weight)),
    "crossEntropySmooth": loss(classes(3, 2), lambda i: F.cross_entropy(i["x"], i["label"], label_smoothing=0.2)),
    "crossEntropyIgnore": loss(ignoring, lambda i: F.cross_entropy(i["x"], i["label"])),
    "crossEntropyAll": loss(
        ignoring_tokens,
        lambda i: F.cross_entropy(i["x"], i["label"], weight, ignore_index=2, label_smoothing=0.1),
    ),
    "nll": loss(classes(5), lambda i: F.nll_loss(i["x"], i["label"], weight, ignore_index=1)),
    "bceWithLogits": loss(
        {"x": 3 * torch.randn(4, 3), "y": torch.rand(4, 3)},
        lambda i: F.binary_cross_entropy_with_logits(i["x"], i["y"]),
    ),
    "bceWithLogitsPosWeight": loss(
        {"x": 3 * torch.randn(4, 3), "y": torch.rand(4, 3)},
        lambda i: F.binary_cross_entropy_with_logits(i["x"], i["y"], pos_weight=torch.tensor([2.0, 0.5, 1.0])),
    ),
    "klDiv": loss(
        {"x": torch.randn(4, 3).log_softmax(-1), "y": torch.tensor([[0.2, 0.8, 0], [1, 0, 0], [0.3, 0.3, 0.4], [0.5, 0.1, 0.4]])},
        lambda i: F.kl_div(i["x"], i["y"].detach(), reduction="batchmean"),
    ),
    "klDivLog": loss(
        {"x": torch.randn(4, 3).log_softmax(-1), "y": torch.randn(4, 3).log_softmax(-1)},
        lambda i: F.kl_div(i["x"], i["y"], reduction="batchmean", log_target=True),
    ),
    "hinge": loss(
        {"x": 2 * torch.randn(8), "y": signs(8)},
        lambda i: F.margin_ranking_loss(i["x"], torch.zeros(8), i["y"].detach(), margin=1.0),
    ),
    "cosineEmbedding": loss(
        {"x": torch.randn(7, 3), "y": torch.randn(7, 3), "sign": signs(7)},
        lambda i: F.cosine_embedding_loss(i["x"], i["y"], i["sign"].detach(), margin=0.2),
    ),
}

target = pathlib.Path(__file__).parents[2] / "packages/core/test/nn/modules.parity.json"
# Nine digits give a float32 back exactly.
rounded = json.loads(json.dumps({"modules": modules, "losses": losses}), parse_float=lambda s: float(f"{float(s):.9g}"))
lines = [f'"{kind}":{{\n' + ",\n".join(f'"{n}":{json.dumps(c, separators=(",", ":"))}' for n, c in cases.items()) + "\n}" for kind, cases in rounded.items()]
target.write_text("{" + ",\n".join(lines) + "}\n")
print({kind: len(cases) for kind, cases in rounded.items()}, target.stat().st_size)
