// Who waits for the answer to which command.

interface Waiter {
  resolve(answer: unknown): void;
  reject(why: Error): void;
}

/** The commands of one client that are not answered yet, by id. */
export class Answers {
  #waiters = new Map<string, Waiter[]>();

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

  /** All but these commands are answered by nobody any more. Some of them as one, under another name. */
  keep(names: Map<string, string>, why: Error): void {
    const before = this.#waiters;
    this.#waiters = new Map();
    for (const [id, waiters] of before) {
      const now = names.get(id);
      if (now) this.#waiters.set(now, [...this.#end(now), ...waiters]);
      else for (const { reject } of waiters) reject(why);
    }
  }

  #end(id: string): Waiter[] {
    const waiters = this.#waiters.get(id) ?? [];
    this.#waiters.delete(id);
    return waiters;
  }
}
