// Health: how the service is, and what was measured.

import { before } from 'node:test';
import { announce, furnish, test, testAccessible, withBrowser } from './harness.mjs';

withBrowser();
before(() => furnish());

const graph = (page, name) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name, exact: true }) });

test('what the service says of itself is shown', 'health', {}, async (page) => {
  await page.getByText('All is well').waitFor();
  await graph(page, 'Connections').filter({ hasText: /^Connections1/ }).waitFor();
  await graph(page, 'Memory').filter({ hasText: /\d MB/ }).waitFor();
  await page.getByRole('region', { name: 'Records by topic' }).last().getByText('mesa-ya.tables.events').waitFor();
});

test('graphs are drawn of the looks, and go on', 'health', {}, async (page) => {
  await graph(page, 'Records read').locator('polyline').waitFor({ state: 'attached' });
  const points = () => graph(page, 'Memory').locator('polyline').getAttribute('points');
  const first = (await points()).split(' ').length;
  await page.waitForFunction((was) => document.querySelector('.graphs li:nth-child(10) polyline').getAttribute('points').split(' ').length > was, first);
});

test('a rate is what has been counted between two looks', 'health', {}, async (page) => {
  await graph(page, 'Records read').locator('polyline').waitFor({ state: 'attached' });
  await Promise.all(Array.from({ length: 20 }, (_, index) => announce(`number ${index}`)));
  await graph(page, 'Records read').filter({ hasText: /max [1-9]/ }).waitFor();
});

test('a service that does not answer is an error, and its graphs stay', 'health', {}, async (page) => {
  await graph(page, 'Memory').locator('polyline').waitFor({ state: 'attached' });
  await page.route('**/health', (route) => route.abort());
  await page.getByRole('alert').filter({ hasText: 'no_answer' }).waitFor();
  await graph(page, 'Memory').locator('polyline').waitFor({ state: 'attached' });
  await page.unroute('**/health');
  await page.getByRole('alert').filter({ hasText: 'no_answer' }).waitFor({ state: 'detached' });
  page.complaints.length = 0; // the browser says that a request was aborted
});

testAccessible('health', {}, (page) => graph(page, 'Memory').locator('polyline').waitFor({ state: 'attached' }));
