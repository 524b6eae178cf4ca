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
page.on("request", (request) => asked.push(request.url()));
page.on("websocket", (socket) => asked.push(socket.url()));

const texts = (selector) => page.$$eval(selector, (found) => found.map((one) => one.textContent));

const answer = await page.goto(url);
await page.waitForFunction(() => document.getElementById("state").className === "live");
await page.fill("#filter", filter);
await page.click("#go");
await page.waitForFunction((count) => document.querySelectorAll("#events li").length >= count, events);
await page.waitForFunction(() => document.querySelector("#tiles dd").textContent === "1");
const connected = await page.textContent("#tiles dd");
const code = {};
for (const language of await texts("#language option")) {
  await page.selectOption("#language", language);
  code[language] = await page.textContent("#code");
}
const seen = {
  policy: answer.headers()["content-security-policy"],
  connected,
  told: await page.textContent("#told"),
  events: await texts("#events li"),
  sources: await texts("#sources tr"),
  code,
  overflow: await page.evaluate(() => document.documentElement.scrollWidth - innerWidth),
  locked: await page.isVisible("#unlock"),
};
if (admin !== undefined) {
  await page.fill("#token", "not it");
  await page.click("#unlock button");
  await page.waitForFunction(() => document.getElementById("locked").textContent.startsWith("That is not"));
  await page.fill("#token", admin);
  await page.keyboard.press("Enter");
  await page.waitForSelector("#rows button");
  await page.click("#rows button");
  await page.click("#close");
  await page.click("#close");
  await page.waitForFunction(() => document.getElementById("detail-told").textContent !== "");
  seen.closed = await page.textContent("#detail-told");
}
seen.errors = [...errors];
// From here on there is an error: that of what does not run.
await page.evaluate(() => {
  const script = document.createElement("script");
  script.textContent = "window.intruded = true";
  document.body.append(script);
});
seen.intruded = await page.evaluate(() => window.intruded === true);
process.stdout.write(`${JSON.stringify({ ...seen, asked })}\n`);
await browser.close();
