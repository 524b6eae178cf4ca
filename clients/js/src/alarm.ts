// One timer that can be set again.

/** `setTimeout` counts no further, and takes more for nothing. Whatever is due later is done early. */
const LONGEST = 2 ** 31 - 1;

/** The clock that all deadlines of a client are read from: it does not jump. In milliseconds. */
export const now = (): number => performance.now();

/** Rings once, for the last time that it was set to. */
export class Alarm {
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Rings in so many milliseconds, at most some 24 days, and not when it was going to. */
  set(delay: number, ring: () => void): void {
    this.stop();
    this.#timer = setTimeout(ring, Math.min(delay, LONGEST));
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
