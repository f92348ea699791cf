/** One exchange of heartbeats, as NTP uses them (RFC 5905, section 8). Milliseconds of the clock that is named. */
export interface RoundTrip {
  /** Ours, when the heartbeat was sent. */
  readonly sentMs: number;
  /** The other's, when it was answered. */
  readonly answeredMs: number;
  /** How long the other had kept it by then. */
  readonly heldMs: number;
  /** Ours, when the answer came. */
  readonly receivedMs: number;
}

interface Sample {
  readonly offsetMs: number;
  readonly errorMs: number;
}

/** Young enough that clocks have not drifted apart since: 20 ppm are 1 ms in 50 s. */
const recentSamples = 32;

/**
 * Estimates another clock's offset from ours: that of the quickest of the last round trips. It is exact if both ways took as
 * long, and off by half the round trip if one of them took all of it.
 */
export class ClockOffset {
  readonly #samples: Sample[] = [];

  add({ sentMs, answeredMs, heldMs, receivedMs }: RoundTrip): void {
    const roundTripMs = receivedMs - sentMs - heldMs;
    if (!(roundTripMs >= 0)) return; // not what we sent
    const offsetMs = (answeredMs - heldMs - sentMs + (answeredMs - receivedMs)) / 2;
    if (!Number.isFinite(offsetMs)) return;
    this.#samples.push({ offsetMs, errorMs: roundTripMs / 2 });
    if (this.#samples.length > recentSamples) this.#samples.shift();
  }

  /** What to subtract from the other's times to have them in ours, and how far off that may be; undefined until known. */
  get best(): Sample | undefined {
    return this.#samples.reduce<Sample | undefined>(
      (best, sample) => (best === undefined || sample.errorMs < best.errorMs ? sample : best),
      undefined,
    );
  }
}
