import { valuesOf } from "../data/index.ts";
import { elementsOf, packedCollects } from "../engine/packed-tensors.ts";
import { bytesPerElement } from "../engine/tensor-memory.ts";
import type { TypedValues } from "../graph/index.ts";
import { type Figures, named } from "../metrics/index.ts";
import type { ProgramManifest } from "../step/index.ts";
import { collectName } from "./program.ts";

/** A metric that is finished from columns of the whole validation data. */
export interface CompiledCollect {
  readonly name: string;
  readonly columns: readonly string[];
  finish(columns: Readonly<Record<string, TypedValues>>): Figures;
}

/** What one shard's program gave: its collects in one block, packed as `packedCollects` says. */
export interface CollectedShard {
  readonly program: ProgramManifest;
  readonly bytes: Uint8Array;
}

/** Puts the shards' columns one after the other and finishes each metric. @param shards in order of position. */
export function finishCollected(
  metrics: readonly CompiledCollect[],
  shards: readonly CollectedShard[],
): Record<string, number> {
  const figures: Record<string, number> = {};
  for (const { name, columns, finish } of metrics) {
    const values = columns.map((column) => [column, joined(shards, collectName(name, column))] as const);
    Object.assign(figures, named(name, finish(Object.fromEntries(values))));
  }
  return figures;
}

function joined(shards: readonly CollectedShard[], name: string): TypedValues {
  const { dtype } = shards[0]!.program.collects.find((collect) => collect.name === name)!;
  const parts = shards.map(({ program, bytes }) => {
    const index = program.collects.findIndex((collect) => collect.name === name);
    const start = packedCollects(program).offsets[index]!;
    return bytes.subarray(start, start + bytesPerElement(dtype) * elementsOf(program.collects[index]!.shape));
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.byteLength;
  }
  return valuesOf(dtype, all.buffer);
}
