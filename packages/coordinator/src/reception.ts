import type { RunEvent } from "@tutti/core/events";
import { protocolVersion } from "@tutti/core/wire";
import type { Member } from "./member.ts";
import type { MembershipConfig } from "./membership-policy.ts";
import type { Mesh } from "./mesh.ts";
import type { TrainingRun } from "./training-run.ts";

export interface ReceptionParts {
  readonly run: TrainingRun;
  readonly generation: number;
  readonly membership: MembershipConfig;
  readonly chunkFloats: number;
  readonly inlineBytes: number;
  /** Workers that compute at the same time; further ones wait for a place. */
  readonly maxWorkers: number;
  readonly numericClass: string | undefined;
  /** Workers of other arithmetic are let in, aloud. */
  readonly isMixed: boolean;
  readonly mesh: Pick<Mesh, "isOffered" | "key" | "welcomed">;
  readonly active: () => readonly Member[];
  readonly emit: (event: RunEvent) => void;
  /** Workers are to tell what they do when. */
  readonly isTraced: boolean;
  /** Gives an admitted member the parameters and work. */
  readonly admitted: (member: Member) => void;
}

/** Receives workers: gives them programs and the canary, and lets those in whose arithmetic is the run's. */
export class Reception {
  readonly #parts: ReceptionParts;
  #numericClass: string | undefined;
  #isCommitted = false;
  #waiting: Member[] = [];

  constructor(parts: ReceptionParts) {
    this.#parts = parts;
    this.#numericClass = parts.numericClass;
  }

  /** The class the run is pinned to, by its checkpoint or its first worker. */
  get numericClass(): string | undefined {
    return this.#numericClass;
  }

  welcome(member: Member): void {
    const { run, generation, membership, chunkFloats, inlineBytes, mesh } = this.#parts;
    const lacking = run.placed.map(({ name, fingerprint }) => otherData(name, fingerprint, member)).find(Boolean);
    if (lacking !== undefined) {
      this.#refuse(member, "DATA_DIFFERS", lacking);
      return;
    }
    const { programs, layout, updated, canaries } = run;
    member.send({
      type: "welcome",
      protocol: protocolVersion,
      run: run.id,
      generation,
      worker: member.id,
      parameterFloats: layout.totalFloats,
      seed: run.seed,
      updatedFloats: updated.totalFloats,
      sumsFloats: Math.max(...programs.map(({ sumsFloats }) => sumsFloats)),
      averageFloats: run.optimizer.averageSlot === undefined ? 0 : run.trainable.totalFloats,
      chunkFloats,
      inlineBytes: member.connection.sharesMemory ? 0 : inlineBytes,
      programs: programs.length,
      ...(run.rounding === undefined ? {} : { rounding: run.rounding }),
      ...(mesh.isOffered ? { mesh: { key: mesh.key } } : {}),
      heartbeatMs: membership.heartbeatMs,
      silenceMs: membership.silenceMs,
      ...(this.#parts.isTraced ? { trace: true as const } : {}),
    });
    mesh.welcomed(member);
    for (const { id, onnx, ...manifest } of programs) {
      member.send({ type: "program", id, manifest, payloadBytes: onnx.byteLength }, onnx);
    }
    for (const [i, { program, bytes }] of canaries.entries()) {
      member.send({ type: "canary", program, last: i === canaries.length - 1, payloadBytes: bytes.byteLength }, bytes);
    }
  }

  /** A member's programs are compiled and its canary has run. */
  ready(member: Member): void {
    const { id, host, lanes, numericClass } = member;
    const pinned = this.#numericClass ?? numericClass;
    this.#numericClass = pinned;
    if (pinned !== numericClass) {
      const differs = `its arithmetic differs (numeric class ${numericClass.slice(0, 12)}; the run is pinned to ${pinned.slice(0, 12)})`;
      if (!this.#parts.isMixed) {
        const reason = `${differs}: use machines of one CPU family with the same engine version`;
        this.#refuse(member, "NUMERIC_CLASS", reason);
        return;
      }
      const message = `worker ${id} on ${host} is let in by --numerics mixed, though ${differs}: the result depends on who computes what, and is not that of another run`;
      this.#parts.emit({ type: "notice", message });
    }
    if (this.#parts.active().length >= this.#parts.maxWorkers) {
      this.#waiting.push(member);
      const reason = `the run has its ${this.#parts.maxWorkers} workers; it takes the place of the next that leaves`;
      this.#parts.emit({ type: "worker", event: "standby", id, host, lanes, reason });
      return;
    }
    this.#admit(member);
  }

  /** From the first commit on, the run is pinned to its numeric class. */
  committed(): void {
    this.#isCommitted = true;
  }

  /** A place may be free: lets in whoever has waited longest. */
  left(member: Member): void {
    // Before the first commit nothing depends on the class: it is no longer that of a worker that has gone.
    const isHere = this.#parts.active().some(({ numericClass }) => numericClass === this.#numericClass);
    if (!this.#isCommitted && !isHere) this.#numericClass = this.#parts.numericClass;
    this.#waiting = this.#waiting.filter((waiting) => waiting !== member);
    if (this.#parts.active().length >= this.#parts.maxWorkers) return;
    const next = this.#waiting.shift();
    if (next !== undefined) this.#admit(next);
  }

  /** Says once that a member has no shard to compute. */
  standby(member: Member): void {
    if (member.toldStandby) return;
    member.toldStandby = true;
    const { host, lanes, id } = member;
    const reason = `all ${this.#parts.run.shards} shards of a step are dealt to others; raise \`shards\` to use more workers`;
    this.#parts.emit({ type: "worker", event: "standby", id, host, lanes, reason });
  }

  #refuse(member: Member, code: "DATA_DIFFERS" | "NUMERIC_CLASS", reason: string): void {
    const { id, host, lanes } = member;
    this.#parts.emit({ type: "worker", event: "refused", id, host, lanes, reason });
    member.dismiss(code, reason, false);
  }

  #admit(member: Member): void {
    const { id, host, lanes } = member;
    member.state = "active";
    this.#parts.emit({ type: "worker", event: "joined", id, host, lanes });
    this.#parts.admitted(member);
  }
}

/** Why a member cannot read a data set for itself; undefined if it can. */
function otherData(name: string, fingerprint: string, { data }: Member): string | undefined {
  const found = data.get(name);
  if (found === fingerprint) return undefined;
  if (found === undefined)
    return `workers of this run read "${name}" for themselves, and this one has no data set of that name: start it with --data ${name}=FILE; the coordinator's has the fingerprint ${fingerprint}`;
  return `its data set "${name}" has the fingerprint ${found}, the coordinator's ${fingerprint}: give it the coordinator's file, with all its columns under the same names`;
}
