// The topics of which the log holds most, or those that begin with what is typed in. For operators.

const LISTED = 10;

const TOPICS = [
  texts("topic", "code", ({ topic, instances }) => (instances === undefined ? topic : `${topic} (${instances} instances)`)),
  texts("last minute", "number", ({ last_minute }) => whole.format(last_minute)),
  texts("kept", "number", ({ events }) => whole.format(events)),
  texts("last", "wide number", ({ last }) => `${lasted(serverNow() - last)} ago`),
  texts("wanted", "number", ({ subscriptions }) => whole.format(subscriptions)),
  buttons("small", "Try", ({ topic }) => `Try ${topic}`, ({ topic }) => tryTopic(topic)),
];

async function lookAtTopics() {
  const prefix = element("prefix").value.trim();
  const answer = await ask(`topics?sort=events&limit=${LISTED}&prefix=${encodeURIComponent(prefix)}`);
  if (answer.status !== 200) return say(element("topics-told"), `${complaint(answer)}.`);
  const { topics, total } = answer.json;
  const which = prefix === "" ? "" : ` that begin with “${prefix}”`;
  const shown = total > LISTED ? `: the ${LISTED} of which most is kept.` : ".";
  const none = prefix === "" ? "The log holds no events." : `The log holds no topics${which}.`;
  const all = total === 1 ? `One topic${which === "" ? "" : which.replace("begin", "begins")}` : `${whole.format(total)} topics${which}`;
  say(element("topics-told"), total === 0 ? none : `${all}${shown}`);
  tell(element("topics-table"), TOPICS, topics, ({ topic }) => topic);
}

element("topics-form").addEventListener("submit", (event) => event.preventDefault());
element("prefix").addEventListener("input", () => void lookAtTopics().catch(() => {}));

