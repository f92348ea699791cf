import { TuttiError } from "../errors/index.ts";
import { type RunDefinition, withPlain } from "./definition.ts";
import { suggestion } from "./nearest.ts";

/** Of these pairs only one holds a value: setting one clears the other. */
const rivals: Readonly<Record<string, string>> = {
  epochs: "steps",
  steps: "epochs",
  "validation.everyEpochs": "validation.everySteps",
  "validation.everySteps": "validation.everyEpochs",
};

/**
 * The same run with plain values replaced: "optimizer.lr=0.01", "epochs=1", "shards=4", "checkpoint.best=null". A value is
 * JSON where it can be read as that, otherwise text. The run is checked again as a whole.
 *
 * @throws TuttiError BAD_OPTION for a path that does not exist or a value of the wrong kind.
 */
export function applyOverrides(definition: RunDefinition, assignments: readonly string[]): RunDefinition {
  if (assignments.length === 0) return definition;
  const plain: unknown = structuredClone(definition.plain);
  const parsed = assignments.map(parse);
  for (const { path, value } of parsed) {
    assign(plain, path, value);
    const rival = rivals[path];
    if (rival !== undefined && !parsed.some((other) => other.path === rival)) assign(plain, rival, null);
  }
  return withPlain(definition, plain);
}

function parse(assignment: string): { path: string; value: unknown } {
  const at = assignment.indexOf("=");
  if (at < 1) {
    throw new TuttiError("BAD_OPTION", `"${assignment}": expected NAME=VALUE, such as optimizer.lr=0.01`);
  }
  return { path: assignment.slice(0, at).trim(), value: readValue(assignment.slice(at + 1)) };
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function assign(root: unknown, path: string, value: unknown): void {
  const keys = path.split(".");
  let at = root;
  for (const [depth, key] of keys.entries()) {
    if (typeof at !== "object" || at === null || !Object.hasOwn(at, key))
      throw noSuchValue(path, keys.slice(0, depth), key, at);
    if (depth === keys.length - 1) Reflect.set(at, key, value);
    else at = Reflect.get(at, key);
  }
}

function noSuchValue(path: string, parents: readonly string[], key: string, at: unknown): TuttiError {
  if (parents.length === 0 && (key === "model" || key === "step")) {
    return new TuttiError("BAD_OPTION", `${path}: ${key} is made by code and cannot be set; edit the run file`);
  }
  const parent = parents.join(".");
  if (typeof at !== "object" || at === null) {
    return new TuttiError(
      "BAD_OPTION",
      `${path}: ${parent} is ${JSON.stringify(at)} and has no values; set it as a whole, as JSON`,
    );
  }
  const place = parent === "" ? "the run has" : `${parent} has`;
  return new TuttiError("BAD_OPTION", `${path}: ${place} no value "${key}"; ${suggestion(key, Object.keys(at))}`);
}
