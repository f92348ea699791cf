export { type DirectoryLock, lockDirectory } from "./lock.ts";
export { MetricsLog, type MetricsRecord } from "./metrics-log.ts";
export {
  type DecodedSafetensors,
  decodeRawSafetensors,
  decodeSafetensors,
  type EncodedSafetensors,
  encodeSafetensors,
  type NamedTensor,
  type RawTensor,
} from "./safetensors.ts";
export { type Checkpoint, decodeSnapshot, encodeSnapshot, type Snapshot } from "./snapshot.ts";
export {
  CheckpointStore,
  type LatestCheckpoint,
  type OwnedSnapshot,
  readCheckpoint,
  type SavedCheckpoint,
} from "./store.ts";
