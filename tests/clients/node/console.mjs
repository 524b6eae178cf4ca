// The console page in a real browser: what it shows, what it asks for, and what it lets nobody do.
//
// Reads one JSON object from its argument: {"executable", "url", "filter", "events", "width", "admin"}. Opens the page, selects by
// the filter, and waits until it shows so many events; with `admin`, which is typed in, it closes the first client. Prints one
// JSON object: what was shown, the code for each language, whom else the page asked, and what went wrong in it.

import { launch } from "./chromium.mjs";

const { executable, url, filter, events, width, admin } = JSON.parse(process.argv[2]);
const browser = await launch(executable);
const context = await browser.newContext({ viewport: { width, height: 900 } });
const page = await context.newPage();
const [errors, asked] = [[], []];
page.on("pageerror", (error) => errors.push(error.message));
// A refused request is told in the console as well: it is what the page makes of it that counts.
page.on("console", (line) => line.type() === "error" && !line.text().includes("status of 40") && errors.push(line.text()));
page.on("request", (request) => asked.push({ url: request.url(), by: shown(request.headers()) }));
page.on("websocket", (socket) => asked.push({ url: socket.url(), by: null }));

/** The header in which the admin token is shown. */
const shown = (headers) => Object.keys(headers).find((name) => admin !== undefined && headers[name].endsWith(admin)) ?? null;

const texts = (selector) => page.$$eval(selector, (found) => found.map((one) => one.textContent));
const cells = (selector) => page.$$eval(selector, (rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent)));

/** Something is not asked for before it is seen. */
const see = (id) => page.locator(`#${id}`).scrollIntoViewIfNeeded();

const answer = await page.goto(url);
await page.waitForFunction(() => document.getElementById("state").className === "live");
const seen = { policy: answer.headers()["content-security-policy"], locked: await page.isVisible("#unlock") };
/** How far the page is wider than its window. */
const beyond = () => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

await page.click("#add");
seen.overflow = await beyond();
const name = await page.getAttribute("#try", "aria-labelledby");
seen.named = await page.textContent(`#${name}`);
if (admin === undefined) {
  await page.check("[name=way][value=json]");
  await page.fill("#filter", "{");
  await page.click("#go");
  seen.wrong = await page.textContent("#wrong");
  seen.focused = await page.evaluate(() => document.activeElement.id);
  await page.fill("#filter", filter);
}
await page.click("#go");
await page.waitForFunction((count) => document.querySelectorAll("#events li").length >= count, events);
await page.waitForFunction(() => document.getElementById("active").textContent === "1");
seen.told = await page.textContent("#told");
seen.events = await texts("#events li");
seen.sources = await cells("#sources tbody tr");
seen.code = {};
for (const language of await texts("#language option")) {
  await page.selectOption("#language", language);
  seen.code[language] = await page.textContent("#code");
}
if (admin !== undefined) {
  await page.fill("#token", "not it");
  await page.click("#unlock button");
  await page.waitForFunction(() => document.getElementById("token-told").textContent.startsWith("That is not"));
  await page.fill("#token", admin);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#operator:not([hidden])");
}
await see("clients-title");
await page.waitForSelector("#clients-table tbody button");
seen.clients = await cells("#clients-table tbody tr");
if (events > 0) {
  await see("topics-title");
  await page.waitForSelector("#topics-table tbody button");
  seen.topics = await cells("#topics-table tbody tr");
}
seen.overflow = Math.max(seen.overflow, await beyond());
if (admin !== undefined) {
  await page.click("#clients-table tbody button");
  await page.waitForSelector("#facts div");
  await page.click("#close");
  await page.click("#close-yes");
  await page.waitForFunction(() => document.getElementById("detail-told").textContent !== "");
  seen.closed = await page.textContent("#detail-told");
}
seen.errors = [...errors];
// From here on there is an error: that of what does not run.
await page.evaluate(() => {
  const script = document.createElement("script");
  try {
    script.textContent = "window.intruded = true";
  } catch {
    // Nothing but what came with the page becomes a script.
  }
  document.body.append(script);
});
seen.intruded = await page.evaluate(() => window.intruded === true);
process.stdout.write(`${JSON.stringify({ ...seen, asked })}\n`);
await browser.close();
