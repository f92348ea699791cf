/** What decides about a member: times in milliseconds of one clock. */
export interface MemberFacts {
  readonly id: string;
  readonly state: "connecting" | "loading" | "active" | "gone";
  readonly lastHeardMs: number;
  readonly connectedMs: number;
  /** Its canary has run: it may wait for a place as long as it likes. */
  readonly isReady: boolean;
  readonly bufferedBytes: number;
}

export interface MembershipConfig {
  readonly heartbeatMs: number;
  /** A member that has said nothing for this long is dropped. */
  readonly silenceMs: number;
  /** Time for hello after connecting. */
  readonly helloMs: number;
  /** Time after connecting to compile the programs and run the canary. */
  readonly loadingMs: number;
  /** Bytes that may wait for a member's socket. */
  readonly maxBufferedBytes: number;
}

export const defaultMembership: MembershipConfig = {
  heartbeatMs: 1000,
  silenceMs: 5000,
  helloMs: 10_000,
  loadingMs: 300_000,
  maxBufferedBytes: 1 << 30,
};

/** Who must go and why: a pure function of the facts, the time and the configuration. */
export function overdue(
  members: readonly MemberFacts[],
  nowMs: number,
  config: MembershipConfig,
): readonly { readonly id: string; readonly reason: string }[] {
  const verdicts: { id: string; reason: string }[] = [];
  for (const member of members) {
    if (member.state === "gone") continue;
    const silentMs = nowMs - member.lastHeardMs;
    if (member.state === "connecting") {
      if (nowMs - member.connectedMs > config.helloMs) {
        verdicts.push({ id: member.id, reason: `no hello within ${config.helloMs} ms` });
      }
    } else if (member.state === "loading" && !member.isReady && nowMs - member.connectedMs > config.loadingMs) {
      verdicts.push({ id: member.id, reason: `not ready within ${config.loadingMs} ms` });
    } else if (silentMs > config.silenceMs) {
      verdicts.push({ id: member.id, reason: `silent for ${Math.round(silentMs)} ms (limit ${config.silenceMs})` });
    } else if (member.bufferedBytes > config.maxBufferedBytes) {
      verdicts.push({
        id: member.id,
        reason: `cannot keep up: ${member.bufferedBytes} bytes are waiting for its connection`,
      });
    }
  }
  return verdicts;
}
