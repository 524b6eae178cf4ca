// Which events of one log the application already has, where the cursor alone does not tell.

/** How many events are remembered. */
export const CAPACITY = 65_536;

/**
 * The last events that were handed on, by `seq`. When it is full, the event handed on first is forgotten: were it to come
 * again, the application would get it twice, which the wire allows across reconnects.
 */
export class Seen {
  // A set keeps the order in which its members came.
  readonly #seqs = new Set<number>();

  /** Remembers `seq`. False if it was there already. */
  insert(seq: number): boolean {
    if (this.#seqs.has(seq)) return false;
    this.#seqs.add(seq);
    if (this.#seqs.size > CAPACITY) this.#seqs.delete(this.#seqs.values().next().value!);
    return true;
  }

  /** The log is another one: its numbers mean other events. */
  clear(): void {
    this.#seqs.clear();
  }
}
