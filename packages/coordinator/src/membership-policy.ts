/** What decides about a member: times in milliseconds, instants of one clock. */
export interface MemberFacts {
  readonly id: string;
  readonly state: "connecting" | "loading" | "active" | "gone";
  /** How long nothing has arrived from it. */
  readonly silentMs: number;
  readonly connectedMs: number;
  /** Its canary has run: it may wait for a place as long as it likes. */
  readonly isReady: boolean;
  readonly bufferedBytes: number;
}

export interface MembershipConfig {
  /** Both sides say this often that they are there. */
  readonly heartbeatMs: number;
  /**
   * A member from which nothing has arrived for this long is dropped. Silence is looked for five times in a heartbeat, so
   * that it is named at most two fifths of a heartbeat later.
   */
  readonly silenceMs: number;
  /**
   * The same until its programs are compiled: checking and passing on a large graph can keep its event loop busy for
   * seconds, and it has no work that others wait for.
   */
  readonly loadingSilenceMs: number;
  /** Time for hello after connecting. */
  readonly helloMs: number;
  /** Time after connecting to compile the programs and run the canary. */
  readonly loadingMs: number;
  /** Bytes that may wait for a member's socket. */
  readonly maxBufferedBytes: number;
}

export const defaultMembership: MembershipConfig = {
  heartbeatMs: 500,
  silenceMs: 2250,
  loadingSilenceMs: 30_000,
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
    const isLoading = member.state === "loading" && !member.isReady;
    const limitMs = isLoading ? config.loadingSilenceMs : config.silenceMs;
    if (member.state === "connecting") {
      if (nowMs - member.connectedMs > config.helloMs) {
        verdicts.push({ id: member.id, reason: `no hello within ${config.helloMs} ms` });
      }
    } else if (isLoading && nowMs - member.connectedMs > config.loadingMs) {
      verdicts.push({ id: member.id, reason: `not ready within ${config.loadingMs} ms` });
    } else if (member.silentMs > limitMs) {
      verdicts.push({ id: member.id, reason: `silent for ${Math.round(member.silentMs)} ms (limit ${limitMs})` });
    } else if (member.bufferedBytes > config.maxBufferedBytes) {
      verdicts.push({
        id: member.id,
        reason: `cannot keep up: ${member.bufferedBytes} bytes are waiting for its connection`,
      });
    }
  }
  return verdicts;
}
