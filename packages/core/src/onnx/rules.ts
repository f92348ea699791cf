import { TuttiError } from "../errors/index.ts";
import {
  type Dim,
  isBatch,
  isFloat,
  normalizeAxis,
  type Op,
  operatorKey,
  operators,
  sameDim,
  type Tensor,
} from "../graph/index.ts";
import { compositions } from "./compositions.ts";
import { unsupported } from "./errors.ts";
import { fold, folds } from "./fold.ts";
import { Known } from "./known.ts";
import { applyTable } from "./node-table.ts";
import { NodeView, type Value } from "./node-view.ts";
import { withExplicitPads } from "./padding-rules.ts";
import { recurrent } from "./recurrent-rules.ts";
import { flatten, type ImportContext, reshape, shapeOf, sizeOf, slice, split, squeeze } from "./shape-rules.ts";

type Rule = (view: NodeView, context: ImportContext) => readonly Value[];

/** Operators of which the import needs to know more than the operator table says. */
const rules: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ["Constant", constant],
  ["ConstantOfShape", constantOfShape],
  ["Shape", shapeOf],
  ["Size", (view) => [sizeOf(view)]],
  ["Reshape", reshape],
  ["Flatten", flatten],
  ["Squeeze", squeeze],
  ["Slice", slice],
  ["Split", split],
  ["Pad", pad],
  ["Dropout", dropout],
  ["BatchNormalization", batchNormalization],
  ["OneHot", oneHot],
  ["Pow", pow],
  ["Resize", resize],
  ["RNN", recurrent("RNN")],
  ["GRU", recurrent("GRU")],
  ["LSTM", recurrent("LSTM")],
  ...["AveragePool", "Conv", "ConvTranspose", "MaxPool"].map(
    (type) => [type, (view: NodeView) => applyTable(withExplicitPads(view), tableOp(view, type))] as const,
  ),
  ["Range", range],
  ...[...compositions].map(([type, compose]) => [type, (view: NodeView) => [compose(view)]] as const),
  ...[
    "ReduceSum",
    "ReduceMean",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceSumSquare",
  ].map((type) => [type, reduce] as const),
]);

/**
 * What a node of a model (upgraded to opset 23) gives. Throws ONNX_UNSUPPORTED for what cannot be imported; GRAPH_INVALID,
 * SHAPE_MISMATCH and MIXES_SAMPLES.
 */
export function importNode(view: NodeView, context: ImportContext): readonly Value[] {
  const folded = view.inputCount > 0 ? fold(view) : undefined;
  if (folded !== undefined) return [folded];
  const rule = view.domain === "" ? rules.get(view.type) : undefined;
  if (rule !== undefined) return rule(view, context);
  const op = operators.get(operatorKey(view.domain, view.type));
  if (op !== undefined) return applyTable(view, op);
  throw unsupported(view.node, "is an operator that Tutti does not have", remedy);
}

const remedy =
  "export the model without it, cut the model before it with tensor(name) or replaceHead(name, module), or add the operator (packages/core/src/graph/README.md)";

/** True for an operator that an imported model may hold. */
export function isImportable(domain: string, type: string): boolean {
  return operators.has(operatorKey(domain, type)) || (domain === "" && (rules.has(type) || folds.has(type)));
}

/** An operator of ai.onnx that a rule builds on. */
function tableOp(view: NodeView, type: string): Op {
  const op = operators.get(operatorKey("", type));
  if (op === undefined) throw unsupported(view.node, "is an operator that Tutti does not have", remedy);
  return op;
}

/** Inputs that are not known are named. */
function range(view: NodeView): readonly Value[] {
  const bounds = ["start", "limit", "delta"].map((what, i) => view.known(i, what));
  const values = folds.get("Range")?.(bounds, view);
  if (values === undefined) throw new TuttiError("INTERNAL", "Range does not fold");
  return [values];
}

function constant(view: NodeView): readonly Value[] {
  const tensor = view.tensorAttribute("value");
  if (tensor !== undefined) return [Known.fromTensor(tensor)];
  for (const [name, dtype] of [
    ["value_float", "float32"],
    ["value_floats", "float32"],
    ["value_int", "int64"],
    ["value_ints", "int64"],
  ] as const) {
    const list = view.ints(name);
    if (list !== undefined) return [Known.of(dtype, name.endsWith("s") ? [list.length] : [], list)];
  }
  throw unsupported(
    view.node,
    `holds ${Object.keys(view.node.attributes).join(", ") || "nothing"}`,
    "expected numbers",
  );
}

function constantOfShape(view: NodeView): readonly Value[] {
  const filler = view.tensorAttribute("value");
  const value = filler === undefined ? Known.of("float32", [], [0]) : Known.fromTensor({ ...filler, shape: [] });
  const shape = view.known(0, "shape").items;
  const count = shape.reduce<number>((total, dim) => total * (isBatch(dim) ? Number.POSITIVE_INFINITY : dim), 1);
  if (count <= 65_536) return [Known.of(value.dtype, shape.map(Number), new Array<Dim>(count).fill(value.items[0]!))];
  return [value.toTensor(view.graph, view.at).expand(shape)];
}

function pad(view: NodeView): readonly Value[] {
  const x = view.tensor(0);
  const given = view.known(1, "pads").numbers(view.at);
  const axes =
    view.knownNumbers(3, "axes")?.map((axis) => normalizeAxis(axis, x.rank, view.at)) ?? x.shape.map((_, axis) => axis);
  if (given.length !== 2 * axes.length) {
    throw new TuttiError("SHAPE_MISMATCH", `${view.at}: ${given.length} pads for ${axes.length} axes`);
  }
  const pads = new Array<number>(2 * x.rank).fill(0);
  for (const [i, axis] of axes.entries()) {
    pads[axis] = given[i]!;
    pads[axis + x.rank] = given[i + axes.length]!;
  }
  // A negative pad takes entries away.
  let kept = x;
  for (const [axis, dim] of x.shape.entries()) {
    const [before, after] = [Math.max(0, -pads[axis]!), Math.max(0, -pads[axis + x.rank]!)];
    if (before + after > 0) kept = kept.slice(axis, before, isBatch(dim) ? undefined : dim - after);
  }
  const added = pads.map((size) => Math.max(0, size));
  if (added.every((size) => size === 0)) return [kept];
  const value = view.has(2) ? view.known(2, "constant_value").numbers(view.at)[0] : undefined;
  return view.graph.apply(tableOp(view, "Pad"), [kept], {
    mode: view.text("mode", "constant"),
    pads: added,
    ...(value !== undefined && { value }),
  });
}

function dropout(view: NodeView, { dropout: drops }: ImportContext): readonly Value[] {
  const x = view.tensor(0);
  const context = view.graph.context;
  const ratio = view.knownNumbers(1, "ratio")?.[0] ?? 0.5;
  if (!drops || context?.training !== true || ratio === 0) {
    return view.outputCount > 1 ? [x, view.graph.scalar(1, "bool").expand(x.shape)] : [x];
  }
  return [x.mul(context.bernoulli(view.graph, x.shape, 1 - ratio))];
}

/** With the statistics of the file: y = x·a + (bias − mean·a), a = scale/√(variance + ε), per channel (axis 1). */
function batchNormalization(view: NodeView): readonly Value[] {
  if (view.number("training_mode", 0) !== 0) {
    throw unsupported(view.node, "is in training mode", "export the model in evaluation mode (PyTorch: model.eval())");
  }
  if (view.number("spatial", 1) !== 1) throw unsupported(view.node, "has spatial = 0", "export the model again");
  const x = view.tensor(0);
  const [scale, bias, mean, variance] = [view.tensor(1), view.tensor(2), view.tensor(3), view.tensor(4)];
  const slope = scale.div(variance.add(view.number("epsilon", 1e-5)).sqrt());
  const perChannel = (tensor: Tensor): Tensor => tensor.reshape([-1, ...x.shape.slice(2).map(() => 1)]);
  return [x.mul(perChannel(slope)).add(perChannel(bias.sub(mean.mul(slope))))];
}

function oneHot(view: NodeView): readonly Value[] {
  const indices = view.tensor(0);
  const depth = view.known(1, "depth").numbers(view.at)[0]!;
  const values = view.known(2, "values");
  const [off, on] = values.numbers(view.at) as [number, number];
  const dtype = values.dtype === "int64" ? "int64" : "float32";
  const whole = indices.dtype === "int32" || indices.dtype === "int64" ? indices : indices.cast("int64");
  const hot = view.graph.apply(tableOp(view, "OneHot"), [whole], { axis: view.number("axis", -1), depth, dtype })[0]!;
  const scaled = on - off === 1 ? hot : hot.mul(on - off);
  return [(off === 0 ? scaled : scaled.add(off)).cast(values.dtype)];
}

/** The exponent may have another dtype than the base. */
function pow(view: NodeView): readonly Value[] {
  const [base, exponent] = [view.tensor(0), view.value(1)];
  if (exponent.dtype === base.dtype) return applyTable(view, tableOp(view, "Pow"));
  if (exponent instanceof Known && exponent.count === 1 && exponent.shape.length <= base.rank)
    return [base.pow(exponent.numbers(view.at)[0]!)];
  if (isFloat(base.dtype)) return [base.pow(view.tensor(1).cast(base.dtype))];
  return [base.cast("float64").pow(view.tensor(1).cast("float64")).cast(base.dtype)];
}

/** Axes that stay are left out: one of them may count samples. An empty list stands for one that is not given. */
function resize(view: NodeView): readonly Value[] {
  const x = view.tensor(0);
  const axes = view.ints("axes")?.map((axis) => normalizeAxis(axis, x.rank, view.at)) ?? x.shape.map((_, axis) => axis);
  const sizes = view.has(3) ? view.known(3, "sizes").items : [];
  const scales = sizes.length > 0 ? [] : (view.knownNumbers(2, "scales") ?? []);
  const given = sizes.length > 0 ? sizes : scales;
  if (given.length !== axes.length) {
    throw new TuttiError("SHAPE_MISMATCH", `${view.at}: ${given.length} sizes or scales for ${axes.length} axes`);
  }
  const changed = axes.flatMap((axis, i) => {
    const stays = sizes.length > 0 ? sameDim(sizes[i]!, x.shape[axis]!) : scales[i] === 1;
    return stays ? [] : [i];
  });
  if (changed.length === 0) return [x];
  const kept = Known.list(changed.map((i) => given[i]!)).numbers(view.at);
  const node = { ...view.node, inputs: view.node.inputs.slice(0, 1) };
  return applyTable(new NodeView(node, view.values), tableOp(view, "Resize"), {
    axes: changed.map((i) => axes[i]!),
    ...(sizes.length > 0 ? { sizes: kept } : { scales: kept }),
  });
}

/** No axes: all of them, or none (noop_with_empty_axes). */
function reduce(view: NodeView): readonly Value[] {
  const axes = view.knownNumbers(1, "axes") ?? [];
  if (axes.length === 0 && view.number("noop_with_empty_axes", 0) === 1) {
    if (view.type === "ReduceL1") return [view.tensor(0).abs()];
    if (view.type !== "ReduceSum" && !/^Reduce(Mean|Max|Min|Prod)$/.test(view.type)) {
      throw unsupported(view.node, "reduces no axis", "export the model without it");
    }
    return [view.tensor(0)];
  }
  const x = view.tensor(0);
  return view.graph.apply(tableOp(view, view.type), [x], {
    ...(axes.length > 0 && { axes: axes.map((axis) => normalizeAxis(axis, x.rank, view.at)).sort((a, b) => a - b) }),
    keepdims: view.number("keepdims", 1),
  });
}
