// Where WebSockets do not pass: the client reads events by HTTP, goes on where it was, and goes back when one passes.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { MesaYA } from '../../../mesaya_ws/web/client/mesaya-ws.js';
import '../../../mesaya_ws/web/client/mesaya-ws-requests.js'; // parts are loaded when they are needed, but clocks stand still here
import '../../../mesaya_ws/web/client/mesaya-ws-events.js';
import { FakeSocket, advance, fakeFetch, restoreClocks, settle, sockets, stopClocks, streams } from './fakes.mjs';

const TABLES = 'restaurant:1:tables';
const NEWS = 'global:announcements';

let client;

const last = () => streams.at(-1);
const event = (number, channel = TABLES) => ({ type: 'table.updated', channel, position: `p${number}`, timestamp: 't', data: { number } });
const subscribed = (channel, fields) => ({ type: 'subscribed', channel, position: 'p0', ...fields });
const snapshot = (number, channel = TABLES) => ({ type: 'snapshot', channel, position: `p${number}`, complete: true, data: { up: number } });

/** A client, of which every WebSocket is cut before the gateway has answered. */
async function connect(options = {}) {
  client = new MesaYA('wss://gateway.example/ws', { WebSocket: FakeSocket, fetch: fakeFetch, fallback: 'sse', ...options });
  client.failures = [];
  client.on('error', ({ code }) => client.failures.push(code));
  await settle();
  return client;
}

async function fail(times) {
  for (let turn = 0; turn < times; turn++) {
    sockets.at(-1).end();
    await advance(1.5);
  }
}

function receivedBy(subscription) {
  const all = [];
  subscription.on('message', (it) => all.push(it.data?.number ?? it.type));
  subscription.on('snapshot', (data) => all.push([data.up]));
  subscription.on('gap', (it) => all.push(it.reason));
  return all;
}

/** Have the fallback in use, and the stream opened that shows the channels. */
async function fallen(options) {
  await connect(options);
  await fail(2);
  await last().open();
  await advance(0.1);
}

beforeEach(stopClocks);

afterEach(() => {
  client.close();
  restoreClocks();
});

describe('falling back', () => {
  test('after two WebSockets that are cut, events are read by HTTP', async () => {
    await connect({ token: async () => 'abc.d' });
    const all = receivedBy(client.subscribe(TABLES));
    await fail(1);
    assert.deepEqual([sockets.length, streams.length], [2, 0]);
    await fail(1);
    assert.deepEqual([sockets.length, streams.length], [2, 1]);
    const [first] = streams;
    assert.deepEqual([first.url.origin + first.url.pathname, first.channels], ['https://gateway.example/events', [NEWS]]);
    assert.deepEqual(first.headers, { Accept: 'text/event-stream', Authorization: 'Bearer abc.d' });
    await first.open({ user: 'u1' });
    assert.deepEqual([client.status.state, client.status.user], ['live', 'u1']);
    await advance(0.1);
    assert.deepEqual([first.isAborted, last().channels, last().url.searchParams.get('snapshot')], [true, [TABLES], null]);
    await last().open({ user: 'u1' });
    await last().receive([subscribed(TABLES), 'p0'], [event(1), 'p1']);
    assert.deepEqual(all, [1]);
  });

  test('a WebSocket that is silent counts for two', async () => {
    await connect();
    await advance(16);
    assert.deepEqual([sockets.length, streams.length], [1, 1]);
  });

  test('one that the gateway closes has passed', async () => {
    await connect();
    for (let turn = 0; turn < 4; turn++) {
      sockets.at(-1).end(1013, 'try_again_later');
      await advance(9);
    }
    assert.equal(streams.length, 0);
  });

  test('without the option, nothing is read by HTTP', async () => {
    await connect({ fallback: false });
    for (let turn = 0; turn < 5; turn++) {
      sockets.at(-1).end();
      await advance(20);
    }
    assert.equal(streams.length, 0);
  });

  test('where there is no WebSocket at all, events are read at once', async () => {
    await connect({ WebSocket: class { constructor() { throw new Error('none'); } } });
    await advance(1);
    assert.equal(streams.length, 1);
    await last().open();
    assert.equal(client.status.state, 'live');
    await advance(25);
    assert.equal(client.status.state, 'live', 'which no attempt with a WebSocket changes');
  });

  test('where HTTP does not pass either, both are tried in turn', async () => {
    await connect();
    await fail(2);
    await last().refuse(404, 'not_found');
    await advance(10);
    assert.deepEqual([sockets.length, streams.length, client.status.reason.name], [3, 1, 'not_found']);
    sockets.at(-1).end();
    await advance(20);
    assert.deepEqual([sockets.length, streams.length], [3, 2]);
    last().reject(new Error('no network'));
    await advance(30);
    assert.deepEqual([sockets.length, streams.length], [4, 2]);
  });
});

describe('exactness', () => {
  test('what a WebSocket has brought is not brought again, and nothing is missed on the way back', async () => {
    await connect();
    const all = receivedBy(client.subscribe(TABLES, { snapshot: true }));
    sockets[0].welcome().answer(TABLES, { position: 'p1' });
    sockets[0].receive(snapshot(1), event(2));
    while (!streams.length) await fail(1);
    await last().open();
    await advance(0.1);
    assert.deepEqual([last().headers['Last-Event-ID'], last().url.searchParams.get('snapshot')], ['p2', null]);
    await last().open();
    await last().receive([subscribed(TABLES, { position: 'p2', recovered: true, replayed: 1 }), 'p2'], [event(3), 'p3'], [event(4), 'p4']);
    await advance(20);
    const back = sockets.at(-1);
    assert.equal(sockets.length, 4, 'a WebSocket is tried while the stream goes on');
    await last().receive([event(5), 'p5']);
    back.welcome();
    assert.equal(last().isAborted, true);
    assert.deepEqual(back.sent, [{ type: 'subscribe', channel: TABLES, id: 3, position: 'p5' }]);
    back.answer(TABLES, { position: 'p5', recovered: true, replayed: 0 });
    back.receive(event(6));
    assert.deepEqual(all, [[1], 2, 3, 4, 5, 6]);
    back.end();
    await advance(1);
    assert.equal(sockets.length, 5, 'the next one is a WebSocket again');
  });

  test('a channel more is another stream, from where each channel is', async () => {
    await fallen();
    const tables = receivedBy(client.subscribe(TABLES));
    await advance(0.1);
    await last().open();
    await last().receive([subscribed(TABLES), 'p0'], [event(1), 'p1'], event(2)); // of which the id was lost
    const before = last();
    const news = receivedBy(client.subscribe(NEWS, { snapshot: true }));
    await before.receive([event(3), 'p3']);
    await advance(0.1);
    assert.deepEqual([last().channels, last().headers['Last-Event-ID']], [[TABLES, NEWS], 'p3.']);
    assert.equal(last().url.searchParams.get('snapshot'), '1');
    await last().open();
    await last().receive(
      [subscribed(TABLES, { position: 'p3', recovered: true, replayed: 0 }), 'p3.'],
      subscribed(NEWS),
      [snapshot(7, NEWS), 'p3.p7'],
      [event(8, NEWS), 'p3.p8'],
      [event(4), 'p4.p8'],
    );
    assert.deepEqual([tables, news], [[1, 2, 3, 4], [[7], 8]]);
    client.subscribe('restaurant:2:menu');
    await advance(0.1);
    assert.equal(last().headers['Last-Event-ID'], 'p4.p8.');
  });

  test('a state that nobody here asked for is not shown', async () => {
    await fallen();
    const [plain, full] = [receivedBy(client.subscribe(TABLES)), receivedBy(client.subscribe(NEWS, { snapshot: true }))];
    await advance(0.1);
    await last().open();
    await last().receive(subscribed(TABLES), [snapshot(1), 'p1.'], subscribed(NEWS), [snapshot(1, NEWS), 'p1.p1']);
    assert.deepEqual([plain, full], [[], [[1]]]);
  });

  for (const between of [[], [[snapshot(3, NEWS), '.p3']]]) {
    const what = between.length ? 'after that of another channel' : 'before any';
    test(`a channel is where it was answered, though the id comes with a state that it does not want: ${what}`, async () => {
      await fallen();
      const all = receivedBy(client.subscribe(TABLES));
      client.subscribe(NEWS, { snapshot: true });
      await advance(0.1);
      await last().open();
      await last().receive(subscribed(TABLES), subscribed(NEWS), ...between); // and then the network is slow
      client.subscribe('restaurant:2:menu');
      await advance(0.1);
      assert.equal(last().headers['Last-Event-ID'], between.length ? 'p0.p3.' : 'p0..');
      await last().open();
      await last().receive([subscribed(TABLES, { recovered: true, replayed: 1 }), 'p0..'], [event(1), 'p1..']);
      assert.deepEqual(all, [1]);
    });
  }

  test('a position without meaning is a gap, then the state', async () => {
    await fallen();
    const subscription = client.subscribe(TABLES, { position: 'old' });
    const all = receivedBy(subscription);
    await advance(0.1);
    await last().open();
    await last().receive(subscribed(TABLES, { recovered: false, reason: 'expired' }), [snapshot(5), 'p5'], [event(6), 'p6']);
    assert.deepEqual(all, ['expired', [5], 6]);
    assert.deepEqual(await subscription.ready, { recovered: false, replayed: 0, reason: 'expired' });
    client.subscribe(NEWS);
    await advance(0.1);
    await last().open();
    await last().receive(subscribed(TABLES, { recovered: false, reason: 'topic_recreated' }), [snapshot(9), 'p9.']);
    assert.deepEqual(all.slice(3), ['topic_recreated', [9]], 'also on a stream that only goes on');
  });

  test('a subscription that is left and made again is a new one', async () => {
    await fallen();
    client.subscribe(TABLES).close();
    await advance(0.2);
    await last().open();
    const all = receivedBy(client.subscribe(TABLES));
    await last().receive([event(1), 'p1']); // of the one before
    await advance(0.1);
    assert.equal(last().headers['Last-Event-ID'], undefined);
    await last().open();
    await last().receive([subscribed(TABLES), 'p0'], [event(2), 'p2']);
    assert.deepEqual(all, [2]);
  });

  test('events come whole, however they are cut', async () => {
    await fallen();
    const all = receivedBy(client.subscribe(TABLES));
    await advance(0.1);
    await last().open();
    await last().receive([subscribed(TABLES), 'p0']);
    const text = JSON.stringify({ ...event(1), data: { number: 'Ñandú\u2028id: x 😀' } });
    const bytes = new TextEncoder().encode(`id: p1\ndata: ${text}\n\n:\n\nid: p2\n\n`);
    for (const one of bytes) await last().write(Uint8Array.of(one));
    assert.deepEqual(all, ['Ñandú\u2028id: x 😀']);
    client.subscribe(NEWS);
    await advance(0.1);
    assert.equal(last().headers['Last-Event-ID'], 'p2.');
  });
});

describe('a stream', () => {
  test('a ping is answered by what comes first on another one', async () => {
    const page = new EventTarget();
    globalThis.addEventListener = page.addEventListener.bind(page);
    await fallen();
    delete globalThis.addEventListener;
    const all = receivedBy(client.subscribe(TABLES));
    await advance(0.1);
    await last().open();
    await last().receive([subscribed(TABLES), 'p0'], [event(1), 'p1']);
    page.dispatchEvent(new Event('online'));
    await advance(0.1);
    assert.equal(last().headers['Last-Event-ID'], 'p1');
    await last().open({ asOf: 7 });
    assert.equal(client.status.asOf, 7);
    await last().receive([subscribed(TABLES, { recovered: true, replayed: 1 }), 'p1'], [event(2), 'p2']);
    await advance(10);
    assert.deepEqual([all, client.status.state], [[1, 2], 'live']);
    page.dispatchEvent(new Event('online'));
    await advance(5.5);
    assert.equal(client.status.reason.name, 'no_answer', 'where nothing comes');
  });

  test('what the gateway says every 15 s moves positions on, and shows how fresh they are', async () => {
    await fallen();
    const subscription = client.subscribe(TABLES);
    await advance(0.1);
    await last().open();
    await last().receive([subscribed(TABLES), 'p0']);
    const count = streams.length;
    for (let turn = 1; turn < 10; turn++) {
      await advance(15);
      sockets.at(-1).end();
      await last().write(`:\n\nid: p${turn}\n\nevent: pong\ndata: ${JSON.stringify({ type: 'pong', live: turn < 9, asOf: turn, lag: 0, positions: { [TABLES]: `p${turn}` } })}\n\n`);
    }
    assert.deepEqual([streams.length, subscription.position, client.status.state], [count, 'p9', 'behind']);
  });

  test('one that goes away is left for another one, without an interruption', async () => {
    await fallen();
    const all = receivedBy(client.subscribe(TABLES));
    await advance(0.1);
    const first = await last().open();
    await first.receive([subscribed(TABLES), 'p0'], { type: 'going_away', closeIn: 5 });
    const states = [];
    client.on('status', ({ state }) => states.push(state));
    await advance(0.1);
    assert.deepEqual([first.isAborted, last().channels], [false, [NEWS]]);
    await first.receive([event(1), 'p1']);
    await last().open();
    assert.equal(first.isAborted, true);
    await advance(0.1);
    assert.equal(last().headers['Last-Event-ID'], 'p1');
    assert.deepEqual([all, states], [[1], []]);
  });

  test('one that ends, or is closed with a code, is followed by another one', async () => {
    await fallen();
    client.subscribe(TABLES);
    await advance(0.1);
    await last().open();
    await last().receive([subscribed(TABLES), 'p0'], { type: 'close', code: 4008, name: 'slow', reconnect: true });
    assert.deepEqual([client.status.reason.code, client.status.reason.name], [4008, 'slow']);
    await advance(1);
    await last().open();
    assert.equal(client.status.state, 'live');
    await last().end();
    assert.equal(client.status.reason.code, 1006);
    const count = sockets.length;
    await advance(1);
    assert.equal(sockets.length, count, 'HTTP has passed, so it is the first to be tried');
  });

  test('a channel that is refused is no reason to lose the others', async () => {
    await fallen();
    const subscription = client.subscribe('user:u1:notifications');
    const all = receivedBy(client.subscribe(TABLES));
    await advance(0.1);
    await last().open();
    await last().receive(
      { type: 'error', code: 'unauthorized', message: 'No.', channel: 'user:u1:notifications' },
      [subscribed(TABLES), '.p0'],
      [event(1), '.p1'],
    );
    await assert.rejects(subscription.ready, { code: 'unauthorized' });
    assert.deepEqual([subscription.state, all], ['waiting', [1]]);
    client.subscribe(NEWS);
    await advance(0.1);
    assert.deepEqual(last().channels, [TABLES, NEWS], 'and it is not asked for again');
  });

  test('a right that is taken away ends a subscription', async () => {
    await fallen();
    const subscription = client.subscribe('restaurant:1:reservations');
    await advance(0.1);
    await last().open();
    await last().receive(
      [subscribed('restaurant:1:reservations'), 'p0'],
      { type: 'unsubscribed', channel: 'restaurant:1:reservations', reason: 'rights_changed' },
    );
    assert.equal(subscription.state, 'ended');
  });

  for (const [status, code, state, reason] of [
    [401, 'bad_token', 'refused', 4401],
    [429, 'too_many_of_user', 'refused', 4429],
    [503, 'draining', 'connecting', 1013],
  ]) {
    test(`a request that is refused ends like a WebSocket: ${code}`, async () => {
      await connect({ token: 't' });
      await fail(2);
      await last().refuse(status, code);
      await advance(0.1);
      assert.deepEqual([client.status.reason.code, client.status.reason.message], [reason, `It is ${code}.`]);
      await advance(3);
      assert.equal(client.status.state, state);
    });
  }

  for (const status of [414, 431]) {
    test(`too many channels for a request are a refusal, which says what to do: ${status}`, async () => {
      await fallen();
      client.subscribe(TABLES);
      await advance(0.1);
      last().resolve({ ok: false, status, json: async () => JSON.parse('<html>') }); // of a proxy
      await settle();
      assert.deepEqual([client.status.state, client.status.reason.code, client.status.reason.name], ['refused', 1009, 'too_many_channels']);
      assert.match(client.status.reason.message, /close some subscriptions, then reconnect\(\)/);
      assert.equal(client.failures.at(-1), 'too_many_channels');
      const count = [sockets.length, streams.length];
      await advance(300);
      assert.deepEqual([sockets.length, streams.length], count, 'until somebody does so');
      client.reconnect();
      await advance(0.1);
      assert.notEqual(streams.length + sockets.length, count[0] + count[1]);
    });
  }

  test('positions that are too long for a head are one, too', async () => {
    await fallen();
    client.subscribe(TABLES);
    await advance(0.1);
    await last().refuse(400, 'bad_channel');
    assert.deepEqual([client.status.state, client.status.reason.name], ['refused', 'too_many_channels']);
  });

  test('the names of channels are as short in a URL as they may be', async () => {
    await fallen();
    client.subscribe('restaurant:1:table%3A&é');
    await advance(0.1);
    assert.match(last().url.href, /channel=restaurant:1:table%253A%26%C3%A9&/);
    assert.deepEqual(last().channels, ['restaurant:1:table%3A&é']);
  });

  test('a token that ends is shown on another stream', async () => {
    let count = 0;
    await connect({ token: async () => `t${count++}` });
    await fail(2);
    const first = await last().open({ user: 'u1' });
    await first.receive({ type: 'token_expiring', expiresIn: 0 });
    await advance(2);
    assert.notEqual(last().headers.Authorization, first.headers.Authorization);
    await last().open({ user: 'u1' });
    assert.deepEqual([first.isAborted, client.status.user], [true, 'u1']);
  });

  describe('while a WebSocket is tried', () => {
    /** Have a channel live by HTTP, and a WebSocket dialled of which nothing is heard. */
    async function trying(options) {
      await fallen(options);
      client.subscribe(TABLES);
      await advance(0.1);
      await last().open({ user: 'u1' });
      await last().receive([subscribed(TABLES), 'p0']);
      const count = sockets.length;
      while (sockets.length === count) await advance(0.5);
      return last();
    }

    test('a token that ends is shown on another stream all the same', async () => {
      let count = 0;
      const first = await trying({ token: async () => `t${count++}` });
      await first.receive({ type: 'token_expiring', expiresIn: 0 });
      await advance(2);
      assert.notEqual(last().headers.Authorization, first.headers.Authorization);
      assert.equal(sockets.at(-1).isDropped, true);
      await last().open({ user: 'u1' });
      assert.equal(first.isAborted, true);
    });

    test('a stream that goes away is left for another one all the same', async () => {
      const first = await trying();
      await first.receive({ type: 'going_away', closeIn: 5 });
      await advance(0.1);
      assert.deepEqual([first.isAborted, last().channels], [false, [NEWS]]);
    });

    test('a stream that ends is followed by another one, which does not wait for it', async () => {
      const first = await trying();
      await first.end();
      await advance(1);
      assert.notEqual(last(), first);
      await last().open();
      assert.equal(client.status.state, 'live');
    });
  });

  test('a token that ends is shown by HTTP again, when that has failed once', async () => {
    let count = 0;
    await connect({ token: async () => `t${count++}` });
    await fail(2);
    const first = await last().open({ user: 'u1' });
    const failed = sockets.length;
    await first.receive({ type: 'token_expiring', expiresIn: 0 });
    await advance(2);
    last().refuse(503, 'unavailable');
    await advance(3);
    assert.deepEqual([first.isAborted, streams.length, sockets.length], [false, 3, failed]);
    await last().open({ user: 'u1' });
    assert.deepEqual([first.isAborted, client.status.user], [true, 'u1']);
  });

  test('who signs out is shown nothing more of the stream', async () => {
    await fallen({ token: async () => 't' });
    const all = receivedBy(client.subscribe('user:u1:notifications'));
    await advance(0.1);
    const first = await last().open({ user: 'u1' });
    await first.receive([subscribed('user:u1:notifications'), 'p0']);
    client.signOut();
    await settle();
    assert.deepEqual([first.isAborted, last().headers.Authorization, all], [true, undefined, []]);
  });

  test('nothing can be sent this way', async () => {
    await fallen();
    await assert.rejects(client.publish('restaurant:1:chat:u1', { text: 'Hola' }), { code: 'no_websocket' });
    assert.deepEqual(client.failures, []);
  });

  test('a client that is closed reads nothing more', async () => {
    await fallen();
    client.subscribe(TABLES);
    client.close();
    await advance(60);
    assert.deepEqual([last().isAborted, streams.length], [true, 1]);
  });
});
