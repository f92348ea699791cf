"""Writes small .onnx files and what PyTorch computes with them, for packages/core/test/onnx.

Run: python3 test/parity/onnx-models.py packages/core/test/onnx/files   (torch 1.13, onnx 1.12; set OPENBLAS_CORETYPE=SkylakeX;
then format the json: npx biome check --write packages/core/test/onnx)
"""
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

warnings.filterwarnings("ignore")
out = Path(sys.argv[1])
torch.manual_seed(3)


class Cnn(nn.Module):
    """Convolutions, batch norm, dropout, and a flatten that reads the batch size from the shape."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(4)
        self.layers = nn.Sequential(nn.Conv2d(4, 6, 3, stride=2), nn.ReLU(), nn.MaxPool2d(2))
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layers(x)
        return self.fc(self.drop(x.view(x.size(0), -1)))


class Attention(nn.Module):
    """One causal transformer layer on token ids, its shapes computed from the input's."""

    def __init__(self, vocabulary=11, width=8, heads=2, length=5):
        super().__init__()
        self.heads = heads
        self.embed = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(torch.randn(1, length, width) * 0.1)
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width, bias=False)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 16), nn.GELU(), nn.Linear(16, width))
        self.head = nn.Linear(width, vocabulary)
        self.register_buffer("mask", torch.tril(torch.ones(length, length)).view(1, 1, length, length))

    def forward(self, ids):
        x = self.embed(ids) + self.position[:, : ids.size(1)]
        n, t, c = x.size()
        q, k, v = self.qkv(self.norm1(x)).split(c, dim=2)
        q = q.view(n, t, self.heads, c // self.heads).transpose(1, 2)
        k = k.view(n, t, self.heads, c // self.heads).transpose(1, 2)
        v = v.view(n, t, self.heads, c // self.heads).transpose(1, 2)
        scores = (q @ k.transpose(-2, -1)) / (c // self.heads) ** 0.5
        scores = scores.masked_fill(self.mask[:, :, :t, :t] == 0, float("-inf"))
        y = (scores.softmax(-1) @ v).transpose(1, 2).contiguous().view(n, t, c)
        x = x + self.proj(y)
        return self.head(x + self.mlp(self.norm2(x)))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rnn = kind(3, 3, num_layers=2 if kind is nn.RNN else 1, batch_first=True, bidirectional=kind is nn.LSTM)
        self.fc = nn.Linear(6 if kind is nn.LSTM else 3, 2)

    def forward(self, x):
        y, _ = self.rnn(x)
        return self.fc(y[:, -1])


def weights_like(y):
    """Distinct weights of both signs, as the tests make them."""
    count = y.numel()
    return torch.tensor([2 * (((i + 1) * 0.6180339887498949) % 1) - 1 for i in range(count)]).reshape(y.shape)


def record(name, model, x, opset, dynamic=True):
    # Equal parameters would be written once, and so be tied.
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.1, 0.4)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias)
    model.eval()
    torch.onnx.export(
        model,
        x if dynamic else x[:1],
        out / f"{name}.onnx",
        opset_version=opset,
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}} if dynamic else None,
        # Keeps batch norm and the parameters' names; dropout is told apart by the importer.
        training=torch.onnx.TrainingMode.PRESERVE,
        do_constant_folding=False,
    )
    file = onnx.load(out / f"{name}.onnx")
    for node in file.graph.node:
        node.doc_string = ""  # where in this script it came from
    onnx.save(file, out / f"{name}.onnx")
    model.zero_grad()
    y = model(x)
    (y * weights_like(y)).sum().backward()
    # Nine digits are enough to tell every float32 from its neighbours.
    floats = lambda t: [float(f"{v:.9g}") for v in t.detach().flatten().tolist()]
    return {
        "name": name,
        "x": {"shape": list(x.shape), "values": floats(x) if x.is_floating_point() else x.flatten().tolist()},
        "y": {"shape": list(y.shape), "values": floats(y)},
        "gradients": {key: floats(p.grad) for key, p in model.named_parameters()},
    }


def torch_models():
    images = torch.randn(3, 2, 7, 7)
    ids = torch.randint(0, 11, (3, 5))
    cnn = Cnn()
    records = [
        record("cnn", cnn, images, 13),
        record("cnn-opset9", Cnn(), images, 9),
        record("cnn-batch1", Cnn(), images, 13, dynamic=False),
        record("attention", Attention(), ids, 14),
        record("lstm", Recurrent(nn.LSTM), torch.randn(3, 4, 3), 13),
        record("gru", Recurrent(nn.GRU), torch.randn(3, 4, 3), 13),
        record("rnn", Recurrent(nn.RNN), torch.randn(3, 4, 3), 13),
    ]
    (out / "torch.json").write_text(json.dumps(records))


def save(name, nodes, inputs, outputs, initializers=(), opset=12, ml=None):
    graph = helper.make_graph(nodes, name, inputs, outputs, [numpy_helper.from_array(v, k) for k, v in initializers])
    opsets = [helper.make_opsetid("", opset)] + ([helper.make_opsetid("ai.onnx.ml", ml)] if ml else [])
    model = helper.make_model(graph, opset_imports=opsets, producer_name="tutti-test")
    model.ir_version = 8
    onnx.save(model, out / f"{name}.onnx")


def info(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def tf_style():
    """As tf2onnx writes a Keras CNN: NHWC outside, NCHW inside, names of variables with slashes and colons."""
    rng = np.random.default_rng(5)
    f = lambda *shape: rng.normal(0, 0.4, shape).astype(np.float32)
    prefix = "StatefulPartitionedCall/sequential"
    nodes = [
        helper.make_node("Transpose", ["input_1"], ["nchw"], f"{prefix}/conv2d/Conv2D__6", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["nchw", f"{prefix}/conv2d/Conv2D/ReadVariableOp:0", f"{prefix}/conv2d/BiasAdd/ReadVariableOp:0"], ["conv"], f"{prefix}/conv2d/BiasAdd", auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]),
        helper.make_node("Relu", ["conv"], ["relu"], f"{prefix}/conv2d/Relu"),
        helper.make_node("Transpose", ["relu"], ["nhwc"], f"{prefix}/conv2d/Relu__9", perm=[0, 2, 3, 1]),
        helper.make_node("Shape", ["nhwc"], ["shape"], f"{prefix}/flatten/Shape"),
        helper.make_node("Cast", ["shape"], ["shape32"], f"{prefix}/flatten/Shape__12", to=TensorProto.INT32),
        helper.make_node("Slice", ["shape32", "zero", "one", "zero"], ["sliced"], f"{prefix}/flatten/strided_slice"),
        helper.make_node("Concat", ["sliced", "minus_one"], ["target32"], f"{prefix}/flatten/Reshape/shape_Concat", axis=0),
        helper.make_node("Cast", ["target32"], ["target"], f"{prefix}/flatten/Reshape__14", to=TensorProto.INT64),
        helper.make_node("Reshape", ["nhwc", "target"], ["flat"], f"{prefix}/flatten/Reshape"),
        helper.make_node("MatMul", ["flat", f"{prefix}/dense/MatMul/ReadVariableOp:0"], ["matmul"], f"{prefix}/dense/MatMul"),
        helper.make_node("Add", ["matmul", f"{prefix}/dense/BiasAdd/ReadVariableOp:0"], ["logits"], f"{prefix}/dense/BiasAdd"),
        helper.make_node("Softmax", ["logits"], ["dense"], f"{prefix}/dense/Softmax", axis=1),
    ]
    initializers = [
        (f"{prefix}/conv2d/Conv2D/ReadVariableOp:0", f(3, 1, 3, 3)),
        (f"{prefix}/conv2d/BiasAdd/ReadVariableOp:0", f(3)),
        (f"{prefix}/dense/MatMul/ReadVariableOp:0", f(48, 4)),
        (f"{prefix}/dense/BiasAdd/ReadVariableOp:0", f(4)),
        ("zero", np.array([0], np.int64)),
        ("one", np.array([1], np.int64)),
        ("minus_one", np.array([-1], np.int32)),
    ]
    save("tf-style", nodes, [info("input_1", ["unk__15", 8, 7, 1])], [info("dense", ["unk__16", 4])], initializers)


def sklearn():
    """As skl2onnx writes a scaler and a linear model; the classifiers once with ZipMap, once without for the oracle."""
    rng = np.random.default_rng(7)
    f = lambda count: [float(v) for v in rng.normal(0, 1, count).astype(np.float32)]
    x = info("float_input", [None, 4])
    scaler = helper.make_node("Scaler", ["float_input"], ["scaled"], "Scaler", domain="ai.onnx.ml", offset=f(4), scale=[0.5, 2.0, 1.5, 0.25])
    regressor = helper.make_node("LinearRegressor", ["scaled"], ["variable"], "LinearRegressor", domain="ai.onnx.ml", coefficients=f(8), intercepts=f(2), targets=2)
    save("sklearn-regressor", [scaler, regressor], [x], [info("variable", [None, 2])], ml=1)

    def classifier(name, rows, classes, transform, normalizer=None, input_name="scaled", first=(scaler,)):
        nodes = [
            *first,
            helper.make_node("LinearClassifier", [input_name], ["label", "raw"], "LinearClassifier", domain="ai.onnx.ml", coefficients=f(4 * rows), intercepts=f(rows), classlabels_ints=[10 * (i + 1) for i in range(classes)], multi_class=1, post_transform=transform),
        ]
        probabilities = "raw"
        if normalizer:
            nodes.append(helper.make_node("Normalizer", ["raw"], ["probabilities"], "Normalizer", domain="ai.onnx.ml", norm=normalizer))
            probabilities = "probabilities"
        label = info("label", [None], TensorProto.INT64)
        save(f"{name}-plain", nodes, [x], [label, info(probabilities, [None, classes])], ml=1)
        zipmap = helper.make_node("ZipMap", [probabilities], ["output_probability"], "ZipMap", domain="ai.onnx.ml", classlabels_int64s=[10 * (i + 1) for i in range(classes)])
        value = onnx.ValueInfoProto()
        value.name = "output_probability"
        kind = value.type.sequence_type.elem_type.map_type
        kind.key_type = TensorProto.INT64
        kind.value_type.tensor_type.elem_type = TensorProto.FLOAT
        save(name, nodes + [zipmap], [x], [label, value], ml=1)

    state = rng.bit_generator.state
    for name, arguments in {
        "sklearn-softmax": (3, 3, "SOFTMAX"),
        "sklearn-ovr": (3, 3, "LOGISTIC", "L1"),
        "sklearn-binary": (1, 2, "LOGISTIC"),
        "sklearn-margin": (1, 2, "NONE"),
    }.items():
        rng.bit_generator.state = state
        classifier(name, *arguments)
    for norm in ["MAX", "L1", "L2"]:
        node = helper.make_node("Normalizer", ["float_input"], ["normal"], "Normalizer", domain="ai.onnx.ml", norm=norm)
        save(f"sklearn-normalizer-{norm.lower()}", [node], [x], [info("normal", [None, 4])], ml=1)


def main():
    out.mkdir(parents=True, exist_ok=True)
    torch_models()
    tf_style()
    sklearn()


main()
