// A WebSocket client for the end-to-end tests, by the library `ws`.
//
// Prints what happens to it, one JSON value a line: {"message": …} for each message, in the order of arrival and digit
// for digit as it came; last {"closed": {"code", "reason"}}, {"refused": {"status", "body"}} or {"left": WHY}.
// Written together with ../python/collect.py: the same options, the same lines.

import { createRequire } from "node:module";
import { parseArgs } from "node:util";

// The packages are installed in the target folder, which NODE_PATH names; `import` does not look there.
const WebSocket = createRequire(import.meta.url)("ws");

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    send: { type: "string", multiple: true, default: [] },
    header: { type: "string", multiple: true, default: [] },
    subprotocol: { type: "string", multiple: true, default: [] },
    events: { type: "string" },
    through: { type: "string" },
    op: { type: "string" },
    deadline: { type: "string", default: "60" },
  },
});

const say = (line) => process.stdout.write(`${line}\n`);

const headers = Object.fromEntries(
  options.header.map((header) => header.split(/:(.*)/s, 2).map((part) => part.trim())),
);
const socket = new WebSocket(positionals[0], options.subprotocol, { headers });
let events = 0;
let ended = false;

function end(how) {
  if (ended) return;
  ended = true;
  say(JSON.stringify(how));
  clearTimeout(deadline);
  if (how.left) socket.close();
}

const deadline = setTimeout(() => {
  end({ left: "deadline" });
  socket.terminate();
}, Number(options.deadline) * 1000);

/** Why this message was the last one wanted, or undefined. */
function reasonToLeave(message) {
  if (options.events !== undefined && events >= Number(options.events)) return "events";
  if (options.through !== undefined) {
    const cursor = message.op === "heartbeat" ? message.cursor : ":0";
    const proven = message.op === "event" ? message.seq : Number(cursor.split(":")[1]);
    if (proven >= Number(options.through)) return "through";
  }
  return message.op === options.op ? "op" : undefined;
}

socket.on("open", () => options.send.forEach((text) => socket.send(text)));
socket.on("message", (data) => {
  if (ended) return;
  const text = data.toString();
  const message = JSON.parse(text);
  say(`{"message":${text}}`);
  if (message.op === "event") events += 1;
  const why = reasonToLeave(message);
  if (why) end({ left: why });
});
socket.on("close", (code, reason) => end({ closed: { code, reason: reason.toString() } }));
socket.on("unexpected-response", (request, response) => {
  // The server keeps the connection open for a while; nobody here waits for it.
  const { socket: connection } = response;
  let body = "";
  response.on("data", (part) => (body += part));
  response.on("end", () => {
    end({ refused: { status: response.statusCode, body } });
    request.destroy();
    connection.destroy();
  });
});
socket.on("error", (error) => process.stderr.write(`${error}\n`));
