// The cursor rule: from where a client resumes, what it says again, and which events it already had. No I/O, no clock.
//
// The rule is the wire's. A connection has one *main cursor*, and outside brackets events come in increasing `seq`. The
// resumable cursor is the last event outside brackets, or the last cursor that a `heartbeat` or `goodbye` told,
// whichever is later; with conflation, where order holds per key only, the latter alone. Inside a bracket (`replay` …
// `replayed`) the main cursor stands still, events may repeat what another subscription had, and who is cut there asks
// for the old place again. A place that can be resumed brings no snapshot: who is cut within a first snapshot begins
// anew, who is cut within one that follows a gap asks for the place before that gap.
//
// `Resume` is told what happens and answers what follows; client.ts carries it between it and the socket.

import { type Cursor, type Place, placeOf, textOf } from "./cursor.js";
import { Seen } from "./seen.js";
import type { Subscription } from "./types.js";
import { type Subscribe, Wanted } from "./wanted.js";

/** What the URL of every connection selects, and how its delivery begins where no place was asked for. */
export interface UrlSelects {
  /** False: commands will select. */
  events: boolean;
  /** A queued one may be replaced by a newer one of its key. */
  conflated: boolean;
  /** It begins with a snapshot, and goes on with one behind a gap. */
  snapshot: boolean;
}

/** The longest event id that is put into a cursor, in UTF-8 bytes: a server reads no cursor of more than 1024. */
const MAX_ID_BYTES = 960;
const utf8 = new TextEncoder();

/**
 * The snapshot that the main line may have to bring before its cursor is worth anything. An event of the main line
 * proves that none is on its way: snapshots come before.
 */
type Awaits =
  | "nothing"
  /** The first of what the URL selects: who is cut begins anew. */
  | "first"
  /** One that follows a gap: until it was shown, the place before the gap is the one to resume. */
  | "again";

/**
 * The main line of the present connection.
 *
 *     welcome ─▶ idle ──the first `subscribed`──▶ moving ──`replay`──▶ standing
 *                                                   ▲ └───`replayed`─────┘
 */
type Line = "idle" | "moving" | "standing";

/** What one client knows about its place, over all its connections. */
export class Resume {
  /** What was selected by commands. */
  readonly wanted = new Wanted();
  readonly #url: UrlSelects;
  readonly #seen = new Seen();
  #awaits: Awaits = "nothing";
  /** The main cursor; undefined while it stands at the head, because nothing was delivered so far. */
  #main: Place | undefined;
  #line: Line = "idle";
  /** Whether anything on this connection was ever conflated: what was queued then still comes out of order. */
  #conflated: boolean;
  /**
   * Whether the cursor alone does not tell repeats: in brackets and under conflation it does not, on a line that one
   * URL started it does. From then on events are remembered; a bracket may repeat those of before.
   */
  #remembers: boolean;
  #epoch: string | undefined;

  /** A client that was never connected. `after` is where the delivery of what the URL selects begins. */
  constructor(url: UrlSelects, after?: string) {
    this.#url = url;
    this.#main = after === undefined || !url.events ? undefined : placeOf(after);
    this.#conflated = url.conflated;
    this.#remembers = !url.events || url.conflated;
  }

  /** Where the client would resume. */
  cursor(): Place | undefined {
    return this.#awaits === "first" ? undefined : this.#main;
  }

  /** Whether who leaves now goes on right here. Within a snapshot, or in a bracket, it would begin anew. */
  get isWhole(): boolean {
    return this.#awaits === "nothing" && this.#line === "moving" && !this.wanted.isShowing();
  }

  /** What `after` in the next URL says. */
  urlAfter(): string | undefined {
    const place = this.#url.events ? this.cursor() : undefined;
    return place && textOf(place);
  }

  /** A connection is open, on the log `epoch`. The commands to say on it; `renamed` as of `Wanted.again`. */
  welcome(epoch: string, renamed: (before: string, now: string) => void = () => {}): Subscribe[] {
    if (this.#epoch !== epoch) this.#seen.clear();
    this.#epoch = epoch;
    this.#line = "idle";
    if (this.#awaits === "first") this.#main = undefined;
    this.#awaits = "nothing";
    this.#conflated = this.#url.conflated || this.wanted.asksFor("conflate");
    return this.wanted.again(this.#main && textOf(this.#main), renamed);
  }

  /** The application selects more. The command; while not connected, `welcome` will say it. */
  subscribe(subscription: Subscription): Subscribe {
    if (subscription.after !== undefined) placeOf(subscription.after);
    this.#conflated ||= !!subscription.conflate;
    this.#remembers = true;
    return this.wanted.add(subscription);
  }

  /** `subscribed` came: events with a greater `seq` are selected by the new set. The URL's has no id. */
  subscribed(id: string | undefined, seq: number): void {
    const starts = this.#line === "idle";
    if (starts) {
      const text = id === undefined ? undefined : this.wanted.placeOf(id);
      const place = id === undefined ? this.#main : text && placeOf(text);
      if (id === undefined && !place && this.#url.snapshot) this.#awaits = "first";
      // Nobody said where to begin, so this is the first place that the client knows.
      this.#main = place || this.#here(seq);
      this.#line = "moving";
    }
    if (id !== undefined) this.wanted.taken(id, starts);
  }

  /** A bracket opens. */
  replay(): void {
    this.#line = "standing";
  }

  /** A bracket closes: its subscription goes on at the main cursor. */
  replayed(id?: string): void {
    this.#line = "moving";
    if (id !== undefined) this.wanted.caughtUp(id);
  }

  /**
   * Events are missing. If anything asked for snapshots, one follows; that a gap was one of a bracket, behind which none
   * does, shows with the next event.
   */
  gap(): void {
    const shows = this.#url.snapshot || this.wanted.asksFor("snapshot");
    if (this.#line === "moving" && this.#awaits === "nothing" && shows) this.#awaits = "again";
  }

  /** A snapshot is complete. `id` is that of the command that it answers, if it answers one. */
  snapshotEnd(id?: string): void {
    const answersAFirst = id !== undefined && this.wanted.shown(id);
    if (!answersAFirst) this.#awaits = "nothing";
  }

  /** An event came. True if the application did not have it. */
  event(seq: number, id?: string): boolean {
    if (this.#line === "moving") {
      this.#awaits = "nothing";
      this.wanted.allShown();
    }
    const here = this.#here(seq, id);
    if (this.#line !== "standing") {
      if (!this.#isLater(here)) return false;
      if (!this.#conflated) this.#main = here;
    }
    return !this.#remembers || this.#seen.insert(seq);
  }

  /** `heartbeat` or `goodbye` told a cursor: all that matches up to there was written before it. */
  told(cursor: Cursor): void {
    // A place behind a snapshot that was not shown to its end would leave the application without it.
    if (this.#awaits !== "nothing") return;
    // Before anything is selected, nothing matches: the place says nothing about what will be selected again.
    if (this.#line === "idle" || cursor.epoch !== this.#epoch || !this.#isLater(cursor)) return;
    // Nothing of the client's lies between its last event and this place. So a log of another epoch that finds that
    // event goes on at the right one; without an id it could only tell a gap.
    const last = this.#main;
    const near = typeof last === "object" && last.epoch === cursor.epoch;
    this.#main = { ...cursor, id: cursor.id ?? (near ? last.id : undefined) };
  }

  /** Whether `cursor` of the present log lies behind the main cursor. A main cursor of another log is always before. */
  #isLater(cursor: Cursor): boolean {
    const main = this.#main;
    return typeof main !== "object" || main.epoch !== cursor.epoch || main.seq < cursor.seq;
  }

  #here(seq: number, id?: string): Cursor {
    const fits = id !== undefined && id.length <= MAX_ID_BYTES && utf8.encode(id).length <= MAX_ID_BYTES;
    return { epoch: this.#epoch ?? "", seq, id: fits && id ? id : undefined };
  }
}
