// What an application selected by commands, and what of it has to be said again on the next connection.
//
// This file knows which subscriptions there are and how far each has come. It leaves to resume.ts where the main cursor
// stands. A subscription replaces an older one of the same pattern and params when the server has taken it, not before:
// if it is refused, or the connection is lost first, the older one lives on.

import type { Subscription } from "./types.js";

/** A `subscribe` as it is said. */
export interface Subscribe extends Subscription {
  op: "subscribe";
  id: string;
}

/**
 * Where the delivery of a subscription goes on: at the head (undefined), wherever the main cursor stands (`MAIN`), or at a
 * place of its own, which is a cursor's text.
 *
 *     subscribe without `after`: the head ──taken, its snapshot was shown──▶ MAIN ──reconnect──▶ the main cursor
 *                 with `after`: a place ──started the main line, or bracket closed──▶ MAIN
 *
 * Who is cut within a first snapshot begins at the head again, because what can be resumed brings none; who is cut
 * inside a bracket subscribes with the old place again.
 */
type From = string | undefined;
const MAIN = "main";

interface Entry {
  pattern: string;
  /** Pattern and params: what the server takes for one subscription. */
  name: string;
  /** What a command says besides its patterns: patterns with equal terms share one. */
  terms: Partial<Subscription>;
  shared: string;
  from: From;
  /** The command for it on this connection, until nothing more is to come of it. */
  command: string | undefined;
  taken: boolean;
}

const nameOf = (pattern: string, params: Record<string, unknown> = {}): string =>
  JSON.stringify([pattern, Object.entries(params).sort()]);

const placeOf = ({ from }: Entry): string | undefined => (from === MAIN ? undefined : from);

/** Whether its first snapshot may be on its way. */
const isShown = ({ taken, terms, from }: Entry): boolean => taken && !!terms.snapshot && !from;

const joinMain = (entry: Entry): void => {
  entry.from = MAIN;
  entry.command = undefined;
};

/** All subscriptions made by commands, in the order of the commands. */
export class Wanted {
  #entries: Entry[] = [];
  #ids = 0;

  /** Whether any of them asks for this. */
  asksFor(term: "conflate" | "snapshot"): boolean {
    return this.#entries.some((entry) => entry.terms[term]);
  }

  /** Whether the first snapshot of any of them may be on its way, to its end. */
  isShowing(): boolean {
    return this.#entries.some(isShown);
  }

  /** Adds what `subscription` asks for. The command for it. */
  add({ topics, filter, params, after, snapshot, conflate }: Subscription): Subscribe {
    const id = this.nextId();
    const terms = { filter, params, snapshot: snapshot || undefined, conflate: conflate || undefined };
    const shared = JSON.stringify([nameOf("", params), { ...terms, params: 0 }]);
    for (const pattern of topics) {
      const name = nameOf(pattern, params);
      this.#entries.push({ pattern, name, terms, shared, from: after, command: id, taken: false });
    }
    return { op: "subscribe", id, topics, after, ...terms };
  }

  /** Removes what an `unsubscribe` names. */
  remove(topics: string[], params?: Record<string, string>): void {
    const names = new Set(topics.map((pattern) => nameOf(pattern, params)));
    this.#entries = this.#entries.filter((entry) => !names.has(entry.name));
  }

  /** Where the command `id` asked to begin, if it did. */
  placeOf(id: string): string | undefined {
    const entry = this.#of(id)[0];
    return entry && placeOf(entry);
  }

  /** The server took the command `id`, which started the main line or joined it. */
  taken(id: string, starts: boolean): void {
    for (const entry of this.#of(id)) {
      entry.taken = true;
      if (!isShown(entry) && (starts || !entry.from)) joinMain(entry);
    }
    // What a newer one, which the server took, has replaced.
    this.#entries = this.#entries.filter(
      (entry, i) => !this.#entries.some((newer, j) => j > i && newer.taken && newer.name === entry.name),
    );
  }

  /** The snapshot that answers the command `id` is complete. Whether it was awaited. */
  shown(id: string): boolean {
    const shown = this.#of(id).filter(isShown);
    shown.forEach(joinMain);
    return shown.length > 0;
  }

  /** An event of the main line came: no snapshot is on its way any more. */
  allShown(): void {
    for (const entry of this.#entries) if (isShown(entry)) joinMain(entry);
  }

  /** The bracket of the command `id` is closed. */
  caughtUp(id: string): void {
    this.#of(id).forEach(joinMain);
  }

  /** The server refused the command `id`. */
  refused(id: string | undefined): void {
    this.#entries = this.#entries.filter((entry) => entry.taken || !id || entry.command !== id);
  }

  /**
   * What to say on a new connection, in this order. `main` is where the main line was cut. `renamed` is told which
   * command is now answered as which.
   *
   * The command that goes on there comes first and starts the main line. Every further one gets a bracket, so most
   * applications, whose subscriptions have equal terms, need one command and no bracket.
   */
  again(main: string | undefined, renamed: (before: string, now: string) => void): Subscribe[] {
    const order = this.#entries.map((entry, i, all) => {
      entry.taken = false;
      if (entry.from === MAIN) entry.from = main;
      // Invariant: one that replaces another is said behind it, in a command of its own.
      const replaces = all.findIndex(({ name }) => name === entry.name) < i;
      return { entry, replaces, later: Number(replaces || !main || entry.from !== main) };
    });
    order.sort((a, b) => a.later - b.later);
    this.#entries = order.map(({ entry }) => entry);
    const commands = new Map<string, Subscribe>();
    for (const { entry, replaces } of order) {
      const { pattern, terms, shared, from: after, command: before } = entry;
      const key = replaces ? this.nextId() : shared + after;
      const command = commands.get(key) ?? { op: "subscribe", id: this.nextId(), topics: [], after, ...terms };
      command.topics.push(pattern);
      commands.set(key, command);
      entry.command = command.id;
      if (before) renamed(before, command.id);
    }
    return [...commands.values()];
  }

  /** A name that no other command of this client has, on no connection. */
  nextId(): string {
    return String(++this.#ids);
  }

  #of(id: string): Entry[] {
    return this.#entries.filter((entry) => entry.command === id);
  }
}
