import type { Progress, StartingPoint } from "@tutti/coordinator";
import type { Checkpoint } from "@tutti/core/checkpoint";
import { TuttiError } from "@tutti/core/errors";
import { type ComputeMemory, computeMemory } from "@tutti/core/kernels";
import type { CompiledRun } from "@tutti/core/run";
import type { FlatLayout } from "@tutti/core/step";
import * as v from "valibot";

/** A new run: initial parameters, drawn in `memory`, optimizer state at its initial values. */
export function freshStart(compiled: CompiledRun, memory: ComputeMemory = computeMemory()): StartingPoint {
  const { trainable, optimizer } = compiled;
  const slots = optimizer.slots.map(({ initialValue }) => {
    const slot = new Float32Array(trainable.totalFloats);
    for (const { offset, length } of trainable.entries) slot.fill(initialValue, offset, offset + length);
    return slot;
  });
  return { step: 0, parameters: compiled.initialParameters(undefined, memory), slots };
}

/** Goes on from a checkpoint. Throws CHECKPOINT_INVALID if its tensors are not those of the run. */
export function startFrom(checkpoint: Checkpoint, compiled: CompiledRun): StartingPoint {
  const parameters = new Map([...checkpoint.parameters, ...checkpoint.buffers].map((tensor) => [tensor.name, tensor]));
  const state = new Map(checkpoint.optimizer.map((tensor) => [tensor.name, tensor]));
  const fill = (layout: FlatLayout, nameOf: (name: string) => string, tensors: typeof parameters): Float32Array => {
    const flat = new Float32Array(layout.totalFloats);
    for (const { name, offset, length, shape } of layout.entries) {
      const tensor = tensors.get(nameOf(name));
      if (tensor === undefined || tensor.dtype !== "float32" || tensor.data.byteLength !== length * 4) {
        throw new TuttiError(
          "CHECKPOINT_INVALID",
          `${checkpoint.path}: expected ${nameOf(name)} as float32 [${shape.join(",")}], found ${tensor === undefined ? "none" : `${tensor.dtype} [${tensor.shape.join(",")}]`}`,
        );
      }
      new Uint8Array(flat.buffer, offset * 4, length * 4).set(tensor.data);
    }
    return flat;
  };
  return {
    step: checkpoint.step,
    parameters: fill(compiled.layout, (name) => name, parameters),
    slots: compiled.optimizer.slots.map((slot) =>
      fill(compiled.trainable, (name) => `optimizer.${slot.name}/${name}`, state),
    ),
    numericClass: checkpoint.numericClass,
    progress: progressOf(checkpoint),
    owesValidation: checkpoint.state.owesValidation === true,
    skippedSteps: typeof checkpoint.state.skippedSteps === "number" ? checkpoint.state.skippedSteps : 0,
  };
}

const progressSchema = v.object({
  plateau: v.object({
    scale: v.number(),
    best: v.nullable(v.number()),
    badCount: v.number(),
    cooldownLeft: v.number(),
  }),
  earlyStopping: v.object({ best: v.nullable(v.number()), badCount: v.number(), isOver: v.boolean() }),
});

function progressOf({ path, state }: Checkpoint): Progress {
  const result = v.safeParse(progressSchema, state.progress);
  if (result.success) return result.output;
  throw new TuttiError("CHECKPOINT_INVALID", `${path}: its state holds no progress of validations`);
}
