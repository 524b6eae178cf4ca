// The examples that do without this client, run as they stand, against the real server.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { repository, root } from "./support/paths.js";
import { proxyTo } from "./support/proxy.js";
import { PUSH, Server, withServer } from "./support/server.js";
import { within } from "./support/updates.js";

/** A running example. It lies where it finds the packages of this folder. */
class Example {
  #lines = [];
  #watching = [];

  constructor(t, name, ...args) {
    const cache = join(root, "node_modules/.cache");
    mkdirSync(cache, { recursive: true });
    const folder = mkdtempSync(join(cache, "example-"));
    copyFileSync(join(repository, "examples/node", name), join(folder, name));
    const child = spawn("node", [join(folder, name), ...args], { stdio: ["ignore", "pipe", "inherit"] });
    this.exit = new Promise((resolve) => child.on("exit", resolve));
    createInterface({ input: child.stdout }).on("line", (line) => {
      this.#lines.push(line);
      for (const wake of this.#watching.splice(0)) wake();
    });
    t.after(async () => {
      child.kill();
      await this.exit;
      rmSync(folder, { recursive: true });
    });
  }

  /** The next line. */
  async line() {
    const come = async () => {
      while (!this.#lines.length) await new Promise((resolve) => this.#watching.push(resolve));
      return this.#lines.shift();
    };
    return within("a line of the example", come());
  }

  async lines(count) {
    const lines = [];
    while (lines.length < count) lines.push(await this.line());
    return lines;
  }
}

/** Waits until so many clients have subscribed to something. */
async function subscribed(server, count) {
  const is = async () => {
    for (;;) {
      const metrics = await (await fetch(`http://${server.address}/metrics`)).text();
      if (metrics.includes(`standpipe_connections_subscribed ${count}\n`)) return;
    }
  };
  await within("the subscription", is());
}

const trade = (pair, side, price) => ({ topic: `trades.${pair}`, id: `${pair}:${price}`, data: { pair, side, price } });

withServer("the simplest one prints events, and why it ended", async (t) => {
  const server = await Server.start(t, `[drain]\nwindow = "1s"\ndeadline = "2s"\n${PUSH}`);
  const example = new Example(t, "simplest.mjs", `${server.url}/ws?topics=trades.>`);
  await subscribed(server, 1);
  await server.publish({ topic: "news.a", data: 1 }, trade("BTC", "buy", 1));
  assert.equal(await example.line(), '2 trades.BTC {"pair":"BTC","side":"buy","price":1}');
  void server.kill("SIGTERM");
  assert.equal(await example.line(), "closed: 4200 RESTART");
});

withServer("events are selected in the URL", async (t) => {
  const server = await Server.start(t);
  const example = new Example(t, "selecting.mjs", "url", `${server.url}/ws`);
  assert.equal(await example.line(), "subscribed trades.*");
  const others = [trade("XBT/USD", "sell", 100), trade("XBT/USD", "buy", 99), trade("XRP/USD", "buy", 100)];
  await server.publish(...others, trade("ETH/USD", "buy", 100));
  assert.equal(await example.line(), '4 trades.ETH/USD {"pair":"ETH/USD","side":"buy","price":100}');
});

withServer("events are selected by messages", async (t) => {
  const server = await Server.start(t);
  await server.publish({ topic: "news.a", data: "old" });
  const example = new Example(t, "selecting.mjs", "messages", `${server.url}/ws`);
  const expected = ["subscribed trades.*", "subscribed trades.*", "subscribed trades.*,news.>", '1 news.a "old"'];
  const lines = await example.lines(5);
  assert.deepEqual(lines.slice(0, 3), expected.slice(0, 3));
  assert.deepEqual(lines.slice(3).sort(), [expected[3], "unsubscribed news.>"]);
});

withServer("it is resumed over a cut and over another server, and refused with what would be right", async (t) => {
  const server = await Server.start(t, `[client]\nheartbeat = "1s"\n${PUSH}`);
  const proxy = await proxyTo(t, server.port);
  const example = new Example(t, "resume.mjs", `${proxy.url}/ws`, "trades.>,news.>");
  await subscribed(server, 1);
  await server.publish(trade("A", "buy", 1));
  assert.match(await example.line(), /^1 trades.A /);
  proxy.cut();
  await server.publish(trade("A", "buy", 2));
  const events = async () => {
    let line;
    do line = await example.line();
    while (line.startsWith("lost: "));
    return line;
  };
  assert.match(await events(), /^2 trades.A /);
  await server.kill();
  const next = await Server.start(t);
  await next.publish(trade("A", "buy", 2), trade("A", "buy", 3));
  proxy.port = next.port;
  assert.match(await events(), /^2 trades.A .*"price":3/, "found by the id of the last event");

  const wrong = new Example(t, "resume.mjs", `${next.url}/ws`, "a..b");
  assert.match(await wrong.line(), /^refused: 400 .*INVALID_TOPIC.*single dots/);
  assert.equal(await within("its end", wrong.exit), 0);
});
