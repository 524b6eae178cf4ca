// What an application says to a client and hears from it. The messages of the server are updates as they came, with the
// names of the wire (docs/protocol.md); `connected`, `disconnected`, `refused`, `unrenewed` and `slow` are the client's.

import type { ConnectionError, Refusal } from "./errors.js";
import type { TokenSource } from "./renew.js";
import type { Bound } from "./taking.js";

/** What a text, number, boolean or null in a URL is compared with. */
export type Scalar = string | number | boolean | null;

/** A filter (docs/filters.md): `{ side: "buy", price: { gte: 30240 } }`. */
export type Filter = { [field: string]: unknown };

/** What `subscribe` asks for. */
export interface Subscription {
  /** Topic patterns; an event matches one of them. */
  topics: string[];
  /** A filter for all of them. */
  filter?: Filter | undefined;
  /** Values for the parameters that a source declares. */
  params?: Record<string, string> | undefined;
  /** Where delivery begins: a cursor, or `earliest`; without it, with the next event. */
  after?: string | undefined;
  /** The latest event of each key comes first. */
  snapshot?: boolean | undefined;
  /** What waits is replaced by the newer event of its key. */
  conflate?: boolean | undefined;
}

/** How long a client waits between attempts, in milliseconds: a random time up to `base` that doubles with each failure. */
export interface Retry {
  /** The most that is waited after the first failure. */
  base: number;
  /** The most that is ever waited. */
  cap: number;
}

/** How long a client waits for others, in milliseconds. */
export interface Timing {
  /** For the network. */
  connect: number;
  /** For the answer to the upgrade, and again for `welcome`. */
  handshake: number;
  /** For the other half of the close handshake. */
  close: number;
  /** For a new token. */
  renew: number;
  /** What a server's silence may exceed two heartbeat intervals by. */
  slack: number;
}

/** What a client is made of. Without `topics`, `where`, `filter` and `params`, `subscribe` has to follow. */
export interface Options extends Partial<Subscription> {
  /** `wss://example.com`, `https://…`, `localhost:8080`; in a browser also a path. Without a path, `/ws`. */
  url: string;
  /** Conditions on fields, as in a URL: `{ side: "buy", "price.gte": 30240, symbol: ["BTC", "ETH"] }`. */
  where?: Record<string, Scalar | Scalar[]>;
  /** What happens when this client is slow; without it, what the server says. */
  overflow?: "disconnect" | "catch_up" | "skip";
  /** What happens when the log no longer holds the place to resume from: a `gap` is told (default), or it is the end. */
  onGap?: "continue" | "fail";
  /** How receipt is proven: by WebSocket pongs, or by what the application has taken. */
  confirm?: "pong" | "ack";
  /** A credential, or where it comes from: called for the first one, before it ends, and when it has ended. */
  token?: string | TokenSource;
  retry?: Partial<Retry>;
  timing?: Partial<Timing>;
  /** Whether the client comes back after what another attempt could mend. */
  reconnect?: "always" | "once_connected" | "never";
  /** How much may wait for the application: by default 10,000 updates, 16 Mi characters. */
  buffer?: Partial<Bound>;
  /** Another parser for the JSON of messages, for numbers that `JSON.parse` would round. */
  parse?: (text: string) => unknown;
  /** Aborting is `close()`. */
  signal?: AbortSignal;
  /** Another WebSocket than the platform's, with the interface of the browsers'. */
  WebSocket?: WebSocketConstructor;
  /** The largest message that is taken, in bytes, where the client itself reads from the network: 16 MiB. */
  maxMessage?: number;
}

/** What a browser's `WebSocket` is to a client. */
export interface WebSocketLike {
  readonly readyState: number;
  readonly bufferedAmount: number;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(text: string): void;
  close(code?: number): void;
}

export type WebSocketConstructor = new (url: string, protocols: string[]) => WebSocketLike;

interface Envelope<Data> {
  /** Its place in the log. */
  seq: number;
  topic: string;
  key?: string;
  /** The source's own name for it. */
  id?: string;
  /** When it happened, in milliseconds since 1970. */
  ts?: number;
  source: string;
  data: Data;
}

/** An event, which the application did not have before. */
export interface EventUpdate<Data = unknown> extends Envelope<Data> {
  op: "event";
}

/** The latest event of a key. Events that came earlier may be newer: the greater `seq` of a key is right. */
export interface SnapshotUpdate<Data = unknown> extends Envelope<Data> {
  op: "snapshot";
}

/** The snapshot was shown to its end. One that was cut is shown anew on the next connection. */
export interface SnapshotEndUpdate {
  op: "snapshot_end";
  id?: string;
  seq: number;
  count: number;
  /** False if keys may be missing, because there are more than the server keeps. */
  complete?: boolean;
}

/** Events that the application would have got will not come; null where a number cannot be known. */
export interface GapUpdate {
  op: "gap";
  from: number | null;
  to: number | null;
  matched: number | null;
  /** `slow_consumer`, `history_expired`, `epoch_changed`, `rate_limited`, … */
  reason: string;
}

/** A source changed its state, or has missed something of its feed (`gap`, with `missed`). */
export interface SourceUpdate {
  op: "source";
  source: string;
  state: "connecting" | "live" | "stale" | "down" | "gap";
  since: number;
  missed?: number | null;
  topic?: string;
}

/** A subscription took effect: events with a greater `seq` are selected by the new set, which is `topics`. */
export interface SubscribedUpdate {
  op: "subscribed";
  id?: string;
  topics: string[];
  seq: number;
  /** Patterns of which the credential allows only a part. */
  narrowed?: string[];
}

/** A subscription ended. */
export interface UnsubscribedUpdate extends Omit<SubscribedUpdate, "op"> {
  op: "unsubscribed";
}

/** The connection goes on with a new token. */
export interface RefreshedUpdate {
  op: "refreshed";
  id?: string;
  expires?: number;
  topics: string[];
  /** Patterns that the new one does not allow, or only in part. */
  ended?: string[];
  seq: number;
}

/** Until `replayed`, older events of one subscription come. */
export interface ReplayUpdate {
  op: "replay";
  id?: string;
  from: number;
  to: number;
}

/** Events are new again. */
export interface ReplayedUpdate {
  op: "replayed";
  id?: string;
}

/** The server is there, and all that matches up to `cursor` was told. */
export interface HeartbeatUpdate {
  op: "heartbeat";
  cursor: string;
  ts: number;
}

/** The answer to `ping`. */
export interface PongUpdate {
  op: "pong";
  id?: string;
}

/** The answer to `publish`: the event is in the log. */
export interface PublishedUpdate {
  op: "published";
  id?: string;
  /** Its place; null if the same event had come before. */
  seq: number | null;
}

/** A connection is open. */
export interface ConnectedUpdate {
  op: "connected";
  /** Its name, as the server's operators see it. */
  connection: string;
  epoch: string;
  /** From where delivery goes on; null at the head. */
  after: string | null;
  /** How many connections there were before. */
  before: number;
  /** What the server lets this connection do (docs/limits.md). */
  limits: Record<string, number>;
}

/** The connection ended, and there will be another one. */
export interface DisconnectedUpdate {
  op: "disconnected";
  why: ConnectionError;
  /** How long until the next attempt, in milliseconds. */
  retryIn: number;
}

/** A command was refused. A refused subscription is not said again on the next connection. */
export interface RefusedUpdate extends Refusal {
  op: "refused";
}

/** There is no new token yet. It is tried again; the old one counts until it ends. */
export interface UnrenewedUpdate {
  op: "unrenewed";
  why: Error;
}

/** So much waits for the application that the client left the server, until half of it is taken. */
export interface SlowUpdate {
  op: "slow";
  /** How many updates wait. */
  buffered: number;
  /** The characters of their JSON. */
  bytes: number;
  /** For how long the application has taken none, in milliseconds. */
  waited: number;
}

/** What an application is told, in the order in which it happened; `slow` alone comes before what waits. */
export type Update<Data = unknown> =
  | EventUpdate<Data>
  | SnapshotUpdate<Data>
  | SnapshotEndUpdate
  | GapUpdate
  | SourceUpdate
  | SubscribedUpdate
  | UnsubscribedUpdate
  | RefreshedUpdate
  | ReplayUpdate
  | ReplayedUpdate
  | HeartbeatUpdate
  | PongUpdate
  | PublishedUpdate
  | ConnectedUpdate
  | DisconnectedUpdate
  | RefusedUpdate
  | UnrenewedUpdate
  | SlowUpdate;

/** What a client has counted since it was made. */
export interface Stats {
  /** Events and snapshots that came. */
  received: number;
  /** Of them, those that the application has taken. */
  delivered: number;
  /** Of them, those that it had already. */
  duplicates: number;
  gaps: number;
  /** Connections behind the first. */
  reconnects: number;
  /** Updates that wait for the application, and the characters of their JSON. */
  buffered: number;
  bufferedBytes: number;
  /** How often so much waited that the client left the server. */
  slow: number;
}

/** `connecting` until the server's welcome, `waiting` between attempts. */
export type State = "connecting" | "open" | "waiting" | "closed";
