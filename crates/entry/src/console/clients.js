// The clients for whom most waits, and one of them in full. For operators.

const SHOWN = 10;

const whoOf = ({ subject, peer }) => subject ?? peer;
const wantedBy = ({ subscriptions }) => subscriptions.map(({ topics }) => topics).join(", ");

/** When a client last proved to be there. */
const provenBy = ({ last_receipt: at }) => (at === 0 ? "never yet" : `${lasted(serverNow() - at)} ago`);

const CLIENTS = [
  texts("connection", "code", ({ id }) => id),
  texts("who", "wide", whoOf),
  texts("for", "number", ({ since }) => lasted(serverNow() - since)),
  texts("topics", "clipped wide", wantedBy),
  texts("waiting", "number", ({ queue_bytes }) => bytes(queue_bytes)),
  texts("behind", "number", ({ lag }) => whole.format(lag)),
  texts("last proof", "wide", provenBy),
  buttons("small", "Details", ({ id }) => `Details of ${id}`, ({ id }) => void showClient(id)),
];

async function lookAtClients() {
  const answer = await ask(`connections?sort=waiting&limit=${SHOWN}`);
  if (answer.status !== 200) return answer;
  const { connections, total } = answer.json;
  const all = total === 1 ? "One is connected" : `${whole.format(total)} are connected`;
  const shown = total > SHOWN ? `: the ${SHOWN} for whom most waits.` : ".";
  say(element("clients-told"), total === 0 ? "Nobody is connected." : `${all}${shown}`);
  tell(element("clients-table"), CLIENTS, connections, ({ id }) => id);
  return answer;
}

/** The connection that is shown in full. */
let detailed = null;

async function showClient(id) {
  detailed = id;
  say(element("detail-title"), id);
  say(element("detail-told"), "");
  askWhetherSure(false);
  const isThere = await lookAtDetailed();
  if (!element("detail").open) element("detail").showModal();
  return isThere;
}

/** Whether the connection that is shown in full is there. */
async function lookAtDetailed() {
  if (detailed === null) return false;
  const answer = await ask(`connections/${encodeURIComponent(detailed)}`);
  const isThere = answer.status === 200;
  element("detail-body").hidden = !isThere;
  if (isThere) showFacts(answer.json);
  else if (element("detail-told").textContent === "") say(element("detail-told"), `${complaint(answer)}.`);
  return isThere;
}

const ASKED = [
  texts("topics", "code", ({ topics }) => topics),
  texts("filter", "code", ({ filter }) => (filter === undefined ? "–" : JSON.stringify(filter))),
  texts("more", "", ({ snapshot, conflate, params }) =>
    [snapshot && "snapshot first", conflate && "latest of each key", params && Object.entries(params).map((pair) => pair.join(" = "))].filter(Boolean).flat().join(", "),
  ),
];

const MODES = {
  idle: "wants nothing yet",
  push: "is fed as events come",
  pull: "reads the log at a place of its own",
  skip: "is skipping what it had no room for",
  ended: "has ended",
};

function showFacts(client) {
  const time = (at) => `${lasted(serverNow() - at)} ago, ${new Date(at).toLocaleString()}`;
  const facts = {
    who: [client.subject, client.credential, client.plan].filter(Boolean).join(" · ") || "nobody in particular",
    from: client.peer,
    by: client.transport,
    connected: time(client.since),
    "last proof": client.last_receipt === 0 ? "never yet" : time(client.last_receipt),
    "proves by": client.confirm ?? "nothing",
    now: MODES[client.mode] ?? client.mode,
    "if too slow": spaced(client.overflow),
    waiting: bytes(client.queue_bytes),
    behind: `${whole.format(client.lag)} events of the log`,
    place: client.position ?? "before the first event",
    billed: `${whole.format(client.billed)}, of which ${whole.format(client.unsettled)} are not settled`,
  };
  Object.entries(facts).forEach(([name, value], i) => {
    const place = element("facts");
    const fact = place.children[i] ?? place.appendChild(make("div", {}, make("dt", {}, name), make("dd")));
    say(fact.lastChild, value);
  });
  tell(element("asked"), ASKED, client.subscriptions, ({ topics, params }) => JSON.stringify([topics, params]));
  showLedger(element("detail-ledger"), client.ledger);
}

function askWhetherSure(asked) {
  element("close").hidden = asked;
  element("sure").hidden = !asked;
}

element("close").addEventListener("click", () => {
  askWhetherSure(true);
  element("close-no").focus();
});
element("close-no").addEventListener("click", () => {
  askWhetherSure(false);
  element("close").focus();
});
element("close-yes").addEventListener("click", async () => {
  try {
    const answer = await ask(`connections/${encodeURIComponent(detailed)}`, "DELETE");
    const isClosed = answer.status === 200;
    element("detail-body").hidden = isClosed;
    say(element("detail-told"), isClosed ? "It is told to go, with 4013 (KICKED)." : `${complaint(answer)}.`);
  } catch (error) {
    say(element("detail-told"), `It could not be closed: ${error.message}.`);
  }
  askWhetherSure(false);
  if (element("detail-body").hidden) element("detail").querySelector("form button").focus();
});
element("detail").addEventListener("close", () => (detailed = null));
element("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const id = element("find-id").value.trim();
  if (id !== "") showClient(id).catch((error) => say(element("clients-told"), `It could not be asked for: ${error.message}.`));
});

