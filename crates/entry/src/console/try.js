// Try it: a selection, its events as they come, and the code that has the same.

const KEPT = 100;

let socket = null;
let missed = 0;

const selection = () => {
  const topics = element("topics").value.trim().split(/[\s,]+/).filter(Boolean);
  const text = element("filter").value.trim();
  const filter = text === "" ? null : JSON.parse(text);
  if (filter !== null && (typeof filter !== "object" || Array.isArray(filter))) throw new Error("a filter is an object");
  return { topics: topics.length > 0 ? topics : [">"], filter };
};

/** The selection as the parameters of an address. */
const parameters = ({ topics, filter }) => {
  const found = new URLSearchParams({ topics: topics.join(",") });
  if (filter !== null) found.set("filter", JSON.stringify(filter));
  return found;
};

/** The address of a route with the selection; `token` stands for that of the proxy, if there is one. */
const address = (path, chosen, scheme, token = "YOUR_TOKEN") => {
  const url = new URL(path, new URL(".", location.href));
  for (const [name, value] of parameters(chosen)) url.searchParams.set(name, value);
  if (proxyToken !== null) url.searchParams.set("token", token);
  const secure = location.protocol === "https:";
  return url.href.replace(/^https?:/, scheme === "ws" ? (secure ? "wss:" : "ws:") : location.protocol);
};

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

const LANGUAGES = {
  curl: (chosen) => `curl -N ${quote(address("events", chosen, "http"))}`,
  Python: (chosen) => `# pip install websockets
import asyncio, json, websockets

async def main():
    async with websockets.connect(${JSON.stringify(address("ws", chosen, "ws"))}) as socket:
        async for text in socket:
            message = json.loads(text)
            if message["op"] == "event":
                print(message["topic"], message["data"], flush=True)

asyncio.run(main())
`,
  "Node.js": (chosen) => `// npm install ws
import WebSocket from "ws";

const socket = new WebSocket(${JSON.stringify(address("ws", chosen, "ws"))});
socket.on("message", (text) => {
  const message = JSON.parse(text);
  if (message.op === "event") console.log(message.topic, message.data);
});
`,
  "a browser": (chosen) => `const stream = new EventSource(${JSON.stringify(address("events", chosen, "http"))});
stream.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  if (message.op === "event") console.log(message.topic, message.data);
};
`,
};

const tell = (text) => (element("told").textContent = text);

const showCode = () => {
  try {
    element("code").textContent = LANGUAGES[element("language").value](selection());
    element("filter").removeAttribute("aria-invalid");
  } catch (error) {
    element("filter").setAttribute("aria-invalid", "true");
    element("code").textContent = `the filter cannot be read: ${error.message}`;
  }
};

const isPaused = () => element("pause").getAttribute("aria-pressed") === "true";

const showMissed = () => (element("shown").textContent = missed > 0 ? `${whole.format(missed)} not shown` : "");

const showEvent = ({ op, seq, topic, key, data }) => {
  if (isPaused()) {
    missed += 1;
    return showMissed();
  }
  const line = make("li");
  const name = key === undefined ? topic : `${topic} ${key}`;
  line.append(make("span", `${seq} ${op === "snapshot" ? "snapshot " : ""}`), `${name} `, JSON.stringify(data));
  const list = element("events");
  list.prepend(line);
  while (list.children.length > KEPT) {
    list.lastChild.remove();
    missed += 1;
  }
  showMissed();
};

const disconnect = () => {
  socket?.close(1000);
  socket = null;
  element("go").textContent = "Connect";
};

const connect = (chosen) => {
  const mine = new WebSocket(address("ws", chosen, "ws", proxyToken));
  socket = mine;
  element("go").textContent = "Disconnect";
  tell("connecting …");
  mine.onmessage = ({ data }) => {
    if (mine !== socket) return;
    const message = JSON.parse(data);
    if (message.op === "event" || message.op === "snapshot") showEvent(message);
    else if (message.op === "subscribed") tell(`subscribed to ${message.topics.join(", ")}, from event ${message.seq} on`);
    else if (message.op === "error") tell(`${message.code}: ${message.message}${message.hint ? `; ${message.hint}` : ""}`);
    else if (message.op === "gap") tell(`a gap from ${message.from} to ${message.to}: ${message.reason}`);
    else if (message.op === "goodbye") mine.farewell = `${message.reason} (${message.code})`;
  };
  mine.onclose = ({ code }) => {
    if (mine !== socket) return;
    disconnect();
    const told = element("told").textContent;
    const why = `the connection is closed: ${mine.farewell ?? code}`;
    tell(told.includes(": ") ? `${told} – ${why}` : why);
  };
};

element("select").addEventListener("submit", (event) => {
  event.preventDefault();
  if (socket !== null) {
    disconnect();
    return tell("disconnected");
  }
  showCode();
  try {
    connect(selection());
  } catch (error) {
    tell(`the filter cannot be read: ${error.message}`);
  }
});
element("pause").addEventListener("click", ({ target }) => target.setAttribute("aria-pressed", String(!isPaused())));
element("clear").addEventListener("click", () => {
  element("events").replaceChildren();
  missed = 0;
  showMissed();
});
element("language").append(...Object.keys(LANGUAGES).map((name) => make("option", name)));
for (const id of ["topics", "filter", "language"]) element(id).addEventListener("input", showCode);
element("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(element("code").textContent);
    element("copied").textContent = "copied";
  } catch {
    getSelection().selectAllChildren(element("code"));
    element("copied").textContent = "selected: copy it with the keyboard";
  }
});
showCode();
void keepLooking();
