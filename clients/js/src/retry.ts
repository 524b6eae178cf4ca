// When a client comes back: at once, or after a random time that grows with each failure. Pure: the caller waits.

import type { Verdict } from "./errors.js";
import type { Retry } from "./types.js";

/** The longest that a server's `retry_after_ms` is followed. */
const MAX_RETRY_AFTER = 600_000;

/**
 * Counts the failures in a row, and says how long to wait after the next one.
 *
 * A failure is a connection that did not come about, or that brought no progress: no event, no snapshot, no heartbeat.
 * So a server that says "now" on every `welcome` is not asked in a tight loop, and one whose proxy cuts sockets every
 * second under traffic is back each time at once.
 */
export class Backoff {
  readonly #retry: Retry;
  #failures = 0;

  constructor(retry: Retry) {
    this.#retry = retry;
  }

  /** A connection brought something: the next failure is the first one again. */
  progressed(): void {
    this.#failures = 0;
  }

  /**
   * How long to wait until the next attempt, in milliseconds, after a connection ended; undefined if there is none.
   * `random` is from [0, 1), new for each call. `retryAfter` is the least, up to ten minutes: the server spreads its
   * clients by it.
   */
  wait(verdict: Verdict, retryAfter: number | undefined, random: number): number | undefined {
    if (verdict === "never") return undefined;
    const failures = this.#failures++;
    const atOnce = failures === 0 && verdict !== "backoff";
    // Full jitter: a random part of the longest time after this many failures.
    const jitter = atOnce ? 0 : random * Math.min(this.#retry.base * 2 ** failures, this.#retry.cap);
    return Math.max(jitter, Math.min(retryAfter || 0, MAX_RETRY_AFTER));
  }
}
