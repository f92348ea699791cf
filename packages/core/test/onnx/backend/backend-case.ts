import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type OnnxModel, type OnnxTensor, readOnnx, readOnnxTensor } from "@tutti/core/graph";
import protobuf from "protobufjs/light.js";

/** Where Debian's package libonnx-testdata puts the ONNX project's operator test models. */
const packaged = "/usr/share/libonnx-testdata/data";

/** Folder of the ONNX project's test data ("node", "simple", …): ONNX_TESTDATA or Debian's; undefined where there is none. */
export function testDataFolder(): string | undefined {
  const folder = process.env.ONNX_TESTDATA ?? packaged;
  return existsSync(join(folder, "node")) ? folder : undefined;
}

/** One test model: what it is fed and what it must give. */
export interface BackendCase {
  /** "node/test_relu" */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Types of its nodes, each once; empty when it cannot be read. */
  operators(): readonly string[];
  /** Reads inputs and outputs; throws GRAPH_INVALID for texts, sequences and dtypes that Tutti lacks. */
  read(): { readonly file: OnnxModel; readonly inputs: readonly OnnxTensor[]; readonly outputs: readonly OnnxTensor[] };
}

/** The cases of a folder that holds one folder for each, in order of name. */
export function backendCases(folder: string, group: string): readonly BackendCase[] {
  return readdirSync(join(folder, group))
    .sort()
    .filter((name) => existsSync(join(folder, group, name, "model.onnx")))
    .map((name) => backendCase(join(folder, group, name), `${group}/${name}`));
}

function backendCase(directory: string, name: string): BackendCase {
  const bytes = readFileSync(join(directory, "model.onnx"));
  const data = join(directory, "test_data_set_0");
  const tensors = (prefix: string): readonly OnnxTensor[] =>
    readdirSync(data)
      .filter((file) => file.startsWith(prefix) && file.endsWith(".pb"))
      .sort((a, b) => numberOf(a) - numberOf(b))
      .map((file) => readOnnxTensor(readFileSync(join(data, file))));
  return {
    name,
    bytes,
    operators: () => operatorTypes(bytes),
    read: () => ({
      file: readOnnx(bytes, { otherOutputs: true }),
      inputs: tensors("input_"),
      outputs: tensors("output_"),
    }),
  };
}

/** From the bytes alone, since a file that Tutti refuses has a place in the table too (onnx.proto: model.graph = 7, graph.node = 1). */
function operatorTypes(bytes: Uint8Array): readonly string[] {
  const types = fields(bytes, 7)
    .flatMap((graph) => fields(graph, 1))
    .flatMap((node) => {
      const [type] = fields(node, 4).map((text) => new TextDecoder().decode(text));
      const [domain = ""] = fields(node, 7).map((text) => new TextDecoder().decode(text));
      return type === undefined || type === "Constant" ? [] : [`${domain === "" ? "" : `${domain}.`}${type}`];
    });
  return [...new Set(types)];
}

/** The length-delimited fields of that number. */
function fields(message: Uint8Array, id: number): readonly Uint8Array[] {
  const reader = protobuf.Reader.create(message);
  const found: Uint8Array[] = [];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if ((tag & 7) !== 2) reader.skipType(tag & 7);
    else if (tag >>> 3 === id) found.push(reader.bytes());
    else reader.bytes();
  }
  return found;
}

function numberOf(file: string): number {
  return Number(/\d+/.exec(file)?.[0] ?? 0);
}
