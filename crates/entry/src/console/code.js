// Code that gets exactly what is selected, in the languages that people paste it into.
//
// Addresses are ASCII without white space, quotes but `'`, and backslashes, since all that may stand in a value is escaped. So each is
// a string of Python and JavaScript as JSON has it, and one of a shell between single quotes.

/** The query of a selection. Commas between values stand for themselves; one within a value is escaped. */
function queryOf({ topics, where = {}, filter, snapshot, after }, token) {
  const said = { topics };
  for (const [name, value] of Object.entries(where)) said[`where.${name}`] = value;
  const more = { filter: filter && JSON.stringify(filter), snapshot: snapshot && 1, after, token };
  const pairs = Object.entries({ ...said, ...more }).filter(([, value]) => value !== undefined && value !== null);
  const list = (value) => [value].flat().map((one) => encodeURIComponent(one)).join(",");
  return pairs.map(([name, value]) => `${encodeURIComponent(name)}=${list(value)}`).join("&");
}

/** The address of a route with a selection. `YOUR_TOKEN` stands for the proxy's. */
function addressWith(route, chosen) {
  const url = new URL(route, new URL(".", location.href));
  if (route === "ws") url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  url.search = queryOf(chosen, proxyToken === null ? undefined : "YOUR_TOKEN");
  return url.href;
}

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** How each says what it needs, and what it is, with or without a credential in `STANDPIPE_TOKEN`. */
const LANGUAGES = {
  curl: {
    needs: "nothing else",
    code(chosen, isKnown) {
      const header = isKnown ? ` \\\n  -H "Authorization: Bearer $STANDPIPE_TOKEN"` : "";
      return `curl -N ${quoted(addressWith("events", chosen))}${header}\n`;
    },
  },
  Python: {
    needs: "pip install websockets",
    code: (chosen, isKnown) => `import asyncio
import json
${isKnown ? "import os\n" : ""}
import websockets

URL = ${JSON.stringify(addressWith("ws", chosen))}


async def main():
    async with websockets.connect(URL${isKnown ? ', subprotocols=["standpipe.v1", f"standpipe.auth.{os.environ[\'STANDPIPE_TOKEN\']}"]' : ""}) as socket:
        async for text in socket:
            message = json.loads(text)
            if message["op"] in ("event", "snapshot"):
                print(message["topic"], json.dumps(message["data"]), flush=True)


asyncio.run(main())
`,
  },
  "Node.js": {
    needs: "npm install ws",
    code: (chosen, isKnown) => `import WebSocket from "ws";

const socket = new WebSocket(
  ${JSON.stringify(addressWith("ws", chosen))},${isKnown ? '\n  ["standpipe.v1", `standpipe.auth.${process.env.STANDPIPE_TOKEN}`],' : ""}
);
socket.on("message", (text) => {
  const { op, topic, data } = JSON.parse(text);
  if (op === "event" || op === "snapshot") console.log(topic, JSON.stringify(data));
});
socket.on("close", (code, reason) => console.error(code, String(reason)));
`,
  },
  "a browser": {
    needs: "a page whose origin the server allows",
    code: (chosen, isKnown) => `const socket = new WebSocket(
  ${JSON.stringify(addressWith("ws", chosen))},${isKnown ? '\n  ["standpipe.v1", `standpipe.auth.${token}`],' : ""}
);
socket.onmessage = ({ data: text }) => {
  const { op, topic, data, message } = JSON.parse(text);
  if (op === "event" || op === "snapshot") console.log(topic, data);
  if (op === "error") console.error(message);
};
socket.onclose = ({ code, reason }) => console.log(code, reason);
`,
  },
  "our client": {
    needs: "clients/js of Standpipe: it reconnects, goes on where it was and says what was missed",
    code(chosen, isKnown) {
      const url = new URL("ws", new URL(".", location.href));
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      if (proxyToken !== null) url.searchParams.set("token", "YOUR_TOKEN");
      const token = isKnown ? { token: "YOUR_CREDENTIAL" } : {};
      return `import { Client } from "standpipe";

const client = new Client(${JSON.stringify({ url: url.href, ...chosen, ...token }, null, 2)});
for await (const update of client) {
  if (update.op === "event" || update.op === "snapshot") console.log(update.topic, update.data);
  if (update.op === "gap") console.error("missed", update.matched, update.reason);
}
`;
    },
  },
};

function showCode() {
  const { needs, code } = LANGUAGES[element("language").value];
  say(element("code-needs"), `Needs ${needs}.`);
  say(element("copied"), "");
  try {
    say(element("code"), code(selected(), element("credential").value !== ""));
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    say(element("code"), error.message);
  }
}

element("language").append(...Object.keys(LANGUAGES).map((name) => make("option", {}, name)));
element("language").addEventListener("input", showCode);
element("select").addEventListener("input", showCode);
element("select").addEventListener("change", showCode);
element("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(element("code").textContent);
    say(element("copied"), "Copied.");
  } catch {
    getSelection().selectAllChildren(element("code"));
    say(element("copied"), "Selected: copy it with the keyboard.");
  }
});
showCode();

