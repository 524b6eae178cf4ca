// The client and the real server.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";

import WebSocket from "ws";

import { proxyTo } from "./support/proxy.js";
import { PUSH, Server, withServer } from "./support/server.js";
import { clientOf, failure, until, within } from "./support/updates.js";

const SECRET = "a-secret-of-at-least-32-bytes-for-tests";
const events = (from, to, topic = "a") =>
  Array.from({ length: to - from }, (_, i) => ({ topic, key: "k", id: `t:${from + i}`, data: { n: from + i } }));

/** Takes events until `count` came: their `data.n`. */
async function numbers(client, count) {
  const found = [];
  while (found.length < count) found.push((await until(client, "event")).data.n);
  return found;
}

const range = (from, to) => Array.from({ length: to - from }, (_, i) => from + i);

function token(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const message = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${message}.${createHmac("sha256", SECRET).update(message).digest("base64url")}`;
}

withServer("a selection by URL gets what matches, and only that", async (t) => {
  const server = await Server.start(t);
  const client = clientOf(t, { url: server.url, topics: ["a", "b"], where: { "n.gte": 2 }, filter: { n: { lt: 5 } } });
  await until(client, "subscribed");
  await server.publish(...events(0, 10), ...events(3, 4, "c"), ...events(4, 5, "b"));
  assert.deepEqual(await numbers(client, 4), [2, 3, 4, 4]);
});

withServer("a list in a URL is a list, and a comma in a value is not", async (t) => {
  const server = await Server.start(t);
  const client = clientOf(t, { url: server.url, topics: ["a"], where: { s: ["x,y", "z"] } });
  await until(client, "subscribed");
  const data = (s) => ({ topic: "a", data: { s } });
  await server.publish(data("x"), data("x,y"), data("y"), data("z"));
  assert.equal((await until(client, "event")).data.s, "x,y");
  assert.equal((await until(client, "event")).data.s, "z");
});

withServer("commands select more and less, and are refused with what would be right", async (t) => {
  const server = await Server.start(t);
  const client = clientOf(t, { url: server.url });
  const { topics } = await within("the answer", client.subscribe({ topics: ["a"] }));
  assert.deepEqual(topics, ["a"]);
  await server.publish(...events(0, 1));
  assert.deepEqual(await numbers(client, 1), [0]);
  const wrong = client.subscribe({ topics: ["b"], filter: { n: { gtt: 1 } } });
  await assert.rejects(within("the answer", wrong), { code: "INVALID_FILTER", hint: "did you mean `gt`?" });
  await within("the answer", client.subscribe({ topics: ["b"], after: "earliest" }));
  await within("the answer", client.unsubscribe({ topics: ["a"] }));
  await within("the pong", client.ping());
});

withServer("who is cut again and again gets everything once and in order", async (t) => {
  const server = await Server.start(t);
  const proxy = await proxyTo(t, server.port);
  const client = clientOf(t, { url: proxy.url, topics: ["a"], after: "earliest" });
  const found = [];
  for (let round = 0; round < 8; round++) {
    await server.publish(...events(round * 20, round * 20 + 20));
    found.push(...(await numbers(client, 10)));
    proxy.cut();
  }
  found.push(...(await numbers(client, 80)));
  assert.deepEqual(found, range(0, 160));
  assert.equal(client.stats.gaps, 0);
  assert.ok(client.stats.reconnects >= 1);
});

withServer("selections by commands go on where they were, too", async (t) => {
  const server = await Server.start(t);
  const proxy = await proxyTo(t, server.port);
  const client = clientOf(t, { url: proxy.url });
  await client.subscribe({ topics: ["a"] });
  await client.subscribe({ topics: ["b"], filter: { n: { gte: 0 } } });
  const found = [];
  for (let round = 0; round < 5; round++) {
    await server.publish(...events(round * 4, round * 4 + 2), ...events(round * 4 + 2, round * 4 + 4, "b"));
    if (round % 2) proxy.cut();
    found.push(...(await numbers(client, 4)));
  }
  assert.deepEqual(found.sort((a, b) => a - b), range(0, 20));
});

withServer("a server that was killed and started again is a gap, or found by the id of the last event", async (t) => {
  const server = await Server.start(t);
  const proxy = await proxyTo(t, server.port);
  const client = clientOf(t, { url: proxy.url, topics: ["a"] });
  await until(client, "subscribed");
  await server.publish(...events(0, 3));
  assert.deepEqual(await numbers(client, 3), [0, 1, 2]);
  await server.kill();
  await until(client, "disconnected");

  const second = await Server.start(t);
  // It has taken the same feed from a later place on, and then from an earlier one.
  await second.publish(...events(1, 5));
  proxy.port = second.port;
  assert.deepEqual(await numbers(client, 2), [3, 4], "behind the event of the same id");
  assert.equal(client.stats.gaps, 0);
  await second.kill();

  const third = await Server.start(t);
  await third.publish(...events(10, 12));
  proxy.port = third.port;
  const gap = await until(client, "gap");
  assert.deepEqual([gap.reason, gap.from, gap.to, gap.matched], ["epoch_changed", null, null, null]);
  assert.deepEqual(await numbers(client, 2), [10, 11]);
});

withServer("history that is gone is told, or refused", async (t) => {
  const server = await Server.start(t, `[log]\nmax_events = 10\n${PUSH}`);
  const client = clientOf(t, { url: server.url, topics: ["a"] });
  await until(client, "subscribed");
  await server.publish(...events(0, 1));
  await numbers(client, 1);
  const after = client.cursor;
  await client.close();
  await server.publish(...events(1, 2000));
  const again = clientOf(t, { url: server.url, topics: ["a"], after });
  assert.equal((await until(again, "gap")).reason, "history_expired");
  const strict = await failure(clientOf(t, { url: server.url, topics: ["a"], after, onGap: "fail" }));
  assert.deepEqual([strict.status, strict.refusal.code, strict.verdict], [400, "HISTORY_EXPIRED", "never"]);
});

withServer("a request that cannot be followed is refused with what would be right", async (t) => {
  const server = await Server.start(t);
  const why = await failure(clientOf(t, { url: `${server.url}/ws?topcs=a` }));
  assert.deepEqual([why.kind, why.status, why.refusal.code, why.hint], ["refused", 400, "UNKNOWN_PARAMETER", "did you mean `topics`?"]);
  assert.match(why.message, /HTTP 400, UNKNOWN_PARAMETER: unknown parameter `topcs`/);
  // As a browser is told it.
  class FromAPage extends WebSocket {
    constructor(url, protocols) {
      super(url, protocols, { origin: `http://${server.address}` });
    }
  }
  const told = await failure(clientOf(t, { url: server.url, topics: ["a..b"], WebSocket: FromAPage }));
  assert.deepEqual([told.code, told.reason, told.refusal.code], [4000, "BAD_REQUEST", "INVALID_TOPIC"]);
  assert.match(told.hint, /single dots/);
});

withServer("a drain is told with a place, and the next server is found", async (t) => {
  const server = await Server.start(t, `[drain]\nwindow = "1s"\ndeadline = "2s"\n${PUSH}`);
  const proxy = await proxyTo(t, server.port);
  const client = clientOf(t, { url: proxy.url, topics: ["a"] });
  await until(client, "subscribed");
  await server.publish(...events(0, 2));
  await numbers(client, 2);
  void server.kill("SIGTERM");
  const { why } = await until(client, "disconnected");
  assert.deepEqual([why.code, why.reason, why.verdict], [4200, "RESTART", "now"]);
  const next = await Server.start(t);
  await next.publish(...events(0, 4));
  proxy.port = next.port;
  assert.deepEqual(await numbers(client, 2), [2, 3]);
});

withServer("an operator's close is the end", async (t) => {
  const server = await Server.start(t);
  const client = clientOf(t, { url: server.url, topics: ["a"] });
  await until(client, "subscribed");
  for (const { id } of await server.connections()) {
    await fetch(`http://${server.address}/connections/${id}`, { method: "DELETE" });
  }
  const why = await failure(client);
  assert.deepEqual([why.code, why.reason, why.verdict], [4013, "KICKED", "never"]);
});

withServer("a network that swallows everything is noticed, and nothing is lost", async (t) => {
  const server = await Server.start(t, `[client]\nheartbeat = "1s"\n${PUSH}`);
  const proxy = await proxyTo(t, server.port);
  const client = clientOf(t, { url: proxy.url, topics: ["a"], timing: { slack: 500 } });
  await until(client, "subscribed");
  await server.publish(...events(0, 1));
  await numbers(client, 1);
  proxy.isHole = true;
  await server.publish(...events(1, 3));
  const { why } = await until(client, "disconnected");
  assert.equal(why.kind, "silent");
  proxy.isHole = false;
  assert.deepEqual(await numbers(client, 2), [1, 2]);
});

withServer("a snapshot comes first, and again behind a gap", async (t) => {
  const server = await Server.start(t);
  await server.publish(...events(0, 3), { topic: "a", key: "other", data: { n: 9 } });
  const client = clientOf(t, { url: server.url, topics: ["a"], snapshot: true });
  const seen = [];
  const { count } = await until(client, "snapshot_end", undefined, seen);
  const shown = seen.filter(({ op }) => op === "snapshot").map(({ key, data }) => [key, data.n]);
  assert.deepEqual([count, shown.sort()], [2, [["k", 2], ["other", 9]]]);
  await server.publish(...events(3, 4));
  assert.deepEqual(await numbers(client, 1), [3]);
});

withServer("what the application has taken is confirmed", async (t) => {
  const server = await Server.start(t);
  const client = clientOf(t, { url: server.url, topics: ["a"], confirm: "ack" });
  await until(client, "subscribed");
  await server.publish(...events(0, 5000));
  // More than the server sends without a receipt, so that it needs some of them meanwhile.
  assert.deepEqual((await numbers(client, 5000)).at(-1), 4999);
  void client.next();
  for (;;) {
    const [{ id }] = await server.connections();
    const { ledger } = await (await fetch(`http://${server.address}/connections/${id}`)).json();
    if (ledger.confirmed === 5000) break;
    await new Promise(setImmediate);
  }
});

withServer("an application that is slow beyond its buffer loses nothing", async (t) => {
  const server = await Server.start(t);
  const client = clientOf(t, { url: server.url, topics: ["a"], after: "earliest", buffer: { updates: 50 } });
  await server.publish(...events(0, 500));
  assert.deepEqual(await numbers(client, 500), range(0, 500));
  assert.ok(client.stats.slow >= 1);
  assert.equal(client.stats.gaps, 0);
});

withServer("a token is renewed on the open connection, and after it has ended", async (t) => {
  const server = await Server.start(t, `[auth]\nmode = "jwt"\n[auth.jwt]\nleeway = "1s"\nalgorithm = "HS256"\nsecret = "${SECRET}"\n${PUSH}`);
  const seconds = () => Math.floor(Date.now() / 1000);
  const claims = (life) => ({ sub: "anna", exp: seconds() + life, standpipe: { subscribe: [">"] } });
  const lives = [4, 600];
  const client = clientOf(t, { url: server.url, topics: ["a"], token: () => token(claims(lives.shift())) });
  await until(client, "connected");
  let update;
  do update = await within("a new token", client.next());
  while (update.op !== "refreshed" && update.op !== "connected");
  // A machine that is too busy to renew in time comes back with the new one.
  if (update.op === "refreshed") assert.ok(update.expires > Date.now() + 60_000);

  const fixed = await failure(clientOf(t, { url: server.url, topics: ["a"], token: token(claims(-60)) }));
  assert.deepEqual([fixed.status, fixed.refusal.code, fixed.verdict], [401, "TOKEN_EXPIRED", "never"]);
  const [old, fresh] = [token(claims(-60)), token(claims(600))];
  const tokens = [old, fresh];
  const second = clientOf(t, { url: server.url, topics: ["a"], token: () => tokens.shift() });
  assert.equal((await until(second, "disconnected")).why.refusal.code, "TOKEN_EXPIRED");
  await until(second, "connected");
  const third = clientOf(t, { url: server.url, topics: ["a"], token: fresh, WebSocket });
  await until(third, "connected");
  const nobody = await failure(clientOf(t, { url: server.url, topics: ["a"], token: "nonsense" }));
  assert.deepEqual([nobody.refusal.code, nobody.message.includes("nonsense")], ["UNAUTHORIZED", false]);
});
