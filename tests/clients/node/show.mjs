// A page among the examples, in a real browser, as it stands.
//
// Reads one JSON object from its argument: {"executable", "page", "query"}, the page's name and what stands behind its `?`. Prints each
// line that the page shows, as one JSON string a line. Each line of standard input reloads the page; its end is the end.

import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { launch } from "./chromium.mjs";
import { serve } from "./serve.mjs";

const { executable, page: name, query } = JSON.parse(process.argv[2]);
const examples = fileURLToPath(new URL("../../../examples/browser", import.meta.url));

/** Tells of every line that comes into the list, in the page. */
const watch = () =>
  new MutationObserver((changes) => {
    for (const { target, addedNodes } of changes) {
      if (target.id === "log") for (const line of addedNodes) window.say(JSON.stringify(line.textContent));
    }
  }).observe(document, { childList: true, subtree: true });

const server = await serve((path) => examples + path);
const browser = await launch(executable);
const page = await browser.newPage();
page.on("pageerror", (error) => {
  throw error;
});
await page.exposeFunction("say", (line) => void process.stdout.write(`${line}\n`));
await page.addInitScript(watch);
await page.goto(`http://127.0.0.1:${server.address().port}/${name}?${query}`);
for await (const _ of createInterface({ input: process.stdin })) await page.reload();
await browser.close();
server.close();
