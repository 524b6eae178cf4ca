// What everybody may know: how many are connected, what comes in and goes out, what became of it.

const charts = {
  in: new Chart(element("chart-in"), "Events in", "in"),
  written: new Chart(element("chart-out"), "Deliveries written", "out"),
  confirmed: new Chart(element("chart-confirmed"), "Deliveries confirmed", "confirmed"),
};

/** The parts of `matched`, as the server names them, with what they mean. */
const FATES = {
  confirmed: "proven to have been received",
  in_flight: "on its way, not yet proven",
  conflated: "replaced by a newer event of its key",
  skipped: "told as a gap",
  returned: "taken back, to be read from the log again",
  unconfirmed: "not proven when its connection ended",
};

function showStatus(status, at) {
  const { active, subscribed, consuming, opened } = status.connections;
  say(element("active"), whole.format(active));
  const kinds = [
    { kind: "confirmed", name: "consuming", count: consuming, about: "have proven within a minute to have received something" },
    { kind: "out", name: "subscribed, nothing proven lately", count: subscribed - consuming, about: "" },
    { kind: "idle", name: "not subscribed", count: active - subscribed, about: "" },
  ];
  fill(element("active-bar"), kinds);
  list(element("active-parts"), [...kinds, { kind: "none", name: "since the start", count: opened, about: "" }]);
  const { epoch, head } = status.log;
  charts.in.push(head, epoch, at);
  charts.written.push(status.written, epoch, at);
  charts.confirmed.push(status.ledger.confirmed, epoch, at);
  showLedger(element("ledger"), status.ledger);
  fill(element("ledger-bar"), Object.keys(FATES).map((kind) => ({ kind, count: status.ledger[kind] })));
  const { bytes: queued, oldest_ms: oldest } = status.waiting;
  say(element("waiting"), queued === 0 ? "Nothing waits for a client." : `${bytes(queued)} wait for clients, the oldest for ${lasted(oldest)}.`);
  say(element("about"), `${status.version} · up for ${lasted(status.uptime_s * 1000)} · ${whole.format(head)} events in this log`);
}

function list(place, parts) {
  parts.forEach(({ kind, name, count }, i) => {
    const part = place.children[i] ?? place.appendChild(make("div", { class: kind }, make("dt", {}, name), make("dd")));
    say(part.lastChild, whole.format(count));
  });
}

function showLedger(place, ledger) {
  const rows = [["matched", "selected for a connection"], ...Object.entries(FATES)];
  rows.forEach(([name, about], i) => {
    const row = place.rows[i] ?? place.appendChild(fateOf(name, about));
    const { matched, [name]: count } = ledger;
    say(row.cells[1], whole.format(count));
    say(row.cells[2], matched === 0 ? "" : share.format(count / matched));
  });
}

function fateOf(name, about) {
  const title = make("th", { scope: "row", class: name }, spaced(name), make("small", {}, about));
  return make("tr", {}, title, make("td", { class: "number" }), make("td", { class: "number quiet" }));
}

