import type { OnnxNode } from "../graph/index.ts";

/**
 * Paths for the initializers of a model, in the manner of PyTorch: "layer1.0.weight" stays as it is, other characters than
 * letters, digits, "_", "-" and "." become "_" ("dense/kernel:0" → "dense_kernel_0"). A name that an exporter made up
 * ("onnx::MatMul_42") becomes the place of the node that uses it: "encoder.fc.MatMul_1". Unique; a name that would be a
 * parameter and a group of others at once gets "_" for its dots.
 *
 * @param names initializers, in the order of the file.
 * @param nodes the nodes of the model.
 */
export function parameterPaths(names: readonly string[], nodes: readonly OnnxNode[]): ReadonlyMap<string, string> {
  const paths = new Map<string, string>();
  const used = new Set<string>();
  const groups = new Set<string>();
  for (const name of names) {
    const clean = cleaned(madeUp.test(name) ? (placeOf(name, nodes) ?? name) : name);
    let path = clean;
    if (clashes(path, used, groups)) path = clean.replaceAll(".", "_");
    for (let i = 2; clashes(path, used, groups); i++) path = `${clean.replaceAll(".", "_")}_${i}`;
    used.add(path);
    for (const group of prefixes(path)) groups.add(group);
    paths.set(name, path);
  }
  return paths;
}

const madeUp = /^onnx::/;

function clashes(path: string, used: ReadonlySet<string>, groups: ReadonlySet<string>): boolean {
  return used.has(path) || groups.has(path) || prefixes(path).some((prefix) => used.has(prefix));
}

function prefixes(path: string): readonly string[] {
  const parts = path.split(".");
  return parts.slice(1).map((_, i) => parts.slice(0, i + 1).join("."));
}

function cleaned(name: string): string {
  const parts = name
    .replaceAll(/[^\w.-]/g, "_")
    .split(".")
    .filter((part) => part !== "");
  return parts.length === 0 ? "parameter" : parts.join(".");
}

function placeOf(name: string, nodes: readonly OnnxNode[]): string | undefined {
  const user = nodes.find((node) => node.inputs.includes(name));
  if (user === undefined || !user.name.startsWith("/")) return undefined;
  return `${user.name.slice(1).replaceAll("/", ".")}_${user.inputs.indexOf(name)}`;
}
