// The frame of the console: its pages, language, appearance, and who one is.

import assert from 'node:assert/strict';
import { before } from 'node:test';
import { GATEWAY, RESTAURANT, assertAccessible, furnish, test, withBrowser } from './harness.mjs';

withBrowser();
before(() => furnish());

test('a first look shows the plan of a restaurant, and that it is live', '', {}, async (page) => {
  await page.getByRole('heading', { level: 1, name: 'Floor' }).waitFor();
  await page.getByRole('button', { name: 'Table 1, 4 seats, free' }).waitFor();
  await page.locator('.connection', { hasText: 'Live' }).waitFor();
  assert.equal(await page.title(), 'Floor · MesaYA');
});

test('a page that there is not is the first one, whatever objects have of that name', 'constructor', {}, async (page) => {
  await page.getByRole('heading', { level: 1, name: 'Floor' }).waitFor();
});

test('a page is reached by the keyboard alone, and its heading is read', '', {}, async (page) => {
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  for (let pressed = 0; pressed < 3; pressed++) await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent.trim()), 'Watch');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Watch' }).waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === 'H1');
});

test('language and appearance are chosen, and remembered', 'watch', {}, async (page) => {
  await page.getByRole('button', { name: 'ES', exact: true }).click();
  await page.getByRole('heading', { level: 1, name: 'Mirar' }).waitFor();
  await page.getByRole('button', { name: 'Oscura' }).click();
  await page.reload();
  await page.getByRole('heading', { level: 1, name: 'Mirar' }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  assert.equal(await page.evaluate(() => document.documentElement.lang), 'es');
});

test('what a browser remembers of another version is passed over', 'watch', {}, async (page) => {
  await page.evaluate(() => {
    localStorage.setItem('mesaya-console language', '"fr"');
    localStorage.setItem('mesaya-console theme', '"pink"');
  });
  await page.reload();
  await page.getByRole('heading', { level: 1, name: 'Watch' }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'auto');
});

test('a browser that prefers Spanish shows Spanish', '', { locale: 'es-ES' }, async (page) => {
  await page.getByRole('heading', { level: 1, name: 'Plano' }).waitFor();
});

test('with AUTH=off one says who one is, which opens private channels', `watch?channel=restaurant:${RESTAURANT}:reservations`, {}, async (page) => {
  await page.getByRole('button', { name: 'Nobody' }).click();
  await page.getByLabel('Whom I say').check();
  await page.getByLabel('User id').fill('ana');
  await assertAccessible(page);
  await page.getByRole('button', { name: 'Apply' }).click();
  await page.getByRole('button', { name: 'ana Administrator' }).waitFor();
  await page.reload();
  await page.getByRole('button', { name: 'ana Administrator' }).waitFor();
});

test('the dialog is closed by Escape, and changes nothing', '', {}, async (page) => {
  await page.getByRole('button', { name: 'Nobody' }).click();
  await page.getByLabel('Whom I say').check();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.getByRole('button', { name: 'Nobody' }).waitFor();
});

test('everything is loaded from the gateway alone', '', {}, async (page) => {
  const asked = [];
  page.on('request', (request) => asked.push(new URL(request.url()).origin));
  await page.reload();
  await page.getByRole('button', { name: /Table 1/ }).waitFor();
  assert.deepEqual([...new Set(asked)], [GATEWAY]);
});
