// The cursor rule against a naive server: whatever is cut and wherever, the application gets every event once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Resume } from "../dist/resume.js";
import { dice } from "./support/dice.js";

const CASES = 2000;
const EPOCH = "0000000000000001";
/** The topic that stands for all topics. */
const ALL = 3;

const matches = (pattern, topic) => pattern === ALL || pattern === topic;

/** A log, and the one connection that there is. */
class Server {
  log = [];

  connect(commands) {
    this.selected = new Set();
    this.isLive = false;
    this.inbox = [...commands];
    this.outbox = [];
  }

  selectByUrl(topic, after) {
    this.outbox.push({ op: "subscribed", seq: this.log.length });
    this.selected.add(topic);
    this.isLive = true;
    this.#push([topic], after);
  }

  publish(topic) {
    this.log.push(topic);
    const isWanted = [...this.selected].some((pattern) => matches(pattern, topic));
    if (isWanted) this.outbox.push({ op: "event", seq: this.log.length });
  }

  serve() {
    for (const { id, topics, after } of this.inbox.splice(0)) {
      this.outbox.push({ op: "subscribed", id, seq: this.log.length });
      const isBracket = this.isLive && after !== undefined;
      if (isBracket) this.outbox.push({ op: "replay" });
      this.#push(topics.map(Number), after);
      if (isBracket) this.outbox.push({ op: "replayed", id });
      for (const topic of topics) this.selected.add(Number(topic));
      this.isLive = true;
    }
  }

  #push(patterns, after) {
    if (after === undefined) return;
    const floor = after === "earliest" ? 0 : Number(after.split(":")[1]);
    this.log.forEach((topic, i) => {
      const isDue = i + 1 > floor && patterns.some((pattern) => matches(pattern, topic));
      if (isDue) this.outbox.push({ op: "event", seq: i + 1 });
    });
  }
}

/** A client with its application: what it got, and since when it was promised what. */
class Client {
  got = [];
  /** The commands that select at the head and are not answered: from their answer on, everything must come. */
  asked = new Map();
  /** From after which place on everything of a topic must come. */
  promised = [];

  constructor(byUrl, after) {
    this.resume = new Resume({ events: byUrl, conflated: false, snapshot: false }, after);
  }

  welcome() {
    const commands = this.resume.welcome(EPOCH);
    const atHead = commands.filter(({ after }) => after === undefined);
    this.asked = new Map(atHead.map(({ id, topics }) => [id, topics.map(Number)]));
    return commands;
  }

  read({ op, id, seq }) {
    if (op === "subscribed") {
      this.resume.subscribed(id, seq);
      for (const topic of this.asked.get(id) ?? []) this.promised.push([topic, seq]);
      this.asked.delete(id);
    }
    if (op === "event" && this.resume.event(seq)) this.got.push(seq);
    if (op === "replay") this.resume.replay();
    if (op === "replayed") this.resume.replayed(id);
    if (op === "heartbeat") this.resume.told({ epoch: EPOCH, seq });
  }

  /** Everything promised came, and nothing twice. */
  check(log) {
    const unique = new Set(this.got);
    assert.equal(unique.size, this.got.length, `repeats in ${this.got}`);
    for (const [pattern, after] of this.promised) {
      log.forEach((topic, i) => {
        const isDue = i + 1 > after && matches(pattern, topic);
        assert.ok(!isDue || unique.has(i + 1), `${i + 1} of topic ${topic} after ${after} is missing`);
      });
    }
  }
}

/** Something happens, of all that may, in any order. */
function step(random, client, server, connect, subscribes) {
  const kind = random.below(subscribes ? 16 : 15);
  if (kind < 6) server.publish(random.below(ALL));
  else if (kind < 10) for (const message of server.outbox.splice(0, 1 + random.below(7))) client.read(message);
  else if (kind < 12) server.serve();
  else if (kind < 13) server.outbox.push({ op: "heartbeat", seq: server.log.length });
  else if (kind < 15) connect();
  else subscribe(random, client, server);
}

function subscribe(random, client, server) {
  const topic = random.below(ALL + 1);
  const after = random.chance(0.5) ? "earliest" : undefined;
  const filter = random.chance(0.5) ? {} : undefined;
  const command = client.resume.subscribe({ topics: [String(topic)], filter, after });
  if (after) client.promised.push([topic, 0]);
  else client.asked.set(command.id, [topic]);
  server.inbox.push(command);
}

/** A whole life of one client, and what it has to have got. */
function live(random, { byUrl, after, subscribes }) {
  const topic = random.below(ALL + 1);
  const client = new Client(byUrl, after);
  const server = new Server();
  const connect = () => {
    const place = client.resume.urlAfter();
    server.connect(client.welcome());
    if (byUrl) server.selectByUrl(topic, place);
  };
  if (byUrl && after) client.promised.push([topic, 0]);
  connect();
  // What came before the first command may come again.
  if (subscribes) subscribe(random, client, server);
  for (let steps = random.below(120); steps > 0; steps--) step(random, client, server, connect, subscribes);
  server.serve();
  for (const message of server.outbox) client.read(message);
  client.check(server.log);
  if (subscribes) return;
  assert.deepEqual(client.got, [...client.got].sort((a, b) => a - b), "in order");
  // From the first event on, none is missing even if nobody said where to begin.
  if (client.got.length) client.promised.push([topic, client.got[0]]);
  client.check(server.log);
}

for (const [name, setting] of [
  ["a selection by URL from the beginning comes once and in order", { byUrl: true, after: "earliest" }],
  ["a selection by URL comes once and in order", { byUrl: true }],
  ["a selection by commands comes once", { subscribes: true }],
  ["commands beside a URL come once", { byUrl: true, after: "earliest", subscribes: true }],
]) {
  test(name, (t) => {
    const { seed } = dice();
    t.diagnostic(`STANDPIPE_SEED=${seed}`);
    const random = dice(seed);
    for (let i = 0; i < CASES; i++) live(random, setting);
  });
}
