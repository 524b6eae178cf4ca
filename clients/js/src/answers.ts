// Who waits for the answer to which command.

interface Waiter {
  resolve(answer: unknown): void;
  reject(why: Error): void;
}

/** Commands that are not answered yet, by id. */
export class Answers {
  readonly #waiters = new Map<string, Waiter[]>();

  /**
   * The answer to the command `id`. Whoever ignores it is not troubled by a refusal: the application is told of that as
   * an update, too.
   */
  await<T>(id: string): Promise<T> {
    const answer = new Promise((resolve, reject) => this.#waiters.set(id, [{ resolve, reject }]));
    answer.catch(() => {});
    return answer as Promise<T>;
  }

  resolve(id: string, answer: unknown): void {
    for (const { resolve } of this.#end(id)) resolve(answer);
  }

  reject(id: string, why: Error): void {
    for (const { reject } of this.#end(id)) reject(why);
  }

  /** The command `id` also answers one of another connection. */
  inherit(id: string, others: Answers, before: string): void {
    this.#waiters.set(id, [...this.#end(id), ...others.#end(before)]);
  }

  /** What is not answered yet never will be. */
  end(why: Error): void {
    for (const id of this.#waiters.keys()) this.reject(id, why);
  }

  #end(id: string): Waiter[] {
    const waiters = this.#waiters.get(id) ?? [];
    this.#waiters.delete(id);
    return waiters;
  }
}
