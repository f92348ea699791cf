import protobuf from "protobufjs/minimal.js";

/*
 * Protocol Buffers' wire format (protobuf.dev, "Encoding") by tables of fields, over the library's reader and writer. Its own
 * way writes and compiles functions for every type when it is first met: 20 ms in every process, kept by no cache.
 */

type Scalar = "int32" | "int64" | "float" | "double" | "string" | "bytes";

export interface Field {
  readonly id: number;
  readonly type: Scalar | Message;
  /** Any number of values; of numbers they are packed. */
  readonly isMany: boolean;
}

/** Fields by our names and by number. No message may contain itself: decoding does not recurse further than the tables are deep. */
export interface Message {
  readonly fields: readonly (readonly [name: string, field: Field])[];
  readonly byId: ReadonlyMap<number, readonly [name: string, field: Field]>;
}

/** Values by field: numbers, strings (also for int64), Uint8Arrays, messages; arrays of them where there are many. */
export type Fields = Readonly<Record<string, unknown>>;

export const one = (type: Field["type"], id: number): Field => ({ id, type, isMany: false });
export const many = (type: Field["type"], id: number): Field => ({ id, type, isMany: true });

export function message(fields: Readonly<Record<string, Field>>): Message {
  const sorted = Object.entries(fields).toSorted(([, a], [, b]) => a.id - b.id);
  return { fields: sorted, byId: new Map(sorted.map((named) => [named[1].id, named])) };
}

/** Fields in the order of their numbers, but for absent ones, zeros and what is empty: the same values always give the same bytes. */
export function encode(type: Message, values: Fields): Uint8Array<ArrayBuffer> {
  const writer = protobuf.Writer.create();
  writeMessage(writer, type, values);
  return new Uint8Array(writer.finish());
}

/**
 * What of `bytes` the table knows; other fields are skipped. What `encode` leaves out is absent, but for arrays; int64 are decimal
 * strings. A message that comes in parts is joined. Throws for what is cut off, and for text that is no UTF-8.
 */
export function decode(type: Message, bytes: Uint8Array): Fields {
  const reader = protobuf.Reader.create(bytes);
  return readMessage(reader, type, reader.len);
}

function writeMessage(writer: protobuf.Writer, { fields }: Message, values: Fields): void {
  for (const [name, field] of fields) {
    const value = values[name];
    if (value === undefined) continue;
    if (!field.isMany) {
      if (typeof field.type !== "string" || !isDefault(field.type, value)) writeField(writer, field, value);
    } else if (isNumber(field.type)) writePacked(writer, field.id, field.type, value as readonly unknown[]);
    else for (const item of value as readonly unknown[]) writeField(writer, field, item);
  }
}

function writeField(writer: protobuf.Writer, { id, type }: Field, value: unknown): void {
  writer.uint32((id << 3) | wireTypeOf(type));
  if (typeof type === "string") writeScalar(writer, type, value);
  else {
    writer.fork();
    writeMessage(writer, type, value as Fields);
    writer.ldelim();
  }
}

function writePacked(writer: protobuf.Writer, id: number, type: Scalar, values: readonly unknown[]): void {
  if (values.length === 0) return;
  writer.uint32((id << 3) | lengthDelimited).fork();
  for (const value of values) writeScalar(writer, type, value);
  writer.ldelim();
}

function writeScalar(writer: protobuf.Writer, type: Scalar, value: unknown): void {
  switch (type) {
    case "int32":
    case "float":
    case "double":
      writer[type](value as number);
      break;
    case "int64":
      writer.int64(value as number | string);
      break;
    case "string":
      writer.string(value as string);
      break;
    case "bytes":
      writer.bytes(value as Uint8Array);
      break;
  }
}

/** @param values what earlier parts of the message have given. */
function readMessage(
  reader: protobuf.Reader,
  { fields, byId }: Message,
  end: number,
  values: Record<string, unknown> = {},
): Record<string, unknown> {
  const outerEnd = reader.len;
  if (end > outerEnd) throw new RangeError(`a message ends at byte ${end} of ${outerEnd}`);
  reader.len = end;
  for (const [name, { isMany }] of fields) if (isMany) values[name] ??= [];
  while (reader.pos < end) {
    const tag = reader.uint32();
    const wireType = tag & 7;
    const [name, field] = byId.get(tag >>> 3) ?? [];
    if (name === undefined || field === undefined) reader.skipType(wireType);
    else if (wireType === wireTypeOf(field.type)) readField(reader, name, field, values);
    else if (wireType === lengthDelimited && field.isMany && isNumber(field.type)) {
      const last = reader.uint32() + reader.pos;
      while (reader.pos < last) (values[name] as unknown[]).push(readScalar(reader, field.type));
    } else reader.skipType(wireType);
  }
  reader.len = outerEnd;
  return values;
}

function readField(
  reader: protobuf.Reader,
  name: string,
  { type, isMany }: Field,
  values: Record<string, unknown>,
): void {
  const before = values[name];
  if (typeof type === "string") {
    const value = readScalar(reader, type);
    if (isMany) (before as unknown[]).push(value);
    else if (isDefault(type, value)) delete values[name];
    else values[name] = value;
    return;
  }
  const end = reader.uint32() + reader.pos;
  if (isMany) (before as unknown[]).push(readMessage(reader, type, end));
  else values[name] = readMessage(reader, type, end, before as Record<string, unknown> | undefined);
}

function readScalar(reader: protobuf.Reader, type: Scalar): unknown {
  if (type === "int64") return String(reader.int64());
  return type === "string" ? reader.stringVerify() : reader[type]();
}

function isNumber(type: Field["type"]): type is Scalar {
  return typeof type === "string" && type !== "string" && type !== "bytes";
}

/** What a field that is absent counts as. */
function isDefault(type: Scalar, value: unknown): boolean {
  switch (type) {
    case "string":
      return value === "";
    case "bytes":
      return (value as Uint8Array).length === 0;
    case "int64":
      return value === 0 || value === "0";
    default:
      return Object.is(value, 0);
  }
}

const lengthDelimited = 2;

function wireTypeOf(type: Field["type"]): number {
  switch (type) {
    case "int32":
    case "int64":
      return 0;
    case "double":
      return 1;
    case "float":
      return 5;
    default:
      return lengthDelimited;
  }
}
