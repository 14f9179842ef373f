// Connections: who is connected, and who may know.

import assert from 'node:assert/strict';
import { before } from 'node:test';
import { GATEWAY, PUBLISH_TOKEN, RESTAURANT, furnish, openConsole, test, testAccessible, withBrowser } from './harness.mjs';

withBrowser();
before(() => furnish());

const storage = { publishToken: PUBLISH_TOKEN };
const named = (user, roles = ['OWNER']) => ({ identity: { kind: 'named', user, roles } });

test('a connection is shown with its user, its channels and where it is', 'connections', { storage }, async (page) => {
  const other = await openConsole(`floor?restaurant=${RESTAURANT}`, { storage: named('ana') });
  const row = page.getByRole('row').filter({ hasText: 'ana' });
  await row.getByText('tables · La Mesa').waitFor();
  await row.getByText('Owner').waitFor();
  await row.getByText(/^127\.0\.0\.1:\d+$/).waitFor();
  await other.context().close();
  await row.waitFor({ state: 'detached' });
});

test('who reads events by HTTP is there, too', 'connections', { storage }, async (page) => {
  await page.evaluate(() => (window.events = new EventSource('/events?channel=global:announcements')));
  const row = page.getByRole('row').filter({ hasText: '/events' });
  await row.getByText('global:announcements').waitFor();
  await row.getByText(/^127\.0\.0\.1:\d+$/).waitFor();
});

test('connections are found by user and channel', 'connections', { storage }, async (page) => {
  const others = await Promise.all(['ana', 'eva'].map((user) => openConsole('watch?channel=global:announcements', { storage: named(user) })));
  await page.getByRole('row').filter({ hasText: 'eva' }).waitFor();
  await page.getByLabel('User', { exact: true }).fill('ana');
  await page.getByRole('row').filter({ hasText: 'eva' }).waitFor({ state: 'detached' });
  await page.getByRole('row').filter({ hasText: 'ana' }).waitFor();
  await page.getByLabel('Channel').fill('global:nothing');
  await page.getByText('No such connections').waitFor();
  for (const other of others) await other.context().close();
});

test('many are on pages', 'connections', { storage }, async (page) => {
  await page.evaluate(async (url) => {
    window.sockets = Array.from({ length: 70 }, () => new WebSocket(url));
    await Promise.all(window.sockets.map((one) => new Promise((resolve) => (one.onopen = resolve))));
  }, `${GATEWAY.replace('http', 'ws')}/ws`);
  await page.getByRole('button', { name: 'Next page' }).click();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 21);
  await page.getByRole('button', { name: 'Previous page' }).click();
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 50);
});

test('who may not know is answered so, and nothing else', 'connections', { storage: named('ana', ['ADMIN']) }, async (page) => {
  await page.getByRole('alert').filter({ hasText: 'This needs PUBLISH_TOKEN' }).waitFor();
  assert.equal(await page.getByRole('row').count(), 0);
});

testAccessible('connections', { storage }, (page) => page.getByText(/127\.0\.0\.1/).first().waitFor());
