// Watch: what arrives, in order; pausing, filtering, and coming back to a position.

import assert from 'node:assert/strict';
import { before } from 'node:test';
import { HOSTILE, RESTAURANT, announce, furnish, publish, table, test, testAccessible, withBrowser } from './harness.mjs';

withBrowser();
before(() => furnish());

const NEWS = 'watch?channel=global:announcements';
const row = (page, text) => page.locator('.line', { hasText: text });
const live = (page) => page.locator('.chip .lamp-live').first().waitFor();

test('messages of several channels arrive, the newest first', `${NEWS}&channel=restaurant:${RESTAURANT}:tables`, {}, async (page) => {
  await page.waitForFunction(() => document.querySelectorAll('.chip .lamp-live').length === 2);
  await announce('the first one');
  await row(page, 'the first one').waitFor();
  await publish('tables', 'updated', 't1', table(1, 'OCCUPIED'));
  await row(page, 'table.updated').waitFor();
  const types = await page.locator('.line').evaluateAll((all) => all.sort((one, other) => one.getBoundingClientRect().y - other.getBoundingClientRect().y).map((one) => one.children[1].textContent));
  assert.deepEqual(types.slice(0, 2), ['table.updated', 'announcement.created']);
  await row(page, 'tables · La Mesa').first().waitFor(); // the restaurant by its name
});

test('a row shows its message as JSON, its age and its position', NEWS, {}, async (page) => {
  await live(page);
  await announce('to be looked at', { body: 'nested' });
  await row(page, 'to be looked at').click();
  const details = page.getByRole('region', { name: 'Details' });
  await details.locator('.json', { hasText: '"body": "nested"' }).waitFor();
  assert.match(await details.locator('dd').nth(2).textContent(), /^\S{8,}$/);
});

test('a pause keeps what is shown, and loses nothing', NEWS, {}, async (page) => {
  await live(page);
  await announce('before the pause');
  await row(page, 'before the pause').waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await announce('in the pause');
  await page.getByRole('status').filter({ hasText: '1 wait' }).waitFor();
  assert.equal(await row(page, 'in the pause').count(), 0);
  assert.equal(await row(page, 'before the pause').count(), 1);
  await page.getByRole('button', { name: 'Go on' }).click();
  await row(page, 'in the pause').waitFor();
  assert.equal(await row(page, 'before the pause').count(), 1);
});

test('rows are filtered by text and by type', `${NEWS}&channel=restaurant:${RESTAURANT}:tables`, {}, async (page) => {
  await page.waitForFunction(() => document.querySelectorAll('.chip .lamp-live').length === 2);
  await announce('the needle');
  await announce('the hay');
  await row(page, 'the hay').waitFor();
  await page.getByLabel('Filter').fill('NEEDLE');
  await row(page, 'the hay').waitFor({ state: 'detached' });
  await row(page, 'the needle').waitFor();
  await page.getByLabel('Filter').fill('');
  await page.getByLabel('Type').fill('snap');
  await row(page, 'announcement.created').first().waitFor({ state: 'detached' });
  assert.ok((await row(page, 'snapshot').count()) >= 2);
});

test('a channel is resumed from a row: what came after it comes again', NEWS, {}, async (page) => {
  await live(page);
  for (const title of ['place', 'after it 1', 'after it 2']) await announce(title);
  await row(page, 'after it 2').waitFor();
  await page.locator('.line', { has: page.locator('.line-text', { hasText: /^place$/ }) }).first().click();
  await page.getByRole('button', { name: 'Resume from here' }).click();
  await row(page, 'resumed from there: 2 missed messages follow').waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll('.line')].filter((one) => one.textContent.includes('after it 2')).length === 2);
});

test('a channel that there cannot be says that it is refused', 'watch?channel=nonsense', {}, async (page) => {
  await page.locator('.chip .lamp-refused').waitFor();
  await row(page, 'bad_channel').waitFor();
});

test('a gap is a row of its own, in red, past every filter', NEWS, {}, async (page) => {
  await live(page);
  await page.getByLabel('Type').fill('nothing');
  // From a position that is none, the channel begins anew, which the gateway says.
  await page.evaluate(async () => {
    const send = WebSocket.prototype.send;
    WebSocket.prototype.send = function (text) {
      send.call(this, text.includes('"subscribe"') ? JSON.stringify({ ...JSON.parse(text), position: 'no-position' }) : text);
    };
    const { client } = await import('/console/gateway.js');
    client.get().reconnect();
  });
  await page.locator('.line-gap', { hasText: 'invalid_position' }).waitFor();
});

test('the keyboard goes through the rows', NEWS, {}, async (page) => {
  await live(page);
  await announce('older');
  await announce('newer');
  await row(page, 'newer').waitFor();
  await page.getByRole('listbox').focus();
  await page.keyboard.press('ArrowDown');
  await page.locator('.line[aria-selected=true]', { hasText: 'newer' }).waitFor();
  await page.keyboard.press('ArrowDown');
  await page.locator('.line[aria-selected=true]', { hasText: 'older' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('region', { name: 'Details' }).waitFor({ state: 'detached' });
});

test('messages are text, whatever they hold', NEWS, {}, async (page) => {
  await live(page);
  await announce(HOSTILE);
  await row(page, HOSTILE).first().click();
  await page.locator('.json', { hasText: 'onerror' }).waitFor();
});

test('channels are added and removed, and the address says which', 'watch', {}, async (page) => {
  await page.getByLabel('Channel').fill('global:announcements');
  await page.keyboard.press('Enter');
  await live(page);
  assert.match(page.url(), /channel=global%3Aannouncements/);
  await page.getByRole('button', { name: 'Stop watching global:announcements' }).click();
  await page.getByText('Choose channels to watch').waitFor();
  await page.getByRole('button', { name: 'La Mesa' }).click();
  await page.locator('.chip', { hasText: 'tables · La Mesa' }).waitFor();
});

testAccessible(`${NEWS}&channel=restaurant:${RESTAURANT}:tables`, {}, (page) => row(page, 'snapshot').first().click());
