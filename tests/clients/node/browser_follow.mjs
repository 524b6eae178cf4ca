// Our JavaScript client in a page of a real browser, driven by the table of scenarios.
//
// The argument, standard input and standard output are those of follow.mjs; the options have two more: `executable`, the browser,
// and `page`, the origin that the page has (http://shop.example; without it, the address that serves it). The page is served from
// this process, and loads the package as it is built: STANDPIPE_JS names its folder, as for follow.mjs. Two commands more:
// {"do":"offline"} and {"do":"online"} take the page's network away and give it back.

import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { launch } from "./chromium.mjs";
import { serve } from "./serve.mjs";

const { executable, page: origin, ...options } = JSON.parse(process.argv[2]);
const dist = join(process.env.STANDPIPE_JS, "dist");
const here = fileURLToPath(new URL(".", import.meta.url));

/** The page, the module that it is made of, and the package; nothing else is there. */
const files = { "/": join(here, "follow.html"), "/following.mjs": join(here, "following.mjs") };
const server = await serve((path) => files[path] ?? (path.startsWith("/dist/") && join(dist, path.slice(6))));
const { port } = server.address();

const browser = await launch(executable);
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
