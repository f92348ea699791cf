import { isTuttiError } from "@tutti/core/errors";
import {
  Graph,
  gradients,
  isFloat,
  type OnnxTensor,
  type Tensor,
  type TypedValues,
  writeOnnx,
} from "@tutti/core/graph";
import { moduleTree, traceContext } from "@tutti/core/nn";
import { onnx } from "@tutti/core/onnx";
import { Tensor as EngineTensor, InferenceSession } from "onnxruntime-node";
import type { BackendCase } from "./backend-case.ts";

/** What became of a test model. */
export type Outcome =
  | { readonly kind: "agrees"; readonly gradients: "checked" | "none" | { readonly without: string } }
  | { readonly kind: "unsupported"; readonly code: string; readonly reason: string }
  /** Our graph gives what ONNX Runtime gives for the file itself, which is not what was recorded. */
  | { readonly kind: "engine"; readonly why: string }
  | { readonly kind: "differs"; readonly why: string };

const tolerance = { relative: 1e-5, absolute: 1e-6 };

/**
 * Imports a test model, writes it with our writer, runs that in ONNX Runtime and compares with the recorded outputs; then
 * holds the gradients of a weighted sum of its float outputs against finite differences of the same graph.
 */
export async function checkCase(item: BackendCase): Promise<Outcome> {
  const evaluated = await checkTrace(item, false);
  // The trace for training differs: it unrolls recurrent operators.
  return evaluated.kind === "agrees" ? checkTrace(item, true) : evaluated;
}

async function checkTrace(item: BackendCase, training: boolean): Promise<Outcome> {
  let built: Built;
  try {
    built = build(item, training);
  } catch (error) {
    if (!isTuttiError(error)) throw error;
    return { kind: "unsupported", code: error.code, reason: error.message };
  }
  const open = (outputs: Readonly<Record<string, Tensor>>): Promise<Runner> => openGraph(built, outputs);
  const run = await open(built.outputs);
  const results = await run(built.feeds);
  for (const expected of built.expected) {
    const found = results[expected.name];
    const why = found === undefined ? "is missing" : difference(found, expected);
    if (why === undefined) continue;
    const own = await engineResult(item, expected.name.replace("result:", ""));
    if (own !== undefined && found !== undefined && difference(found, { ...expected, values: own }) === undefined) {
      return { kind: "engine", why: `the engine itself, run on the file, ${why}` };
    }
    return { kind: "differs", why: `output ${expected.name} ${why}` };
  }
  return training ? checkGradients(built, open) : { kind: "agrees", gradients: "none" };
}

interface Built {
  readonly graph: Graph;
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly expected: readonly OnnxTensor[];
  readonly feeds: Readonly<Record<string, TypedValues>>;
}

/** Imports with every input fed, but for those that must be known to give the shapes: they are fixed to the recorded values. */
function build(item: BackendCase, training: boolean): Built {
  const { file, inputs, outputs } = item.read();
  const initializers = new Set(file.initializers.map(({ name }) => name));
  const fed = file.inputs.filter(({ name }) => !initializers.has(name));
  const recorded = new Map(fed.flatMap(({ name }, i) => (inputs[i] === undefined ? [] : [[name, inputs[i]] as const])));
  const fixed: Record<string, { value: readonly number[]; shape: readonly number[] }> = {};
  for (;;) {
    const names = file.outputs.map(({ name }) => name);
    const model = onnx.load(item.bytes, { inputs: fixed, outputs: names }).tensors(names);
    const graph = new Graph(traceContext(moduleTree(model), training).context);
    const columns = Object.fromEntries(
      model.inputs.map(({ name }) => {
        const { dtype, shape } = recorded.get(name)!;
        return [name, graph.input("column", name, { dtype, shape })];
      }),
    );
    try {
      const made = model(columns);
      const feeds = Object.fromEntries([...recorded].map(([name, { values }]) => [name, values]));
      for (const { path, spec } of moduleTree(model).parameters)
        if (spec.init.kind === "values") feeds[path] = spec.init.data;
      const expected = file.outputs.flatMap(({ name }, i) =>
        outputs[i] === undefined ? [] : [{ ...outputs[i], name: `result:${name}` }],
      );
      return {
        graph,
        outputs: Object.fromEntries(Object.entries(made).map(([name, tensor]) => [`result:${name}`, tensor])),
        expected,
        feeds,
      };
    } catch (error) {
      const name = isTuttiError(error) ? error.details.needsConstant : undefined;
      const tensor = typeof name === "string" && !(name in fixed) ? recorded.get(name) : undefined;
      if (typeof name !== "string" || tensor === undefined) throw error;
      fixed[name] = { value: Array.from(tensor.values, Number), shape: tensor.shape };
    }
  }
}

type Runner = (feeds: Readonly<Record<string, TypedValues>>) => Promise<Readonly<Record<string, TypedValues>>>;

async function openGraph({ graph }: Built, outputs: Readonly<Record<string, Tensor>>): Promise<Runner> {
  const bytes = writeOnnx(graph, { outputs, opset: 23, name: "case" });
  const session = await InferenceSession.create(bytes, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
  });
  return async (feeds) => {
    const tensors = session.inputNames.map((name) => {
      const { dtype, shape } = graph.value(graph.inputs.get(name) ?? -1).type;
      return [name, new EngineTensor(dtype, feeds[name]!, shape.map(Number))] as const;
    });
    const results = await session.run(Object.fromEntries(tensors));
    return Object.fromEntries(
      Object.entries(results).map(([name, { data }]) => {
        if (!ArrayBuffer.isView(data)) throw new Error(`${name} is no numeric tensor`);
        return [name, data as TypedValues];
      }),
    );
  };
}

/** What ONNX Runtime makes of the file as it is; undefined when it cannot run it. */
async function engineResult(item: BackendCase, output: string): Promise<TypedValues | undefined> {
  const { file, inputs } = item.read();
  const initializers = new Set(file.initializers.map(({ name }) => name));
  const fed = file.inputs.filter(({ name }) => !initializers.has(name));
  const session = await InferenceSession.create(item.bytes, { intraOpNumThreads: 1, logSeverityLevel: 4 });
  const feeds = fed.map(
    ({ name }, i) => [name, new EngineTensor(inputs[i]!.dtype, inputs[i]!.values, inputs[i]!.shape)] as const,
  );
  const { [output]: result } = await session.run(Object.fromEntries(feeds));
  return result !== undefined && ArrayBuffer.isView(result.data) ? (result.data as TypedValues) : undefined;
}

function difference(found: TypedValues, { values, dtype }: OnnxTensor): string | undefined {
  if (found.length !== values.length) return `has ${found.length} entries, expected ${values.length}`;
  for (let i = 0; i < values.length; i++) {
    const [a, b] = [Number(found[i]), Number(values[i])];
    if (Object.is(a, b) || a === b) continue;
    const allowed = isFloat(dtype) ? tolerance.absolute + tolerance.relative * Math.abs(b) : 0;
    if (!(Math.abs(a - b) <= allowed)) return `entry ${i} is ${a}, expected ${b}`;
  }
  return undefined;
}

const step = 2 ** -6;

async function checkGradients(
  built: Built,
  open: (outputs: Readonly<Record<string, Tensor>>) => Promise<Runner>,
): Promise<Outcome> {
  const { graph, outputs, feeds } = built;
  const floats = Object.entries(outputs).filter(([, tensor]) => tensor.dtype === "float32");
  const wrt = [...graph.inputs].flatMap(([name, id]) =>
    graph.value(id).type.dtype === "float32" ? [[name, graph.tensor(id)] as const] : [],
  );
  const terms = floats.map(([, y], k) =>
    y.mul(graph.constant(weights(count(y), k), y.shape.map(Number), "float32")).sum(),
  );
  if (terms.length === 0 || wrt.length === 0) return { kind: "agrees", gradients: "none" };
  let found: readonly (Tensor | null)[];
  try {
    found = gradients(
      terms.reduce((a, b) => a.add(b)),
      wrt.map(([, tensor]) => tensor),
    );
  } catch (error) {
    if (isTuttiError(error) && error.code === "NO_GRADIENT")
      return { kind: "agrees", gradients: { without: error.message } };
    throw error;
  }
  const checked = wrt.flatMap(([name], i) => (found[i] === null ? [] : [{ name, tensor: found[i]! }]));
  if (checked.length === 0) return { kind: "agrees", gradients: "none" };
  const run = await open({
    ...outputs,
    ...Object.fromEntries(checked.map(({ name, tensor }) => [`gradient:${name}`, tensor])),
  });
  const analytic = await run(feeds);
  /** Σ w·y in float64, of the float32 outputs. */
  const loss = async (name: string, moved: Float32Array): Promise<number> => {
    const results = await run({ ...feeds, [name]: moved });
    return floats.reduce(
      (total, [output, y], k) => total + dot(Float32Array.from(results[output]!, Number), weights(count(y), k)),
      0,
    );
  };
  for (const { name } of checked) {
    const why = await compareGradient(
      name,
      feeds[name] as Float32Array,
      analytic[`gradient:${name}`] as Float32Array,
      loss,
    );
    if (why !== undefined) return { kind: "differs", why: `gradient of ${name}: ${why}` };
  }
  return { kind: "agrees", gradients: "checked" };
}

function count(tensor: Tensor): number {
  return tensor.shape.reduce<number>((total, dim) => total * Number(dim), 1);
}

/** Distinct weights of both signs. */
function weights(length: number, shift: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => 2 * (((i + 1 + 7 * shift) * 0.618_033_988_749_894_9) % 1) - 1);
}

/**
 * Along a direction through all entries at once; where that does not settle it (a kink lies on the way), entry by entry:
 * all of them without a kink nearby must agree.
 */
async function compareGradient(
  name: string,
  values: Float32Array,
  gradient: Float32Array,
  loss: (name: string, moved: Float32Array) => Promise<number>,
): Promise<string | undefined> {
  const everywhere = weights(values.length, 3);
  const whole = await along(name, values, everywhere, loss);
  if (
    whole !== undefined &&
    disagreement(whole, dot(gradient, everywhere), scaleOf(gradient, everywhere)) === undefined
  ) {
    return undefined;
  }
  const entries = Math.min(values.length, 12);
  for (let k = 0; k < entries; k++) {
    const entry = Math.floor((k * values.length) / entries);
    const only = new Float32Array(values.length);
    only[entry] = 1;
    const one = await along(name, values, only, loss);
    const why = one === undefined ? undefined : disagreement(one, gradient[entry]!, Math.abs(gradient[entry]!));
    if (why !== undefined) return `entry ${entry}: ${why}`;
  }
  return undefined;
}

/** In float64. */
function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((total, value, i) => total + value * b[i]!, 0);
}

function scaleOf(a: Float32Array, b: Float32Array): number {
  return Math.sqrt(a.reduce((total, value, i) => total + (value * b[i]!) ** 2, 0));
}

function disagreement(numeric: number, analytic: number, scale: number): string | undefined {
  return Math.abs(numeric - analytic) <= 2e-3 * Math.max(1, scale)
    ? undefined
    : `${analytic}, differences give ${numeric}`;
}

/** The derivative along a direction by fourth-order differences; undefined when two step sizes disagree. */
async function along(
  name: string,
  values: Float32Array,
  direction: Float32Array,
  loss: (name: string, moved: Float32Array) => Promise<number>,
): Promise<number | undefined> {
  const known = new Map<number, number>();
  const at = async (t: number): Promise<number> => {
    const value =
      known.get(t) ??
      (await loss(
        name,
        values.map((x, i) => x + t * direction[i]!),
      ));
    known.set(t, value);
    return value;
  };
  const estimate = async (h: number): Promise<number> =>
    (8 * ((await at(h)) - (await at(-h))) - ((await at(2 * h)) - (await at(-2 * h)))) / (12 * h);
  const [coarse, fine] = [await estimate(step), await estimate(step / 2)];
  // A kink just here is symmetric: the slopes to its sides differ, however small the step.
  const here = await at(0);
  const bend = async (h: number): Promise<number> => Math.abs((await at(h)) - 2 * here + (await at(-h))) / h;
  const [far, near] = [await bend(step), await bend(step / 2)];
  const isKink = near > 1e-3 * Math.max(1, Math.abs(fine)) && near > 0.75 * far;
  return !isKink && Math.abs(coarse - fine) <= 1e-3 * Math.max(1, Math.abs(fine)) ? fine : undefined;
}
