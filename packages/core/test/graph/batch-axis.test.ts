import { batch, Graph, operators, type Shape, type Tensor } from "@tutti/core/graph";
import { describe, expect, test } from "vitest";

const twice = { timesN: 2 };

function traced(): { graph: Graph; input: (shape: Shape, dtype?: "float32" | "int64") => Tensor } {
  const graph = new Graph();
  let count = 0;
  return { graph, input: (shape, dtype = "float32") => graph.input("column", `x${count++}`, { dtype, shape }) };
}

describe("operators that would mix samples are refused:", () => {
  const refusals: Record<string, (input: ReturnType<typeof traced>["input"], graph: Graph) => unknown> = {
    "sum over the batch axis": (input) => input([batch, 3]).sum(0),
    "mean over everything": (input) => input([batch, 3]).mean(),
    "max over the batch axis": (input) => input([batch, 3]).max(0),
    "min over a moved batch axis": (input) => input([batch, 3]).transpose().min(-1),
    "argmax over the batch axis": (input) => input([batch, 3]).argmax(0),
    "softmax over the batch axis": (input) => input([batch, 3]).softmax(0),
    "log-softmax over the batch axis": (input) => input([3, batch]).logSoftmax(),
    "matmul that contracts the batch axis": (input) => input([3, batch]).matmul(input([batch, 4])),
    "matmul of samples by samples": (input) => input([batch, 3]).matmul(input([batch, 3]).transpose()),
    "matmul of rows of samples by a batch of matrices": (input) => input([batch, 3]).matmul(input([batch, 3, 4])),
    "gemm that contracts the batch axis": (input) => input([batch, 3]).gemm(input([batch, 4]), { transA: true }),
    "fused matmul that contracts the batch axis": (input, graph) =>
      graph.apply(operators.get("com.microsoft:FusedMatMul")!, [input([batch, 3]), input([batch, 4])], { transA: 1 }),
    "broadcasting of samples against samples": (input) => input([batch, 1]).sub(input([batch])),
    "where over two batch axes": (input) =>
      input([batch, 1])
        .greater(0)
        .where(input([1]), input([batch])),
    "reshape with samples inside": (input) => input([batch, 4]).transpose().reshape([-1]),
    "reshape that moves the batch axis": (input) => input([batch, 4]).reshape([4, batch]),
    "reshape that splits samples across the batch axis": (input) => input([batch, 4]).reshape([2, twice]),
    "gather of samples": (input) => input([batch, 4]).gather(input([3], "int64"), 0),
    "gather for each sample from each sample": (input) => input([batch, 4]).gather(input([batch], "int64"), 1),
    "gatherElements along the batch axis": (input) => input([batch, 4]).gatherElements(input([batch, 4], "int64"), 0),
    "slice of the batch axis": (input) => input([batch, 4]).slice(0, 0, 1),
    "concat along the batch axis": (input) => input([batch, 4]).concat([input([batch, 4])], 0),
    "pad of the batch axis": (input, graph) =>
      graph.apply(operators.get(":Pad")!, [input([batch, 4])], { mode: "constant", pads: [1, 0, 0, 0] }),
    "product over the batch axis": (input) => input([batch, 3]).prod(0),
    "length over the batch axis": (input) => input([batch, 3]).l2([0, 1]),
    "log-sum-exp over everything": (input) => input([batch, 3]).logSumExp(),
    "argmin over the batch axis": (input) => input([batch, 3]).argmin(0),
    "running sums over the batch axis": (input) => input([batch, 3]).cumsum(0),
    "top-k of samples": (input) => input([batch, 3]).topK(1, 0),
    "split of the batch axis": (input) => input([batch, 3]).split(2),
    "tiles of the batch axis": (input) => input([batch, 3]).tile([2, 1]),
    "a triangle of samples": (input) => input([3, batch]).triu(),
    "einsum that sums over samples": (input) => input([batch, 3]).einsum("bi,bj->ij", [input([batch, 4])]),
    "einsum of samples by samples": (input) => input([batch, 3]).einsum("bi,ci->bc", [input([batch, 3])]),
    "gatherND of samples": (input) => input([batch, 4]).gatherND(input([3, 1], "int64")),
    "gatherND for each sample from a part of each": (input) => input([4, batch]).gatherND(input([batch, 1], "int64")),
    "cross entropy's mean": (input, graph) =>
      graph.apply(operators.get(":SoftmaxCrossEntropyLoss")!, [input([batch, 4]), input([batch], "int64")]),
    "recurrence along samples": (input, graph) =>
      graph.apply(operators.get(":RNN")!, [input([batch, 5, 3]), input([1, 4, 3]), input([1, 4, 4])], {
        hidden_size: 4,
      }),
    "scatter of samples' rows into one table": (input, graph) =>
      graph.apply(operators.get(":ScatterND")!, [input([5, 4]), input([batch, 1], "int64"), input([batch, 4])], {
        reduction: "add",
      }),
    "scatter of elements along the batch axis": (input, graph) =>
      graph.apply(
        operators.get(":ScatterElements")!,
        [input([batch, 4]), input([batch, 4], "int64"), input([batch, 4])],
        { axis: 0, reduction: "add" },
      ),
  };
  for (const [name, make] of Object.entries(refusals)) {
    test(name, () => {
      const { graph, input } = traced();
      expect(() => graph.withScope("model.fc2", () => make(input, graph))).toThrow(
        expect.objectContaining({ code: "MIXES_SAMPLES", message: expect.stringMatching(/^\w+ at model\.fc2: .*N/) }),
      );
    });
  }

  test("the message says what to do", () => {
    const { input } = traced();
    expect(() => input([batch, 10]).mean()).toThrow("mean: reduces axis 0 of [N,10], which counts samples");
    expect(() => input([batch, 10]).mean()).toThrow("drop .mean()");
    expect(() => input([batch, 1]).add(input([batch]))).toThrow(
      "[N,1] and [N]; give both the batch axis at the same place",
    );
  });
});

describe("operators that keep samples apart are let through:", () => {
  const allowed: Record<string, [(input: ReturnType<typeof traced>["input"]) => Tensor, Shape]> = {
    "merging the axes after the batch axis into it": [(input) => input([batch, 2, 3]).reshape([-1]), [{ timesN: 6 }]],
    "merging some of them": [(input) => input([batch, 2, 3]).reshape([-1, 3]), [twice, 3]],
    "splitting 2N": [(input) => input([twice, 3]).reshape([batch, -1]), [batch, 6]],
    "a batch axis in the middle": [(input) => input([5, batch, 2]).reshape([5, -1]), [5, twice]],
    "splitting the axes before it": [(input) => input([6, batch]).reshape([2, 3, batch]), [2, 3, batch]],
    "moving it": [(input) => input([batch, 3]).transpose(), [3, batch]],
    "picking rows of a table for each sample": [
      (input) => input([9, 4]).gather(input([batch, 7], "int64")),
      [batch, 7, 4],
    ],
    "picking columns of each sample": [(input) => input([batch, 4]).gather(input([2], "int64"), 1), [batch, 2]],
    "one entry of each sample": [(input) => input([batch, 4]).gatherElements(input([batch, 1], "int64")), [batch, 1]],
    "a product for each sample": [(input) => input([batch, 2, 3]).matmul(input([batch, 3, 4])), [batch, 2, 4]],
    "cross entropy of each sample": [
      (input) =>
        input([batch]).graph.apply(
          operators.get(":SoftmaxCrossEntropyLoss")!,
          [input([batch, 4]), input([batch], "int64")],
          { reduction: "none" },
        )[0]!,
      [batch],
    ],
    "einsum within each sample": [
      (input) => input([batch, 2, 3]).einsum("bij,bkj->bik", [input([batch, 5, 3])]),
      [batch, 2, 5],
    ],
    "entries of each sample by its index tuples": [
      (input) =>
        input([batch]).graph.apply(operators.get(":GatherND")!, [input([batch, 4]), input([batch, 1], "int64")], {
          batch_dims: 1,
        })[0]!,
      [batch],
    ],
    "one-hot labels": [(input) => input([batch], "int64").oneHot(10), [batch, 10]],
  };
  for (const [name, [make, shape]] of Object.entries(allowed)) {
    test(name, () => expect(make(traced().input).shape).toEqual(shape));
  }
});
