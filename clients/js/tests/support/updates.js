// Taking updates from a client in a test: each wait has a deadline, and no client outlives its test.

import { Client } from "../../dist/node/index.js";

/** Longer than anything here takes on a busy machine. */
const DEADLINE = 60_000;

/** What `promise` resolves with, in time. */
export async function within(what, promise, deadline = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come in time`)), deadline);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A client with short waits, closed with its test. */
export function clientOf(t, options, Kind = Client) {
  const client = new Kind({ retry: { base: 1, cap: 20 }, ...options });
  t.after(() => client.close());
  return client;
}

/** Takes updates until one is named `op` and fits; that one. The others are added to `seen`. */
export async function until(client, op, fits = () => true, seen = []) {
  for (;;) {
    const update = await within(`${op}`, client.next());
    if (!update) throw new Error(`the client ended before ${op}`);
    seen.push(update);
    if (update.op === op && fits(update)) return update;
  }
}

/** The error that ends the client. */
export async function failure(client) {
  try {
    for (;;) if (!(await within("the end", client.next()))) return undefined;
  } catch (error) {
    return error;
  }
}
