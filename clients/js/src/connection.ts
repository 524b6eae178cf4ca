// One connection, from the first message to the last: messages in, commands out, silence and every other end noticed.
//
// It leaves to client.ts what follows from a message, and from the end.

import { Alarm, now } from "./alarm.js";
import { closed, ConnectionError, foreign, late, type Refusal, verdictOf } from "./errors.js";
import { Silence } from "./silence.js";
import type { Timing } from "./types.js";
import type { Open, Wire } from "./wire.js";

/** A message of the server, whose fields are looked at where they are needed. */
export type Message = { op: string; [field: string]: any };

/** What a command may wait for behind others, in bytes: more than that is not a client that keeps up with itself. */
const MAX_UNSENT = 256 << 10;

interface Setting {
  url: string;
  token: string | undefined;
  timing: Timing;
  parse(text: string): unknown;
  /** Gets each message from `welcome` to `goodbye`, and the length of its text. What it throws is the end. */
  follow(message: Message, size: number): void;
}

/**
 *     opening ──open──▶ greeting ──`welcome`──▶ talking ──`goodbye`──▶ closing ──▶ ended
 *        └────── deadline, refused ───┴── silence, broken ──┴── deadline ────────────▲
 */
export class Connection {
  /** Why it ended. It never fails. */
  readonly ended: Promise<ConnectionError>;
  /** How many data frames were followed: the ordinal that `ack` repeats. */
  received = 0;
  readonly #setting: Setting;
  readonly #alarm = new Alarm();
  #wire: Wire | undefined;
  #end!: (why: ConnectionError) => void;
  #silence: Silence | undefined;
  /** What the server's goodbye said: the end that is to come. */
  #goodbye: ConnectionError | undefined;
  /** What the server said was wrong, if not about a command. */
  #refusal: Refusal | undefined;

  constructor(open: Open, setting: Setting) {
    this.#setting = setting;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    const { connect, handshake } = setting.timing;
    this.#within(connect + handshake, late("connecting"));
    try {
      this.#wire = open(setting.url, setting.token, {
        // Behind an end, an attempt may still succeed: it is closed then.
        open: () => this.#wire && this.#within(handshake, late("waiting for the welcome")),
        message: (text) => this.#read(text),
        heard: () => this.#silence?.heard(now()),
        end: (code, reason, why) => this.finish(this.#goodbye ?? why ?? this.#ending({ code, reason })),
      });
    } catch (error) {
      this.finish(error instanceof ConnectionError ? error : foreign(error));
    }
  }

  /** Whether the server said `welcome`, and not goodbye. */
  get isOpen(): boolean {
    return !!this.#wire && !!this.#silence && !this.#goodbye;
  }

  /** Sends a command, if the connection is open. It ends if the server takes fewer than it is given. */
  send(command: object): boolean {
    if (!this.isOpen) return false;
    this.#wire!.send(JSON.stringify(command));
    if (this.#wire!.bufferedAmount <= MAX_UNSENT) return true;
    this.finish(late("sending a command"));
    return false;
  }

  /** Closes with 1000, and waits until the server has done so too, or its time is up. */
  async close(): Promise<void> {
    if (this.isOpen) {
      // What comes now was not asked for any more.
      this.#setting.follow = () => {};
      this.#wire?.close(1000);
      this.#within(this.#setting.timing.close, closed());
    } else {
      this.finish(closed());
    }
    await this.ended;
  }

  /** It is over, whatever the server says. */
  finish(why: ConnectionError): void {
    this.#alarm.stop();
    const wire = this.#wire;
    this.#wire = undefined;
    wire?.close(1000);
    this.#end(why);
  }

  /** It is over in so many milliseconds, unless something else is set until then. */
  #within(patience: number, why: ConnectionError): void {
    this.#alarm.set(patience, () => this.finish(why));
  }

  #read(text: unknown): void {
    if (!this.#wire || this.#goodbye) return;
    this.#silence?.heard(now());
    try {
      if (typeof text !== "string") throw foreign("it sent a binary frame");
      this.#note(messageOf(text, this.#setting.parse), text.length);
    } catch (error) {
      this.finish(error instanceof ConnectionError ? error : foreign(`${error}, in \`${String(text).slice(0, 40)}\``));
    }
  }

  #note(message: Message, size: number): void {
    const { timing, follow } = this.#setting;
    const { op } = message;
    if (op === "error" && message["id"] === undefined) this.#refusal = message as unknown as Refusal;
    if (op === "goodbye") {
      this.#goodbye = this.#ending(message);
      follow(message, size);
      this.#within(timing.close, this.#goodbye);
    } else if (this.#silence) {
      if (op !== "welcome") follow(message, size);
    } else if (op === "welcome") {
      if (message["protocol"] !== 1) throw foreign(`it speaks protocol ${message["protocol"]}`);
      this.#silence = new Silence(Number(message["heartbeat_interval_ms"]) || 0, timing.slack, now());
      this.#watch();
      follow(message, size);
    } else if (op !== "error") {
      throw foreign(`its first message is not a welcome but \`${String(op).slice(0, 64)}\``);
    }
  }

  #watch(): void {
    const silence = this.#silence!;
    const due = silence.look(now());
    const { patience } = silence;
    if (due !== undefined) this.#alarm.set(due - now(), () => this.#watch());
    else this.finish(new ConnectionError("silent", `the server has been silent for ${patience} ms`));
  }

  /** What a goodbye means, or a close without one: its code says it. */
  #ending({ code, reason, verdict, retry_after_ms: retryAfter }: Omit<Message, "op">): ConnectionError {
    if (code === null) return new ConnectionError("lost", "the connection was closed without a word");
    // What is no verdict that this client knows follows from the code.
    if (!/^(now|backoff|renew|never)$/.test(verdict)) verdict = verdictOf(code);
    const ending = { code, reason, verdict, retryAfter, refusal: this.#refusal };
    return new ConnectionError("closed", `the server closed the connection: ${reason} (${code})`, ending);
  }
}

/** Reads one message. Another parser's numbers are made plain outside of `data`: the client counts with them. */
function messageOf(text: string, parse: (text: string) => unknown): Message {
  const message = parse(text) as Message;
  if (typeof message !== "object" || typeof message?.op !== "string") throw foreign(`a message \`${text.slice(0, 40)}\``);
  if (parse === JSON.parse) return message;
  for (const name in message) {
    const plain = message[name]?.valueOf();
    if (name !== "data" && /number|bigint/.test(typeof plain)) message[name] = Number(plain);
  }
  return message;
}
