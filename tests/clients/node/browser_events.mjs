// A client of event streams for the end-to-end tests: `EventSource` of a real browser.
//
// Takes the browser's program, the page to stand on and the address of the stream. Prints the lines of events.mjs, without statuses:
// a page is not told them. Ends with its standard input.

import { launch } from "./chromium.mjs";

const [executable, address, url] = process.argv.slice(2);
const browser = await launch(executable);
const page = await browser.newPage();
await page.exposeFunction("say", (line) => void process.stdout.write(`${line}\n`));
await page.goto(address);
await page.evaluate((url) => {
  const source = new EventSource(url);
  source.onopen = () => window.say('{"open":true}');
  source.onmessage = ({ data, lastEventId }) => window.say(`{"message":${data},"id":${JSON.stringify(lastEventId)}}`);
  source.onerror = () => window.say(source.readyState === EventSource.CLOSED ? '{"ended":null}' : '{"lost":null}');
}, url);
for await (const _ of process.stdin);
await browser.close();
