// The sources: everybody may know their states, operators the rest.

/** How many events each had given when it was last asked, by name. */
let given = new Map();

/** The server's time when it told of its sources, and by how much its clock is ahead of this one. */
let sourcesAt = 0;
let ahead = 0;

const serverNow = () => Date.now() + ahead;

const state = {
  name: "state",
  kind: "",
  show({ state: word, since }, cell) {
    if (!cell.firstChild) cell.append(make("span", { class: "dot", "aria-hidden": "true" }), make("span"));
    cell.className = word;
    say(cell.lastChild, since === undefined ? word : `${word} for ${lasted(sourcesAt - since)}`);
  },
};

const SEEN_BY_ALL = [texts("source", "", ({ name }) => name), state];

const SEEN_BY_OPERATORS = [
  texts("source", "", ({ name }) => name),
  texts("kind", "wide", ({ kind, group }) => (group ? `${spaced(kind)}, ${group}` : spaced(kind))),
  state,
  texts("last data", "", ({ last_data }) => (last_data === null ? "none yet" : `${lasted(sourcesAt - last_data)} ago`)),
  texts("events", "number", ({ events }) => whole.format(events)),
  texts("a second", "number", ({ rate: value }) => (value === null ? "–" : rate(value))),
  texts("last fault", "fault wide", ({ last_error }) => (last_error === null ? "" : `${last_error.message}, ${lasted(sourcesAt - last_error.at)} ago`)),
];

/** What `/ready` tells: a state by name. */
function showStates(states) {
  const sources = Object.entries(states).map(([name, word]) => ({ name, state: word }));
  showSources(SEEN_BY_ALL, sources);
}

/** What `/sources` tells. */
function showDetails({ now, sources }) {
  const before = given;
  const passed = now - sourcesAt;
  sourcesAt = now;
  ahead = now - Date.now();
  given = new Map(sources.map(({ name, events }) => [name, events]));
  const rateOf = ({ name, events }) => (before.has(name) && passed > 0 && passed < BREAK ? Math.max(0, ((events - before.get(name)) * 1000) / passed) : null);
  showSources(SEEN_BY_OPERATORS, sources.map((source) => ({ ...source, rate: rateOf(source) })));
}

function showSources(columns, sources) {
  element("sources-none").hidden = sources.length > 0;
  tell(element("sources"), columns, sources, ({ name }) => name);
}

