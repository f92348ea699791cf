/** Time as the step logic sees it: the machine's own, or the simulator's. */
export interface Clock {
  /** Milliseconds since some fixed moment; never goes back. */
  now(): number;
  /** Calls `fire` once, `delayMs` from now, unless cancelled. */
  setTimer(delayMs: number, fire: () => void): { cancel(): void };
}

/** The machine's monotonic clock. Timers keep the process alive only if `keepAlive`. */
export function systemClock(keepAlive = true): Clock {
  return {
    now: () => performance.now(),
    setTimer: (delayMs, fire) => {
      const timer = setTimeout(fire, delayMs);
      if (!keepAlive) timer.unref();
      return { cancel: () => clearTimeout(timer) };
    },
  };
}
