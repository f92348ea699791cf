import type { Connection, PeerMessage, PeerRules } from "@tutti/core/wire";

export type PeerConnection = Connection<PeerMessage, PeerMessage>;

/** How workers reach each other: over sockets, or the simulator's network. */
export interface PeerTransport {
  /**
   * Accepts connections of peers that know `key`. Rejects when it cannot listen.
   * @param rules makes what one connection is held to.
   */
  listen(
    key: string,
    rules: () => PeerRules<PeerMessage, PeerMessage>,
    accept: (connection: PeerConnection) => void,
  ): Promise<PeerListener>;
  /** Rejects when nobody answers there, or not to this key. */
  connect(host: string, port: number, key: string, rules: PeerRules<PeerMessage, PeerMessage>): Promise<PeerConnection>;
}

export interface PeerListener {
  /** The address it is bound to. */
  readonly host: string;
  readonly port: number;
  /** Stops listening; open connections stay. */
  close(): void;
}
