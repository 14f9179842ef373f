// Publish and Explain: what a record becomes, before and after it is in the log.

import assert from 'node:assert/strict';
import { before } from 'node:test';
import { HOSTILE, PUBLISH_TOKEN, RESTAURANT, furnish, test, testAccessible, withBrowser } from './harness.mjs';

withBrowser();
before(() => furnish());

const storage = { publishToken: PUBLISH_TOKEN };
const verdict = (page, text) => page.locator('.verdict', { hasText: text });
const value = (page, record) => page.getByLabel('Value (JSON)').fill(typeof record === 'string' ? record : JSON.stringify(record));

test('an announcement is shown as it will be, published, and seen by who watches', 'publish', { storage }, async (page) => {
  const other = await page.context().newPage();
  await other.goto(page.url().replace(/#.*/, '#/watch?channel=global:announcements'));
  await other.locator('.chip .lamp-live').waitFor();
  await page.getByLabel('Title').fill(HOSTILE);
  await page.locator('.message', { hasText: 'global:announcements' }).waitFor();
  await page.locator('.message summary').click();
  await page.locator('.message .json', { hasText: 'onerror' }).waitFor();
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText(/It is in the log: mesa-ya.announcements.events/).waitFor();
  await other.locator('.line', { hasText: HOSTILE }).first().waitFor();
  assert.equal(await other.evaluate(() => window.hacked), undefined);
});

test('without PUBLISH_TOKEN, nothing is published, and it is said why', 'publish', {}, async (page) => {
  await page.getByText('Publishing needs PUBLISH_TOKEN').waitFor();
  await page.getByLabel('Title').fill('not to be seen');
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByRole('alert').filter({ hasText: 'unauthorized' }).first().waitFor();
});

test('a record is previewed by what is known, and published', 'publish', { storage }, async (page) => {
  await page.getByRole('button', { name: 'Record of the platform' }).click();
  await verdict(page, 'It becomes one message').waitFor();
  await page.locator('.message', { hasText: `restaurant:${RESTAURANT}:tables` }).waitFor();
  await page.getByRole('button', { name: 'Publish', exact: true }).click();
  await page.getByText(/It is in the log: mesa-ya.tables.events/).waitFor();
  const other = await page.context().newPage();
  await other.goto(page.url().replace(/#.*/, `#/floor?restaurant=${RESTAURANT}`));
  await other.getByRole('button', { name: /Table \d, 4 seats, occupied/ }).first().waitFor();
});

test('a record says what it becomes, for whom, and what it changes', 'explain', { storage }, async (page) => {
  await page.getByRole('button', { name: 'reservation' }).click();
  await verdict(page, 'It becomes 2 messages').waitFor();
  const message = page.locator('.message', { hasText: `restaurant:${RESTAURANT}:reservations` });
  await message.getByText('the owner').waitFor();
  await message.locator('code', { hasText: /^owner$/ }).waitFor();
  await page.getByLabel('Would this user see it?').fill('u1');
  await message.getByText('the user sees it', { exact: true }).waitFor(); // AUTH=off: everybody does
  await page.getByRole('row', { name: /numberOfGuests — 2/ }).waitFor();
});

test('a record that becomes nothing says why', 'explain', { storage }, async (page) => {
  await page.getByRole('button', { name: 'poison' }).click();
  await verdict(page, 'It becomes nothing').filter({ hasText: 'bad_id' }).waitFor();
  await page.getByRole('button', { name: 'orphan' }).click();
  await verdict(page, 'It becomes nothing').filter({ hasText: 'It waits for: section:s-nowhere' }).waitFor();
  await value(page, '{"half": ');
  await page.getByText('This is not JSON').waitFor();
  await verdict(page, 'It becomes nothing').filter({ hasText: 'not_json' }).waitFor();
});

test('a reason is given in the language of the page', 'explain', { storage, locale: 'es-EC' }, async (page) => {
  await page.getByRole('button', { name: 'veneno' }).click();
  await verdict(page, 'No se convierte en nada').filter({ hasText: 'Falta un id necesario' }).waitFor();
});

test('a whole record is taken as it stands in samples', 'explain', { storage }, async (page) => {
  const record = { event_type: 'created', entity_id: 'v', data: { id: 'v', restaurantId: RESTAURANT, comment: HOSTILE } };
  await value(page, { topic: 'mesa-ya.reviews.events', key: null, value: record });
  await page.locator('.message', { hasText: `restaurant:${RESTAURANT}:reviews` }).waitFor();
  await page.getByRole('row', { name: /comment.*onerror/ }).waitFor();
});

test('without a right, the page says which one is missing', 'explain', {}, async (page) => {
  await page.getByRole('alert').filter({ hasText: 'This needs PUBLISH_TOKEN' }).waitFor();
});

testAccessible('publish', { storage }, async (page) => {
  await page.getByLabel('Title').fill('La terraza');
  await page.locator('.message').waitFor();
});
testAccessible('explain', { storage }, async (page) => {
  await page.getByRole('button', { name: 'reservation' }).click();
  await verdict(page, 'It becomes 2 messages').waitFor();
});
