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
  const given = addressOf(options.url);
  const after = options.after ?? given.searchParams.get("after") ?? undefined;
  const kept = given.search.slice(1).split("&");
  given.search = kept.filter((pair) => !/^(after=|resume=|$)/.test(pair)).join("&");
  const url = extended(given.href, asked(options));
  const { pathname, searchParams } = new URL(url);
  const events = /^\/ws\/./.test(pathname) || [...searchParams.keys()].some((name) => !NOT_SELECTING.test(name));
  const says = (name: string): boolean => events && !["0", null].includes(searchParams.get(name));
  return { url, after, selects: { events, conflated: says("conflate"), snapshot: says("snapshot") } };
}

/** The URL of one connection. `resume` is the secret of the connection before it. */
export function urlOf({ url }: Request, after: string | undefined, resume: string | undefined): string {
  return extended(url, { after, resume });
}

function addressOf(text: string): URL {
  try {
    const url = new URL(/^\/|:\/\//.test(text) ? text : `ws://${text}`, globalThis.location?.href);
    // What does not match, another scheme or credentials in front of the host, is told with what is no URL.
    url.protocol = `ws${/^(?:ws|http)(s?):\/\/[^/@]*\//.exec(url.href)![1]}:`;
    url.hash = "";
    if (url.pathname === "/") url.pathname = "/ws";
    return url;
  } catch {
    throw new TypeError("the url is no address like wss://example.com or localhost:8080, without credentials");
  }
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
function extended(url: string, said: Said): string {
  for (const name in said) {
    const value = said[name];
    if (value === undefined) continue;
    const list = [value].flat().map((one) => encodeURIComponent(`${one}`));
    url += `${url.includes("?") ? "&" : "?"}${encodeURIComponent(name)}=${list}`;
  }
  return url;
}
