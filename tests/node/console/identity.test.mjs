// Who one is where tokens are verified: what opens, what does not, and where the token goes.

import assert from 'node:assert/strict';
import { before } from 'node:test';
import { GATEWAY, HOSTILE, RESTAURANT, TOKEN, furnish, openConsole, test, testAccessible, withBrowser } from './harness.mjs';

withBrowser();
before(() => furnish());

const { GUEST_TOKEN } = process.env;
const signedIn = (token) => ({ storage: { identity: { kind: 'token', token } } });

async function signIn(page, token) {
  await page.getByRole('button', { name: /Nobody|Nadie/ }).click();
  await page.getByLabel('Token of the platform').check();
  await page.getByRole('textbox', { name: 'Token of the platform' }).fill(token);
  await page.getByRole('button', { name: 'Apply' }).click();
}

test('nobody sees public channels alone; a token opens the private ones', `watch?channel=restaurant:${RESTAURANT}:reservations`, {}, async (page) => {
  await page.locator('.chip .lamp-refused').waitFor();
  await page.locator('.line', { hasText: 'unauthorized' }).waitFor();
  await signIn(page, TOKEN);
  await page.getByRole('button', { name: 'admin Administrator' }).waitFor();
  await page.locator('.chip .lamp-live').waitFor();
  await page.locator('.line', { hasText: 'snapshot' }).waitFor();
});

test('a token is kept for the tab alone, and shown nowhere', 'connections', {}, async (page) => {
  await signIn(page, TOKEN);
  await page.getByRole('row').filter({ hasText: 'admin' }).waitFor();
  const kept = await page.evaluate(() => ({ local: JSON.stringify(localStorage), text: document.body.innerText, url: location.href }));
  for (const place of Object.values(kept)) assert.ok(!place.includes(TOKEN.slice(-20)));
  const listed = await (await fetch(`${GATEWAY}/connections`, { headers: { Authorization: `Bearer ${TOKEN}` } })).text();
  assert.ok(listed.includes('"user":"admin"'));
  assert.ok(!listed.includes(TOKEN.slice(-20)));
  const other = await openConsole('floor');
  await other.getByRole('button', { name: 'Nobody' }).waitFor();
  await other.context().close();
});

test('a bad token is refused, and it is said why', '', {}, async (page) => {
  await signIn(page, `${GUEST_TOKEN.slice(0, -6)}AAAAAA`);
  await page.locator('.connection', { hasText: 'Refused' }).waitFor();
  await page.locator('.connection small').waitFor();
  await page.getByRole('button', { name: 'Nobody' }).click();
  await page.getByLabel('Nobody').check();
  await page.getByRole('button', { name: 'Apply' }).click();
  await page.locator('.connection', { hasText: 'Live' }).waitFor();
});

test('what is no token is refused, whatever it holds', '', {}, async (page) => {
  await signIn(page, HOSTILE);
  await page.locator('.connection', { hasText: 'Refused' }).waitFor();
});

test('a guest has no right to what is for operators', 'connections', signedIn(GUEST_TOKEN), async (page) => {
  await page.getByRole('alert').filter({ hasText: 'This needs PUBLISH_TOKEN' }).waitFor();
});

test('an administrator explains, without PUBLISH_TOKEN', 'explain', signedIn(TOKEN), async (page) => {
  await page.getByRole('button', { name: 'reservation' }).click();
  await page.getByLabel('Would this user see it?').fill('somebody');
  await page.getByText('the user does not see it').first().waitFor();
});

test('a guest and a restaurant chat, each signed in', `chat?restaurant=${RESTAURANT}`, signedIn(GUEST_TOKEN), async (page) => {
  const restaurant = await openConsole(`chat?restaurant=${RESTAURANT}&guest=ana`, signedIn(TOKEN));
  await page.getByRole('textbox', { name: 'Write a message' }).fill('From the guest');
  await page.keyboard.press('Enter');
  await restaurant.locator('.said', { hasText: 'From the guest' }).waitFor();
  await restaurant.getByRole('textbox', { name: 'Write a message' }).fill('From the restaurant');
  await restaurant.keyboard.press('Enter');
  await page.locator('.said', { hasText: 'From the restaurant' }).waitFor();
  assert.deepEqual(restaurant.complaints, []);
  await restaurant.context().close();
});

test('who is nobody is asked to sign in before chatting', 'chat', {}, async (page) => {
  await page.getByText('Sign in to chat').waitFor();
});

testAccessible(`chat?restaurant=${RESTAURANT}`, signedIn(GUEST_TOKEN), (page) => page.getByRole('textbox', { name: 'Write a message' }).waitFor());
