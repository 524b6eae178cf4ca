// Why a connection is not there, or a command was not followed. Every end of a connection has a verdict: what the client
// does about it. No error holds a credential or a whole URL.

/** What to do after the end of a connection: `renew` is a new token, then now. */
export type Verdict = "now" | "backoff" | "renew" | "never";

/** What was wrong with a request or command, and what would be right, in the server's words. */
export interface Refusal {
  /** For programs, such as `INVALID_TOPIC`. */
  code: string;
  /** For people. */
  message: string;
  hint?: string;
  /** The command, if it had an id. */
  id?: string;
}

/** What kind of end it was. */
export type Kind =
  /** No connection came about: no network, no such host, nobody listens, no TLS. */
  | "unreachable"
  /** It broke, or was closed without a word. */
  | "lost"
  /** A step took too long. */
  | "timeout"
  /** Nothing was heard for longer than the server announced. */
  | "silent"
  /** The server refused it with an HTTP status. Browsers show a refusal as `closed` or `unreachable`. */
  | "refused"
  /** The server closed it, or the application did. */
  | "closed"
  /** What answers is no Standpipe server of this protocol. */
  | "foreign"
  /** There is no token that could be sent. */
  | "token"
  /** The application takes updates too slowly: the client left by itself. */
  | "slow";

/** What is known of an end, besides its kind. */
export interface Ending {
  /** The code of its close; null if it has none. */
  code?: number | null;
  /** The name of its close, such as `RESTART`. */
  reason?: string | null;
  /** What the client does about it; `backoff` unless it is said. */
  verdict?: Verdict;
  /** How long the server asks to wait, in milliseconds. */
  retryAfter?: number;
  /** The HTTP status of a refusal. */
  status?: number;
  /** What the server said was wrong, if it said so. */
  refusal?: Refusal | undefined;
}

/** A command that the server refused. The connection lives on. */
export class RefusedError extends Error implements Refusal {
  declare readonly code: string;
  declare readonly hint?: string;
  declare readonly id?: string;

  constructor({ code, message, hint, id }: Refusal) {
    super(message);
    Object.assign(this, { name: "RefusedError", code, hint, id });
  }
}

/** Why a connection is not there, or no longer. */
export class ConnectionError extends Error implements Ending {
  declare readonly kind: Kind;
  declare readonly code: number | null;
  declare readonly reason: string | null;
  declare readonly verdict: Verdict;
  declare readonly retryAfter?: number;
  declare readonly status?: number;
  declare readonly refusal?: Refusal;
  /** What would be right, if the server said so. */
  declare readonly hint?: string;

  constructor(kind: Kind, message: string, ending: Ending = {}) {
    const { code, message: what, hint } = ending.refusal ?? {};
    super(code ? `${message}, ${code}: ${what}${hint ? ` (${hint})` : ""}` : message);
    const unsaid = { name: "ConnectionError", kind, code: null, reason: null, verdict: "backoff", hint };
    Object.assign(this, unsaid, ending);
  }
}

/** An end after which coming back would not help. */
export function final(kind: Kind, message: string): ConnectionError {
  return new ConnectionError(kind, message, { verdict: "never" });
}

/** What answers does not speak this wire. */
export function foreign(what: unknown): ConnectionError {
  return final("foreign", `this is no Standpipe server: ${what}`);
}

/** The application has ended it, or does not have it yet. */
export function closed(message = "the client is closed"): ConnectionError {
  return final("closed", message);
}

/** A step that took too long. */
export function late(attempted: string): ConnectionError {
  return new ConnectionError("timeout", `${attempted} took too long`);
}

/** The verdict for who sees only the code of a close. */
export function verdictOf(code: number): Verdict {
  if (code === 4203) return "renew";
  if (/^(100[2379]|40..)$/.test(`${code}`)) return "never";
  return /^42..$/.test(`${code}`) ? "now" : "backoff";
}
