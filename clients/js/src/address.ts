// What a client asks for, as a URL: where the server is, as people write it, and what it is asked (`topics`, `where.…`,
// `after`, …). The part that says where delivery begins is taken out of an address, because it changes with every
// connection.

import type { UrlSelects } from "./resume.js";
import type { Options, Scalar } from "./types.js";

/** Parameters that choose no events: with none but these in the query, nothing is selected by it. */
const NOT_SELECTING = ["access_token", "token", "overflow", "on_gap", "confirm", "snapshot", "conflate"];

/** What every connection of a client says in its URL. */
export interface Request {
  /** Without `after` and `resume`. Credentials may stand in it: no error holds it. */
  url: string;
  /** Where delivery begins on the first connection. */
  after: string | undefined;
  selects: UrlSelects;
}

/** Reads an address and what is asked for. */
export function requestOf(options: Options): Request {
  const url = addressOf(options.url);
  const kept = url.search
    .slice(1)
    .split("&")
    .filter((pair) => !["", "after", "resume"].includes(pair.split("=")[0]!));
  const query = [...kept, ...asked(options)].join("&");
  const after = options.after ?? url.searchParams.get("after") ?? undefined;
  url.search = query;
  const says = (name: string): boolean => !["0", null].includes(url.searchParams.get(name));
  return {
    url: url.href,
    after,
    selects: {
      events:
        /^\/ws\/./.test(url.pathname) || [...url.searchParams.keys()].some((name) => !NOT_SELECTING.includes(name)),
      conflated: says("conflate"),
      snapshot: says("snapshot"),
    },
  };
}

/** The URL of one connection. `resume` is the secret of the connection before it. */
export function urlOf({ url }: Request, after: string | undefined, resume: string | undefined): string {
  const place = [...(after ? [pair("after", after)] : []), ...(resume ? [pair("resume", resume)] : [])].join("&");
  if (!place) return url;
  return url + (url.includes("?") ? "&" : "?") + place;
}

function addressOf(text: string): URL {
  const whole = /^\/|:\/\//.test(text) ? text : `ws://${text}`;
  let url: URL;
  try {
    url = new URL(whole, globalThis.location?.href);
  } catch {
    throw new TypeError("the url is no address; one looks like ws://127.0.0.1:8080, https://example.com or host:port");
  }
  const scheme = /^(ws|http)(s?):$/.exec(url.protocol);
  if (!scheme) throw new TypeError(`\`${url.protocol}\` leads to no WebSocket server; use ws, wss, http or https`);
  if (url.username || url.password) throw new TypeError("credentials do not belong in front of the host; pass a token");
  url.protocol = `ws${scheme[2]}:`;
  url.hash = "";
  if (url.pathname === "/") url.pathname = "/ws";
  return url;
}

function asked(options: Options): string[] {
  const { topics, where = {}, filter, params = {}, snapshot, conflate, overflow, onGap, confirm } = options;
  const said: Record<string, Scalar | Scalar[] | undefined> = {};
  if (topics?.length) said["topics"] = topics;
  for (const [field, values] of Object.entries(where)) said[`where.${field}`] = values;
  Object.assign(said, params, {
    filter: filter && JSON.stringify(filter),
    snapshot: snapshot ? 1 : undefined,
    conflate: conflate ? 1 : undefined,
    overflow,
    on_gap: onGap === "fail" ? onGap : undefined,
    confirm,
  });
  return Object.entries(said).flatMap(([name, values]) => (values === undefined ? [] : [pair(name, values)]));
}

/** A comma within a value is a character like any other; those between values stand for themselves. */
function pair(name: string, values: Scalar | Scalar[]): string {
  const list = Array.isArray(values) ? values : [values];
  return `${encodeURIComponent(name)}=${list.map((value) => encodeURIComponent(String(value))).join(",")}`;
}
