// Chat: both sides where everybody is believed.

import assert from 'node:assert/strict';
import { before } from 'node:test';
import { HOSTILE, RESTAURANT, furnish, test, testAccessible, withBrowser } from './harness.mjs';

withBrowser();
before(() => furnish());

const both = (guest) => `chat?restaurant=${RESTAURANT}&guest=${guest}`;
const side = (page, name) => page.getByRole('region', { name: `Side of the ${name}` });
const said = (page, name, text) => side(page, name).locator('.said', { hasText: text });

async function write(page, name, text) {
  const field = side(page, name).getByRole('textbox');
  await field.fill(text);
  await field.press('Enter');
}

test('what a guest writes is read and answered by the restaurant', both('ana'), {}, async (page) => {
  await write(page, 'guest', 'Is the terrace open?');
  await said(page, 'restaurant', 'Is the terrace open?').waitFor();
  await page.getByRole('region', { name: 'Conversations' }).getByText('Is the terrace open?').waitFor();
  await side(page, 'restaurant').getByText('unread').waitFor({ state: 'attached' });
  await write(page, 'restaurant', 'It is.');
  await said(page, 'guest', 'It is.').waitFor();
  await said(page, 'guest', 'Is the terrace open?').getByText('seen').waitFor();
  await side(page, 'restaurant').locator('.badge').waitFor({ state: 'detached' });
});

test('a message is edited and deleted, on both sides', both('eva'), {}, async (page) => {
  await write(page, 'guest', 'a mistake');
  const own = said(page, 'guest', 'a mistake');
  await own.hover();
  await own.getByRole('button', { name: 'Edit' }).click();
  await page.waitForFunction(() => document.activeElement.value === 'a mistake');
  await page.keyboard.press('Control+A');
  await page.keyboard.type('no mistake');
  await page.keyboard.press('Enter');
  await said(page, 'restaurant', 'no mistake').getByText('edited').waitFor();
  await said(page, 'guest', 'no mistake').hover();
  await said(page, 'guest', 'no mistake').getByRole('button', { name: 'Delete' }).click();
  await said(page, 'restaurant', 'deleted').waitFor();
  assert.equal(await said(page, 'restaurant', 'no mistake').count(), 0);
});

test('a conversation is begun with any guest, and chosen from the list', 'chat', {}, async (page) => {
  await page.getByLabel('Guest', { exact: true }).fill('luis');
  await page.keyboard.press('Enter');
  await write(page, 'restaurant', 'Your table is ready');
  await said(page, 'guest', 'Your table is ready').waitFor();
  await page.getByLabel('Guest', { exact: true }).fill('rosa');
  await page.keyboard.press('Enter');
  await write(page, 'guest', 'Hello from Rosa');
  await page.getByRole('region', { name: 'Conversations' }).getByRole('button', { name: /luis/ }).click();
  await said(page, 'guest', 'Your table is ready').waitFor();
});

test('messages are text, whatever they hold', both('mallory'), {}, async (page) => {
  await write(page, 'guest', HOSTILE);
  await said(page, 'restaurant', HOSTILE).waitFor();
  await page.getByRole('region', { name: 'Conversations' }).getByText(HOSTILE.slice(0, 40)).waitFor();
});

test('who is there, and who writes, is shown to the other side', both('tere'), {}, async (page) => {
  await side(page, 'restaurant').getByText('the guest is here').waitFor();
  await side(page, 'guest').getByText('the restaurant is here').waitFor();
  await side(page, 'guest').getByRole('textbox').pressSequentially('Hello');
  await side(page, 'restaurant').getByText('The guest is writing…').waitFor();
  await page.keyboard.press('Enter');
  await said(page, 'restaurant', 'Hello').waitFor();
  await side(page, 'restaurant').getByText('The guest is writing…').waitFor({ state: 'detached' });
});

test('older messages that cannot be had now are asked for again', both('ana'), {}, async (page) => {
  let isAway = true;
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const gateway = socket.connectToServer();
    gateway.onMessage((text) => socket.send(text.replace('"before":null', '"before":"p"')));
    socket.onMessage((text) => {
      const { type, channel, id } = JSON.parse(text);
      if (type !== 'history') gateway.send(text);
      else if (isAway) socket.send(JSON.stringify({ type: 'error', code: 'not_found', message: 'Not now.', channel, id }));
      else socket.send(JSON.stringify({ type, channel, id, messages: [], before: null }));
    });
  });
  await page.reload();
  const older = side(page, 'guest').getByRole('button', { name: 'Older messages' });
  await older.click();
  await side(page, 'guest').getByRole('alert').filter({ hasText: 'not_found' }).waitFor();
  isAway = false;
  await older.click();
  await side(page, 'guest').getByText('This is the beginning.').waitFor();
  await side(page, 'guest').getByRole('alert').waitFor({ state: 'detached' });
});

test('what the gateway refuses is said', `chat?restaurant=nowhere&guest=ana`, {}, async (page) => {
  await write(page, 'guest', 'Is anybody there?');
  await side(page, 'guest').getByRole('alert').filter({ hasText: 'unknown_restaurant' }).waitFor();
  await said(page, 'guest', 'Is anybody there?').getByRole('button', { name: 'Give up' }).click();
  await said(page, 'guest', 'Is anybody there?').waitFor({ state: 'detached' });
});

testAccessible(both('ines'), {}, async (page) => {
  await write(page, 'guest', 'One');
  await write(page, 'restaurant', 'Two');
  await said(page, 'guest', 'Two').first().waitFor();
});
