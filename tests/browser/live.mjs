// Opens the live page in a real browser, does some steps and says what it saw:
//   node live.mjs '{"chromium", "modules", "page", "out", "size", "steps"}'
// Steps: ["wait", seconds, expression] (until it is true of `live`, the page's own
// state), ["tell", name, expression], ["click", selector], ["key", name, selector of who gets it (or none)], ["reload"],
// ["drag", selector, x, y], ["fill", selector, text], ["sleep", seconds], ["shoot", name], ["download", selector, name], ["offline", bool],
// ["say", word] (prints it, and goes on when a line comes in). Prints one JSON object.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const task = JSON.parse(process.argv[2]);
const { chromium } = createRequire(join(resolve(task.modules), 'package.json'))('playwright-core');
const args = ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist', '--disable-dev-shm-usage'];
// As Chromium comes where there is no graphics card: the processor puts the page together.
if (task.plain) args.splice(1, 4, '--enable-unsafe-swiftshader');
if (task.blind) args.splice(1, 4, '--disable-gpu', '--disable-3d-apis');
const browser = await chromium.launch({ executablePath: task.chromium, headless: true, args });
const [width, height] = task.size ?? [1280, 800];
// Evaluated strings are code of the test, which the page's policy forbids.
const context = await browser.newContext({ viewport: { width, height }, bypassCSP: true });
const tab = await context.newPage();
const found = { errors: [], hosts: [], waited: [], told: {} };
tab.on('pageerror', (error) => found.errors.push(String(error)));
tab.on('console', (line) => line.type() === 'error' && found.errors.push(line.text()));
tab.on('request', (request) => {
  const { host } = new URL(request.url());
  if (!found.hosts.includes(host)) found.hosts.push(host);
});
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const steps = {
  async wait(seconds, expression) {
    const start = Date.now();
    for (;;) {
      if (await tab.evaluate(`Boolean(window.live && (${expression}))`)) break;
      if (Date.now() - start > 1e3 * seconds) {
        const state = await tab.evaluate('JSON.stringify(window.live?.state ?? null)');
        throw new Error(`not within ${seconds} s: ${expression}; ${state}`);
      }
      await tab.waitForTimeout(30);
    }
    found.waited.push((Date.now() - start) / 1e3);
  },
  async tell(name, expression) {
    found.told[name] = await tab.evaluate(expression);
  },
  async click(selector) {
    await tab.click(selector);
  },
  async key(name, selector) {
    if (selector) await tab.focus(selector);
    await tab.keyboard.press(name);
  },
  // From the middle of an element, by pixels of the screen.
  async drag(selector, x, y) {
    await tab.locator(selector).scrollIntoViewIfNeeded();
    const box = await tab.locator(selector).boundingBox();
    const [u, v] = [box.x + box.width / 2, box.y + box.height / 2];
    await tab.mouse.move(u, v);
    await tab.mouse.down();
    await tab.mouse.move(u + x / 2, v + y / 2);
    await tab.mouse.move(u + x, v + y);
    await tab.mouse.up();
  },
  async fill(selector, text) {
    await tab.fill(selector, text);
  },
  async reload() {
    await tab.reload({ waitUntil: 'commit' });
  },
  async sleep(seconds) {
    await tab.waitForTimeout(1e3 * seconds);
  },
  async shoot(name) {
    await tab.screenshot({ path: join(task.out, `${name}.png`) });
  },
  async download(selector, name) {
    const [download] = await Promise.all([tab.waitForEvent('download'), tab.click(selector)]);
    await download.saveAs(join(task.out, name));
  },
  async say(word) {
    console.log(word);
    await lines.next();
  },
};

let status = 0;
try {
  const start = Date.now();
  const answer = await tab.goto(task.page, { waitUntil: 'commit' });
  found.status = answer.status();
  for (const [name, ...rest] of task.steps ?? []) await steps[name](...rest);
  found.seconds = (Date.now() - start) / 1e3;
} catch (problem) {
  console.error(String(problem));
  status = 1;
}
console.log(JSON.stringify(found));
await browser.close();
process.exit(status);
