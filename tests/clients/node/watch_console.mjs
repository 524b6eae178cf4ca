// The console page in a real browser, opened and closed as standard input says.
//
// Reads one JSON object from its argument: {"executable", "url"}. Each line of standard input is a command, answered by a line with
// the same words when it is done: `open`, `close`, and `shoot FOLDER`, which leaves pictures of all its views there, as a desktop, a
// phone and the dark have them. The end of the input is the end.

import { createInterface } from "node:readline";

import { launch } from "./chromium.mjs";

const { executable, url } = JSON.parse(process.argv[2]);
const browser = await launch(executable);

const SCREENS = {
  desktop: { viewport: { width: 1280, height: 900 } },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2 },
};

/** So long it looks before a picture is taken, in milliseconds: charts have a line then. */
const A_WHILE = 15_000;

async function open(screen) {
  const page = await browser.newPage(screen);
  page.on("pageerror", (error) => {
    throw error;
  });
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("state").className === "live");
  // What is not seen is not asked for: the costly part is.
  await page.locator("#topics-title").scrollIntoViewIfNeeded();
  await page.waitForSelector("#clients-table tbody button");
  return page;
}

async function shoot(folder) {
  for (const [name, screen] of Object.entries(SCREENS)) {
    const page = await open(screen);
    await page.click("#go");
    await page.waitForTimeout(A_WHILE);
    await page.evaluate(() => scrollTo(0, 0));
    await page.screenshot({ path: `${folder}/${name}.png`, fullPage: true });
    await page.click("#clients-table tbody button");
    await page.waitForSelector("#facts div");
    await page.screenshot({ path: `${folder}/${name}-client.png` });
    await page.close();
  }
}

let page;
for await (const line of createInterface({ input: process.stdin })) {
  const [command, folder] = line.split(" ");
  if (command === "open") page = await open(SCREENS.desktop);
  if (command === "close") await page.close();
  if (command === "shoot") await shoot(folder);
  process.stdout.write(`${line}\n`);
}
await browser.close();
