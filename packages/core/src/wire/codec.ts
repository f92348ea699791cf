import { Packr } from "msgpackr";
import * as v from "valibot";
import { TuttiError } from "../errors/index.ts";
import {
  betweenWorkersSchema,
  type Message,
  type PeerMessage,
  type ToCoordinator,
  type ToWorker,
  toCoordinatorSchema,
  toWorkerSchema,
} from "./messages.ts";
import { checkPlainMessagePack } from "./plain-message-pack.ts";

/** Turns one side's messages into header frames and the other side's header frames into messages. */
export interface Codec<Out extends Message, In extends Message> {
  encode(message: Out): Uint8Array;
  /** Throws PROTOCOL for anything that is not a valid message of the other side. */
  decode(frame: Uint8Array): In;
}

function codec<Out extends Message, In extends Message>(parse: (value: unknown) => In): Codec<Out, In> {
  const packr = new Packr({ useRecords: false, mapsAsObjects: true, variableMapSize: true });
  return {
    // encode() of msgpackr hands out a slice of a pooled buffer; ws keeps it until it is written, and the pool moves on.
    encode: (message) => packr.pack(message),
    decode: (frame) => {
      checkPlainMessagePack(frame);
      let value: unknown;
      try {
        value = packr.unpack(frame);
      } catch (cause) {
        throw new TuttiError("PROTOCOL", "a header frame is not MessagePack", { bytes: frame.byteLength }, { cause });
      }
      return parse(value);
    },
  };
}

function parser<T>(schema: v.GenericSchema<unknown, T>): (value: unknown) => T {
  return (value) => {
    const result = v.safeParse(schema, value, { abortEarly: true });
    if (result.success) return result.output;
    const issue = result.issues[0];
    const where = v.getDotPath(issue);
    throw new TuttiError("PROTOCOL", `a header is not valid${where ? ` at ${where}` : ""}: ${issue.message}`);
  };
}

export function coordinatorCodec(): Codec<ToWorker, ToCoordinator> {
  return codec(parser(toCoordinatorSchema));
}

/** Of a connection between two workers. */
export function peerCodec(): Codec<PeerMessage, PeerMessage> {
  return codec(parser(betweenWorkersSchema));
}

export function workerCodec(): Codec<ToCoordinator, ToWorker> {
  return codec(parser(toWorkerSchema));
}
