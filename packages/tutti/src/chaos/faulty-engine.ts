// Preloaded (NODE_OPTIONS=--import) into worker processes that faults happen to, and so into each of their lanes: the
// engine's next run does what the file at TUTTI_ENGINE_FAULT says, in one lane and once; otherwise the engine is itself.
import { existsSync, readFileSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { threadId } from "node:worker_threads";

interface Session {
  run(...parts: unknown[]): Promise<unknown>;
}

const engine = createRequire(import.meta.url)("onnxruntime-node") as {
  readonly InferenceSession: { readonly prototype: Session };
};
const { TUTTI_ENGINE_FAULT: path } = process.env;
if (path !== undefined) plant(engine.InferenceSession.prototype, path);

function plant(sessions: Session, orders: string): void {
  const { run } = sessions;
  const hoard: ArrayBuffer[] = [];
  sessions.run = function (this: Session, ...parts) {
    const order = existsSync(orders) ? taken(orders) : undefined;
    if (order === "error") throw new Error("planted: the engine failed");
    if (order === "exit") process.exit(1); // of a thread, that alone
    if (order === "loop") for (;;);
    if (order === "memory") exhaust(hoard);
    return run.apply(this, parts);
  };
}

/** The order, for the first lane that finds it. */
function taken(orders: string): string | undefined {
  const mine = `${orders}.${process.pid}-${threadId}`;
  try {
    renameSync(orders, mine);
    return readFileSync(mine, "utf8");
  } catch {
    return undefined; // another lane was quicker
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Takes all the address space that the process may still have, and keeps it. Throws RangeError, if it lives. */
function exhaust(hoard: ArrayBuffer[]): never {
  for (let bytes = 1 << 24; ; ) {
    try {
      hoard.push(new ArrayBuffer(bytes));
    } catch (error) {
      if (bytes === 1 << 16) throw error;
      bytes >>= 2;
    }
  }
}
