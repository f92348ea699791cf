import type { Clock } from "@tutti/core/clock";
import { isTuttiError, TuttiError } from "@tutti/core/errors";
import {
  type Connection,
  checksPerHeartbeat,
  protocolVersion,
  Silence,
  type ToCoordinator,
  type ToWorker,
} from "@tutti/core/wire";
import { type Departure, Member } from "./member.ts";
import { type MembershipConfig, overdue } from "./membership-policy.ts";

export interface MembershipEvents {
  /** A worker said hello: send it what it needs to get ready. */
  hello(member: Member): void;
  /** Programs are compiled, the canary has run. */
  ready(member: Member): void;
  /** It answered one of our heartbeats. @param sentMs by its clock. */
  echoed(member: Member, sentMs: number, echo: { readonly sentMs: number; readonly heldMs: number }): void;
  /** Anything about work. Throwing drops the member. */
  message(member: Member, message: ToCoordinator, payload: Uint8Array | undefined): void;
  left(member: Member, departure: Departure): void;
  /** Handling a message failed through no fault of the member. */
  broken(error: unknown): void;
}

/** Keeps track of who is connected: handshake, heartbeats, silence. Knows nothing of steps. */
export class Membership {
  readonly #clock: Clock;
  readonly #config: MembershipConfig;
  readonly #events: MembershipEvents;
  readonly #members = new Map<string, { member: Member; connectedMs: number }>();
  readonly #checkMs: number;
  #nextId = 1;
  #checks = 0;
  #timer: { cancel(): void } | undefined;

  constructor(clock: Clock, config: MembershipConfig, events: MembershipEvents) {
    this.#clock = clock;
    this.#config = config;
    this.#checkMs = config.heartbeatMs / checksPerHeartbeat;
    this.#events = events;
  }

  /** Members that hold the parameters and compute, in the order they connected. */
  get active(): readonly Member[] {
    const active: Member[] = []; // asked for several times a step, so in one go
    for (const { member } of this.#members.values()) if (member.isActive) active.push(member);
    return active;
  }

  /** Of them, those that may be given work: not those that are to leave after the step. */
  get dealable(): readonly Member[] {
    const dealable: Member[] = [];
    for (const { member } of this.#members.values()) if (member.isDealable) dealable.push(member);
    return dealable;
  }

  get all(): readonly Member[] {
    const all: Member[] = [];
    for (const { member } of this.#members.values()) all.push(member);
    return all;
  }

  /** @param address where it comes from. */
  accept(connection: Connection<ToWorker, ToCoordinator>, address: string): void {
    const nowMs = this.#clock.now();
    const silence = new Silence(connection, this.#checkMs, nowMs);
    const member = new Member(`w${this.#nextId++}`, connection, address, silence);
    this.#members.set(member.id, { member, connectedMs: nowMs });
    connection.listen({
      message: (message, payload) => this.#receive(member, message, payload),
      closed: (reason, error) =>
        this.#leave(member, error === undefined ? { reason } : { reason: error.message, error }),
    });
    this.#timer ??= this.#clock.setTimer(this.#checkMs, () => this.#tick());
  }

  /** Cuts a member off. @param error what it has done, if it is at fault. */
  drop(member: Member, reason: string, error?: TuttiError): void {
    if (member.state === "gone") return;
    member.connection.destroy(reason);
    this.#leave(member, error === undefined ? { reason } : { reason, error });
  }

  /** Sends a member away for good, with a code. */
  dismiss(member: Member, code: string, reason: string): void {
    if (member.state === "gone") return;
    member.dismiss(code, reason, false);
    this.#leave(member, { reason });
  }

  /** Says goodbye to all and stops the heartbeats. */
  dismissAll(code: string, message: string, rejoin: boolean): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    for (const member of this.all) {
      member.dismiss(code, message, rejoin);
      member.state = "gone";
    }
    this.#members.clear();
  }

  #receive(member: Member, message: ToCoordinator, payload: Uint8Array | undefined): void {
    if (member.state === "gone") return;
    try {
      switch (message.type) {
        case "heartbeat":
          member.heartbeat(message);
          if (message.echo === undefined) return;
          this.#measureRoundTrip(member, message.echo);
          this.#events.echoed(member, message.sentMs, message.echo);
          return;
        case "leaving":
          this.drop(member, message.reason);
          return;
        case "hello":
          if (member.state !== "connecting") throw new TuttiError("PROTOCOL", "a second hello");
          if (message.protocol !== protocolVersion) {
            const text = `this coordinator speaks protocol ${protocolVersion}, the worker ${message.protocol}: install the same version of Tutti on both`;
            member.dismiss("PROTOCOL", text, false);
            this.#leave(member, { reason: text });
            return;
          }
          member.host = message.host;
          member.lanes = message.lanes;
          member.pid = message.pid;
          member.data = new Map(message.data?.map(({ name, fingerprint }) => [name, fingerprint]));
          member.state = "loading";
          this.#events.hello(member);
          return;
        case "ready":
          if (member.state !== "loading") throw new TuttiError("PROTOCOL", "ready out of turn");
          member.numericClass = message.numericClass;
          this.#events.ready(member);
          return;
        case "listening":
          this.#events.message(member, message, payload);
          return;
        default:
          if (!member.isActive) throw new TuttiError("PROTOCOL", `${message.type} before being admitted`);
          this.#events.message(member, message, payload);
      }
    } catch (error) {
      if (isTuttiError(error) && error.code === "PROTOCOL") this.drop(member, error.message, error);
      else this.#events.broken(error);
    }
  }

  #leave(member: Member, departure: Departure): void {
    if (member.state === "gone") return;
    member.state = "gone";
    this.#members.delete(member.id);
    this.#events.left(member, departure);
  }

  /** The answer to a heartbeat of ours, less the time it was kept before it was answered. */
  #measureRoundTrip(member: Member, echo: { readonly sentMs: number; readonly heldMs: number }): void {
    const ms = this.#clock.now() - echo.sentMs - echo.heldMs;
    if (!(ms >= 0 && ms <= this.#config.silenceMs)) return; // not what we sent
    member.roundTripMs = member.roundTripMs === undefined ? ms : 0.7 * member.roundTripMs + 0.3 * ms;
  }

  #tick(): void {
    const nowMs = this.#clock.now();
    this.#timer = this.#clock.setTimer(this.#checkMs, () => this.#tick());
    const facts = [...this.#members.values()].map(({ member, connectedMs }) => ({
      id: member.id,
      state: member.state,
      silentMs: member.silence.measure(nowMs),
      isReady: member.numericClass !== "",
      connectedMs,
      bufferedBytes: member.connection.bufferedBytes,
    }));
    for (const { id, reason } of overdue(facts, nowMs, this.#config)) {
      const entry = this.#members.get(id);
      if (entry !== undefined) this.drop(entry.member, reason);
    }
    for (const member of this.all) member.noteTransfer(nowMs);
    if (++this.#checks % checksPerHeartbeat !== 0) return;
    for (const member of this.all) if (member.state !== "connecting") member.send({ type: "heartbeat", sentMs: nowMs });
  }
}
