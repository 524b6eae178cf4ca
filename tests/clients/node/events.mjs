// A client of event streams for the end-to-end tests: the library `eventsource`, which comes back by itself as a browser does.
//
// Prints what happens to it, one JSON value a line: {"open": true}; {"message": …, "id": …} for each message, digit for digit as it
// came, with the last id; {"lost": STATUS or null} when it is about to come back, {"ended": STATUS or null} when it gives up.
// `--header NAME: VALUE` is sent each time. Written together with browser_events.mjs and ../python/events.py: the same lines.

import { createRequire } from "node:module";
import { parseArgs } from "node:util";

// The packages are installed in the target folder, which NODE_PATH names; `import` does not look there.
const { EventSource } = createRequire(import.meta.url)("eventsource");

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { header: { type: "string", multiple: true, default: [] } },
});
const own = Object.fromEntries(options.header.map((header) => header.split(/:\s*(.*)/s, 2)));
const say = (line) => process.stdout.write(`${line}\n`);

const source = new EventSource(positionals[0], {
  fetch: (url, init) => fetch(url, { ...init, headers: { ...init.headers, ...own } }),
});
source.onopen = () => say('{"open":true}');
source.onmessage = ({ data, lastEventId }) => say(`{"message":${data},"id":${JSON.stringify(lastEventId)}}`);
source.onerror = ({ code = null }) => {
  const why = source.readyState === EventSource.CLOSED ? "ended" : "lost";
  say(JSON.stringify({ [why]: code }));
};
