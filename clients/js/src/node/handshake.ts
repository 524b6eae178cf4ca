// The HTTP upgrade (RFC 6455 §4.1), as the client sees it. Unlike a browser it shows why it was refused: the server says in
// the body what was wrong and what would be right.

import { createHash, randomBytes } from "node:crypto";
import { type ClientRequest, type IncomingMessage, request as plain } from "node:http";
import { request as secure } from "node:https";
import type { Duplex } from "node:stream";

import { ConnectionError, foreign, type Refusal, type Verdict } from "../errors.js";
import { SUBPROTOCOL } from "../wire.js";

/** How much of the body of a refusal is read, in characters. */
const MAX_BODY = 64 << 10;

/** How much of a body that is not ours is shown, in characters. */
const SHOWN = 200;

export interface Upgraded {
  socket: Duplex;
  /** What came right behind the answer. */
  head: Buffer;
}

/** Asks for the upgrade. Exactly one of the two is called, unless the request is destroyed first. */
export function upgrade(
  address: string,
  token: string | undefined,
  done: (upgraded: Upgraded) => void,
  failed: (why: ConnectionError) => void,
): ClientRequest {
  const url = new URL(address.replace(/^ws/, "http"));
  const key = randomBytes(16).toString("base64");
  const request = (url.protocol === "https:" ? secure : plain)(url, {
    // A connection of its own: it is not given back.
    agent: false,
    headers: {
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": key,
      "Sec-WebSocket-Protocol": SUBPROTOCOL,
      ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
    },
  });
  request.on("upgrade", (answer, socket, head) => {
    const wrong = fault(answer, key);
    if (wrong === undefined) return done({ socket, head });
    socket.destroy();
    failed(foreign(`its handshake is wrong: ${wrong}`));
  });
  request.on("response", (answer) => {
    let body = "";
    const end = (): void => {
      failed(refused(answer, body));
      request.destroy();
    };
    answer.setEncoding("utf8");
    answer.on("data", (part: string) => {
      body += part;
      if (body.length > MAX_BODY) end();
    });
    answer.on("end", end);
    answer.on("error", end);
  });
  request.on("error", (error: NodeJS.ErrnoException) => {
    const why = error.code?.startsWith("HPE_")
      ? foreign(`its answer is not HTTP: ${error.message}`)
      : new ConnectionError("unreachable", `cannot connect to ${url.host}: ${error.code ?? error.message}`);
    failed(why);
  });
  request.end();
  return request;
}

/** The list of what a client checks. A server without subprotocols is taken for one that serves ours. */
function fault({ headers }: IncomingMessage, key: string): string | undefined {
  const expected = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  if (headers.upgrade?.toLowerCase() !== "websocket") return "it does not name the upgrade to `websocket`";
  if (headers["sec-websocket-accept"] !== expected) return "`Sec-WebSocket-Accept` does not belong to the key";
  const extensions = headers["sec-websocket-extensions"];
  if (extensions !== undefined) return `it uses extensions that were not offered: ${extensions}`;
  const chosen = headers["sec-websocket-protocol"];
  if (chosen !== undefined && chosen !== SUBPROTOCOL) return `it chose the subprotocol \`${chosen}\`, which was not offered`;
  return undefined;
}

/** An answer other than `101 Switching Protocols`. */
function refused({ statusCode: status = 0, headers }: IncomingMessage, body: string): ConnectionError {
  const refusal = refusalOf(body);
  let message = `the server refused the connection with HTTP ${status}`;
  if (!refusal && headers.location) message += ` and points to another address; use that if you trust it`;
  else if (!refusal && body) message += `: ${shown(body)}`;
  // The other form of Retry-After, a date, is not worth a clock here.
  const retryAfter = Number(headers["retry-after"]) * 1000 || 0;
  return new ConnectionError("refused", message, { status, verdict: verdictOf(status), retryAfter, refusal });
}

/** 408, 425, 429 and 5xx are about the moment, all others about the request. */
function verdictOf(status: number): Verdict {
  return status >= 500 || [408, 425, 429].includes(status) ? "backoff" : "never";
}

/** `{"error": {"code": …, "message": …, "hint": …}}` */
function refusalOf(body: string): Refusal | undefined {
  try {
    const { code, message, hint } = JSON.parse(body).error;
    if (typeof code !== "string") return undefined;
    return { code, message: String(message ?? ""), ...(hint === undefined ? {} : { hint: String(hint) }) };
  } catch {
    return undefined;
  }
}

/** The beginning of a body that is not ours, on one line, and without what a terminal would follow. */
function shown(body: string): string {
  return body.replace(/\s+/g, " ").replace(/\p{Cc}/gu, "").trim().slice(0, SHOWN);
}
