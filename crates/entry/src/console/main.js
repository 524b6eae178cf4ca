// When the server is asked what: every two seconds while somebody looks, less often while it does not answer.

const INTERVAL = 2000;

/** The longest pause between two attempts, in milliseconds. */
const MOST = 30_000;

/** Whether operations answer: `yes`, `token` if they want one, or `no`; and whether that has to be asked anew. */
let may = "no";
let isUnsure = true;

const DRAINING = "The server is being replaced: it lets nobody in, and sends its clients away, one after the other.";

let failures = 0;
let lostAt = null;
let wake = () => {};

/** The sections that can be seen now: the others are not asked for. */
const seen = new Set();
const watch = new IntersectionObserver((changes) => {
  for (const { target, isIntersecting } of changes) {
    if (isIntersecting) seen.add(target.id);
    else seen.delete(target.id);
  }
});
for (const id of ["clients", "topics"]) watch.observe(element(id));

/** Tells how the server is. Said again, it would be read aloud again. */
function judge(kind, text, notice = "") {
  element("state").className = kind;
  say(element("state-text"), text);
  element("notice").hidden = notice === "";
  element("notice").className = `notice ${kind}`;
  say(element("notice"), notice);
}

function unlock(answer) {
  const isNew = may !== "yes" && answer === "yes" && adminToken !== "";
  may = answer;
  element("operator").hidden = may !== "yes";
  element("locked").hidden = may === "yes";
  element("unlock").hidden = may !== "token";
  element("lock").hidden = adminToken === "";
  const why = {
    token: "Who is connected, and to what, is shown to operators. The token stays in the memory of this page.",
    no: "Who is connected, and to what, is shown to operators: without an admin token, to programs on the server’s own machine that ask at a loopback address.",
  };
  say(element("locked-why"), why[may] ?? "");
  // The form that had the focus is gone.
  if (isNew) element("clients-title").focus();
}

async function look() {
  const status = await ask("status");
  if (status.json?.connections === undefined) throw new Error(complaint(status));
  if (isUnsure) await askWhatMay();
  showStatus(status.json, performance.now());
  const ready = await ask("ready");
  if (ready.json?.sources === undefined) throw new Error(complaint(ready));
  if (may === "yes") await lookAsOperator();
  if (may !== "yes") showStates(ready.json.sources);
  if (ready.json.draining) judge("stale", "draining", DRAINING);
  else if (!ready.json.ready) judge("down", "not ready", `New clients should not come here: ${ready.json.why.join(", ")}.`);
  else judge("live", "serving");
}

async function askWhatMay() {
  const { json } = await ask("");
  const answer = json?.operations ?? "no";
  const isWrong = adminToken !== "" && answer !== "yes";
  if (isWrong) adminToken = "";
  unlock(answer);
  say(element("token-told"), isWrong ? "That is not the admin token." : "");
  isUnsure = false;
}

async function lookAsOperator() {
  const answer = await ask("sources");
  if (answer.status !== 200) {
    isUnsure = true;
    return;
  }
  showDetails(answer.json);
  if (seen.has("clients")) await lookAtClients();
  if (element("detail").open) await lookAtDetailed();
  if (seen.has("topics")) await lookAtTopics();
}

async function keepLooking() {
  for (;;) {
    if (document.visibilityState === "visible") {
      try {
        await look();
        [failures, lostAt] = [0, null];
      } catch (error) {
        failures += 1;
        isUnsure = true;
        lostAt ??= new Date();
        const why = error.name === "TimeoutError" ? "it took too long" : error.message;
        judge("down", "no answer", `The server does not answer since ${lostAt.toLocaleTimeString()} (${why}). What stands below is from before; it is asked again by itself.`);
      }
    }
    const pause = Math.min(INTERVAL * 2 ** Math.min(failures, 4), MOST);
    await new Promise((done) => {
      const timer = setTimeout(done, pause);
      wake = () => {
        clearTimeout(timer);
        done();
      };
    });
  }
}

document.addEventListener("visibilitychange", () => wake());
element("unlock").addEventListener("submit", (event) => {
  event.preventDefault();
  adminToken = element("token").value.trim();
  element("token").value = "";
  isUnsure = true;
  wake();
});
element("lock").addEventListener("click", () => {
  adminToken = "";
  isUnsure = true;
  wake();
});
void keepLooking();
