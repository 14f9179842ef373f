// Whatever happens while whatever else is under way, some things hold (`World`). A run that fails prints its seed and what has
// happened: `SEED=7 node --test interleavings.test.mjs` runs that one again, and `SEEDS=5000` runs so many.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { FakePage, restoreClocks, sleep, stopClocks } from './fakes.mjs';
import { CHANNELS, World } from './model_page.mjs';

/** What may happen, each with how often. */
const STEPS = {
  publish: [8, (it) => { for (let left = it.between(1, 4); left > 0; left--) it.gateway.publish(it.anyOf(CHANNELS)); }],
  subscribe: [4, (it) => it.subscribe(it.anyOf(CHANNELS), it.chance(0.5))],
  leave: [2, (it) => {
    const one = it.anyOf(it.subscriptions);
    it.subscriptions.delete(one);
    one?.subscription.close();
  }],
  WebSocket: [3, (it) => it.anyOf(['pass', 'cut', 'silent'].map((mode) => () => (it.gateway.passes.WebSocket = mode)))()],
  http: [2, (it) => { it.gateway.passes.http = it.anyOf(['pass', 'pass', 'cut', 'silent', 'refused']); }],
  cut: [2, (it) => it.anyOf(it.gateway.lines)?.cut()],
  silence: [2, (it) => it.anyOf(it.gateway.lines)?.silence()],
  announce: [2, (it) => it.gateway.announce()],
  end: [1, (it) => it.gateway.end(it.anyOf(it.gateway.sessions.keys()), ...it.anyOf([[1011, 'internal_error'], [4008, 'slow'], [1013, 'try_again_later']]))],
  refuse: [0.3, (it) => { it.refusedAt = Date.now(); it.gateway.end(it.anyOf(it.gateway.sessions.keys()), 4029, 'rate_limited'); }],
  source: [4, (it) => it.become(it.anyOf(['good', 'good', 'slow', 'slow', 'failing', 'hanging', 'null', 'bad']), it.anyOf(['u1', 'u1', 'u2']))],
  authenticate: [3, (it) => it.authenticate()],
  signOut: [1.5, (it) => it.signOut()],
  ask: [3, (it) => it.ask()],
  revoke: [0.5, (it) => { it.refusedAt = Date.now(); it.gateway.revoke(it.source.user); }],
  forget: [1, (it) => it.gateway.forget(it.anyOf(CHANNELS))],
  busy: [1, (it) => { it.gateway.business = it.anyOf([0, 0.5]); }],
  slow: [1, (it) => { it.gateway.slowness = it.anyOf([1, 100, 3000]); }],
  hide: [1, (it) => it.show(it.isHidden)],
  sleep: [0.5, (it) => sleep(it.between(10, 100))],
  hint: [1, (it) => it.page.say(it.anyOf(['online', 'offline']))],
  reconnect: [0.7, (it) => it.client.reconnect()],
};

/** What does no harm, after which nobody may lose an identity. */
const HARMLESS = ['publish', 'subscribe', 'leave', 'ask', 'authenticate', 'announce', 'WebSocket', 'forget'];

function step(world) {
  const all = Object.entries(STEPS);
  let left = world.between(0, all.reduce((sum, [, [weight]]) => sum + weight, 0));
  const [name, [, act]] = all.find(([, [weight]]) => (left -= weight) < 0);
  world.note(`--- ${name}`);
  if (!HARMLESS.includes(name)) world.harmedAt = Date.now();
  act(world);
  world.note(JSON.stringify([world.gateway.passes, world.source.mode, world.source.user]));
}

const rejections = [];
const onRejection = (error) => rejections.push(error);

beforeEach(() => {
  stopClocks();
  rejections.length = 0;
  process.on('unhandledRejection', onRejection);
});

afterEach(() => {
  process.off('unhandledRejection', onRejection);
  restoreClocks();
  FakePage.remove();
});

const first = Number(process.env.SEED ?? 1);
const count = Number(process.env.SEEDS ?? (process.env.SEED ? 1 : 25));

for (let seed = first; seed < first + count; seed++) {
  test(`seed ${seed}`, async () => {
    const world = new World(seed);
    await world.pass(world.between(0, 2000));
    for (let left = 60; left > 0; left--) {
      step(world);
      world.check();
      await world.pass(world.chance(0.6) ? world.between(0, 1000) : world.chance(0.7) ? world.between(0, 10_000) : world.between(0, 60_000));
    }
    world.calm();
    await world.live(320);
    for (const name of CHANNELS) world.gateway.publish(name);
    await world.live(160);
    await world.settle(() => world.faults(), 30);
    world.gateway.passes.WebSocket = 'pass';
    await world.settle(() => world.slowWays(), 1200);
    await world.settle(() => world.faults(), 30);
    await world.close();
    assert.deepEqual(rejections, []);
  });
}
