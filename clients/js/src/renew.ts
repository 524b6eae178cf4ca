// Where a new credential comes from, and when it is asked for: before the old one ends. That the server says it has
// ended is followed in client.ts.
//
// The end is told by the server (`welcome.expires`), the clock is this machine's. If that is behind, the server ends the
// connection first, and the new credential is got before the next one is opened.

import { Alarm } from "./alarm.js";
import { ConnectionError, final, late } from "./errors.js";

/** Gets a credential: asks whoever signs them. */
export type TokenSource = () => string | Promise<string>;

/** This part of what is left of a credential's life is left for renewing it … */
const LEAD = 5;
/** … and no more than this, in milliseconds. */
const MAX_LEAD = 60_000;

/**
 * From an attempt to the next one, at least, in milliseconds: however wrong this machine's clock is, a new credential is
 * not asked for again and again.
 */
export const PAUSE = 5000;

/** Makes sure that a credential can stand in a header. */
export function sendable(token: string): string {
  if (/^[!-~]+$/.test(token)) return token;
  throw final("token", "a token is one line of visible ASCII");
}

/** A new credential, within `patience` milliseconds. */
export async function ask(source: TokenSource, patience: number): Promise<string> {
  const alarm = new Alarm();
  try {
    const deadline = new Promise<never>((_, reject) => alarm.set(patience, () => reject(late("getting a token"))));
    return sendable(await Promise.race([source(), deadline]));
  } catch (error) {
    throw error instanceof ConnectionError ? error : new ConnectionError("token", `cannot get a token: ${error}`);
  } finally {
    alarm.stop();
  }
}

/**
 * How long to wait before renewing what ends at `expires`, in milliseconds; `today` is on the same clock. Not a number for
 * what does not end.
 */
export function dueIn(expires: number = NaN, today: number): number {
  const left = Math.max(0, expires - today);
  return left - Math.min(left / LEAD, MAX_LEAD);
}
