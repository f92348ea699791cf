import { type Lanes, openLanes } from "@tutti/core/engine";
import { type ComputeMemory, computeMemory } from "@tutti/core/kernels";

/**
 * Lanes in this process, in the coordinator's own memory. They are started before the run is known, so that their threads load
 * the engine while this one reads it.
 */
export class InProcessLanes {
  readonly memory: ComputeMemory;
  /** Rejects with what `openLanes` throws. */
  readonly lanes: Promise<Lanes>;

  /** @param count threads. */
  constructor(count: number) {
    this.memory = computeMemory();
    this.lanes = openLanes({ arena: this.memory.arena, count, near: true });
    this.lanes.catch(() => {}); // whoever computes with them says so
  }

  /** Waits for them to be open, then ends them, if they have not been. */
  async close(): Promise<void> {
    const lanes = await this.lanes.catch(() => undefined);
    await lanes?.close();
  }
}
