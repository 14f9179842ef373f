// Floor: the plan as it is, and as it changes.

import assert from 'node:assert/strict';
import { before } from 'node:test';
import { HOSTILE, RESTAURANT, assertAccessible, furnish, openConsole, publish, table, test, testAccessible, withBrowser } from './harness.mjs';

withBrowser();
before(() => furnish());

const PLAN = `floor?restaurant=${RESTAURANT}`;
const tableOf = (page, number) => page.locator('svg g.table', { hasText: String(number) });

test('tables stand to scale where the platform says', PLAN, {}, async (page) => {
  await tableOf(page, 1).waitFor();
  const placed = await page.evaluate(() => {
    const at = (id) => document.querySelector(`[data-table="${id}"] .top`).getScreenCTM();
    const rooms = [...document.querySelectorAll('.room-floor')].map((one) => one.getBBox().width * one.getScreenCTM().a);
    return { scale: at('t1').a, apart: at('t2').e - at('t1').e, rooms };
  });
  assert.ok(Math.abs(placed.apart / placed.scale - 120) < 0.1);
  assert.ok(Math.abs(placed.rooms[0] - 640 * placed.scale) < 0.1);
  assert.ok(Math.abs(placed.rooms[1] - 480 * placed.scale) < 0.1);
});

test('a table that is taken changes its colour, its sign, the count and the list', PLAN, {}, async (page) => {
  await page.getByRole('button', { name: 'Table 1, 4 seats, free' }).waitFor();
  const colour = () => tableOf(page, 1).locator('.top').evaluate((one) => getComputedStyle(one).fill);
  const before = await colour();
  await publish('tables', 'updated', 't1', table(1, 'OCCUPIED'));
  await page.getByRole('button', { name: 'Table 1, 4 seats, occupied' }).waitFor();
  await page.waitForFunction((was) => getComputedStyle(document.querySelector('[data-table="t1"] .top')).fill !== was, before);
  await tableOf(page, 1).locator('circle.sign-fill').waitFor();
  await page.locator('.legend-occupied', { hasText: '2' }).waitFor();
  await page.locator('.changes li', { hasText: 'Table 1' }).first().waitFor();
  await publish('tables', 'updated', 't1', table(1, 'AVAILABLE'));
  await page.getByRole('button', { name: 'Table 1, 4 seats, free' }).waitFor();
});

test('a table comes, moves to another room, and goes', PLAN, {}, async (page) => {
  await tableOf(page, 1).waitFor();
  await publish('tables', 'created', 't9', table(9, 'AVAILABLE', { posX: 40, posY: 260 }));
  await tableOf(page, 9).waitFor();
  await publish('tables', 'updated', 't9', table(9, 'AVAILABLE', { sectionId: 's2', posX: 200 }));
  await page.waitForFunction(() => {
    const of = (part) => document.querySelector(part).getBoundingClientRect();
    const [place, room] = [of('[data-table="t9"] .top'), [...document.querySelectorAll('.room-floor')].at(-1).getBoundingClientRect()];
    return place.x > room.x && place.right < room.right && place.y > room.y;
  });
  await publish('tables', 'deleted', 't9', {});
  await tableOf(page, 9).waitFor({ state: 'detached' });
});

test('the arrows go from table to table, and Enter shows one', PLAN, {}, async (page) => {
  await tableOf(page, 1).waitFor();
  await page.getByLabel('Restaurant').focus();
  await page.keyboard.press('Tab');
  const focused = () => page.evaluate(() => document.activeElement.dataset.table);
  assert.equal(await focused(), 't1');
  await page.keyboard.press('ArrowRight');
  assert.equal(await focused(), 't2');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Table 2' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('heading', { name: 'Table 2' }).waitFor({ state: 'detached' });
});

test('how many look at the plan is shown', PLAN, { storage: { identity: { kind: 'named', user: 'ana', roles: [] } } }, async (page) => {
  await page.getByText('1 looking').waitFor();
  const other = await openConsole(PLAN, { storage: { identity: { kind: 'named', user: 'eva', roles: [] } } });
  await page.getByText('2 looking').waitFor();
  await other.context().close();
});

test('a table is held, which all see count down, and given up', PLAN, { storage: { identity: { kind: 'named', user: 'ana', roles: [] } } }, async (page) => {
  const other = await openConsole(PLAN);
  await page.getByRole('button', { name: 'Table 4, 4 seats, free' }).click();
  await page.getByRole('button', { name: 'Hold it for me' }).click();
  await page.getByText(/You hold it: 4:\d\d left/).waitFor();
  await page.getByRole('button', { name: /Table 4, 4 seats, held, 4:\d\d left/ }).waitFor();
  const seen = other.getByRole('button', { name: /Table 4, 4 seats, held, 4:\d\d left/ });
  await seen.waitFor();
  const left = await seen.getAttribute('aria-label');
  await other.waitForFunction((was) => document.querySelector('[data-table="t4"]').getAttribute('aria-label') !== was, left);
  await other.locator('.legend-held', { hasText: '1' }).waitFor();
  await assertAccessible(other);
  await page.getByRole('button', { name: 'Give it up' }).click();
  await other.getByRole('button', { name: 'Table 4, 4 seats, free' }).waitFor();
  await page.getByRole('button', { name: 'Hold it for me' }).waitFor();
  await other.context().close();
});

test('names are text, whatever they hold', 'floor?restaurant=evil', {}, async (page) => {
  await publish('restaurants', 'created', 'evil', { name: HOSTILE, status: 'ACTIVE' });
  await publish('sections', 'created', 'sx', { restaurantId: 'evil', name: HOSTILE, width: 500, height: 300 });
  await publish('tables', 'created', 'tx', table(1, HOSTILE, { sectionId: 'sx', shape: HOSTILE, rotation: HOSTILE }));
  await page.locator('.room-name', { hasText: HOSTILE }).waitFor();
  await page.getByRole('button', { name: /Table 1/ }).click();
  await page.getByText('All fields').click();
  await page.locator('.json', { hasText: 'onerror' }).waitFor();
  await publish('restaurants', 'deleted', 'evil', {});
  await page.getByText('This restaurant has no rooms yet').waitFor();
});

testAccessible(PLAN, {}, (page) => page.getByRole('button', { name: /Table 1/ }).click());
