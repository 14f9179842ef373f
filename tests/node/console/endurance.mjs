// node endurance.mjs CHROMIUM URL SECONDS: the console's page Watch for so long, with all channels of all restaurants, while a lot
// happens. Reported is {"rows", "perSecond", "heap": MB after a collection, at the times when it was measured, "nodes": elements,
// "frames": {"p50", "p99", "longest"}: ms from frame to frame, "longTasks": ms of tasks of more than 50 ms, "click": ms until a click shows}.

import { chromium } from 'playwright-core';
import { FLAGS } from '../chromium.js';

const [executablePath, url, seconds] = process.argv.slice(2);
const KINDS = ['tables', 'reservations', 'reviews', 'info', 'chats'];
const LOOKS = 10;

const browser = await chromium.launch({ executablePath, args: FLAGS });
const page = await (await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 800 } })).newPage();
const complaints = [];
page.on('pageerror', (error) => complaints.push(String(error)));
await page.addInitScript(() => {
  sessionStorage.setItem('mesaya-console identity', JSON.stringify({ kind: 'named', user: 'observer', roles: ['ADMIN'] }));
  window.frames_ = [];
  window.longTasks = [];
  new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((one) => one.duration))).observe({ entryTypes: ['longtask'] });
  let last;
  const frame = (now) => {
    if (last !== undefined) window.frames_.push(now - last);
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
});

await page.goto(`${url}/console#/watch`);
const restaurants = await page.evaluate(async () => {
  const answer = await fetch('/events?channel=global:restaurants&snapshot=1', { headers: { Accept: 'application/json' } });
  return (await answer.json()).events.find((one) => one.type === 'snapshot').data.restaurants.map((one) => one.restaurantId);
});
const channels = restaurants.flatMap((id) => KINDS.map((kind) => `restaurant:${id}:${kind}`));
await page.goto(`${url}/console#/watch?${new URLSearchParams([...channels.map((name) => ['channel', name])])}`);
await page.waitForFunction((count) => document.querySelectorAll('.chip .lamp-live').length === count, channels.length);

const devtools = await page.context().newCDPSession(page);
await devtools.send('Performance.enable');
const arrived = () => page.evaluate(() => [...document.querySelectorAll('.chip .count')].reduce((sum, one) => sum + Number(one.textContent.replaceAll(',', '')), 0));

/** Return the heap in MB after a collection, and how many nodes there are. */
async function look() {
  await devtools.send('HeapProfiler.collectGarbage');
  const { metrics } = await devtools.send('Performance.getMetrics');
  const of = (name) => metrics.find((one) => one.name === name).value;
  return { heap: of('JSHeapUsedSize') / 1e6, nodes: of('Nodes') };
}

const first = await arrived();
const began = performance.now();
const looks = [];
const clicks = [];
await page.evaluate(() => (window.frames_.length = window.longTasks.length = 0));
for (let number = 1; number <= LOOKS; number++) {
  await page.waitForTimeout((seconds * 1000) / LOOKS - 200);
  // How long a click takes to show: the row that is chosen is marked in the next frame.
  clicks.push(
    await page.evaluate(async () => {
      const row = document.querySelectorAll('.line')[3];
      const start = performance.now();
      row.click();
      await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
      return performance.now() - start;
    }),
  );
  looks.push(await look());
}
const { frames, longTasks } = await page.evaluate(() => ({ frames: window.frames_.sort((one, other) => one - other), longTasks: window.longTasks }));
const rows = (await arrived()) - first;
const round = (value) => Math.round(value * 10) / 10;
console.log(
  JSON.stringify({
    rows,
    perSecond: round(rows / ((performance.now() - began) / 1000)),
    heap: looks.map(({ heap }) => round(heap)),
    nodes: looks.map(({ nodes }) => nodes),
    frames: { p50: round(frames[Math.floor(frames.length / 2)]), p99: round(frames[Math.floor(frames.length * 0.99)]), longest: round(frames.at(-1)) },
    longTasks: longTasks.map(Math.round),
    clicks: clicks.map(Math.round),
    complaints,
  }),
);
await browser.close();
