import type { MessageSocket, OnMessage } from "./connection.ts";

/** A socket in front of another: what a subclass does not change is the other's. */
export class RelayedSocket implements MessageSocket {
  protected readonly socket: MessageSocket;

  constructor(socket: MessageSocket) {
    this.socket = socket;
  }

  get bufferedAmount(): number {
    return this.socket.bufferedAmount;
  }

  placeOf(data: Uint8Array): string | undefined {
    return this.socket.placeOf?.(data);
  }

  send(data: Uint8Array, options: { binary: boolean; compress: boolean }, callback?: (error?: Error) => void): void {
    this.socket.send(data, options, callback);
  }

  flush(): void {
    this.socket.flush?.();
  }

  close(code: number, reason: string): void {
    this.socket.close(code, reason);
  }

  terminate(): void {
    this.socket.terminate();
  }

  pong(data: Buffer): void {
    this.socket.pong(data);
  }

  on(event: "message", listener: OnMessage): unknown;
  on(event: "ping", listener: (data: Buffer) => void): unknown;
  on(event: "close", listener: (code: number, reason: Buffer) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "message" | "ping" | "close" | "error", listener: (...args: never[]) => void): unknown {
    if (event === "message") return this.listen(listener as OnMessage);
    return this.socket.on(event as "ping", listener as (data: Buffer) => void);
  }

  /** Every listener of messages. */
  protected listen(listener: OnMessage): unknown {
    return this.socket.on("message", listener);
  }
}
