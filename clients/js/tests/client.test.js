// One client and a server that does what the test says.

import assert from "node:assert/strict";
import { test } from "node:test";

import WebSocket from "ws";

import { Client, ConnectionError, RefusedError } from "../dist/node/index.js";
import { EPOCH, scripted, SUBSCRIBED } from "./support/scripted.js";
import { clientOf, failure, until, within } from "./support/updates.js";

test("updates come in the order of the messages, and what is unknown is not told", async (t) => {
  const { url } = await scripted(t, (peer) => {
    peer.welcome({ new: [1] });
    peer.say(SUBSCRIBED, { op: "weather" }, { op: "source", source: "s", state: "live", since: 1 });
    peer.event(8, { key: "k", id: "t:8", ts: 5, unknown: true });
    peer.say({ op: "gap", from: 9, to: 10, matched: 2, reason: "slow_consumer" });
    peer.say({ op: "heartbeat", cursor: `${EPOCH}:12`, ts: 6 });
  });
  const client = clientOf(t, { url, topics: ["a"] });
  const seen = [];
  await until(client, "heartbeat", undefined, seen);
  assert.deepEqual(seen.map(({ op }) => op), ["connected", "subscribed", "source", "event", "gap", "heartbeat"]);
  const { limits, ...connected } = seen[0];
  assert.deepEqual(connected, { op: "connected", connection: "c1", epoch: EPOCH, after: null, before: 0 });
  assert.equal(limits.max_unconfirmed_frames, 4000);
  assert.deepEqual([seen[3].seq, seen[3].key, seen[3].data.n], [8, "k", 8]);
  assert.equal(client.cursor, `${EPOCH}:12:t:8`);
  assert.equal(client.state, "open");
  assert.equal(client.stats.gaps, 1);
});

test("the cursor is that of what the application has taken, not of what waits for it", async (t) => {
  const { url, peers } = await scripted(t, (peer) => {
    peer.begin();
    for (const seq of [8, 9, 10]) peer.event(seq);
    peer.say({ op: "pong", id: "x" });
  });
  const client = clientOf(t, { url, topics: ["a"], after: "earliest" });
  assert.equal(client.cursor, "earliest");
  await until(client, "event");
  while (client.stats.buffered < 3) await new Promise(setImmediate);
  assert.equal(client.cursor, `${EPOCH}:8`);
  assert.equal(peers[0].query.get("after"), "earliest");
  assert.deepEqual([client.stats.received, client.stats.delivered], [3, 1]);
});

test("a client that is cut resumes behind what came, with the secret of its last connection", async (t) => {
  const { url, peers } = await scripted(
    t,
    (peer) => {
      peer.begin();
      peer.event(8, { id: "t:8" });
      setImmediate(() => peer.socket.terminate());
    },
    (peer) => {
      peer.begin();
      peer.event(8, { id: "t:8" });
      peer.event(9);
    },
  );
  const client = clientOf(t, { url, topics: ["a"] });
  const seen = [];
  await until(client, "event", ({ seq }) => seq === 9, seen);
  const ops = seen.map(({ op }) => op);
  assert.deepEqual(ops, ["connected", "subscribed", "event", "disconnected", "connected", "subscribed", "event"]);
  assert.deepEqual([peers[0].query.get("after"), peers[0].query.get("resume")], [null, null]);
  assert.deepEqual([peers[1].query.get("after"), peers[1].query.get("resume")], [`${EPOCH}:8:t:8`, "hunter2"]);
  const { why } = seen[3];
  assert.deepEqual([why.kind, why.code, why.verdict], ["lost", null, "backoff"]);
  assert.deepEqual([client.stats.duplicates, client.stats.reconnects], [1, 1]);
});

test("a goodbye says when to come back and from where", async (t) => {
  const { url, peers } = await scripted(
    t,
    (peer) => {
      peer.begin();
      peer.goodbye(4200, "RESTART", "now", { retry_after_ms: 40, cursor: `${EPOCH}:20` });
    },
    (peer) => peer.welcome(),
  );
  const client = clientOf(t, { url, topics: ["a"] });
  const { why, retryIn } = await until(client, "disconnected");
  assert.deepEqual([why.code, why.reason, why.verdict, why.retryAfter], [4200, "RESTART", "now", 40]);
  assert.equal(why.message, "the server closed the connection: RESTART (4200)");
  assert.equal(retryIn, 40);
  await until(client, "connected");
  assert.equal(peers[1].query.get("after"), `${EPOCH}:20`);
});

test("a goodbye is the end even if no close follows", async (t) => {
  const { url } = await scripted(t, (peer) => {
    peer.welcome();
    peer.say({ op: "error", code: "BACKPRESSURE_LIMIT", message: "too slow" });
    peer.say({ op: "goodbye", code: 4100, reason: "SLOW_CONSUMER", verdict: "backoff" });
  });
  const client = clientOf(t, { url, topics: ["a"], timing: { close: 20 } });
  const { why } = await until(client, "disconnected");
  assert.deepEqual([why.code, why.refusal.code], [4100, "BACKPRESSURE_LIMIT"]);
});

test("a verdict of never ends the client, behind what came before", async (t) => {
  const { url, peers } = await scripted(t, (peer) => {
    peer.begin();
    peer.event(8);
    peer.goodbye(4013, "KICKED", "never");
  });
  const client = clientOf(t, { url, topics: ["a"] });
  while (client.state !== "closed") await new Promise(setImmediate);
  assert.equal((await until(client, "event")).seq, 8);
  const why = await failure(client);
  assert.ok(why instanceof ConnectionError);
  assert.deepEqual([why.code, why.reason, why.verdict], [4013, "KICKED", "never"]);
  assert.equal(await client.next(), undefined, "told once");
  await assert.rejects(client.done, { code: 4013 });
  await assert.rejects(client.subscribe({ topics: ["b"] }), ConnectionError);
  assert.equal(peers.length, 1);
});

test("a code without a goodbye decides by its range", async (t) => {
  const { url } = await scripted(t, (peer) => peer.welcome(), () => {});
  const client = clientOf(t, { url, topics: ["a"] });
  await until(client, "connected");
  const { url: other } = await scripted(t, (peer) => peer.socket.close(4003, "FORBIDDEN"));
  const why = await failure(clientOf(t, { url: other, topics: ["a"] }));
  assert.deepEqual([why.code, why.reason, why.verdict], [4003, "FORBIDDEN", "never"]);
});

test("a server that refuses a browser-like request is understood", async (t) => {
  const { url } = await scripted(t, (peer) => {
    peer.say({ op: "error", code: "INVALID_TOPIC", message: "no", hint: "yes" });
    peer.goodbye(4000, "BAD_REQUEST", "never");
  });
  const why = await failure(clientOf(t, { url, topics: ["a..b"] }));
  assert.deepEqual([why.code, why.refusal.code, why.hint], [4000, "INVALID_TOPIC", "yes"]);
  assert.match(why.message, /BAD_REQUEST \(4000\), INVALID_TOPIC: no \(yes\)/);
});

test("what is not this wire is told and not tried again", async (t) => {
  for (const [say, part] of [
    [(peer) => peer.say("hello"), /`hello`/],
    [(peer) => peer.say("5"), /`5`/],
    [(peer) => peer.event(1), /its first message is not a welcome but `event`/],
    [(peer) => peer.welcome({ protocol: 2 }), /protocol 2/],
    [(peer) => peer.welcome({ epoch: "x" }), /no cursor/],
    [(peer) => (peer.welcome(), peer.socket.send(Buffer.from([1]))), /binary/],
    [(peer) => (peer.welcome(), peer.say({ op: "event", seq: "8", topic: "a", data: 1 })), /without seq/],
    [(peer) => (peer.welcome(), peer.say({ op: "heartbeat" })), /no cursor/],
    [(peer) => (peer.welcome(), peer.say({ op: "goodbye", cursor: 5 })), /no cursor/],
  ]) {
    const { url, peers } = await scripted(t, say);
    const why = await failure(clientOf(t, { url, topics: ["a"] }));
    assert.deepEqual([why?.kind, why?.verdict], ["foreign", "never"], String(part));
    assert.match(why.message, part);
    assert.ok(!why.message.includes("hunter2"));
    assert.equal(peers.length, 1);
  }
});

test("a silent server is given up after two intervals and the slack", async (t) => {
  const { url } = await scripted(t, (peer) => peer.welcome({ heartbeat_interval_ms: 10 }));
  const client = clientOf(t, { url, topics: ["a"], timing: { slack: 30 } });
  const { why } = await until(client, "disconnected");
  assert.deepEqual([why.kind, why.verdict], ["silent", "backoff"]);
  assert.match(why.message, /silent for 50 ms/);
});

test("a server that says nothing is given up, and so is one that never answers", async (t) => {
  const { url } = await scripted(t, () => {});
  const client = clientOf(t, { url, topics: ["a"], timing: { handshake: 20 } });
  const { why } = await until(client, "disconnected");
  assert.equal(why.kind, "timeout");
});

test("a subscription is answered, said again, and answered again under another name", async (t) => {
  const { url, peers } = await scripted(
    t,
    async (peer) => {
      peer.welcome();
      const { id } = await peer.command("subscribe", ({ topics }) => topics[0] === "a");
      peer.say({ ...SUBSCRIBED, id });
      // The second one is cut before its answer.
      await peer.command("subscribe", ({ topics }) => topics[0] === "b");
      peer.socket.terminate();
    },
    async (peer) => {
      peer.welcome();
      const { id } = await peer.command("subscribe", ({ topics }) => topics.includes("a"));
      peer.say({ ...SUBSCRIBED, id });
      const second = await peer.command("subscribe", ({ topics }) => topics.includes("b"));
      peer.say({ ...SUBSCRIBED, id: second.id, topics: ["a", "b"] });
    },
  );
  const client = clientOf(t, { url });
  const first = await within("the answer", client.subscribe({ topics: ["a"], filter: { n: 1 } }));
  assert.deepEqual(first.topics, ["a"]);
  const second = client.subscribe({ topics: ["b"], snapshot: true });
  await until(client, "disconnected");
  assert.deepEqual((await within("the answer", second)).topics, ["a", "b"]);
  const said = peers[1].commands.map(({ topics, after, filter, snapshot }) => ({ topics, after, filter, snapshot }));
  assert.deepEqual(said, [
    { topics: ["a"], after: `${EPOCH}:7`, filter: { n: 1 }, snapshot: undefined },
    { topics: ["b"], after: undefined, filter: undefined, snapshot: true },
  ]);
});

test("a refused subscription fails with what would be right, and is not said again", async (t) => {
  const { url, peers } = await scripted(
    t,
    async (peer) => {
      peer.welcome();
      const { id } = await peer.command("subscribe");
      peer.say({ op: "error", id, code: "INVALID_TOPIC", message: "an empty token", hint: "single dots" });
      setImmediate(() => peer.socket.terminate());
    },
    (peer) => peer.welcome(),
  );
  const client = clientOf(t, { url });
  const refused = client.subscribe({ topics: ["a..b"] });
  const { code } = await until(client, "refused");
  assert.equal(code, "INVALID_TOPIC");
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof RefusedError);
    assert.deepEqual([error.code, error.message, error.hint], ["INVALID_TOPIC", "an empty token", "single dots"]);
    return true;
  });
  await until(client, "connected");
  assert.deepEqual(peers[1].commands, []);
});

test("an unsubscription is answered, or done with the connection", async (t) => {
  const { url, peers } = await scripted(
    t,
    async (peer) => {
      peer.welcome();
      const { id } = await peer.command("subscribe");
      peer.say({ ...SUBSCRIBED, id, topics: ["a", "b", "c"] });
      const { id: first } = await peer.command("unsubscribe");
      peer.say({ op: "unsubscribed", id: first, topics: ["b", "c"], seq: 9 });
      await peer.command("unsubscribe", ({ topics }) => topics[0] === "b");
      peer.socket.terminate();
    },
    (peer) => peer.welcome(),
  );
  const client = clientOf(t, { url });
  await client.subscribe({ topics: ["a", "b", "c"] });
  assert.deepEqual((await client.unsubscribe({ topics: ["a"] })).topics, ["b", "c"]);
  assert.equal(await within("the end", client.unsubscribe({ topics: ["b"] })), undefined);
  await until(client, "connected", ({ before }) => before === 1);
  assert.deepEqual((await peers[1].command("subscribe")).topics, ["c"]);
});

test("a subscription that is taken back before it was answered fails", async (t) => {
  const { url } = await scripted(t, (peer) => peer.welcome());
  const client = clientOf(t, { url });
  const subscribed = client.subscribe({ topics: ["a"] });
  await client.unsubscribe({ topics: ["a"] });
  await assert.rejects(within("the answer", subscribed), ConnectionError);
});

test("what is published is answered with its place, or refused", async (t) => {
  const { url, peers } = await scripted(t, async (peer) => {
    peer.welcome();
    const first = await peer.command("publish");
    peer.say({ op: "published", id: first.id, seq: 1043 });
    const second = await peer.command("publish", ({ topic }) => topic === "b");
    peer.say({ op: "error", id: second.id, code: "FORBIDDEN", message: "not granted" });
    await peer.command("publish", ({ topic }) => topic === "c");
    peer.socket.terminate();
  });
  const client = clientOf(t, { url, topics: ["a"] });
  await assert.rejects(client.publish("a", 1), { kind: "closed" }, "not connected yet");
  await until(client, "connected");
  assert.equal((await within("the answer", client.publish("a", { x: [1] }))).seq, 1043);
  assert.deepEqual(peers[0].commands[0], { op: "publish", topic: "a", data: { x: [1] }, id: peers[0].commands[0].id });
  await assert.rejects(within("the answer", client.publish("b", null)), { code: "FORBIDDEN" });
  await assert.rejects(within("the answer", client.publish("c", null)), { kind: "lost" });
});

test("a ping is answered", async (t) => {
  const { url } = await scripted(t, async (peer) => {
    peer.welcome();
    const { id } = await peer.command("ping");
    peer.say({ op: "pong", id });
  });
  const client = clientOf(t, { url, topics: ["a"] });
  await until(client, "connected");
  await within("the pong", client.ping());
});

test("what the application has taken is acknowledged where the server counts on it", async (t) => {
  const { url, peers } = await scripted(t, (peer) => {
    peer.begin({ confirm: "ack" });
    for (let seq = 8; seq < 12; seq++) peer.event(seq);
  });
  const client = clientOf(t, { url, topics: ["a"], confirm: "ack" });
  await until(client, "event", ({ seq }) => seq === 10);
  // Two are done with; the third is in the application's hands.
  assert.equal((await within("the ack", peers[0].command("ack"))).delivered, 2);
  client.ack();
  await within("the ack", peers[0].command("ack", ({ delivered }) => delivered === 3));
  await until(client, "event");
  await client.close();
  assert.equal(peers[0].commands.at(-1).delivered, 4, "the last one with the close");
  assert.equal(peers[0].query.get("confirm"), "ack");
});

test("an acknowledgement never counts what came on another connection", async (t) => {
  const { url, peers } = await scripted(
    t,
    (peer) => {
      peer.begin({ confirm: "ack" });
      for (let seq = 8; seq < 12; seq++) peer.event(seq);
      setImmediate(() => peer.socket.terminate());
    },
    (peer) => {
      peer.welcome({ confirm: "ack" });
      peer.say({ ...SUBSCRIBED, seq: 12 });
      peer.event(13);
    },
  );
  const client = clientOf(t, { url, topics: ["a"] });
  while (peers.length < 2) await new Promise(setImmediate);
  while (client.stats.received < 5) await new Promise(setImmediate);
  const ready = until(client, "event", ({ seq }) => seq === 13);
  await ready;
  client.ack();
  assert.equal((await within("the ack", peers[1].command("ack"))).delivered, 1);
});

test("an application that does not keep up is told, and nothing is lost", async (t) => {
  const LAST = 60;
  const { url, peers } = await scripted(t, (peer) => {
    peer.welcome();
    const after = Number((peer.query.get("after") ?? ":0").split(":")[1]);
    peer.say({ ...SUBSCRIBED, seq: after });
    for (let seq = after + 1; seq <= LAST; seq++) peer.event(seq);
  });
  const client = clientOf(t, { url, topics: ["a"], buffer: { updates: 10 } });
  while (client.stats.slow < 1) await new Promise(setImmediate);
  assert.equal(client.stats.buffered, 12, "ten, and that it is slow, and that it has left");
  const seen = [];
  await until(client, "event", ({ seq }) => seq === LAST, seen);
  assert.equal(seen[0].op, "slow", "before all that waits");
  assert.equal(seen[0].buffered, 10);
  const seqs = seen.filter(({ op }) => op === "event").map(({ seq }) => seq);
  assert.deepEqual(seqs, Array.from({ length: LAST }, (_, i) => i + 1));
  const ends = seen.filter(({ op }) => op === "disconnected").map(({ why }) => why.kind);
  assert.ok(ends.length >= 5 && ends.every((kind) => kind === "slow"), `${ends}`);
  assert.equal(client.stats.slow, ends.length);
  assert.equal(await peers[0].closed, 1000);
});

test("a snapshot larger than the buffer is taken in whole, because it would begin anew", async (t) => {
  const { url, peers } = await scripted(t, (peer) => {
    peer.begin();
    if (peer.query.has("after")) return;
    for (let seq = 1; seq <= 30; seq++) peer.say({ op: "snapshot", seq, topic: "a", key: `${seq}`, source: "s", data: 1 });
    peer.say({ op: "snapshot_end", seq: 40, count: 30 });
  });
  const client = clientOf(t, { url, topics: ["a"], snapshot: true, buffer: { updates: 10 } });
  while (client.stats.slow < 1) await new Promise(setImmediate);
  const seen = [];
  await until(client, "connected", ({ before }) => before === 1, seen);
  assert.equal(seen.filter(({ op }) => op === "snapshot").length, 30);
  assert.equal(peers[1].query.get("after"), `${EPOCH}:7`, "behind the snapshot");

  // But not without any bound.
  const { url: endless } = await scripted(t, (peer) => {
    peer.begin();
    for (let seq = 1; seq <= 300; seq++) peer.say({ op: "snapshot", seq, topic: "a", key: "k", source: "s", data: 1 });
  });
  const bounded = clientOf(t, { url: endless, topics: ["a"], snapshot: true, buffer: { updates: 10 } });
  while (bounded.stats.slow < 1) await new Promise(setImmediate);
  assert.equal(bounded.stats.buffered, 102, "a hundred, and that it is slow, and that it has left");
});

test("the bound counts bytes, too, and handlers are told of it while one of them is busy", async (t) => {
  const { url } = await scripted(t, (peer) => {
    peer.begin();
    for (let seq = 8; seq < 20; seq++) peer.event(seq, { data: "x".repeat(500) });
  });
  const client = clientOf(t, { url, topics: ["a"], buffer: { bytes: 2000 } });
  let go;
  const busy = new Promise((resolve) => (go = resolve));
  const seqs = [];
  const slow = new Promise((resolve) => client.on("slow", resolve));
  client.on("event", async ({ seq }) => {
    seqs.push(seq);
    await busy;
  });
  const { buffered } = await within("slow", slow);
  assert.ok(buffered <= 6, `${buffered}`);
  while (!seqs.length) await new Promise(setImmediate);
  assert.deepEqual(seqs, [8], "one after the other");
  go();
});

test("handlers get what they asked for, in order, and can be taken back", async (t) => {
  const { url, peers } = await scripted(t, (peer) => {
    peer.begin();
    for (const seq of [8, 9]) peer.event(seq);
  });
  const client = clientOf(t, { url, topics: ["a"] });
  const seen = [];
  client.on("connected", () => seen.push("connected"));
  const off = client.on("event", async ({ seq }) => {
    await new Promise(setImmediate);
    seen.push(seq);
  });
  while (seen.length < 3) await new Promise(setImmediate);
  assert.deepEqual(seen, ["connected", 8, 9]);
  off();
  peers[0].event(10);
  while (client.stats.delivered < 3) await new Promise(setImmediate);
  assert.equal(seen.length, 3);
  await assert.rejects(client.next(), TypeError, "the updates go to the handlers");
});

test("what a handler throws goes to the handler of errors, and so does the end", async (t) => {
  const { url } = await scripted(t, (peer) => {
    peer.begin();
    for (const seq of [8, 9]) peer.event(seq);
    peer.goodbye(4013, "KICKED", "never");
  });
  const client = clientOf(t, { url, topics: ["a"] });
  const errors = [];
  client.on("error", (error) => errors.push(error));
  client.on("event", ({ seq }) => {
    throw new RangeError(`not ${seq}`);
  });
  while (errors.length < 3) await new Promise(setImmediate);
  assert.deepEqual(errors.map(({ message }) => message).slice(0, 2), ["not 8", "not 9"]);
  assert.equal(errors[2].code, 4013);
});

test("without one, it is an unhandled rejection", async (t) => {
  const { url } = await scripted(t, (peer) => {
    peer.begin();
    peer.event(8);
  });
  const listeners = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  t.after(() => listeners.forEach((listener) => process.on("unhandledRejection", listener)));
  const unhandled = new Promise((resolve) => process.once("unhandledRejection", resolve));
  const client = clientOf(t, { url, topics: ["a"] });
  client.on("event", () => {
    throw new RangeError("of the application");
  });
  assert.equal((await within("the rejection", unhandled)).message, "of the application");
});

test("a token is asked for first, renewed in time, and got anew when it has ended", async (t) => {
  const tokens = ["one", "two", "three"];
  const { url, peers } = await scripted(
    t,
    async (peer) => {
      peer.welcome({ expires: Date.now() + 50 });
      const { id } = await peer.command("refresh");
      peer.say({ op: "refreshed", id, expires: Date.now() + 3_600_000, topics: ["a"], seq: 7 });
      peer.goodbye(4203, "TOKEN_EXPIRED", "renew");
    },
    (peer) => peer.welcome(),
  );
  const client = clientOf(t, { url, topics: ["a"], token: async () => tokens.shift() });
  await until(client, "refreshed");
  await until(client, "connected");
  assert.equal(peers[0].request.headers.authorization, "Bearer one");
  assert.equal(peers[0].commands[0].access_token, "two");
  assert.equal(peers[1].request.headers.authorization, "Bearer three");
  assert.ok(!peers[0].request.url.includes("one"));
});

test("a token that is not to be had is tried for again, and no error shows one", async (t) => {
  const { url, peers } = await scripted(t, (peer) => peer.welcome());
  let asked = 0;
  const token = () => {
    asked += 1;
    if (asked < 3) throw new Error("the issuer is away");
    return "t0ken";
  };
  const client = clientOf(t, { url, topics: ["a"], token });
  const { why } = await until(client, "disconnected");
  assert.deepEqual([why.kind, why.message], ["token", "cannot get a token: Error: the issuer is away"]);
  await until(client, "connected");
  assert.equal(peers.length, 1);
  assert.throws(() => new Client({ url, token: "hunter2\n" }), (error) => !error.message.includes("hunter2"));
});

test("a token that nobody gives is not waited for", async (t) => {
  const client = clientOf(t, { url: "127.0.0.1:1", topics: ["a"], token: () => new Promise(() => {}), timing: { renew: 5 } });
  assert.equal((await until(client, "disconnected")).why.kind, "timeout");
});

test("a refresh that is refused is told", async (t) => {
  const { url } = await scripted(t, async (peer) => {
    peer.welcome({ expires: Date.now() });
    const { id } = await peer.command("refresh");
    peer.say({ op: "error", id, code: "UNAUTHORIZED", message: "another subject" });
  });
  const client = clientOf(t, { url, topics: ["a"], token: () => "t" });
  assert.equal((await until(client, "unrenewed")).why.code, "UNAUTHORIZED");
});

test("who does not want to come back is told why it ended", async (t) => {
  const { url } = await scripted(t, (peer) => (peer.welcome(), peer.goodbye(4200, "RESTART", "now")));
  assert.equal((await failure(clientOf(t, { url, topics: ["a"], reconnect: "never" }))).code, 4200);
  const nobody = clientOf(t, { url: "ws://127.0.0.1:1", topics: ["a"], reconnect: "once_connected" });
  assert.equal((await failure(nobody)).kind, "unreachable");
  const client = clientOf(t, { url, topics: ["a"], reconnect: "once_connected" });
  await until(client, "connected", ({ before }) => before === 2);
});

test("closing says 1000, ends the iteration, and can be done again", async (t) => {
  const { url, peers } = await scripted(t, (peer) => {
    peer.begin();
    for (const seq of [8, 9]) peer.event(seq);
  });
  const client = clientOf(t, { url, topics: ["a"] });
  const seqs = [];
  for await (const update of client) {
    if (update.op !== "event") continue;
    seqs.push(update.seq);
    void client.close();
  }
  assert.deepEqual(seqs, [8]);
  await client.close();
  assert.equal(await peers[0].closed, 1000);
  assert.equal(client.state, "closed");
  assert.equal(client.cursor, `${EPOCH}:8`);
  await client.done;
});

test("a close waits for the server only so long", async (t) => {
  const { url } = await scripted(t, (peer) => {
    peer.welcome();
    peer.socket.pause();
  });
  const client = clientOf(t, { url, topics: ["a"], timing: { close: 20 } });
  await until(client, "connected");
  await within("the end", client.close());
});

test("closing ends a wait, an attempt and what is asked for", async (t) => {
  const nobody = clientOf(t, { url: "ws://127.0.0.1:1", topics: ["a"], retry: { base: 1e6, cap: 1e6 } });
  const subscribed = nobody.subscribe({ topics: ["b"] });
  await until(nobody, "disconnected");
  const waiting = nobody.next();
  await within("the end", nobody.close());
  assert.equal(await waiting, undefined);
  await assert.rejects(subscribed, { kind: "closed" });

  const { url } = await scripted(t, () => {});
  const silent = clientOf(t, { url, topics: ["a"] });
  await new Promise(setImmediate);
  await within("the end", silent.close());

  const asking = clientOf(t, { url, topics: ["a"], token: () => new Promise(() => {}), timing: { renew: 20 } });
  await new Promise(setImmediate);
  await within("the end", asking.close());
});

test("a signal closes", async (t) => {
  const { url } = await scripted(t, (peer) => peer.welcome());
  const abort = new AbortController();
  const client = clientOf(t, { url, topics: ["a"], signal: abort.signal });
  await until(client, "connected");
  abort.abort();
  assert.equal(await within("the end", client.next()), undefined);
  const before = clientOf(t, { url, topics: ["a"], signal: AbortSignal.abort() });
  assert.equal(await within("the end", before.next()), undefined);
});

test("another parser keeps the digits of data, and the client still counts", async (t) => {
  const parse = (text) =>
    JSON.parse(text.replace(/:(\d{10,})(?=[,}])/g, ':"$1n"'), (_, value) =>
      typeof value === "string" && /^\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
    );
  const { url } = await scripted(t, (peer) => {
    peer.begin();
    peer.say(`{"op":"event","seq":90071992547409,"topic":"a","ts":1732212345678,"source":"s","data":{"n":9007199254740993}}`);
  });
  const client = clientOf(t, { url, topics: ["a"], parse });
  const event = await until(client, "event");
  assert.deepEqual([event.seq, event.ts, event.data.n], [90071992547409, 1732212345678, 9007199254740993n]);
  assert.equal(client.cursor, `${EPOCH}:90071992547409`);
});

test("over another WebSocket the token is a subprotocol", async (t) => {
  const { url, peers } = await scripted(t, (peer) => {
    peer.begin();
    peer.event(8);
  });
  const client = clientOf(t, { url, topics: ["a"], token: "a.b-c_d", WebSocket });
  await until(client, "event");
  assert.equal(peers[0].request.headers["sec-websocket-protocol"], "standpipe.v1,standpipe.auth.a.b-c_d");
  assert.equal(peers[0].request.headers.authorization, undefined);
  await client.close();
  assert.equal(await peers[0].closed, 1000);
  const unsendable = clientOf(t, { url, topics: ["a"], token: "hunter2/=", WebSocket });
  const why = await failure(unsendable);
  assert.deepEqual([why.kind, why.verdict, why.message.includes("hunter2")], ["token", "never", false]);
});

test("over another WebSocket a refused attempt, a code and a loss are told apart", async (t) => {
  const nobody = clientOf(t, { url: "ws://127.0.0.1:1", topics: ["a"], WebSocket });
  assert.equal((await until(nobody, "disconnected")).why.kind, "unreachable");
  const { url } = await scripted(
    t,
    (peer) => (peer.welcome(), setImmediate(() => peer.socket.terminate())),
    (peer) => (peer.welcome(), peer.socket.close(4010, "BUDGET_EXHAUSTED")),
  );
  const client = clientOf(t, { url, topics: ["a"], WebSocket });
  assert.equal((await until(client, "disconnected")).why.kind, "lost");
  assert.equal((await failure(client)).code, 4010);
});
