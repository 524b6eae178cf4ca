// The wire over Node's own HTTP, against servers that answer as they should, and otherwise.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";

import { overNode } from "../dist/node/socket.js";
import { scripted } from "./support/scripted.js";

/** A server of bytes: `answer` gets the key of the handshake and the socket. */
async function bytes(t, answer) {
  const server = createServer((socket) => {
    socket.on("error", () => {});
    let head = "";
    socket.on("data", (chunk) => {
      if (head.includes("\r\n\r\n")) return;
      head += chunk;
      if (!head.includes("\r\n\r\n")) return;
      const key = /sec-websocket-key: (.*)\r/i.exec(head)[1];
      const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
      answer(socket, accept, head);
    });
    t.after(() => socket.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `ws://127.0.0.1:${server.address().port}/ws`;
}

const GOOD = (accept) =>
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n" +
  `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: standpipe.v1\r\n\r\n`;

/** Opens a wire, and keeps what it is told. */
function open(t, url, token, maxMessage) {
  const told = [];
  let wire;
  const ended = new Promise((resolve) => {
    wire = overNode(maxMessage)(url, token, {
      open: () => told.push("open"),
      message: (text) => told.push(text),
      heard: () => told.push("heard"),
      end: (code, reason, why) => resolve({ code, reason, why }),
    });
  });
  t.after(() => wire.close(1000));
  return { wire, told, ended };
}

const text = (payload) => Buffer.concat([Buffer.from([0x81, payload.length]), Buffer.from(payload)]);

test("what comes in one read with the answer belongs to the WebSocket", async (t) => {
  let request;
  const url = await bytes(t, (socket, accept, head) => {
    request = head;
    socket.write(Buffer.concat([Buffer.from(GOOD(accept)), text("a"), text("b"), Buffer.from([0x88, 0])]));
  });
  const { told, ended } = open(t, url, "t0ken");
  assert.deepEqual(await ended, { code: null, reason: "", why: undefined });
  assert.deepEqual(told, ["open", "a", "b"]);
  assert.match(request, /^GET \/ws HTTP\/1.1\r\n/);
  assert.match(request, /\r\nAuthorization: Bearer t0ken\r\n/i);
  assert.match(request, /\r\nSec-WebSocket-Protocol: standpipe.v1\r\n/i);
});

test("a refusal carries what the server says", async (t) => {
  const body = '{"error":{"code":"OVER_CAPACITY","message":"no","hint":"later"}}';
  const head = `HTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: ${body.length}\r\nConnection: keep-alive\r\n\r\n`;
  const url = await bytes(t, (socket) => socket.write(head + body));
  const { why } = await open(t, url).ended;
  assert.deepEqual([why.kind, why.status, why.retryAfter, why.verdict], ["refused", 503, 7000, "backoff"]);
  assert.deepEqual(why.refusal, { code: "OVER_CAPACITY", message: "no", hint: "later" });
  assert.equal(why.hint, "later");
  assert.equal(why.message, "the server refused the connection with HTTP 503, OVER_CAPACITY: no (later)");
});

test("a refusal of another server is shown in part", async (t) => {
  const url = await bytes(t, (socket) => socket.end(`HTTP/1.1 404 x\r\n\r\n<h1>\n  no \u001b[1m${"x".repeat(90_000)}`));
  const { why } = await open(t, url).ended;
  assert.deepEqual([why.status, why.verdict, why.refusal], [404, "never", undefined]);
  assert.match(why.message, /HTTP 404: <h1> no \[1mxxx/);
  assert.ok(why.message.length < 300);
});

test("wrong handshakes are told apart", async (t) => {
  for (const [answer, kind, part] of [
    [() => "hello\r\n\r\n", "foreign", /not HTTP/],
    [(accept) => GOOD(accept).replace(accept, "a2V5"), "foreign", /does not belong to the key/],
    [(accept) => GOOD(accept).replace("WebSocket\r\n", "h2c\r\n"), "foreign", /does not name the upgrade/],
    [(accept) => GOOD(accept).replace("standpipe.v1", "chat"), "foreign", /subprotocol `chat`/],
    [
      (accept) => GOOD(accept).replace("Upgrade: W", "Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: W"),
      "foreign",
      /extensions/,
    ],
    [() => "HTTP/1.1 301 x\r\nLocation: https://h/?access_token=hunter2\r\n\r\n", "refused", /another address/],
    [() => "", "unreachable", /cannot connect/],
  ]) {
    const url = await bytes(t, (socket, accept) => socket.end(answer(accept)));
    const { why } = await open(t, url).ended;
    assert.equal(why.kind, kind, why.message);
    assert.match(why.message, part);
    assert.ok(!why.message.includes("hunter2"));
  }
});

test("a server without subprotocols will do", async (t) => {
  const answer = (accept) => GOOD(accept).replace("Sec-WebSocket-Protocol: standpipe.v1\r\n", "");
  const url = await bytes(t, (socket, accept) => socket.write(Buffer.concat([Buffer.from(answer(accept)), text("a")])));
  const { wire, told } = open(t, url);
  while (!told.includes("a")) await new Promise(setImmediate);
  wire.close(1000);
});

test("nobody there is told, and dropping an attempt tells nothing", async (t) => {
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address();
  closed.close();
  await once(closed, "close");
  const { why } = await open(t, `ws://127.0.0.1:${port}`).ended;
  assert.deepEqual([why.kind, why.verdict], ["unreachable", "backoff"]);
  assert.match(why.message, /ECONNREFUSED/);

  const url = await bytes(t, () => {});
  const silent = open(t, url);
  silent.ended.then(() => assert.fail("told"));
  silent.wire.close(1000);
  await new Promise(setImmediate);
});

test("pings are answered with what they hold", async (t) => {
  const answered = new Promise((resolve) => {
    void scripted(t, (peer) => {
      peer.socket.on("pong", (data) => resolve(data.toString()));
      peer.socket.ping("nonce");
    }).then(({ url }) => open(t, url));
  });
  assert.equal(await answered, "nonce");
});

test("a close of the server's is answered with its code", async (t) => {
  const { url, peers } = await scripted(t, (peer) => peer.socket.close(4200, "RESTART"));
  assert.deepEqual(await open(t, url).ended, { code: 4200, reason: "RESTART", why: undefined });
  assert.equal(await peers[0].closed, 4200);
});

test("a close of ours says 1000", async (t) => {
  const { url, peers } = await scripted(t, (peer) => peer.say("hello"));
  const { wire, told, ended } = open(t, url);
  while (!told.includes("hello")) await new Promise(setImmediate);
  wire.close(1000);
  assert.equal((await ended).code, 1000);
  assert.equal(await peers[0].closed, 1000);
});

test("what was sent last is there before the close", async (t) => {
  const { url, peers } = await scripted(t, (peer) => peer.say("hello"));
  const { wire, told } = open(t, url);
  while (!told.includes("hello")) await new Promise(setImmediate);
  wire.send(JSON.stringify({ op: "ack", text: "x".repeat(70_000) }));
  wire.close(1000);
  assert.equal(await peers[0].closed, 1000);
  assert.equal(peers[0].commands[0].text.length, 70_000);
});

test("a server that breaks the protocol is told so, and its later frames are not looked at", async (t) => {
  let answer = Buffer.alloc(0);
  const url = await bytes(t, (socket, accept) => {
    socket.write(Buffer.concat([Buffer.from(GOOD(accept)), text("a"), Buffer.from([0xc1, 0]), text("b")]));
    socket.on("data", (chunk) => (answer = Buffer.concat([answer, chunk])));
    socket.on("end", () => socket.end());
  });
  const { told, ended, wire } = open(t, url);
  const { why } = await ended;
  assert.deepEqual([why.kind, why.verdict], ["foreign", "never"]);
  assert.match(why.message, /reserved bit/);
  assert.deepEqual(told, ["open", "a"]);
  while (answer.length < 8) await new Promise(setImmediate);
  const code = ((answer[6] ^ answer[2]) << 8) | (answer[7] ^ answer[3]);
  assert.deepEqual([answer[0], code], [0x88, 1002]);
  wire.close(1000);
});

test("a message beyond the bound is refused", async (t) => {
  const { url } = await scripted(t, (peer) => peer.say("x".repeat(2000)));
  const { why } = await open(t, url, undefined, 1000).ended;
  assert.match(why.message, /more than 1000 bytes/);
});

test("binary frames are passed on as such, and a cut is the end without a code", async (t) => {
  const { url } = await scripted(t, (peer) => {
    peer.socket.send(Buffer.from([1]));
    setImmediate(() => peer.socket.terminate());
  });
  const { told, ended } = open(t, url);
  assert.deepEqual(await ended, { code: null, reason: "", why: undefined });
  assert.ok(told.every((one) => typeof one !== "string" || one === "open"));
});
