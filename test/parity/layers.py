"""Records PyTorch's results of convolution, pooling, normalisation, interpolation and padding, forward and backward, for
packages/core/test/graph/layers.parity.test.ts. Inputs are formulas that the test repeats, so that only results are recorded.

Run: python3 test/parity/layers.py > packages/core/test/graph/layers.json   (torch 1.13; then: npx biome check --write packages/core/test/graph)
"""
import json
import math

import torch
import torch.nn.functional as F

torch.set_num_threads(1)

# The i-th of the values of input k: exact in float32. "tied" has few distinct ones.
formulas = {
    "mixed": lambda i, k: (((i * 37 + k * 11) % 41) - 20) / 8,
    "positive": lambda i, k: ((i * 37 + k * 11) % 41 + 4) / 8,
    "tied": lambda i, k: (i * i * 7 + i) % 3 - 1,
    "constant": lambda i, k: 1,
}


def make(shape, kind, k):
    count = math.prod(shape)
    return torch.tensor([float(formulas[kind](i, k)) for i in range(count)]).reshape(shape)


def plain(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


def record(name, op, function, inputs, attributes=None):
    specs = [spec if isinstance(spec, dict) else {"shape": spec, "kind": "mixed"} for spec in inputs]
    tensors = [make(spec["shape"], spec["kind"], k).requires_grad_(True) for k, spec in enumerate(specs)]
    y = function(*tensors)
    y.backward(make(list(y.shape), "mixed", 5))
    return {
        "name": name,
        "op": op,
        "attributes": attributes or {},
        "inputs": specs,
        "y": {"shape": list(y.shape), "values": plain(y)},
        "gradients": [plain(tensor.grad) for tensor in tensors],
    }


def tied(*shape):
    return {"shape": list(shape), "kind": "tied"}


def positive(*shape):
    return {"shape": list(shape), "kind": "positive"}


def batch_norm(x, w, b, m, v):
    # F.batch_norm gives no gradient of given statistics; its formula does.
    y = F.batch_norm(x, m.detach(), v.detach(), w, b, training=False, eps=1e-3)
    s = lambda t: t.reshape(1, -1, *[1] * (x.dim() - 2))
    same = (x - s(m)) / torch.sqrt(s(v) + 1e-3) * s(w) + s(b)
    assert torch.allclose(y, same, rtol=1e-5, atol=1e-5)
    return same


cases = [
    record("conv1d", ":Conv", lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=1), [[2, 3, 8], [4, 3, 3], [4]], {"strides": [2], "pads": [1, 1]}),
    record("conv2d", ":Conv", F.conv2d, [[2, 3, 6, 5], [4, 3, 3, 3], [4]]),
    record("conv2d, padding", ":Conv", lambda x, w, b: F.conv2d(x, w, b, padding=(1, 2)), [[2, 3, 5, 5], [2, 3, 3, 5], [2]], {"pads": [1, 2, 1, 2]}),
    record("conv2d, stride 2 and padding", ":Conv", lambda x, w, b: F.conv2d(x, w, b, stride=2, padding=1), [[2, 2, 7, 8], [3, 2, 3, 3], [3]], {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    record("conv2d, dilated", ":Conv", lambda x, w, b: F.conv2d(x, w, b, dilation=(2, 3)), [[1, 2, 7, 8], [3, 2, 3, 2], [3]], {"dilations": [2, 3]}),
    record("conv2d, groups", ":Conv", lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2), [[2, 4, 4, 4], [6, 2, 3, 3], [6]], {"pads": [1, 1, 1, 1], "group": 2}),
    record("conv2d, each channel by itself", ":Conv", lambda x, w, b: F.conv2d(x, w, b, stride=2, groups=3), [[2, 3, 6, 6], [3, 1, 3, 3], [3]], {"strides": [2, 2], "group": 3}),
    record("convTranspose1d", ":ConvTranspose", lambda x, w, b: F.conv_transpose1d(x, w, b, stride=3, padding=1, output_padding=1), [[2, 3, 4], [3, 2, 4], [2]], {"strides": [3], "pads": [1, 1], "output_padding": [1]}),
    record("convTranspose2d", ":ConvTranspose", lambda x, w, b: F.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1), [[2, 3, 3, 4], [3, 2, 3, 3], [2]], {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
    record("convTranspose2d, groups and dilation", ":ConvTranspose", lambda x, w, b: F.conv_transpose2d(x, w, b, groups=2, dilation=2), [[1, 4, 3, 3], [4, 2, 2, 2], [4]], {"dilations": [2, 2], "group": 2}),
    record("max pooling", ":MaxPool", lambda x: F.max_pool2d(x, 3, 2, 1), [[2, 2, 7, 6]], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    record("max pooling with ties, side by side", ":MaxPool", lambda x: F.max_pool2d(x, 2), [tied(2, 2, 6, 6)], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    record("max pooling with ties, overlapping", ":MaxPool", lambda x: F.max_pool2d(x, 3, 2, 1), [tied(2, 2, 7, 7)], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}),
    record("max pooling with ties, at stride 1", ":MaxPool", lambda x: F.max_pool2d(x, 2, 1), [tied(1, 2, 5, 5)], {"kernel_shape": [2, 2], "strides": [1, 1]}),
    record("max pooling with ties, dilated", ":MaxPool", lambda x: F.max_pool2d(x, 2, 2, 0, 2), [tied(1, 2, 7, 7)], {"kernel_shape": [2, 2], "strides": [2, 2], "dilations": [2, 2]}),
    record("max pooling with ties, ceil", ":MaxPool", lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), [tied(1, 2, 6, 5)], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1}),
    record("max pooling of a constant", ":MaxPool", lambda x: F.max_pool2d(x, 2), [{"shape": [1, 2, 4, 4], "kind": "constant"}], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    record("max pooling with ties, 1d", ":MaxPool", lambda x: F.max_pool1d(x, 3, 2), [tied(2, 2, 9)], {"kernel_shape": [3], "strides": [2]}),
    record("global max pooling with ties", ":GlobalMaxPool", lambda x: F.adaptive_max_pool2d(x, 1), [tied(2, 3, 4, 5)]),
    record("global average pooling", ":GlobalAveragePool", lambda x: F.adaptive_avg_pool2d(x, 1), [[2, 3, 4, 5]]),
    record("average pooling", ":AveragePool", lambda x: F.avg_pool2d(x, 2), [[2, 2, 5, 6]], {"kernel_shape": [2, 2], "strides": [2, 2], "count_include_pad": 1}),
    record("average pooling with padding", ":AveragePool", lambda x: F.avg_pool2d(x, 3, 2, 1), [[1, 2, 6, 5]], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "count_include_pad": 1}),
    record("average pooling without the padding", ":AveragePool", lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False), [[1, 2, 4, 5]], {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1], "count_include_pad": 0}),
    record("average pooling, ceil, with padding", ":AveragePool", lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True), [[1, 2, 6, 5]], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1, "count_include_pad": 1}),
    record("average pooling, ceil, without the padding", ":AveragePool", lambda x: F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False), [[1, 2, 6, 5]], {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1, "count_include_pad": 0}),
    record("layer normalisation", ":LayerNormalization", lambda x, w, b: F.layer_norm(x, (8,), w, b), [[3, 4, 8], [8], [8]], {"axis": -1}),
    record("layer normalisation over several axes", ":LayerNormalization", lambda x, w, b: F.layer_norm(x, (3, 5), w, b, eps=1e-3), [[4, 3, 5], [3, 5], [3, 5]], {"axis": 1, "epsilon": 1e-3}),
    record("group normalisation", ":GroupNormalization", lambda x, w, b: F.group_norm(x, 2, w, b), [[2, 4, 3, 3], [4], [4]], {"num_groups": 2}),
    record("instance normalisation", ":InstanceNormalization", lambda x, w, b: F.instance_norm(x, weight=w, bias=b), [[2, 3, 4, 4], [3], [3]]),
    record("batch normalisation in evaluation", ":BatchNormalization", batch_norm, [[3, 4, 3, 3], [4], [4], [4], positive(4)], {"epsilon": 1e-3}),
    record("batch normalisation in evaluation, of vectors", ":BatchNormalization", batch_norm, [[5, 4], [4], [4], [4], positive(4)], {"epsilon": 1e-3}),
    record("L2 normalisation", ":LpNormalization", lambda x: F.normalize(x, dim=1), [positive(3, 4, 2)], {"axis": 1, "p": 2}),
    record("L1 normalisation", ":LpNormalization", lambda x: F.normalize(x, p=1, dim=-1), [[3, 7]], {"axis": -1, "p": 1}),
    record("nearest, doubled", ":Resize", lambda x: F.interpolate(x, scale_factor=2), [[2, 2, 3, 4]], {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "axes": [2, 3], "scales": [2, 2]}),
    record("nearest, to odd sizes", ":Resize", lambda x: F.interpolate(x, size=(5, 3)), [[1, 2, 3, 4]], {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor", "axes": [2, 3], "sizes": [5, 3]}),
    record("bilinear, doubled", ":Resize", lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False), [[2, 2, 3, 4]], {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel", "axes": [2, 3], "scales": [2, 2]}),
    record("bilinear, smaller", ":Resize", lambda x: F.interpolate(x, size=(3, 1), mode="bilinear", align_corners=False), [[1, 2, 5, 6]], {"mode": "linear", "coordinate_transformation_mode": "half_pixel", "axes": [2, 3], "sizes": [3, 1]}),
    record("bilinear, corners aligned", ":Resize", lambda x: F.interpolate(x, size=(5, 7), mode="bilinear", align_corners=True), [[1, 2, 3, 4]], {"mode": "linear", "coordinate_transformation_mode": "align_corners", "axes": [2, 3], "sizes": [5, 7]}),
    record("linear, 1d", ":Resize", lambda x: F.interpolate(x, size=7, mode="linear", align_corners=False), [[2, 3, 4]], {"mode": "linear", "coordinate_transformation_mode": "pytorch_half_pixel", "axes": [2], "sizes": [7]}),
    record("bicubic", ":Resize", lambda x: F.interpolate(x, size=(5, 7), mode="bicubic", align_corners=False), [[1, 2, 4, 4]], {"mode": "cubic", "coordinate_transformation_mode": "pytorch_half_pixel", "axes": [2, 3], "sizes": [5, 7]}),
    record("pixel shuffle", ":DepthToSpace", lambda x: F.pixel_shuffle(x, 2), [[2, 8, 2, 3]], {"blocksize": 2, "mode": "CRD"}),
    record("reflection padding", ":Pad", lambda x: F.pad(x, (1, 2, 2, 0), mode="reflect"), [[1, 2, 3, 4]], {"mode": "reflect", "pads": [0, 0, 2, 1, 0, 0, 0, 2]}),
    record("replication padding", ":Pad", lambda x: F.pad(x, (1, 2, 2, 0), mode="replicate"), [[1, 2, 3, 4]], {"mode": "edge", "pads": [0, 0, 2, 1, 0, 0, 0, 2]}),
    record("circular padding", ":Pad", lambda x: F.pad(x, (1, 2, 2, 0), mode="circular"), [[1, 2, 3, 4]], {"mode": "wrap", "pads": [0, 0, 2, 1, 0, 0, 0, 2]}),
    record("negative padding", ":Pad", lambda x: F.pad(x, (-1, 2, 1, -2)), [[1, 2, 4, 4]], {"mode": "constant", "pads": [0, 0, 1, -1, 0, 0, -2, 2]}),
]
print("[\n" + ",\n".join("  " + json.dumps(case) for case in cases) + "\n]")
