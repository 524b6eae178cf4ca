// Our JavaScript client as the table of scenarios drives it, in Node (follow.mjs) and in a page (browser_follow.mjs).
//
// The options are those of the client, in the words of all languages; commands and lines are those of ../python/follow.py.

/** What an update is in a line. What is not there is null, as everywhere. */
function lineOf({ op, ...fields }) {
  const { why, retryIn } = fields;
  if (op === "disconnected") {
    return { why: why.message, code: why.code, reason: why.reason, retry_ms: Math.round(retryIn) };
  }
  if (op === "unrenewed") return { why: why.message };
  if (op !== "event" && op !== "snapshot") return fields;
  const { seq, topic, key = null, id = null, ts = null, data, source } = fields;
  return { seq, topic, key, id, ts, data, source };
}

/**
 * Follows by `Client` what `options` ask for. `say` gets one object for each line. Returns `act`, which does one command, and
 * `ended`, which resolves when there is nothing more to say.
 */
export function follow(Client, options, say) {
  const { on_gap, token: first, renews, retry, slack_ms, commands = [], ...same } = options;
  const tokens = [];
  let given = () => {};
  let go = () => {};
  let goes = Promise.resolve();

  /** The token that was given at the beginning, then one that is asked for. */
  let next = first;
  async function token() {
    const now = next;
    next = undefined;
    if (now !== undefined) return now;
    say({ update: "asks" });
    while (!tokens.length) await new Promise((resolve) => (given = resolve));
    return tokens.shift();
  }

  const client = new Client({
    ...same,
    onGap: on_gap,
    token: renews ? token : first,
    retry: retry && { base: retry.base_ms ?? 500, cap: retry.cap_ms ?? 20_000 },
    timing: slack_ms === undefined ? {} : { slack: slack_ms },
  });

  const acts = {
    // What is answered comes as an update, too: the promises are not awaited here.
    subscribe: (subscription) => void client.subscribe(subscription),
    unsubscribe: (selected) => void client.unsubscribe(selected),
    publish: ({ topic, data, source }) => void client.publish(topic, data, source).catch(() => {}),
    ack: () => client.ack(),
    pause: () => void (goes = new Promise((resolve) => (go = resolve))),
    go: () => go(),
    token: ({ value }) => (tokens.push(value), given()),
    cursor: () => say({ update: "cursor", cursor: client.cursor }),
    stats() {
      const { bufferedBytes: buffered_bytes, ...stats } = client.stats;
      say({ update: "stats", ...stats, buffered_bytes });
    },
    close: () => (go(), client.close()),
  };
  const act = ({ do: name, ...command }) => acts[name](command);
  for (const command of commands) act(command);

  async function take() {
    try {
      for (let update; (update = await client.next()); ) {
        // What came while the application was told to stop is shown once it goes on.
        await goes;
        say({ update: update.op, ...lineOf(update) });
        await goes;
      }
      say({ update: "ended", code: null, reason: null, verdict: null, error: null });
    } catch ({ code, reason, verdict, message }) {
      say({ update: "ended", code, reason, verdict, error: message });
    }
  }
  return { act, ended: take() };
}
