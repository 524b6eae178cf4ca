// Events of a selection as they come, over our own client (clients/js), which the page brings along.

/** So many are shown. */
const KEPT = 200;

let client = null;

/** What came and is not shown yet: until the next frame, or while the list is paused. */
let arrived = [];
let isAsked = false;
const counts = { received: 0, dropped: 0 };

const isOn = (button) => button.getAttribute("aria-pressed") === "true";

function connect() {
  for (const place of element("select").elements) place.removeAttribute("aria-invalid");
  say(element("wrong"), "");
  const options = selected();
  const credential = element("credential").value;
  if (credential !== "") options.token = credential;
  client = new standpipe.Client({ ...options, url: addressOf("ws").href });
  clear();
  say(element("go"), "Disconnect");
  say(element("told"), "connecting …");
  void follow(client);
}

async function disconnect() {
  const mine = client;
  client = null;
  say(element("go"), "Connect");
  await mine?.close();
}

async function follow(mine) {
  try {
    for await (const update of mine) {
      if (mine !== client) return;
      show(update);
    }
  } catch (error) {
    if (mine !== client) return;
    const { message, hint, reason } = error;
    say(element("wrong"), hint === undefined ? message : `${message}; ${hint}`);
    say(element("told"), reason ? `ended: ${reason}` : "ended");
    await disconnect();
  }
}

function show(update) {
  switch (update.op) {
    case "event":
    case "snapshot":
      counts.received += 1;
      arrived.push(update);
      if (arrived.length > KEPT) {
        arrived.shift();
        counts.dropped += 1;
      }
      return soon();
    case "subscribed":
      return say(element("told"), `subscribed to ${update.topics.join(", ")}`);
    case "gap":
      return say(element("told"), `missed ${update.matched ?? "some"}: ${spaced(update.reason)}`);
    case "slow":
      return say(element("told"), "this page is too slow for what comes: it connects again");
    case "disconnected":
      return say(element("told"), `${update.why.message}; again in ${lasted(update.retryIn)}`);
  }
}

/** With the next frame: a page that is not seen draws none. */
function soon() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(() => {
    isAsked = false;
    draw();
  });
}

function draw() {
  const list = element("events");
  if (!isOn(element("pause"))) {
    const isAtTop = list.scrollTop < 8;
    const before = list.scrollHeight;
    list.prepend(...arrived.map(lineOf).reverse());
    arrived = [];
    while (list.childElementCount > KEPT) {
      list.lastElementChild.remove();
      counts.dropped += 1;
    }
    // Who reads further down goes on reading there.
    if (!isAtTop) list.scrollTop += list.scrollHeight - before;
  }
  const waiting = isOn(element("pause")) ? `, ${whole.format(arrived.length)} held back` : "";
  const { received, dropped } = counts;
  const shown = `${whole.format(list.childElementCount)} shown${waiting}`;
  const text = received === 0 ? "" : `${whole.format(received)} received, ${shown}, ${whole.format(dropped)} dropped from view`;
  say(element("counted"), text);
}

function lineOf({ op, seq, topic, key, data }) {
  const name = key === undefined || key === null ? topic : `${topic} · ${key}`;
  const number = op === "snapshot" ? `${seq} snapshot` : `${seq}`;
  return make("li", {}, make("span", { class: "seq" }, number), " ", make("b", {}, name), " ", make("code", {}, JSON.stringify(data)));
}

function clear() {
  arrived = [];
  Object.assign(counts, { received: 0, dropped: 0 });
  element("events").replaceChildren();
  draw();
}

function toggle(button) {
  button.setAttribute("aria-pressed", String(!isOn(button)));
}

/** From the table of topics. */
function tryTopic(topic) {
  element("topics-wanted").value = topic;
  showCode();
  element("try").scrollIntoView();
  element("go").focus();
}

element("select").addEventListener("submit", (event) => {
  event.preventDefault();
  if (client !== null) {
    void disconnect();
    return say(element("told"), "disconnected");
  }
  try {
    connect();
  } catch (error) {
    if (!(error instanceof Wrong)) return say(element("wrong"), error.message);
    error.place.setAttribute("aria-invalid", "true");
    error.place.focus();
    say(element("wrong"), error.message);
  }
});
element("pause").addEventListener("click", ({ target }) => {
  toggle(target);
  draw();
});
element("wrap").addEventListener("click", ({ target }) => {
  toggle(target);
  element("events").classList.toggle("wrapped", isOn(target));
});
element("clear").addEventListener("click", clear);

