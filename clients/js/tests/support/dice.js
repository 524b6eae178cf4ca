// Random numbers that can be had again: `STANDPIPE_SEED` repeats a run, and each run prints its seed.

/** A generator (mulberry32). */
export function dice(seed = Number(process.env.STANDPIPE_SEED ?? Date.now() % 2 ** 31)) {
  let state = seed;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    seed,
    /** From [0, 1). */
    next,
    /** A whole number from [0, `n`). */
    below: (n) => Math.floor(next() * n),
    chance: (probability) => next() < probability,
  };
}
