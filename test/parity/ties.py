"""Records PyTorch's choices at kinks, ties and 0 * inf for packages/core/test/graph/ties.parity.test.ts.

Run: python3 test/parity/ties.py > packages/core/test/graph/ties.json   (torch 1.13; then format: npx biome check --write packages/core/test/graph)
"""
import json
import math

import torch

inf, nan = math.inf, math.nan


def plain(value):
    if isinstance(value, list):
        return [plain(item) for item in value]
    if value != value:
        return "NaN"
    return {inf: "Infinity", -inf: "-Infinity"}.get(value, value)


dtypes = {torch.bool: "bool", torch.int64: "int64", torch.float32: "float32"}


def record(name, op, function, inputs, dy, attributes=None, wrt=None):
    tensors = [torch.tensor(x) for x in inputs]
    wrt = [i for i, x in enumerate(tensors) if x.is_floating_point()] if wrt is None else wrt
    for i in wrt:
        tensors[i].requires_grad_(True)
    y = function(*tensors)
    y.backward(torch.tensor(dy).reshape(y.shape))
    return {
        "name": name,
        "op": op,
        "attributes": attributes or {},
        "inputs": [{"shape": list(t.shape), "dtype": dtypes[t.dtype], "values": plain(t.detach().double().flatten().tolist())} for t in tensors],
        "dy": plain(torch.tensor(dy).flatten().tolist()),
        "gradients": [{"input": i, "values": plain(tensors[i].grad.flatten().tolist())} for i in wrt],
    }


def each(name, op, function, values, attributes=None):
    """A function of one number, with a gradient of 1 at each of its interesting points."""
    return record(name, op, function, [values], [1.0] * len(values), attributes)


def amax(name, index, reduce, mode, source):
    """scatter_reduce along axis 0 of a matrix of one column."""
    data = [[2.0], [5.0], [0.0], [-1.0]]
    return record(name, ":ScatterElements", lambda d, i, u: d.scatter_reduce(0, i, u, reduce), [data, index, source], [1.0, 2.0, 3.0, 4.0], {"axis": 0, "reduction": mode}, wrt=[0, 2])


F = torch.nn.functional
kinks = [-inf, -1.0, -0.0, 0.0, 1e-40, 1.0, inf, nan]
ones = [1.0] * 8
zero_inf = [0.0, 0.0, inf, -1.0]
tied = [[1.0, 3.0, 3.0, -2.0], [-5.0, -5.0, -5.0, -5.0], [0.0, -0.0, -1.0, -1.0]]
rows = [1.0, 2.0, -3.0]
cases = [
    record("relu at its kink", ":Relu", torch.relu, [kinks], ones),
    record("relu with an infinite gradient behind a closed gate", ":Relu", torch.relu, [[-1.0, 0.0, 1.0, 2.0]], [inf, nan, inf, -inf]),
    record("abs at its kink", ":Abs", torch.abs, [kinks[:-1]], ones[:-1]),
    record("sqrt at 0", ":Sqrt", torch.sqrt, [[0.0, 4.0, inf]], [1.0, 1.0, 1.0]),
    record("log at 0", ":Log", torch.log, [[0.0, 1.0, inf]], [1.0, 1.0, 1.0]),
    record("pow of and by 0", ":Pow", torch.pow, [[0.0, 0.0, 0.0, 2.0, -2.0, -2.0, 0.0], [0.0, 2.0, 1.0, 0.0, 2.0, 0.0, 0.5]], [1.0] * 7),
    record("pow by the constant 0.5 at 0", ":Pow", lambda x, e: torch.pow(x, 0.5), [[0.0, 4.0], 0.5], [1.0, 1.0], wrt=[0]),
    record("division by 0", ":Div", torch.div, [[1.0, 0.0, -1.0], [0.0, 2.0, inf]], [1.0, 1.0, 1.0]),
    record("where selects and does not multiply", ":Where", torch.where, [[True, False, True, False], [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]], [inf, nan, -inf, inf]),
    record("max shares among ties along the last axis", ":ReduceMax", lambda x: torch.amax(x, 1), [tied], rows, {"axes": [1], "keepdims": 0}),
    record("max shares among ties over all axes", ":ReduceMax", lambda x: torch.amax(x, (0, 1)), [tied], [1.0], {"axes": [0, 1], "keepdims": 0}),
    record("min shares among ties along the last axis", ":ReduceMin", lambda x: torch.amin(x, 1), [tied], rows, {"axes": [1], "keepdims": 0}),
    record("min shares among ties along the first axis", ":ReduceMin", lambda x: torch.amin(x, 0), [tied], [1.0, 2.0, 3.0, 4.0], {"axes": [0], "keepdims": 0}),
    record("sigmoid saturates", ":Sigmoid", torch.sigmoid, [[-inf, -200.0, 0.0, 200.0, inf]], [1.0] * 5),
    record("tanh saturates", ":Tanh", torch.tanh, [[-inf, -200.0, 0.0, 200.0, inf]], [1.0] * 5),
    record("softmax of a masked row", ":Softmax", lambda x: torch.softmax(x, 1), [[[0.0, -inf, 1.0], [1e4, 0.0, -1e4]]], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0], {"axis": 1}),
    record("log-softmax of a masked row", ":LogSoftmax", lambda x: torch.log_softmax(x, 1), [[[0.0, -inf, 1.0], [100.0, 0.0, -100.0]]], [1.0, 0.0, 3.0, 4.0, 5.0, 6.0], {"axis": 1}),
    each("leaky relu at its kink", ":LeakyRelu", lambda x: F.leaky_relu(x, 0.25), kinks, {"alpha": 0.25}),
    each("thresholded relu at its kink", ":ThresholdedRelu", lambda x: F.threshold(x, 1.0, 0.0), kinks, {"alpha": 1.0}),
    each("elu at its kink and where it saturates", ":Elu", lambda x: F.elu(x, 2.0), kinks + [-200.0, 200.0, -10.0], {"alpha": 2.0}),
    each("celu at its kink and where it saturates", ":Celu", lambda x: F.celu(x, 2.0), kinks + [-200.0, 200.0, -10.0], {"alpha": 2.0}),
    each("selu at its kink and where it saturates", ":Selu", F.selu, kinks + [-200.0, 200.0, -10.0]),
    record("prelu at its kink", ":PRelu", F.prelu, [[kinks[1:-2]], [0.25] * 5], [[1.0, 2.0, 3.0, 4.0, 5.0]]),
    each("softplus saturates", ":Softplus", F.softplus, [-inf, -200.0, -10.0, 0.0, 10.0, 25.0, 200.0, inf]),
    each("softsign at its kink", ":Softsign", F.softsign, [-1e30, -1.0, -0.0, 0.0, 1.0, 1e30]),
    each("hard sigmoid at its kinks", ":HardSigmoid", F.hardsigmoid, [-inf, -4.0, -3.0, -1.0, 0.0, 3.0, 4.0, inf], {"alpha": 1 / 6, "beta": 0.5}),
    each("hard swish at its kinks", ":HardSwish", F.hardswish, [-inf, -4.0, -3.0, -1.0, 0.0, 3.0, 4.0, inf]),
    each("gelu far from 0", ":Gelu", F.gelu, [-200.0, -14.0, 0.0, 5.0, 14.0, 200.0]),
    each("gelu by tanh far from 0", ":Gelu", lambda x: F.gelu(x, approximate="tanh"), [-200.0, -14.0, 0.0, 5.0, 14.0, 200.0], {"approximate": "tanh"}),
    each("mish far from 0", ":Mish", F.mish, [-50.0, -10.0, -1.0, 0.0, 10.0, 25.0, 200.0]),
    each("erf saturates", ":Erf", torch.erf, [-inf, -9.0, 0.0, 9.0, inf]),
    each("reciprocal at 0 and infinity", ":Reciprocal", torch.reciprocal, [-inf, -0.0, 0.0, 2.0, inf]),
    record("clamp at its bounds", ":Clip", torch.clamp, [[-2.0, -1.0, 0.0, 1.0, 2.0, inf, -inf], -1.0, 1.0], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]),
    record("clamp between equal bounds", ":Clip", torch.clamp, [[0.5, 1.0, 2.0], 1.0, 1.0], [1.0, 2.0, 4.0]),
    record("clamp between crossed bounds", ":Clip", torch.clamp, [[0.5, 1.0, 2.0], 1.0, -1.0], [1.0, 2.0, 4.0]),
    record("clamp stops the gradient of outer values, even an infinite one", ":Clip", lambda x, a, b: torch.clamp(x, -1.0, 1.0), [[-2.0, 0.5, 2.0], -1.0, 1.0], [inf, inf, nan], wrt=[0]),
    record("maximum of two shares among ties", ":Max", torch.maximum, [[1.0, 2.0, 3.0, inf, 0.0], [1.0, 3.0, 2.0, inf, -0.0]], [1.0, 2.0, 3.0, 4.0, 5.0]),
    record("minimum of two shares among ties", ":Min", torch.minimum, [[1.0, 2.0, 3.0, inf, 0.0], [1.0, 3.0, 2.0, inf, -0.0]], [1.0, 2.0, 3.0, 4.0, 5.0]),
    record("maximum of three shares among ties as amax", ":Max", lambda *x: torch.stack(x).amax(0), [[1.0, 2.0, 3.0], [1.0, 2.0, 4.0], [1.0, 0.0, 4.0]], [1.0, 2.0, 3.0]),
    record("minimum of three shares among ties as amin", ":Min", lambda *x: torch.stack(x).amin(0), [[1.0, 2.0, 3.0], [1.0, 2.0, 4.0], [1.0, 3.0, 4.0]], [1.0, 2.0, 3.0]),
    record("the loser of a maximum stops an infinite gradient", ":Max", torch.maximum, [[1.0, 2.0], [2.0, 1.0]], [inf, inf]),
    record("remainder towards zero", ":Mod", torch.fmod, [[5.0, -5.0, 5.0, -5.0, 6.0], [3.0, 3.0, -3.0, -3.0, 3.0]], [1.0, 2.0, 3.0, 4.0, 5.0], {"fmod": 1}),
    record("prod with zeros", ":ReduceProd", lambda x: x.prod(1), [[[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [2.0, 4.0, 3.0]]], rows, {"axes": [1], "keepdims": 0}),
    record("absolute sum at 0", ":ReduceL1", lambda x: x.norm(1, 1), [[[2.0, 0.0, -3.0], [0.0, -0.0, 0.0]]], [1.0, 2.0], {"axes": [1], "keepdims": 0}),
    record("length at 0", ":ReduceL2", lambda x: x.norm(2, 1), [[[2.0, 0.0, -3.0], [0.0, -0.0, 0.0]]], [1.0, 2.0], {"axes": [1], "keepdims": 0}),
    record("logsumexp of far and masked values", ":ReduceLogSumExp", lambda x: x.logsumexp(1), [[[1000.0, 0.0, -inf], [-1000.0, -1001.0, -1002.0]]], [1.0, 2.0], {"axes": [1], "keepdims": 0}),
    amax("scatter max shares among ties", [[0], [0], [1], [2], [3]], "amax", "max", [[2.0], [2.0], [1.0], [3.0], [-1.0]]),
    amax("scatter min shares among ties", [[0], [0], [1], [2], [3]], "amin", "min", [[2.0], [2.0], [1.0], [3.0], [-1.0]]),
    amax("scatter mul with zeros", [[0], [0], [1], [1], [3]], "prod", "mul", [[0.0], [3.0], [0.0], [0.0], [5.0]]),
    record("cross entropy of far and masked scores", ":SoftmaxCrossEntropyLoss", lambda x, y: F.cross_entropy(x, y, reduction="sum", ignore_index=1), [[[1000.0, 0.0, -inf], [0.0, 0.0, 0.0], [5.0, -inf, 3.0]], [0, 1, 2]], 2.0, {"reduction": "sum", "ignore_index": 1}, wrt=[0]),
    record("top-k", ":TopK", lambda x: torch.topk(x, 2, 1)[0], [[[3.0, 1.0, 2.0], [-1.0, -5.0, -2.0]]], [[1.0, 2.0], [3.0, 4.0]], {"axis": 1, "k": [2]}),
]
print("[\n" + ",\n".join("  " + json.dumps(case) for case in cases) + "\n]")
