// How this page asks the server, and what it keeps of its own address.
//
// A hosting proxy may want its `token` on every request: it is carried on, and shown nowhere. The admin token is in memory
// only. Whatever comes from the server is put into the page as text.

const element = (id) => document.getElementById(id);

const proxyToken = new URLSearchParams(location.search).get("token");

/** So long an answer is waited for, in milliseconds. */
const PATIENCE = 10_000;

let adminToken = "";

/** The address of a route, as `token` stands for that of the proxy. */
function addressOf(route, token = proxyToken) {
  const url = new URL(route, new URL(".", location.href));
  if (proxyToken !== null) url.searchParams.set("token", token);
  return url;
}

/** The status and the JSON of an answer; null for what is not JSON, which is a proxy's. Fails if there is none. */
async function ask(route, method = "GET") {
  const headers = { Accept: "application/json" };
  // A proxy that wants a token of its own would take ours in `Authorization` for it.
  if (adminToken !== "") {
    if (proxyToken === null) headers["Authorization"] = `Bearer ${adminToken}`;
    else headers["X-Standpipe-Admin-Token"] = adminToken;
  }
  const answer = await fetch(addressOf(route), { method, headers, cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  const text = await answer.text();
  try {
    return { status: answer.status, json: JSON.parse(text) };
  } catch {
    return { status: answer.status, json: null };
  }
}

/** What an answer that is not the one that was wanted says. */
function complaint({ status, json }) {
  const { message, hint } = json?.error ?? {};
  if (message === undefined) return `the server answered with ${status}`;
  return hint === undefined ? message : `${message}; ${hint}`;
}

