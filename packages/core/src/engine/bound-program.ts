import { alignUp } from "../memory/index.ts";
import type { ShardProgram } from "../step/shard-program.ts";
import { packedCollects, packedColumns, packedRandoms } from "./packed-tensors.ts";
import type { Engine, Runtime } from "./runtime.ts";
import { Session } from "./session.ts";
import { privateMemory, type TensorMemory } from "./tensor-memory.ts";
import { flat, packed, TensorsByAddress } from "./tensors-by-address.ts";

/** Byte addresses of everything that one run of a program reads and writes; multiples of 64. */
export interface ProgramAddresses {
  /** Batch data, packed as `packedColumns` says. */
  readonly columns: number;
  /** Flat parameter buffer. */
  readonly parameters: number;
  /** Random inputs, packed as `packedRandoms` says; 0 for a program without any. */
  readonly randoms: number;
  /** Flat buffer of sums; 0 for a program without sums. */
  readonly sums: number;
  readonly scalars: number;
  /** Per-sample outputs, packed as `packedCollects` says. */
  readonly collects: number;
}

/** A session and the tensors that tie it to addresses of the arena. Belongs to one thread. */
export interface BoundProgram {
  readonly program: ShardProgram;
  /** @param generation changes whenever the parameters' bytes do. Throws ENGINE_FAILED. */
  run(addresses: ProgramAddresses, generation: number): Promise<void>;
  close(): Promise<void>;
}

/** Compiles `program` and binds it to `arena`: without copies where the runtime takes shared memory. */
export async function bindProgram(
  engine: Engine,
  program: ShardProgram,
  arena: TensorMemory,
  copies: ParameterCopies | undefined,
): Promise<BoundProgram> {
  const session = await Session.open(engine, program);
  return copies === undefined
    ? new DirectProgram(engine.runtime, session, program, arena, arena)
    : new CopyingProgram(engine.runtime, session, program, arena, copies);
}

/** Feeds and fetches views of memory. Tensor objects are kept by address: a step creates none. */
class DirectProgram implements BoundProgram {
  readonly program: ShardProgram;
  readonly #session: Session;
  readonly #columns: TensorsByAddress;
  readonly #parameters: TensorsByAddress;
  readonly #randoms: TensorsByAddress;
  readonly #sums: TensorsByAddress;
  readonly #scalars: TensorsByAddress;
  readonly #collects: TensorsByAddress;

  constructor(
    runtime: Runtime,
    session: Session,
    program: ShardProgram,
    memory: TensorMemory,
    parameterMemory: TensorMemory,
  ) {
    this.program = program;
    this.#session = session;
    this.#columns = new TensorsByAddress(runtime, memory, packed(program.columns, packedColumns(program).offsets));
    this.#parameters = new TensorsByAddress(runtime, parameterMemory, program.parameters.map(flat));
    const randoms = program.randoms.map(({ name, shape }) => ({ name, dtype: "float32" as const, shape }));
    this.#randoms = new TensorsByAddress(runtime, memory, packed(randoms, packedRandoms(program).offsets));
    this.#sums = new TensorsByAddress(runtime, memory, program.sums.map(flat));
    const { name, length } = program.scalars;
    this.#scalars = new TensorsByAddress(runtime, memory, [{ name, dtype: "float32", shape: [length], offset: 0 }]);
    this.#collects = new TensorsByAddress(runtime, memory, packed(program.collects, packedCollects(program).offsets));
  }

  run({ columns, parameters, randoms, sums, scalars, collects }: ProgramAddresses): Promise<void> {
    return this.#session.run(
      { ...this.#parameters.at(parameters), ...this.#columns.at(columns), ...this.#randoms.at(randoms) },
      { ...this.#sums.at(sums), ...this.#scalars.at(scalars), ...this.#collects.at(collects) },
    );
  }

  close(): Promise<void> {
    return this.#session.close();
  }
}

/** Runs a DirectProgram in private memory and copies what goes in and comes out. */
class CopyingProgram implements BoundProgram {
  readonly program: ShardProgram;
  readonly #arena: TensorMemory;
  readonly #memory: TensorMemory;
  readonly #addresses: ProgramAddresses;
  readonly #bytes: Readonly<Record<Exclude<keyof ProgramAddresses, "parameters">, number>>;
  readonly #parameters: ParameterCopy;
  readonly #direct: DirectProgram;

  constructor(runtime: Runtime, session: Session, program: ShardProgram, arena: TensorMemory, copies: ParameterCopies) {
    this.program = program;
    this.#arena = arena;
    const bytes = {
      columns: packedColumns(program).totalBytes,
      randoms: packedRandoms(program).totalBytes,
      sums: 4 * program.sumsFloats,
      scalars: 4 * program.scalars.length,
      collects: packedCollects(program).totalBytes,
    };
    const randoms = alignUp(bytes.columns);
    const sums = alignUp(randoms + bytes.randoms);
    const scalars = alignUp(sums + bytes.sums);
    const collects = alignUp(scalars + bytes.scalars);
    this.#bytes = bytes;
    this.#addresses = { columns: 0, parameters: 0, randoms, sums, scalars, collects };
    this.#memory = privateMemory(collects + bytes.collects);
    this.#parameters = copies.ofSize(4 * Math.max(0, ...program.parameters.map((view) => view.offset + view.length)));
    this.#direct = new DirectProgram(runtime, session, program, this.#memory, this.#parameters.memory);
  }

  async run(addresses: ProgramAddresses, generation: number): Promise<void> {
    const own = this.#addresses;
    this.#parameters.refresh(addresses.parameters, generation);
    for (const block of ["columns", "randoms"] as const) {
      copy(this.#arena, addresses[block], this.#memory, own[block], this.#bytes[block]);
    }
    await this.#direct.run(own);
    for (const block of ["sums", "scalars", "collects"] as const) {
      copy(this.#memory, own[block], this.#arena, addresses[block], this.#bytes[block]);
    }
  }

  close(): Promise<void> {
    return this.#direct.close();
  }
}

/** One thread's copies of the parameters, shared by its programs: one for each size of the flat buffer. */
export class ParameterCopies {
  readonly #arena: TensorMemory;
  readonly #bySize = new Map<number, ParameterCopy>();

  constructor(arena: TensorMemory) {
    this.#arena = arena;
  }

  ofSize(bytes: number): ParameterCopy {
    const known = this.#bySize.get(bytes);
    if (known !== undefined) return known;
    const made = new ParameterCopy(this.#arena, bytes);
    this.#bySize.set(bytes, made);
    return made;
  }
}

/** The parameters of one generation, in private memory from address 0. */
class ParameterCopy {
  readonly memory: TensorMemory;
  readonly #arena: TensorMemory;
  readonly #bytes: number;
  #held: { readonly address: number; readonly generation: number } | undefined;

  constructor(arena: TensorMemory, bytes: number) {
    this.memory = privateMemory(bytes);
    this.#arena = arena;
    this.#bytes = bytes;
  }

  /** Copies unless that generation at that address is already here. */
  refresh(address: number, generation: number): void {
    if (this.#held?.address === address && this.#held.generation === generation) return;
    copy(this.#arena, address, this.memory, 0, this.#bytes);
    this.#held = { address, generation };
  }
}

function copy(from: TensorMemory, source: number, to: TensorMemory, target: number, bytes: number): void {
  if (bytes === 0) return;
  (to.view("uint8", target, bytes) as Uint8Array).set(from.view("uint8", source, bytes) as Uint8Array);
}
