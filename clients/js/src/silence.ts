// Tells when a server has been silent for too long. Pure: time comes as an argument, in milliseconds.

/** The longest heartbeat interval that is believed. */
const MAX_INTERVAL = 3_600_000;

/** How long an application that was away gets to read what waits for it. */
const GRACE = 1000;

/**
 * Watches one connection for anything that comes.
 *
 *     heard ──two intervals and `slack`──▶ due ──nobody looked in time: GRACE, once──▶ over
 *       ▲                                   │
 *       └──────────── anything ─────────────┘
 */
export class Silence {
  /** How long the server may be silent. */
  readonly patience: number;
  #due: number;
  #extended = false;

  /** From now on, for a server that announced a heartbeat every `interval`. */
  constructor(interval: number, slack: number, now: number) {
    this.patience = 2 * Math.min(interval, MAX_INTERVAL) + slack;
    this.#due = now + this.patience;
  }

  /** Something came. */
  heard(now: number): void {
    this.#due = now + this.patience;
    this.#extended = false;
  }

  /**
   * When to look again; undefined if the silence is over its bound.
   *
   * Who looks much too late was asleep, or kept busy by the application: what waits in the socket may not have been
   * noticed yet. It gets one grace.
   */
  look(now: number): number | undefined {
    if (now < this.#due) return this.#due;
    if (this.#extended || now - this.#due < GRACE) return undefined;
    this.#extended = true;
    this.#due = now + GRACE;
    return this.#due;
  }
}
