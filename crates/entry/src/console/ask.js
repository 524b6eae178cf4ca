// How this page asks the server, and what it keeps of its own address.
//
// A hosting proxy may want its `token` on every request: it is carried on, and shown nowhere. The admin token is in memory
// only. Whatever comes from the server is put into the page as text.

const element = (id) => document.getElementById(id);
const proxyToken = new URLSearchParams(location.search).get("token");

/** An address of this server, with what the proxy in front of it wants. */
const here = (path, base = location.href) => {
  const url = new URL(path, new URL(".", base));
  if (proxyToken !== null) url.searchParams.set("token", proxyToken);
  return url;
};

let adminToken = "";

const ask = async (path, { method = "GET" } = {}) => {
  const headers = adminToken === "" ? {} : { Authorization: `Bearer ${adminToken}` };
  const answer = await fetch(here(path), { method, headers, cache: "no-store", signal: AbortSignal.timeout(10_000) });
  const text = await answer.text();
  let json = null;
  try {
    json = JSON.parse(text);
  } catch {
    // Not of this server: a proxy has answered.
  }
  return { status: answer.status, json };
};

const make = (name, text = "", more = {}) => {
  const made = Object.assign(document.createElement(name), more);
  if (text !== "") made.textContent = text;
  return made;
};

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const rate = (value) => (value < 10 ? value.toFixed(1) : whole.format(value));

const lasted = (seconds) => {
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit}`;
  }
  return `${Math.max(0, Math.round(seconds))} s`;
};

const bytes = (count) => {
  for (const [unit, size] of [["MiB", 1 << 20], ["KiB", 1 << 10]]) {
    if (count >= size) return `${(count / size).toFixed(1)} ${unit}`;
  }
  return `${count} B`;
};

