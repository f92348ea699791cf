import type { ControlRequest, LiveUpdate } from "@tutti/core/events";

/** closed: the run is over and its server has gone · locked: a token is needed. */
export type Link = "connecting" | "open" | "lost" | "locked";

export interface ConnectionEvents {
  update(update: LiveUpdate): void;
  link(link: Link): void;
}

/** Silence after which a connection counts as lost; the server speaks at least every ten seconds. */
const silenceMs = 15_000;
const longestPauseMs = 5000;

/**
 * Reads `/events`, again and again when the connection is lost. Not by EventSource: that cannot send the token, which so is
 * in no address that a server or proxy would log.
 */
export class Connection {
  readonly #events: ConnectionEvents;
  #token: string | null;
  #stop = new AbortController();

  constructor(token: string | null, events: ConnectionEvents) {
    this.#token = token;
    this.#events = events;
  }

  /** Reads until the page is closed. */
  async run(): Promise<never> {
    for (let pauseMs = 500; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
      this.#stop = new AbortController();
      try {
        if (await this.#read(this.#stop)) pauseMs = 500;
      } catch {
        // whatever it was, the way on is to try again
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  /** From now on with another token. */
  unlock(token: string): void {
    this.#token = token;
    this.#stop.abort();
  }

  /** @returns what the server said; `isDone` when it took the order. */
  async order(request: ControlRequest): Promise<{ readonly isDone: boolean; readonly text: string }> {
    try {
      const response = await fetch("./control", {
        method: "POST",
        headers: { ...this.#authorization, "content-type": "application/json" },
        body: JSON.stringify(request),
      });
      return { isDone: response.ok, text: (await response.text()).trim() };
    } catch {
      return { isDone: false, text: "the coordinator does not answer" };
    }
  }

  get #authorization(): Record<string, string> {
    return this.#token === null ? {} : { authorization: `Bearer ${this.#token}` };
  }

  /** @returns whether anything came. */
  async #read(stop: AbortController): Promise<boolean> {
    let hasCome = false;
    let silence = setTimeout(() => stop.abort(), silenceMs);
    try {
      const response = await fetch("./events", {
        headers: this.#authorization,
        signal: stop.signal,
        cache: "no-store",
      });
      if (response.status === 401) this.#events.link("locked");
      if (!response.ok || response.body === null) return false;
      this.#events.link("open");
      let waiting = "";
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        clearTimeout(silence);
        silence = setTimeout(() => stop.abort(), silenceMs);
        const blocks = (waiting + part.value).split("\n\n");
        waiting = blocks.pop() ?? "";
        for (const block of blocks) {
          if (!block.startsWith("data: ")) continue;
          hasCome = true;
          this.#events.update(JSON.parse(block.slice("data: ".length)) as LiveUpdate);
        }
      }
      return hasCome;
    } finally {
      clearTimeout(silence);
      if (hasCome) this.#events.link("lost");
    }
  }
}

/** The secret in the address, which then no longer shows it; kept for reloads of this tab only. */
export function tokenOfAddress(): string | null {
  const key = "tutti-token";
  const token = location.hash.slice(1);
  if (token !== "") {
    sessionStorage.setItem(key, token);
    history.replaceState(null, "", location.pathname + location.search);
  }
  return sessionStorage.getItem(key);
}
