import { type ColumnType, type ColumnTypes, type Preparation, sampleWeightColumn } from "../data/index.ts";
import { isTuttiError, TuttiError } from "../errors/index.ts";
import { batch, batchAxis, Graph, resolveDim, shapeToString, type Tensor } from "../graph/index.ts";
import type { Metric } from "../metrics/index.ts";
import { type ModuleTree, type TraceRecord, traceContext } from "../nn/module-tree.ts";
import type { RunDefinition, StepResult } from "./definition.ts";
import { locationInside } from "./location.ts";
import { suggestion } from "./nearest.ts";
import { prepared } from "./prepared.ts";

/** What a step function built, N unknown. */
export interface Trace extends TraceRecord {
  readonly graph: Graph;
  readonly loss: Tensor;
  /** undefined: 1 for every entry of the loss. */
  readonly weight: Tensor | undefined;
  /** The column `weight` weighs samples: the step function has returned no weight of its own. */
  readonly isWeighted: boolean;
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly metrics: Readonly<Record<string, Metric>>;
}

/**
 * Runs the step function once on symbolic columns and checks what it returns.
 *
 * @param preparation of columns, which becomes part of the graph: its inputs are raw values.
 * @throws TuttiError with the place in the run file: SHAPE_MISMATCH, MIXES_SAMPLES, BAD_RUN_FILE, DATA_MISSING (a column).
 */
export function traceStep(
  definition: RunDefinition,
  tree: ModuleTree,
  columns: ColumnTypes,
  preparation: Preparation,
  training: boolean,
): Trace {
  const { context, record } = traceContext(tree, training);
  const graph = new Graph(context);
  for (const name of Object.keys(columns)) {
    if ([...tree.parameters, ...tree.buffers].some(({ path }) => path === name)) {
      throw new TuttiError(
        "BAD_RUN_FILE",
        `"${name}" names a column and a parameter; name the module: model: { net: … }`,
      );
    }
  }
  const tensors = Object.fromEntries(
    Object.entries(columns).map(([name, { dtype, shape }]) => [
      name,
      prepared(graph.input("column", name, { dtype, shape: [batch, ...shape] }), shape, preparation[name]),
    ]),
  );
  // What sampling draws rows by is in the batch already.
  const isDrawnBy = training && definition.plain.sampling?.weights === sampleWeightColumn;
  const column = isDrawnBy ? undefined : columns[sampleWeightColumn];
  const result = checkResult(graph, callStepFunction(definition, refusingUnknown(tensors), training), column);
  return { ...result, ...record };
}

/** The frame under this function's is the run file's. */
function callStepFunction(
  definition: RunDefinition,
  columns: Readonly<Record<string, Tensor>>,
  training: boolean,
): StepResult {
  try {
    return definition.step(columns, { training });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const place = locationInside(error, "callStepFunction");
    const where = place === undefined ? "" : ` (${place})`;
    const code = isTuttiError(error) ? error.code : "BAD_RUN_FILE";
    const message = isTuttiError(error) ? error.message : `the step function failed: ${error.message}`;
    throw new TuttiError(code, `${message}${where}`, isTuttiError(error) ? error.details : {}, { cause: error });
  }
}

/** Run files are not type-checked when they are loaded: a misspelt column must not be a silent undefined. */
function refusingUnknown(tensors: Record<string, Tensor>): Readonly<Record<string, Tensor>> {
  return new Proxy(tensors, {
    get(target, name) {
      if (typeof name === "symbol" || Object.hasOwn(target, name)) return Reflect.get(target, name);
      throw new TuttiError(
        "DATA_MISSING",
        `the data has no column "${name}"; ${suggestion(name, Object.keys(target))}`,
      );
    },
  });
}

const known = ["loss", "weight", "outputs", "metrics"];

function checkResult(
  graph: Graph,
  result: StepResult,
  weightColumn: ColumnType | undefined,
): Omit<Trace, keyof TraceRecord> {
  if (typeof result !== "object" || result === null || !isTensorOf(graph, result.loss)) {
    throw new TuttiError("BAD_RUN_FILE", "step: expected it to return { loss, … } with a tensor made from its columns");
  }
  const unknown = Object.keys(result).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new TuttiError("BAD_RUN_FILE", `step: returned an unknown "${unknown}"; ${suggestion(unknown, known)}`);
  }
  const { loss, outputs = {}, metrics = {} } = result;
  checkLoss(loss);
  const isWeighted = result.weight === undefined && weightColumn !== undefined;
  const weight = isWeighted ? weightOfSamples(graph, weightColumn, loss) : (result.weight ?? loss.lossWeight);
  if (weight !== undefined) checkWeight(graph, weight, loss);
  for (const [name, output] of Object.entries(outputs)) {
    if (!isTensorOf(graph, output)) throw new TuttiError("BAD_RUN_FILE", `outputs.${name}: expected a tensor`);
    if (graph.inputs.has(name)) {
      throw new TuttiError(
        "BAD_RUN_FILE",
        `outputs.${name}: the name is that of a column or parameter; choose another`,
      );
    }
  }
  for (const [name, metric] of Object.entries(metrics)) checkMetric(graph, name, metric);
  return { graph, loss, weight, isWeighted, outputs, metrics };
}

function checkLoss(loss: Tensor): void {
  const found = `${loss.dtype}${shapeToString(loss.shape)}`;
  if (loss.rank === 0) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `loss: expected one value per sample, float32[N], found a single one: drop .mean() or .sum(); Tutti averages over the global batch`,
    );
  }
  if (batchAxis(loss.shape) !== 0 || loss.dtype !== "float32") {
    throw new TuttiError("SHAPE_MISMATCH", `loss: expected float32 with samples on the first axis, found ${found}`);
  }
}

/** The column `weight`, once for each entry that a sample has in the loss, times the loss's own weight. */
function weightOfSamples(graph: Graph, { dtype, shape }: ColumnType, loss: Tensor): Tensor {
  if (dtype !== "float32" || shape.length > 0) {
    throw new TuttiError(
      "DATA_INVALID",
      `column "${sampleWeightColumn}": expected the weight of a sample, one float32 number a row, found ${dtype}[${shape.join(",")}]; if it is something else, give it another name or return a weight from step`,
      { column: sampleWeightColumn },
    );
  }
  const column = graph.tensor(graph.inputs.get(sampleWeightColumn)!);
  return graph.withScope("weight", () => {
    const entries = loss.shape[0]!;
    const perSample = resolveDim(entries, 1);
    const spread = perSample === 1 ? column : column.reshape([batch, 1]).expand([batch, perSample]);
    const weight = spread.reshape([entries, ...loss.shape.slice(1).map(() => 1)]);
    return loss.lossWeight === undefined ? weight : loss.lossWeight.mul(weight);
  });
}

function checkWeight(graph: Graph, weight: Tensor, loss: Tensor): void {
  if (!isTensorOf(graph, weight)) throw new TuttiError("BAD_RUN_FILE", "weight: expected a tensor");
  // Throws when they do not broadcast; must not make the loss larger.
  const product = graph.withScope("weight", () => loss.mul(weight.withLossWeight(loss.lossWeight)));
  if (shapeToString(product.shape) !== shapeToString(loss.shape)) {
    throw new TuttiError(
      "SHAPE_MISMATCH",
      `weight: expected a shape that broadcasts to the loss's ${shapeToString(loss.shape)}, found ${shapeToString(weight.shape)}`,
    );
  }
}

function checkMetric(graph: Graph, name: string, metric: Metric): void {
  if (!/^[\w.-]+$/.test(name) || name === "loss") {
    throw new TuttiError(
      "BAD_RUN_FILE",
      `metrics.${name}: expected another name (letters, digits, "_", "-", "."; not "loss")`,
    );
  }
  const isOurs =
    typeof metric === "object" &&
    (metric.kind === "collect"
      ? Object.values(metric.columns).every((column) => isTensorOf(graph, column))
      : metric.kind === "sums" && isTensorOf(graph, metric.perSample));
  if (!isOurs) {
    throw new TuttiError(
      "BAD_RUN_FILE",
      `metrics.${name}: expected a metric, such as metrics.accuracy(logits, labels)`,
    );
  }
  if (metric.kind === "collect") {
    for (const [column, { dtype, shape }] of Object.entries(metric.columns)) {
      if (batchAxis(shape) === 0) continue;
      const found = `${dtype}${shapeToString(shape)}`;
      throw new TuttiError(
        "SHAPE_MISMATCH",
        `metrics.${name}: ${column}: expected samples on the first axis, found ${found}`,
      );
    }
    return;
  }
  const { perSample, length } = metric;
  const fits = perSample.rank === 1 ? length === 1 : perSample.rank === 2 && perSample.shape[1] === length;
  if (!fits || batchAxis(perSample.shape) !== 0 || perSample.dtype !== "float32") {
    const found = `${perSample.dtype}${shapeToString(perSample.shape)}`;
    throw new TuttiError("SHAPE_MISMATCH", `metrics.${name}: expected float32[N,${length}], found ${found}`);
  }
}

function isTensorOf(graph: Graph, value: unknown): value is Tensor {
  return typeof value === "object" && value !== null && "graph" in value && value.graph === graph;
}
