import { Graph, type Tensor, writeOnnx } from "../graph/index.ts";
import { concat } from "../graph/ops/index.ts";
import { parseGraph } from "../graph/parse-graph.ts";
import type { ProgramManifest, ShardProgram } from "../step/shard-program.ts";

/** Version of ai.onnx of programs. */
const programOpset = 23;

/** The one output of a repeated program: the flat sums of each shard, then the scalars of each, float32. */
export const flatOutput = "flat";

/** What a repeated program calls its inputs, by their places in the manifest. */
export const parameterInput = (index: number): string => `p${index}`;
export const columnInput = (shard: number, index: number): string => `c${shard}.${index}`;

/** Floats of `flatOutput`. */
export function flatFloats({ sumsFloats, scalars }: ProgramManifest, count: number): number {
  return count * (sumsFloats + scalars.length);
}

/**
 * A graph of `count` shards of a program: so many copies of its nodes, as they are, that share nothing but the parameters.
 * A call of the engine for it takes hardly longer than one for a single shard, where these are tiny. A shard's numbers are those of the program, as each of
 * its nodes reads what it would read alone; only that the engine optimizes a graph before it runs it may not be left to itself:
 * nodes that depend on parameters alone would be the same in all copies, be made one, and then be fused with others or not.
 *
 * @returns undefined for a program that has such nodes, or more than parameters, columns, sums and scalars.
 */
export function repeatedProgram(program: ShardProgram, count: number): Uint8Array | undefined {
  if (program.randoms.length + program.collects.length > 0 || program.augmentation !== undefined) return undefined;
  if (program.sumsFloats === 0) return undefined;
  const parsed = parseGraph(program.onnx);
  if (!allSeeColumns(parsed.graph, program)) return undefined;
  const graph = new Graph();
  const sums: Tensor[] = [];
  const scalars: Tensor[] = [];
  for (let shard = 0; shard < count; shard++) {
    const copy = copied(parsed.graph, graph, inputNames(program, shard));
    const output = (name: string): Tensor => copy[parsed.outputs[name]!.id]!.reshape([-1]);
    let end = 0;
    for (const { name, offset, length } of [...program.sums].sort((a, b) => a.offset - b.offset)) {
      if (offset > end) sums.push(zeros(graph, offset - end));
      sums.push(output(name));
      end = offset + length;
    }
    if (program.sumsFloats > end) sums.push(zeros(graph, program.sumsFloats - end));
    scalars.push(output(program.scalars.name));
  }
  const [flat] = graph.apply(concat, [...sums, ...scalars], { axis: 0 });
  return writeOnnx(graph, { name: "repeated", opset: programOpset, outputs: { [flatOutput]: flat! } });
}

function inputNames(program: ProgramManifest, shard: number): ReadonlyMap<string, string> {
  return new Map([
    ...program.parameters.map(({ name }, i) => [name, parameterInput(i)] as const),
    ...program.columns.map(({ name }, i) => [name, columnInput(shard, i)] as const),
  ]);
}

/** Whether every node that depends on parameters depends on the rows, too. */
function allSeeColumns(graph: Graph, program: ProgramManifest): boolean {
  const columns = new Set(program.columns.map(({ name }) => name));
  const seeing = new Set<number>();
  const fed = new Set<number>();
  for (const [id, { source }] of graph.values.entries()) {
    if (source.kind === "input") fed.add(id);
    if (source.kind === "input" && columns.has(source.name)) seeing.add(id);
    if (source.kind !== "node") continue;
    const { inputs } = source.node;
    if (inputs.some((input) => input !== null && seeing.has(input))) seeing.add(id);
    else if (inputs.some((input) => input !== null && fed.has(input))) return false;
  }
  return true;
}

/** Appends all nodes of a graph to another. @returns the copy of each value, by its id. */
function copied(from: Graph, to: Graph, names: ReadonlyMap<string, string>): readonly Tensor[] {
  const copy: Tensor[] = [];
  for (const [id, { type, source }] of from.values.entries()) {
    if (copy[id] !== undefined) continue;
    if (source.kind === "input") copy[id] = to.input("column", names.get(source.name)!, type);
    else if (source.kind === "constant") copy[id] = to.tensor(to.append({ type, source }));
    else {
      const { op, inputs, outputs, attributes } = source.node;
      const made = to.apply(
        op,
        inputs.map((input) => (input === null ? null : copy[input]!)),
        attributes,
      );
      for (const [i, tensor] of made.entries()) copy[outputs[i]!] = tensor;
    }
  }
  return copy;
}

function zeros(graph: Graph, floats: number): Tensor {
  return graph.constant(new Float32Array(floats), [floats], "float32");
}
