import { TuttiError } from "../errors/index.ts";
import type { OnnxNode } from "../graph/index.ts";

/** 'Conv "/layer1/conv"', or 'Conv (makes "x3")' where the node has no name. */
export function nameOf(node: OnnxNode): string {
  const domain = node.domain === "" ? "" : `${node.domain}.`;
  const made = node.outputs.find((name) => name !== "") ?? "";
  return `${domain}${node.type} ${node.name === "" ? `(makes "${made}")` : `"${node.name}"`}`;
}

/** A node that cannot be imported: what it is, why, and what can be done. */
export function unsupported(node: OnnxNode, why: string, remedy: string): TuttiError {
  return new TuttiError("ONNX_UNSUPPORTED", `${nameOf(node)} ${why}; ${remedy}`, {
    node: node.name,
    operator: node.type,
    domain: node.domain,
  });
}
