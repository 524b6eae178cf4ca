// Our JavaScript client in a page of a real browser, driven by the table of scenarios: Chromium without a window.
//
// The argument, standard input and standard output are those of follow.mjs; the options have two more: `executable`, the browser,
// and `page`, the origin that the page has (http://shop.example; without it, the address that serves it). The page is served from
// this process, and loads the package as it is built: STANDPIPE_JS names its folder, as for follow.mjs. Two commands more:
// {"do":"offline"} and {"do":"online"} take the page's network away and give it back.
//
// Every name in `.example` is this machine; no other name is looked up. NODE_PATH names the folder of the packages.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join, normalize } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

// The packages are installed in the target folder, which NODE_PATH names; `import` does not look there.
const { chromium } = createRequire(import.meta.url)("playwright-core");

const { executable, page: origin, ...options } = JSON.parse(process.argv[2]);
const dist = join(process.env.STANDPIPE_JS, "dist");
const following = fileURLToPath(new URL("following.mjs", import.meta.url));

const PAGE = `<!doctype html>
<meta charset="utf-8">
<title>follow</title>
<script type="module">
  import { Client } from "/dist/index.js";
  import { follow } from "/following.mjs";
  window.follow = (options) => {
    const { act, ended } = follow(Client, options, (line) => window.say(JSON.stringify(line)));
    window.act = act;
    return ended;
  };
  window.isReady = true;
</script>`;

/** The page, the module that it is made of, and the package; nothing else is there. */
const server = createServer(async ({ url }, answer) => {
  const path = normalize(new URL(url, "http://h").pathname);
  if (path === "/") return answer.setHeader("content-type", "text/html").end(PAGE);
  try {
    const file = path === "/following.mjs" ? following : path.startsWith("/dist/") && join(dist, path.slice(6));
    answer.setHeader("content-type", "text/javascript").end(await readFile(file));
  } catch {
    answer.writeHead(404).end();
  }
});
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { port } = server.address();

const browser = await chromium.launch({
  executablePath: executable,
  chromiumSandbox: false,
  args: [
    "--host-resolver-rules=MAP *.example 127.0.0.1, MAP localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
  ],
});
const context = await browser.newContext();
const page = await context.newPage();
page.on("pageerror", (error) => process.stderr.write(`${error}\n`));
await page.exposeFunction("say", (line) => void process.stdout.write(`${line}\n`));
await page.goto(origin === undefined ? `http://127.0.0.1:${port}/` : `${origin}:${port}/`);
await page.waitForFunction(() => window.isReady);

const ended = page.evaluate((options) => window.follow(options), options);
const act = async (command) => {
  if (command.do === "offline") return context.setOffline(true);
  if (command.do === "online") return context.setOffline(false);
  return page.evaluate((command) => void window.act(command), command);
};
// One after the other, in the order of the lines.
let acted = Promise.resolve();
const input = createInterface({ input: process.stdin });
input.on("line", (line) => (acted = acted.then(() => act(JSON.parse(line)))));
input.on("close", () => (acted = acted.then(() => act({ do: "close" }).catch(() => {}))));
await ended;
input.close();
process.stdin.destroy();
await browser.close();
server.close();
