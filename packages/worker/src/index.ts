export * from "./connect.ts";
export type { PeerConnection, PeerListener, PeerTransport } from "./mesh/peer-transport.ts";
export * from "./run-worker.ts";
export * from "./worker.ts";
export * from "./worker-memory.ts";
export type { CanaryTask, Parting, WorkerParts } from "./worker-parts.ts";
