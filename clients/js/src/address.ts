// What a client asks for, as a URL: where the server is, as people write it, and what it is asked (`topics`, `where.…`,
// `after`, …). The part that says where delivery begins is taken out of an address, because it changes with every
// connection.

import type { UrlSelects } from "./resume.js";
import type { Options, Scalar } from "./types.js";

/** Parameters that choose no events: with none but these in the query, nothing is selected by it. */
const NOT_SELECTING = /^(access_token|token|overflow|on_gap|confirm|snapshot|conflate)$/;

/** What every connection of a client says in its URL. */
export interface Request {
  /** Without `after` and `resume`. Credentials may stand in it: no error holds it. */
  url: string;
  /** Where delivery begins on the first connection. */
  after: string | undefined;
  selects: UrlSelects;
}

/** What stands in a query: a list is separated by commas, and what is undefined is not there. */
type Said = Record<string, Scalar | Scalar[] | undefined>;

/** Reads an address and what is asked for. */
export function requestOf(options: Options): Request {
  const url = addressOf(options.url);
  const after = options.after ?? url.searchParams.get("after") ?? undefined;
  const kept = url.search.slice(1).split("&");
  const query = [...kept.filter((pair) => !/^(after=|resume=|$)/.test(pair)), ...pairs(asked(options))];
  url.search = query.join("&");
  const names = [...url.searchParams.keys()];
  const events = /^\/ws\/./.test(url.pathname) || names.some((name) => !NOT_SELECTING.test(name));
  const says = (name: string): boolean => events && !["0", null].includes(url.searchParams.get(name));
  return { url: url.href, after, selects: { events, conflated: says("conflate"), snapshot: says("snapshot") } };
}

/** The URL of one connection. `resume` is the secret of the connection before it. */
export function urlOf({ url }: Request, after: string | undefined, resume: string | undefined): string {
  const [first, ...others] = pairs({ after, resume });
  return first ? [url + (url.includes("?") ? "&" : "?") + first, ...others].join("&") : url;
}

function addressOf(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(/^\/|:\/\//.test(text) ? text : `ws://${text}`, globalThis.location?.href);
  } catch {
    // It is told below, with whatever else is none.
  }
  const scheme = /^(?:ws|http)(s?):$/.exec(url?.protocol ?? "");
  if (!url || !scheme || url.username || url.password) {
    throw new TypeError("the url is no address; one looks like wss://example.com or localhost:8080, without credentials");
  }
  url.protocol = `ws${scheme[1]}:`;
  url.hash = "";
  if (url.pathname === "/") url.pathname = "/ws";
  return url;
}

function asked(options: Options): Said {
  const { topics, where = {}, filter, params, snapshot, conflate, overflow, onGap, confirm } = options;
  const said: Said = { topics: topics?.length ? topics : undefined };
  for (const field in where) said[`where.${field}`] = where[field];
  return {
    ...said,
    ...params,
    filter: filter && JSON.stringify(filter),
    snapshot: snapshot ? 1 : undefined,
    conflate: conflate ? 1 : undefined,
    overflow,
    on_gap: onGap,
    confirm,
  };
}

/** A comma within a value is a character like any other; those between values stand for themselves. */
function pairs(said: Said): string[] {
  return Object.entries(said).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const list = [value].flat().map((one) => encodeURIComponent(`${one}`));
    return `${encodeURIComponent(name)}=${list}`;
  });
}
