// What is published: it installs into an empty folder, works there, has types, and is small.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { gzipSync } from "node:zlib";

import { build, transform } from "esbuild";

import * as offered from "../dist/index.js";
import { root } from "./support/paths.js";
import { scripted } from "./support/scripted.js";

const MAX_BYTES = 7 * 1024;

let folder;

const run = (program, args) => execFileSync(program, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

before(() => {
  folder = mkdtempSync(join(tmpdir(), "standpipe-package-"));
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  run("npm", ["pack", root, ...quiet]);
  const [tarball] = readdirSync(folder);
  writeFileSync(join(folder, "package.json"), '{"private":true,"type":"module"}');
  run("npm", ["install", "--offline", ...quiet, `./${tarball}`]);
});

after(() => rmSync(folder, { recursive: true }));

test("it holds what was built and what is read, and needs nothing else", () => {
  const installed = join(folder, "node_modules");
  assert.deepEqual(readdirSync(installed).filter((name) => !name.startsWith(".")), ["standpipe"]);
  assert.deepEqual(readdirSync(join(installed, "standpipe")).sort(), ["README.md", "dist", "package.json"]);
});

test("a program in another folder uses it", async (t) => {
  const { url } = await scripted(t, (peer) => {
    peer.begin();
    peer.event(8);
  });
  writeFileSync(
    join(folder, "use.mjs"),
    `import { Client } from "standpipe";
    const client = new Client({ url: process.argv[2], topics: ["a"] });
    for await (const update of client) {
      if (update.op !== "event") continue;
      console.log(update.seq);
      break;
    }
    await client.close();`,
  );
  const printed = await new Promise((resolve, reject) => {
    import("node:child_process").then(({ execFile }) => {
      execFile("node", ["use.mjs", url], { cwd: folder }, (error, stdout) => (error ? reject(error) : resolve(stdout)));
    });
  });
  assert.equal(printed, "8\n");
});

test("its types say what it does", () => {
  writeFileSync(
    join(folder, "use.ts"),
    `import { Client, ConnectionError, type EventUpdate, type Update } from "standpipe";
    const client = new Client<{ price: string }>({ url: "wss://h", topics: ["a"], token: async () => "t" });
    client.on("event", (event) => event.data.price.length + event.seq);
    client.on("disconnected", ({ why, retryIn }) => [why.kind, retryIn.toFixed()]);
    for await (const update of client) {
      if (update.op === "gap") update.reason.length;
      if (update.op === "event") (update satisfies EventUpdate<{ price: string }>).data.price.length;
    }
    const { seq } = await client.publish("a", {});
    seq?.toFixed();
    const cursor: string | null = client.cursor;
    // @ts-expect-error There is no such update.
    client.on("evnt", () => {});
    // @ts-expect-error There is no such choice.
    new Client({ url: "h", overflow: "drop" });
    export const never = (update: Update, error: unknown) => error instanceof ConnectionError && [update, cursor];`,
  );
  const options = ["--noEmit", "--strict", "--target", "ES2022", "--module", "NodeNext"];
  run(join(root, "node_modules/.bin/tsc"), [...options, "use.ts"]);
});

test("the examples of the README are JavaScript, and name what is there", async () => {
  const readme = readFileSync(join(folder, "node_modules/standpipe/README.md"), "utf8");
  const blocks = [...readme.matchAll(/```js\n(.*?)```/gs)].map(([, block]) => block);
  assert.ok(blocks.length >= 4);
  for (const block of blocks) {
    await transform(block, { format: "esm", target: "es2022" });
    for (const [, names] of block.matchAll(/import \{ (.+) \} from "standpipe"/g)) {
      for (const name of names.split(", ")) assert.ok(name in offered, name);
    }
  }
});

test("a browser loads little", async (t) => {
  const { outputFiles, metafile } = await build({
    stdin: { contents: 'export * from "standpipe"', resolveDir: folder },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
  });
  const inputs = Object.keys(metafile.inputs);
  assert.ok(!inputs.some((input) => input.includes("/node/")), `${inputs}`);
  const { contents } = outputFiles[0];
  const bytes = gzipSync(contents, { level: 9 }).length;
  t.diagnostic(`${contents.length} bytes minified, ${bytes} compressed`);
  assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
});
