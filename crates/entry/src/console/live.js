// What the server does now: asked for every two seconds, while somebody looks.

const INTERVAL = 2000;
const LONGEST = 30_000;
const HISTORY = 90;
const SVG = "http://www.w3.org/2000/svg";

const tiles = new Map();
const tile = (name, value) => {
  if (!tiles.has(name)) {
    const box = make("div");
    box.append(make("dt", name), make("dd"));
    element("tiles").append(box);
    tiles.set(name, box.lastChild);
  }
  tiles.get(name).textContent = value;
};

/** A line of what a rate was for the last three minutes, and its values in words. */
const chart = (name) => {
  const figure = make("figure");
  const caption = make("figcaption");
  const [title, value] = [make("span", name), make("span")];
  caption.append(title, value);
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${HISTORY - 1} 100`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const path = document.createElementNS(SVG, "path");
  svg.append(path);
  figure.append(caption, svg);
  element("charts").append(figure);
  const values = [];
  return (next) => {
    values.push(next);
    if (values.length > HISTORY) values.shift();
    const most = Math.max(...values, 1);
    const x = (i) => i + HISTORY - values.length;
    path.setAttribute("d", values.map((v, i) => `${i ? "L" : "M"}${x(i)} ${(98 - (v / most) * 94).toFixed(1)}`).join(""));
    value.textContent = `${rate(next)} /s, at most ${rate(most)}`;
    svg.setAttribute("aria-label", `${name}: now ${rate(next)} a second, at most ${rate(most)} in the last minutes`);
  };
};

const charts = [
  ["events in", chart("events in"), ({ log }) => log.head],
  ["deliveries matched", chart("deliveries matched"), ({ ledger }) => ledger.matched],
  ["deliveries confirmed", chart("deliveries confirmed"), ({ ledger }) => ledger.confirmed],
];

let before = null;

const showStatus = (status, at) => {
  const { active, subscribed, consuming, opened } = status.connections;
  tile("connected", whole.format(active));
  tile("subscribed", whole.format(subscribed));
  tile("consuming", whole.format(consuming));
  tile("connected ever", whole.format(opened));
  tile("events kept", whole.format(Math.max(0, status.log.head - status.log.floor + 1)));
  if (before !== null && before.status.log.epoch === status.log.epoch) {
    const seconds = Math.max((at - before.at) / 1000, 0.001);
    for (const [, draw, count] of charts) draw(Math.max(0, count(status) - count(before.status)) / seconds);
  }
  before = { status, at };
  const { matched, ...parts } = status.ledger;
  const row = ([name, count]) => {
    const line = make("tr");
    line.append(make("th", name.replaceAll("_", " "), { scope: "row" }), make("td", whole.format(count), { className: "number" }));
    return line;
  };
  element("ledger").replaceChildren(...[["matched", matched], ...Object.entries(parts)].map(row));
  element("about").textContent = `version ${status.version}, up for ${lasted(status.uptime_s)}, epoch ${status.log.epoch}`;
};

const showSources = (names, details) => {
  const known = new Map(details?.sources.map((source) => [source.name, source]));
  const row = ([name, state]) => {
    const source = known.get(name);
    const line = make("tr", "", { className: state });
    const mark = make("td");
    mark.append(make("span", "", { className: "dot" }), state);
    mark.firstChild.setAttribute("aria-hidden", "true");
    const ago = source?.last_data ? `${lasted((details.now - source.last_data) / 1000)} ago` : "–";
    line.append(
      make("th", name, { scope: "row" }),
      mark,
      make("td", source ? whole.format(source.frames) : "–", { className: "number" }),
      make("td", source ? whole.format(source.events) : "–", { className: "number" }),
      make("td", source ? ago : "–"),
      make("td", source?.last_error?.message ?? "", { className: "fault" }),
    );
    return line;
  };
  element("sources").replaceChildren(...Object.entries(names).map(row));
};

const say = (state, text) => {
  element("state").className = state;
  // Said again, it would be read aloud again.
  if (element("state-text").textContent !== text) element("state-text").textContent = text;
};

let failures = 0;
let lostAt = null;

const look = async () => {
  try {
    const [status, ready] = await Promise.all([ask("status"), ask("ready")]);
    if (status.json?.connections === undefined || ready.json?.sources === undefined) {
      throw new Error(`answered with ${status.status}`);
    }
    showStatus(status.json, performance.now());
    const details = operator.may ? await ask("sources") : null;
    showSources(ready.json.sources, details?.status === 200 ? details.json : null);
    if (ready.json.draining) say("stale", "draining: clients are sent away");
    else if (ready.json.ready) say("live", "serving");
    else say("down", `not ready: ${ready.json.why.join(", ")}`);
    [failures, lostAt] = [0, null];
    await operator.look();
  } catch (error) {
    failures += 1;
    lostAt ??= new Date();
    before = null;
    say("down", `the server does not answer since ${lostAt.toLocaleTimeString()} (${error.message})`);
  }
};

const keepLooking = async () => {
  for (;;) {
    if (document.visibilityState === "visible") await look();
    const pause = Math.min(INTERVAL * 2 ** Math.min(failures, 4), LONGEST);
    await new Promise((done) => {
      const timer = setTimeout(done, pause);
      document.addEventListener("visibilitychange", () => (clearTimeout(timer), done()), { once: true });
    });
  }
};

