// Opens a page in a real browser and says what it shows:
//   node browse.mjs CHROMIUM PAGE.html OUT_FOLDER [phone]
// Prints one JSON line; pictures of the view go to OUT_FOLDER.
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [executablePath, page, out, kind] = process.argv.slice(2);
const modules = resolve(process.env.ES_BROWSER_MODULES ?? '.');
const { chromium } = createRequire(join(modules, 'package.json'))('playwright-core');

// A graphics card need not be there: SwiftShader draws in software.
const args = ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader',
  '--enable-unsafe-swiftshader', '--ignore-gpu-blocklist', '--disable-dev-shm-usage'];
const viewport = kind === 'phone' ? { width: 390, height: 780 } : { width: 1100, height: 900 };
const browser = await chromium.launch({ executablePath, headless: true, args });

// As evaluate, until it gives something; the policy of the page forbids eval.
async function until(tab, look, milliseconds) {
  const end = Date.now() + milliseconds;
  for (;;) {
    const found = await tab.evaluate(look);
    if (found || Date.now() > end) return found;
    await tab.waitForTimeout(50);
  }
}

const found = { errors: [], requests: [] };
const tab = await browser.newPage({ viewport });
tab.on('pageerror', (error) => found.errors.push(String(error)));
tab.on('console', (line) => line.type() === 'error' && found.errors.push(line.text()));
tab.on('request', ({ url }) => found.requests.push(url));
const start = Date.now();
const address = /^https?:/.test(page) ? page : pathToFileURL(resolve(page)).href;
await tab.goto(address, { waitUntil: 'commit' });
found.state = await until(tab, () => document.querySelector('figure.view')?.dataset.state, 60000);
await until(tab, () => document.querySelector('figure.view')?.view?.stage.frames > 0, 20000);
found.seconds = (Date.now() - start) / 1000;
const canvas = tab.locator('figure.view canvas');

async function shoot(name) {
  await tab.waitForTimeout(400);
  await canvas.screenshot({ path: join(out, `${name}.png`) });
}

async function keys(...names) {
  for (const name of names) await tab.keyboard.press(name);
}

if (found.state === 'ready') {
  await shoot('home');
  await canvas.focus();
  await keys('c');
  await shoot('coloured');
  found.legend = await tab.locator('.view-legend').innerText();
  await keys('s');
  await shoot('surface-only');
  const box = await canvas.boundingBox();
  for (const [u, v] of [[0.5, 0.5], [0.4, 0.5], [0.5, 0.35], [0.6, 0.5]])
    await tab.mouse.click(box.x + u * box.width, box.y + v * box.height);
  found.status = await tab.locator('.view-status').innerText();
  await keys('s', 'm', 'x', 'x', 'y', 'Z');
  await shoot('slices-only');
  await keys('m', '1', '+', '+', 'ArrowRight', 'Shift+ArrowUp');
  await shoot('turned');
  found.slices = await tab.locator('.view-slice output').allInnerTexts();
  found.wide = await tab.evaluate(() => document.documentElement.scrollWidth > innerWidth);
}
await tab.screenshot({ path: join(out, 'page.png') });
await tab.emulateMedia({ media: 'print' });
found.printed = await tab.evaluate(() => ({
  view: document.querySelector('figure.view')?.offsetHeight ?? 0,
  pictures: [...document.images].filter((image) => image.offsetHeight > 0).length,
}));
console.log(JSON.stringify(found));
await browser.close();
