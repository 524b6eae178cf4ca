// A client for Standpipe that stays connected: it reconnects by the server's verdict, resumes where it was, removes
// repeats, and says what was missed. This is the entry for browsers; node/index.ts is that for Node.
//
// From the socket up, each file using only those before it:
// - wire, browser (or node/) – a WebSocket; errors – why it is not there, and what the client does about it;
// - silence, alarm, connection – one connection; address – what is asked for, as a URL; retry – when it is tried again;
// - cursor, seen, wanted, resume – the cursor rule, pure; renew, acks, answers – what is said meanwhile;
// - taking – what waits for the application, and how it gets it; client – the loop over connections.

export { Client } from "./client.js";
export { ConnectionError, type Kind, type Refusal, RefusedError, type Verdict } from "./errors.js";
export type { TokenSource } from "./renew.js";
export type { Bound } from "./taking.js";
export type * from "./types.js";
