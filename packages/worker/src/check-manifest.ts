import { packedCollects, packedColumns, packedRandoms } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import { augmentationProblem, type ProgramManifest, type ProgramView } from "@tutti/core/step";
import type { MessageOf, ToWorker } from "@tutti/core/wire";

const mostBlockBytes = 2 ** 31;
const mostScalars = 2 ** 16;

/**
 * Refuses a manifest by which a lane would read or write outside the buffers that the welcome declared, or whose blocks fit
 * no memory. That graph and manifest agree is the engine's check when it compiles. Throws PROTOCOL.
 */
export function checkManifest(manifest: ProgramManifest, welcome: MessageOf<ToWorker, "welcome">): void {
  const { columns, parameters, randoms, sums, sumsFloats, scalars, collects, samples } = manifest;
  checkViews("parameter", parameters, welcome.parameterFloats);
  // A worker uploads as many floats of a result as the welcome says.
  if (sumsFloats !== 0 && sumsFloats !== welcome.sumsFloats)
    throw refused(`it has ${sumsFloats} floats of sums, the run's programs have ${welcome.sumsFloats}`);
  checkViews("sum", sums, sumsFloats);
  for (const { name, shape } of randoms) {
    if (shape.length === 0 || shape[0]! % samples !== 0)
      throw refused(`random input ${name} has shape [${shape}], which are no ${samples} samples`);
  }
  if (scalars.length > mostScalars) throw refused(`it has ${scalars.length} scalars, at most ${mostScalars}`);
  const blocks = {
    columns: packedColumns({ columns }),
    randoms: packedRandoms({ randoms }),
    collects: packedCollects({ collects }),
  };
  for (const [name, { totalBytes }] of Object.entries(blocks)) {
    if (!(totalBytes <= mostBlockBytes))
      throw refused(`its ${name} take ${totalBytes} bytes, at most ${mostBlockBytes}`);
  }
  checkAugmentation(manifest);
  const names = [...columns, ...parameters, ...randoms].map(({ name }) => name);
  if (new Set(names).size !== names.length) throw refused("two inputs have one name");
}

/** Refuses changes of samples that would reach beyond them. */
function checkAugmentation({ augmentation, columns }: ProgramManifest): void {
  for (const { column: name, changes } of augmentation?.columns ?? []) {
    const column = columns.find((candidate) => candidate.name === name);
    if (column === undefined) continue;
    const { dtype, shape } = column;
    const problem = changes
      .map((change) => augmentationProblem(change, { dtype, shape: shape.slice(1) }))
      .find(Boolean);
    if (problem !== undefined) throw refused(`column ${name} cannot be changed so: ${problem}`);
  }
}

function checkViews(kind: string, views: readonly ProgramView[], floats: number): void {
  for (const { name, offset, length } of views) {
    if (offset % 16 !== 0 || offset + length > floats)
      throw refused(`${kind} ${name} takes floats ${offset} to ${offset + length} of ${floats}`);
  }
}

function refused(why: string): TuttiError {
  return new TuttiError("PROTOCOL", `a program's manifest is refused: ${why}`);
}
