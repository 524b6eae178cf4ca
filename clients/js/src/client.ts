// The loop over connections: connect, say what is selected, hand on what comes, and come back when it ends.
//
// What is decided elsewhere: the place to resume from in resume.ts, when to come back in retry.ts, whether at all by the
// verdict of an error, how the application takes updates in taking.ts.

import { Acks } from "./acks.js";
import { type Request, requestOf, urlOf } from "./address.js";
import { Alarm } from "./alarm.js";
import { Answers } from "./answers.js";
import { over } from "./browser.js";
import { Connection, type Message } from "./connection.js";
import { cursorOf, placeOf, textOf } from "./cursor.js";
import { closed, ConnectionError, foreign, RefusedError } from "./errors.js";
import { ask, dueIn, PAUSE, sendable } from "./renew.js";
import { Resume } from "./resume.js";
import { Backoff } from "./retry.js";
import { type Handler, type Mark, Taking } from "./taking.js";
import type {
  Options,
  PublishedUpdate,
  RefreshedUpdate,
  State,
  Stats,
  SubscribedUpdate,
  Subscription,
  Timing,
  UnsubscribedUpdate,
  Update,
} from "./types.js";
import type { Open } from "./wire.js";

const TIMING: Timing = { connect: 10_000, handshake: 10_000, close: 3000, renew: 30_000, slack: 5000 };
const RETRY = { base: 500, cap: 20_000 };
const BUFFER = { updates: 10_000, bytes: 16 << 20 };

/**
 * How much more may wait within a snapshot or a bracket. Who leaves there gets it from the beginning again, and one that is
 * larger than the buffer would never come to its end.
 */
const MAX_EXCESS = 10;

/**
 * A client of one server, over all its connections. It connects at once, and tells what happens as updates: take them
 * by iterating over the client, or by handlers (`on`).
 *
 *     connecting ──welcome──▶ open ──the connection ends──▶ waiting ──▶ connecting
 *          └─────────────────────── verdict never, `close()` ──────────▶ closed
 */
export class Client<Data = unknown> implements AsyncIterable<Update<Data>> {
  /** Resolves when the client is closed, and fails with what ended it for good. */
  readonly done: Promise<void>;
  readonly #open: Open;
  readonly #options: Options;
  readonly #request: Request;
  readonly #timing: Timing;
  readonly #resume: Resume;
  readonly #backoff: Backoff;
  /** Who waits for `subscribed`, over all connections, and for any other answer, on this one. */
  #subscribing = new Answers();
  readonly #asking = new Answers();
  readonly #taking: Taking<Update<Data>>;
  readonly #counts = { received: 0, duplicates: 0, gaps: 0, slow: 0 };
  #token: string | undefined;
  #state: State = "connecting";
  #connection: Connection | undefined;
  #acks: Acks | undefined;
  /** While connected, until the credential is renewed; else until the next attempt. */
  readonly #alarm = new Alarm();
  /** The secret of the last connection, which proves to the next one what was received. */
  #secret: string | undefined;
  #connections = 0;
  /** Ends the last pause between connections. */
  #wake: (() => void) | undefined;

  constructor(options: Options);
  /** @internal Over a transport that is no WebSocket of a browser's kind. */
  constructor(options: Options, open?: Open);
  constructor(options: Options, open = over(options.WebSocket)) {
    const { token, signal } = options;
    this.#open = open;
    this.#options = options;
    this.#request = requestOf(options);
    const { after, selects } = this.#request;
    this.#timing = { ...TIMING, ...options.timing };
    this.#resume = new Resume(selects, after);
    this.#backoff = new Backoff({ ...RETRY, ...options.retry });
    if (typeof token === "string") this.#token = sendable(token);
    const place = after === undefined ? after : placeOf(after);
    this.#taking = new Taking({ ...BUFFER, ...options.buffer }, place, (mark) => this.#took(mark));
    this.done = this.#run();
    // Who iterates or has a handler is told there.
    this.done.catch(() => {});
    signal?.addEventListener("abort", () => void this.close(), { once: true });
    if (signal?.aborted) void this.close();
  }

  /** Where another client would go on behind what the application has taken; null if that is the head. */
  get cursor(): string | null {
    const { place } = this.#taking.taken;
    return place ? textOf(place) : null;
  }

  get state(): State {
    return this.#state;
  }

  get stats(): Stats {
    const { length: buffered, bytes: bufferedBytes, delivered } = this.#taking;
    return { ...this.#counts, delivered, reconnects: Math.max(0, this.#connections - 1), buffered, bufferedBytes };
  }

  /** The next update, as soon as there is one; undefined when the client was closed. Fails with what ended it for good. */
  next(): Promise<Update<Data> | undefined> {
    return this.#taking.take();
  }

  /** Leaving the loop leaves the client as it is: `close()` ends it. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Update<Data>, undefined> {
    for (let update; (update = await this.next()); ) yield update;
    return undefined;
  }

  /**
   * Calls `handler` with each update of that name, one after the other: what a handler returns is awaited. `error` gets
   * what a handler throws, and what ended the client for good; without such a handler they are unhandled rejections.
   * Returns how to take it back.
   */
  on(op: "error", handler: (error: unknown) => unknown): () => void;
  on<Op extends Update["op"]>(op: Op, handler: (update: Extract<Update<Data>, { op: Op }>) => unknown): () => void;
  on(op: string, handler: Handler): () => void {
    return this.#taking.on(op, handler);
  }

  /** Selects more, now or as soon as connected, and again on every later connection. Fails with a `RefusedError`. */
  subscribe(subscription: Subscription): Promise<SubscribedUpdate> {
    if (this.#state === "closed") return Promise.reject(closed());
    const command = this.#resume.subscribe(subscription);
    this.#connection?.send(command);
    return this.#subscribing.await(command.id);
  }

  /** Selects less of what `subscribe` selected. Resolves with undefined if no server had to be told. */
  unsubscribe(selected: Pick<Subscription, "topics" | "params">): Promise<UnsubscribedUpdate | undefined> {
    const { topics, params } = selected;
    this.#resume.wanted.remove(topics, params);
    const unsubscribed = this.#ask<UnsubscribedUpdate>({ op: "unsubscribe", topics, params });
    // Without a connection it is done: nothing will select this again.
    return unsubscribed.catch((why: unknown) => {
      if (why instanceof RefusedError) throw why;
      return undefined;
    });
  }

  /**
   * Sends an event of the application's own, if connected; through `source`, where the server has several that take
   * events. Fails with a `RefusedError`, or with a `ConnectionError` if the connection is lost before the answer: then
   * nobody knows whether the event was taken.
   */
  publish(topic: string, data: unknown, source?: string): Promise<PublishedUpdate> {
    return this.#ask({ op: "publish", topic, data, source });
  }

  /** Asks for a sign of life, if connected. */
  async ping(): Promise<void> {
    await this.#ask({ op: "ping" });
  }

  /** Confirms all that the application has taken on this connection. With `confirm: "ack"` that is done by itself. */
  ack(): void {
    const { connection, ordinal } = this.#taking.taken;
    if (connection === this.#connection) connection?.send({ op: "ack", delivered: ordinal });
  }

  /** Ends the connection with code 1000, waits a little for the server to do so too, and ends the iteration. */
  async close(): Promise<void> {
    if (this.#state !== "closed") {
      this.#state = "closed";
      this.#taking.end();
      if (this.#acks) this.ack();
      this.#wake?.();
      await this.#connection?.close();
    }
    await this.done.catch(() => {});
  }

  /** All connections of this client, one after the other. */
  async #run(): Promise<void> {
    let failure: ConnectionError | undefined;
    // The application gets to say what else it wants before the first attempt.
    await undefined;
    while (!failure && !this.#isClosed()) {
      const why = await this.#attempt();
      this.#alarm.stop();
      this.#acks?.stop();
      this.#connection = this.#acks = undefined;
      if (this.#isClosed()) break;
      this.#asking.end(why);
      const delay = this.#backoff.wait(this.#verdict(why), why.retryAfter, Math.random());
      this.#state = "waiting";
      if (delay === undefined) {
        failure = why;
      } else {
        this.#push({ op: "disconnected", why, retryIn: delay });
        await (why.kind === "slow" ? this.#taking.room() : this.#pause(delay));
      }
    }
    this.#state = "closed";
    for (const answers of [this.#subscribing, this.#asking]) answers.end(failure ?? closed());
    this.#taking.end(failure);
    if (failure) throw failure;
  }

  /** One connection, from asking for a token to its end. */
  async #attempt(): Promise<ConnectionError> {
    const { token: source, parse = JSON.parse } = this.#options;
    this.#state = "connecting";
    if (this.#token === undefined && typeof source === "function") {
      try {
        this.#token = await ask(source, this.#timing.renew);
      } catch (error) {
        return error as ConnectionError;
      }
      if (this.#isClosed()) return closed();
    }
    const connection = new Connection(this.#open, {
      url: urlOf(this.#request, this.#resume.urlAfter(), this.#secret),
      token: this.#token,
      timing: this.#timing,
      parse,
      follow: (message, size) => this.#follow(message, size),
    });
    this.#connection = connection;
    return connection.ended;
  }

  /** What to do about the end of a connection, which is still `open` if the server had said `welcome`. */
  #verdict(why: ConnectionError): ConnectionError["verdict"] {
    const { reconnect = "always", token } = this.#options;
    if (reconnect === "never" || (reconnect === "once_connected" && !this.#connections)) return "never";
    if (why.verdict !== "renew" && why.refusal?.code !== "TOKEN_EXPIRED") return why.verdict;
    // The next attempt begins with another one; who has none to get can only be refused once more.
    if (typeof token === "function") {
      this.#token = undefined;
      return "renew";
    }
    return this.#state === "open" ? why.verdict : "never";
  }

  /** Waits; less if the client is closed, or a browser says that there is a network again. */
  async #pause(delay: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      this.#alarm.set(delay, resolve);
      globalThis.addEventListener?.("online", this.#wake);
    });
    this.#alarm.stop();
    globalThis.removeEventListener?.("online", this.#wake!);
  }

  /** What follows from a message: the cursor moves, and the application is told unless it knows already. */
  #follow(message: Message, size: number): void {
    const { op, id } = message;
    const resume = this.#resume;
    switch (op) {
      case "welcome":
        return this.#welcome(message);
      case "event":
      case "snapshot":
        if (!Number.isSafeInteger(message["seq"]) || typeof message["topic"] !== "string" || !("data" in message)) {
          throw foreign(`an \`${op}\` without seq, topic or data`);
        }
        this.#counts.received += 1;
        this.#connection!.received += 1;
        this.#backoff.progressed();
        if (op === "event" && !resume.event(message["seq"], id)) {
          this.#counts.duplicates += 1;
          return;
        }
        break;
      case "heartbeat":
        this.#backoff.progressed();
        resume.told(cursorOf(message["cursor"]));
        break;
      case "goodbye":
        if (message["cursor"]) resume.told(cursorOf(message["cursor"]));
        return;
      case "snapshot_end":
        resume.snapshotEnd(id);
        break;
      case "subscribed":
        resume.subscribed(id, message["seq"]);
        this.#subscribing.resolve(id, message);
        break;
      case "replay":
        resume.replay();
        break;
      case "replayed":
        resume.replayed(id);
        break;
      case "error":
        message.op = "refused";
        resume.wanted.refused(id);
        for (const answers of [this.#subscribing, this.#asking]) answers.reject(id, new RefusedError(message as any));
        break;
      case "gap":
        this.#counts.gaps += 1;
        resume.gap();
        break;
      case "unsubscribed":
      case "refreshed":
      case "published":
      case "pong":
        this.#asking.resolve(id, message);
        break;
      case "source":
        break;
      default:
        // What this client does not know says nothing.
        return;
    }
    this.#push(message as unknown as Update<Data>, size);
  }

  #welcome(welcome: Message): void {
    const connection = this.#connection!;
    const { connection: name, epoch, resume: secret, limits, confirm, expires } = welcome;
    const after = this.#resume.cursor();
    const before = this.#subscribing;
    const answers = (this.#subscribing = new Answers());
    const inherit = (old: string, id: string): void => answers.inherit(id, before, old);
    for (const command of this.#resume.welcome(cursorOf(`${epoch}:0`).epoch, inherit)) connection.send(command);
    before.end(closed("unsubscribed before it was answered"));
    this.#secret = secret || undefined;
    this.#state = "open";
    if (confirm === "ack") {
      const { max_unconfirmed_frames: frames = 4000, max_unconfirmed_bytes: bytes = 1 << 20 } = limits ?? {};
      this.#acks = new Acks(+frames, +bytes, (delivered) => connection.send({ op: "ack", delivered }));
    }
    this.#renewIn(dueIn(expires, Date.now()));
    const place = after ? textOf(after) : null;
    this.#push({ op: "connected", connection: name, epoch, after: place, before: this.#connections++, limits });
  }

  /** Renews the credential on the open connection in so many milliseconds; not a number if it does not end. */
  #renewIn(delay: number): void {
    const { token: source } = this.#options;
    const connection = this.#connection;
    if (typeof source !== "function" || Number.isNaN(delay)) return;
    this.#alarm.set(delay, async () => {
      try {
        const access_token = await ask(source, this.#timing.renew);
        if (connection !== this.#connection) return;
        this.#token = access_token;
        const { expires } = await this.#ask<RefreshedUpdate>({ op: "refresh", access_token });
        this.#renewIn(Math.max(PAUSE, dueIn(expires, Date.now())));
      } catch (why) {
        if (connection !== this.#connection) return;
        this.#push({ op: "unrenewed", why: why as Error });
        this.#renewIn(PAUSE);
      }
    });
  }

  /** Sends a command that is said once, on this connection. */
  #ask<Answer>(command: object): Promise<Answer> {
    const id = this.#resume.wanted.nextId();
    if (!this.#connection?.send({ ...command, id })) return Promise.reject(closed("the command cannot be sent now"));
    return this.#asking.await(id);
  }

  #push(update: Update<Data>, size = 0): void {
    const connection = this.#connection;
    const place = this.#resume.cursor();
    this.#taking.push(update, { place, connection, ordinal: connection?.received ?? 0, size });
    if (!connection || !this.#taking.isFull(this.#resume.isWhole ? 1 : MAX_EXCESS)) return;
    this.#counts.slow += 1;
    const { length: buffered, bytes, waited } = this.#taking;
    this.#taking.urge({ op: "slow", buffered, bytes, waited });
    connection.finish(new ConnectionError("slow", "the application takes updates too slowly", { verdict: "now" }));
  }

  /** The application is done with an update. */
  #took({ connection, ordinal, size }: Mark): void {
    if (connection === this.#connection) this.#acks?.took(ordinal, size);
  }

  /** The state may have changed while something was awaited, which the compiler does not know. */
  #isClosed(): boolean {
    return this.#state === "closed";
  }
}
