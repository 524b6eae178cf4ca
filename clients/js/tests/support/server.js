// The real server, as `STANDPIPE_BIN` names it, on a free port. A test that needs it is skipped where it is not named, and
// fails under CI.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";

import { within } from "./updates.js";

const BIN = process.env.STANDPIPE_BIN;

export const PUSH = `
[[source]]
name = "in"
kind = "push"
`;

/** A test against the real server. */
export function withServer(name, body) {
  test(name, async (t) => {
    if (BIN) return body(t);
    assert.notEqual(process.env.CI, "true", "STANDPIPE_BIN has to name the server");
    const { STANDPIPE_SKIPS: file } = process.env;
    const why = "needs the server: STANDPIPE_BIN does not name it";
    if (file) appendFileSync(file, `clients/js::${name}: ${why}\n`);
    t.skip(why);
  });
}

export class Server {
  /** Serves this configuration, on `port` or a free one, until the test ends. */
  static async start(t, config = PUSH, port = 0) {
    const folder = mkdtempSync(join(tmpdir(), "standpipe-js-"));
    const file = join(folder, "standpipe.toml");
    writeFileSync(file, `[server]\nlisten = "127.0.0.1:${port}"\n${config}`);
    const child = spawn(BIN, ["serve", "--config", file], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
    const output = [];
    child.stderr.on("data", (chunk) => output.push(chunk));
    const server = new Server(child);
    t.after(async () => {
      await server.kill();
      rmSync(folder, { recursive: true });
    });
    const address = new Promise((resolve, reject) => {
      createInterface({ input: child.stdout }).on("line", (line) => {
        const found = /^listening on http:\/\/(.*?)\/?$/.exec(line);
        if (found) resolve(found[1]);
      });
      child.on("exit", () => reject(new Error(`the server ended: ${Buffer.concat(output)}`)));
    });
    server.address = await within("the server", address);
    return server;
  }

  constructor(child) {
    this.child = child;
    this.exit = new Promise((resolve) => child.on("exit", resolve));
  }

  get url() {
    return `ws://${this.address}`;
  }

  get port() {
    return Number(this.address.split(":")[1]);
  }

  async kill(signal = "SIGKILL") {
    this.child.kill(signal);
    await this.exit;
  }

  /** Publishes events, and returns their places. */
  async publish(...events) {
    const body = events.map((event) => JSON.stringify(event)).join("\n");
    const headers = { "content-type": "application/x-ndjson" };
    const answer = await fetch(`http://${this.address}/publish`, { method: "POST", headers, body });
    const { results } = await answer.json();
    return results.map(({ seq }) => seq);
  }

  async connections() {
    return (await (await fetch(`http://${this.address}/connections`)).json()).connections;
  }
}
