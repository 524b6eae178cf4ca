// When to tell the server what the application has taken, where the server counts on that.

import { Alarm } from "./alarm.js";

/** From taking to telling, at most, in milliseconds. */
const PAUSE = 200;

/** The acknowledgements of one connection: some for each window of the server's, and one soon after the last update. */
export class Acks {
  readonly #maxFrames: number;
  readonly #maxBytes: number;
  readonly #send: (delivered: number) => void;
  readonly #alarm = new Alarm();
  #taken = 0;
  #told = 0;
  #size = 0;

  /** The server goes no further than so many frames and bytes beyond the last one. */
  constructor(maxFrames: number, maxBytes: number, send: (delivered: number) => void) {
    this.#maxFrames = maxFrames;
    this.#maxBytes = maxBytes;
    this.#send = send;
  }

  /** The application is done with the frame of this ordinal and size, and with all before it. */
  took(ordinal: number, size: number): void {
    if (ordinal <= this.#taken) return;
    // The first since the last acknowledgement: it is told in a while, with all that is taken by then.
    if (this.#taken === this.#told) this.#alarm.set(PAUSE, () => this.#tell());
    this.#taken = ordinal;
    this.#size += size;
    // A quarter of the window, so that the next is on its way long before the server has to wait.
    if ((ordinal - this.#told) * 4 >= this.#maxFrames || this.#size * 4 >= this.#maxBytes) this.#tell();
  }

  stop(): void {
    this.#alarm.stop();
  }

  #tell(): void {
    this.stop();
    this.#size = 0;
    this.#told = this.#taken;
    this.#send(this.#taken);
  }
}
