// Opens a page in a real browser, does some steps and says what it saw:
//   node browse.mjs '{"chromium", "modules", "page", "out", "size", "script", "steps"}'
// Steps: ["key", name...], ["click", u, v] (shares of the canvas), ["shoot", name],
// ["text", selector], ["scheme", "dark"], ["media", "print"], ["window", name]. Prints
// one JSON object; pictures go to `out`.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const task = JSON.parse(process.argv[2]);
const { chromium } = createRequire(join(resolve(task.modules), 'package.json'))('playwright-core');

// A graphics card need not be there: SwiftShader draws in software.
const args = ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist', '--disable-dev-shm-usage'];
if (task.blind) args.splice(1, 4, '--disable-gpu', '--disable-3d-apis');
const browser = await chromium.launch({ executablePath: task.chromium, headless: true, args });
const [width, height] = task.size ?? [1100, 900];
const context = await browser.newContext({
  viewport: { width, height },
  javaScriptEnabled: task.script ?? true,
});
const tab = await context.newPage();
const found = { errors: [], requests: [], texts: [] };
tab.on('pageerror', (error) => found.errors.push(String(error)));
tab.on('console', (line) => line.type() === 'error' && found.errors.push(line.text()));
tab.on('request', (request) => found.requests.push(request.url()));

// As waitForFunction, which the page's policy forbids.
async function until(look, milliseconds) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const value = await tab.evaluate(look);
    if (value || Date.now() > end) return value;
    await tab.waitForTimeout(50);
  }
}

async function open() {
  const start = Date.now();
  const address = /^https?:/.test(task.page) ? task.page : pathToFileURL(resolve(task.page)).href;
  const scripted = task.script !== false;
  await tab.goto(address, { waitUntil: scripted ? 'commit' : 'load' });
  if (!scripted) return;
  found.state = await until(() => document.querySelector('figure.view')?.dataset.state, 60000);
  await until(() => document.querySelector('figure.view')?.view?.stage.frames > 0, 10000);
  found.seconds = (Date.now() - start) / 1000;
}

function canvas() {
  return tab.locator('figure.view canvas');
}

async function settle() {
  await until(() => !document.querySelector('figure.view')?.view?.stage.waiting, 10000);
  await tab.waitForTimeout(200);
}

const steps = {
  async key(...names) {
    await canvas().focus();
    for (const name of names) await tab.keyboard.press(name);
  },
  async click(u, v) {
    await settle();
    const box = await canvas().boundingBox();
    await tab.mouse.click(box.x + u * box.width, box.y + v * box.height);
  },
  async shoot(name) {
    await settle();
    await canvas().screenshot({ path: join(task.out, `${name}.png`) });
  },
  async window(name) {
    await settle();
    await tab.evaluate(() => window.scrollTo(0, 0));
    await tab.screenshot({ path: join(task.out, `${name}.png`) });
  },
  async text(selector) {
    await settle();
    found.texts.push(await tab.locator(selector).allInnerTexts());
  },
  async media(media) {
    await tab.emulateMedia({ media });
  },
  async scheme(colorScheme) {
    await tab.emulateMedia({ colorScheme });
  },
};

async function look() {
  return tab.evaluate(() => {
    const bar = document.querySelector('.view-bar');
    return {
      view_height: document.querySelector('figure.view')?.offsetHeight ?? 0,
      pictures: [...document.images].filter((image) => image.offsetHeight > 0).length,
      wide: document.documentElement.scrollWidth > window.innerWidth,
      bar: bar ? { px: bar.getBoundingClientRect().width, text: bar.textContent } : null,
    };
  });
}

await open();
for (const [name, ...rest] of task.steps ?? []) await steps[name](...rest);
Object.assign(found, await look());
console.log(JSON.stringify(found));
await browser.close();
