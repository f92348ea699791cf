import { parsePlaces } from "@tutti/core/data";
import { engineNotice } from "@tutti/core/engine";
import { TuttiError } from "@tutti/core/errors";
import { runWorker } from "@tutti/worker";
import { onInterrupt } from "./interrupt.ts";
import type { Output } from "./output.ts";

export interface WorkOptions {
  readonly url: string;
  readonly lanes: number;
  readonly retryForMs: number;
  readonly json: boolean;
  readonly token: string | undefined;
  /** Certificates (PEM) to trust instead of the system's. */
  readonly ca: string | undefined;
  /** Data sets to read for itself: NAME=FILE or NAME.COLUMN=FILE. */
  readonly data: readonly string[];
  /** Memory for the columns of each of them. */
  readonly dataMemoryBytes: number | undefined;
  /** Where to listen for other workers. */
  readonly peerHost: string | undefined;
  readonly peerPort: number | undefined;
}

/** `tutti worker`: computes until the run is over. Throws what refused or failed; ENGINE_FAILED when the run did. */
export async function work(options: WorkOptions, output: Output): Promise<void> {
  const { url, json, data, ...how } = options;
  if (!/^wss?:\/\/[^/]/.test(url))
    throw new TuttiError("BAD_OPTION", `expected ws://HOST:PORT or wss://HOST:PORT, found "${url}"`);
  const leaving = new AbortController();
  const release = onInterrupt(output, () => leaving.abort());
  const log = (message: string): void => (json ? output.json({ type: "notice", message }) : output.log(message));
  try {
    const places = parsePlaces(data);
    const slowEngine = engineNotice();
    if (slowEngine !== undefined) log(slowEngine);
    const { code, message } = await runWorker({ url, ...how, data: places, signal: leaving.signal, log });
    if (json) output.json({ type: "parting", code, message });
    else output.log(message);
  } finally {
    release();
  }
}
