// What waits for the application, and how it takes that: by asking for the next update, or by handlers, which are served
// in the same order. What waits is bounded by whoever fills it: `isFull` says when to stop.

import { now } from "./alarm.js";
import type { Connection } from "./connection.js";
import type { Place } from "./cursor.js";

/** The most that waits before the client leaves the server, in updates and in characters of their JSON. */
export interface Bound {
  updates: number;
  bytes: number;
}

/** What an update stands for, besides itself. */
export interface Mark {
  /** From where the client would resume behind it. */
  place: Place | undefined;
  /** On which connection it came, and how many data frames had come there with it. */
  connection: Connection | undefined;
  ordinal: number;
  /** The characters of its JSON. */
  size: number;
}

export type Handler = (update: any) => unknown;

/** The application's end of a client. */
export class Taking<T extends { op: string }> {
  /** The last update that was handed out: the application is done with it when it asks for the next one. */
  taken: Mark;
  /** How many events and snapshots were handed out. */
  delivered = 0;
  /** How much waits, in characters of JSON. */
  bytes = 0;
  readonly #bound: Bound;
  readonly #done: (mark: Mark) => void;
  readonly #handlers = new Map<string, Set<Handler>>();
  readonly #waiting: [T, Mark | undefined][] = [];
  #isEnded = false;
  #failure: Error | undefined;
  #takenAt = now();
  /** Those who wait for any of this to change. */
  #watching: (() => void)[] = [];

  /** `done` is told what the application is done with. */
  constructor(bound: Bound, place: Place | undefined, done: (mark: Mark) => void) {
    this.taken = { place, connection: undefined, ordinal: 0, size: 0 };
    this.#bound = bound;
    this.#done = done;
  }

  get length(): number {
    return this.#waiting.length;
  }

  /** Whether so many times the bound waits. */
  isFull(times: number): boolean {
    return this.length >= this.#bound.updates * times || this.bytes >= this.#bound.bytes * times;
  }

  /** For how long the application has taken nothing, in milliseconds. */
  get waited(): number {
    return Math.round(now() - this.#takenAt);
  }

  push(update: T, mark: Mark): void {
    this.#waiting.push([update, mark]);
    this.bytes += mark.size;
    this.#changed();
  }

  /** Tells this before everything that waits: handlers at once, even while one of them is busy. */
  urge(update: T): void {
    if (this.#isServing) void this.#serve(update);
    else this.#waiting.unshift([update, undefined]);
    this.#changed();
  }

  /** Waits until half of the bound is free, or nothing more is to come. */
  async room(): Promise<void> {
    const { updates, bytes } = this.#bound;
    while (!this.#isEnded && (this.length * 2 > updates || this.bytes * 2 > bytes)) await this.#change();
  }

  /** Nothing more comes. What waits is still handed out before a failure; without one, it is not wanted any more. */
  end(failure?: Error): void {
    if (!failure) this.bytes = this.#waiting.length = 0;
    this.#isEnded = true;
    this.#failure = failure;
    this.#changed();
  }

  /** The next update; undefined when there is none any more. Fails once with what was the end. */
  take(): Promise<T | undefined> {
    if (this.#isServing) return Promise.reject(new TypeError("handlers take the updates of this client"));
    return this.#take();
  }

  /** Serves updates to handlers from now on. Returns how to take this one back. */
  on(op: string, handler: Handler): () => void {
    const handlers = this.#handlers.get(op) ?? new Set();
    if (!this.#isServing) void this.#serveAll();
    this.#handlers.set(op, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  /** From the first handler on, even if all are taken back. */
  get #isServing(): boolean {
    return this.#handlers.size > 0;
  }

  async #take(): Promise<T | undefined> {
    this.#done(this.taken);
    while (!this.length && !this.#isEnded) await this.#change();
    const [update, mark] = this.#waiting.shift() ?? [];
    const failure = this.#failure;
    if (!update) {
      this.#failure = undefined;
      if (failure) throw failure;
      return undefined;
    }
    if (mark) {
      this.taken = mark;
      this.bytes -= mark.size;
    }
    if (update.op === "event" || update.op === "snapshot") this.delivered += 1;
    this.#takenAt = now();
    this.#changed();
    return update;
  }

  async #serveAll(): Promise<void> {
    try {
      for (let update; (update = await this.#take()); ) await this.#serve(update);
    } catch (failure) {
      this.#raise(failure);
    }
  }

  async #serve(update: T): Promise<void> {
    for (const handler of this.#handlers.get(update.op) ?? []) {
      try {
        await handler(update);
      } catch (error) {
        this.#raise(error);
      }
    }
  }

  /** An error of the application, or the end: its own handler's, or else nobody's, which the platform tells. */
  #raise(error: unknown): void {
    const handlers = this.#handlers.get("error");
    if (!handlers?.size) void Promise.reject(error);
    handlers?.forEach((handler) => handler(error));
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#watching.push(resolve));
  }

  #changed(): void {
    for (const resolve of this.#watching.splice(0)) resolve();
  }
}
