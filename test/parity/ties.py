"""Records PyTorch's choices at kinks, ties and 0 * inf for packages/core/test/graph/ties.test.ts.

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
        "inputs": [{"shape": list(t.shape), "dtype": "bool" if t.dtype == torch.bool else "float32", "values": plain(t.detach().double().flatten().tolist())} for t in tensors],
        "dy": plain(torch.tensor(dy).flatten().tolist()),
        "gradients": [{"input": i, "values": plain(tensors[i].grad.flatten().tolist())} for i in wrt],
    }


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
]
print("[\n" + ",\n".join("  " + json.dumps(case) for case in cases) + "\n]")
