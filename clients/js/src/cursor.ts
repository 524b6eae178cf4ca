// A place in a log, as text and taken apart. The form is the wire's: `epoch:seq` or `epoch:seq:event-id`.

/** Behind `seq` of the log `epoch`; `id` is that event's, by which a log of another epoch can find the place. */
export interface Cursor {
  readonly epoch: string;
  readonly seq: number;
  readonly id?: string | undefined;
}

/** Where delivery is asked to begin. */
export type Place = "earliest" | Cursor;

/** Reads what may stand in `after`. */
export function placeOf(text: string): Place {
  if (text === "earliest") return text;
  const parts = /^([0-9a-f]{16}):(\d{1,16})(?::(.*))?$/is.exec(text) ?? [];
  const [, epoch, digits, id] = parts;
  const seq = Number(digits);
  if (!epoch || !Number.isSafeInteger(seq)) {
    throw new TypeError(`\`${text}\` is no cursor`);
  }
  return { epoch: epoch.toLowerCase(), seq, id: id || undefined };
}

/** Reads what a server told. */
export function cursorOf(text: string): Cursor {
  return placeOf(text) as Cursor;
}

/** As `after` says it. */
export function textOf(place: Place): string {
  if (place === "earliest") return place;
  return `${place.epoch}:${place.seq}${place.id === undefined ? "" : `:${place.id}`}`;
}
