// What the tests of the console share: a browser, pages of the console, and what is published meanwhile.
// The environment says where all is: CHROMIUM, GATEWAY (http://host:port), PUBLISH_TOKEN, and TOKEN, that of an administrator.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test as nodeTest } from 'node:test';
import { chromium } from 'playwright-core';
import { FLAGS } from '../chromium.js';

export { nodeTest };

export const { CHROMIUM, GATEWAY, PUBLISH_TOKEN, TOKEN } = process.env;
export const RESTAURANT = 'r1';

/** What a page would run, if it took it for HTML. */
export const HOSTILE = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>"'&`;

let browser;

/** Begin and end a browser around the tests of a file. */
export function withBrowser() {
  before(async () => {
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS });
  });
  after(() => browser.close());
}

/** Open a page of the console, as whoever `storage` says; `complaints` are the browser's, which should have none. */
export async function openConsole(path, { storage = {}, ...options } = {}) {
  const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  page.complaints = [];
  page.on('pageerror', (error) => page.complaints.push(String(error)));
  page.on('console', (said) => {
    // That the gateway has answered with an error, the browser says by itself.
    if (said.type() === 'error' && !said.text().startsWith('Failed to load resource')) page.complaints.push(said.text());
  });
  await page.addInitScript((given) => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.blockedURI + event.violatedDirective));
    for (const [name, value] of Object.entries(given)) sessionStorage.setItem(`mesaya-console ${name}`, JSON.stringify(value));
  }, storage);
  await page.goto(`${GATEWAY}/console#/${path}`);
  await page.locator('h1').waitFor();
  return page;
}

/** A test of a page, which must not have complained at its end, nor have run what is hostile. */
export function test(name, path, options, act) {
  nodeTest(name, async () => {
    const page = await openConsole(path, options);
    try {
      await act(page);
      assert.deepEqual(page.complaints, []);
      assert.deepEqual(await page.evaluate(() => window.violations), []);
      assert.equal(await page.evaluate(() => window.hacked), undefined);
    } finally {
      await page.context().close();
    }
  });
}

/** Publish a record of the platform. */
export async function publish(domain, what, id, data, more = {}) {
  const value = { timestamp: new Date().toISOString(), event_type: what, entity_id: id, data: { id, ...data }, ...more };
  await post('/publish', { topic: `mesa-ya.${domain}.events`, value });
}

export async function announce(title, more = {}) {
  await post('/publish', { channel: 'global:announcements', type: 'announcement.created', data: { title, ...more } });
}

async function post(path, body) {
  const headers = { Authorization: `Bearer ${PUBLISH_TOKEN}`, 'Content-Type': 'application/json' };
  const answer = await fetch(GATEWAY + path, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 201, await answer.text());
}

export const table = (number, status, more = {}) => ({
  sectionId: 's1', number, capacity: 4, posX: 120 * number, posY: 100, width: 80, height: 80, status, ...more,
});

/** Publish a restaurant of two rooms and four tables. */
export async function furnish(restaurant = RESTAURANT, name = 'La Mesa') {
  await publish('restaurants', 'created', restaurant, { name, status: 'ACTIVE', ownerId: 'owner' });
  await publish('sections', 'created', 's1', { restaurantId: restaurant, name: 'Salón', width: 640, height: 400 });
  await publish('sections', 'created', 's2', { restaurantId: restaurant, name: 'Terraza', width: 480, height: 300 });
  for (const [number, status] of [[1, 'AVAILABLE'], [2, 'OCCUPIED'], [3, 'BLOCKED']]) {
    await publish('tables', 'created', `t${number}`, table(number, status));
  }
  await publish('tables', 'created', 't4', table(4, 'AVAILABLE', { sectionId: 's2', posX: 40 }));
}

const axe = await readFile(new URL('../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8');

/** Fail if the page as it is has serious or critical findings of accessibility. */
export async function assertAccessible(page) {
  await page.evaluate(axe);
  // Colors on their way between two states are neither's.
  await page.evaluate(() => {
    const ending = document.getAnimations().filter(({ effect }) => effect.getComputedTiming().endTime !== Infinity);
    return Promise.allSettled(ending.map(({ finished }) => finished));
  });
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html + node.failureSummary).join('\n')}`);
  assert.deepEqual(found, []);
}

/** Test that pages are accessible in light and dark, and as narrow as a phone, each once what `ready` waits for is there. */
export function testAccessible(path, options, ready) {
  for (const colorScheme of ['light', 'dark']) {
    test(`${path} is accessible, ${colorScheme}`, path, { ...options, colorScheme, reducedMotion: 'reduce' }, async (page) => {
      await ready(page);
      await assertAccessible(page);
      await page.setViewportSize({ width: 390, height: 844 });
      await assertAccessible(page);
      // Nothing is wider than the page.
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
    });
  }
}
