// The client's rules, without a network: what it sends, when it dials, and what its subscriptions receive.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { MesaYA, MesaYAError } from '../../../mesaya_ws/web/client/mesaya-ws.js';
import '../../../mesaya_ws/web/client/mesaya-ws-requests.js'; // which is loaded when it is needed, but clocks stand still here
import { FakePage, FakeSocket, advance, restoreClocks, settle, sleep, sockets, stopClocks } from './fakes.mjs';

const TABLES = 'restaurant:1:tables';
const NEWS = 'global:announcements';
const URL = 'wss://gateway.example/ws';

let clients;

async function connect(options = {}) {
  const client = new MesaYA(URL, { WebSocket: FakeSocket, ...options });
  clients.push(client);
  client.said = [];
  for (const kind of ['error', 'signedOut']) client.on(kind, (it) => client.said.push([kind, it.code ?? it.reason]));
  await settle();
  return client;
}

const last = () => sockets.at(-1);
const event = (number, channel = TABLES) => ({
  type: 'table.updated', channel, position: `p${number}`, timestamp: 't', data: { number },
});
const snapshot = (number, channel = TABLES, more = {}) => ({
  type: 'snapshot', channel, position: `p${number}`, complete: true, data: { up: number }, ...more,
});

/** Return when another socket is opened. */
async function nextSocket() {
  for (const count = sockets.length; sockets.length === count;) await advance(0.5);
}

/** Keep what a subscription receives: numbers of messages, [number] of snapshots, reasons of gaps. */
function receivedBy(subscription) {
  const all = [];
  subscription.on('message', (it) => all.push(it.data.number));
  subscription.on('snapshot', (data) => all.push([data.up]));
  subscription.on('gap', (it) => all.push(it.reason));
  subscription.on('ended', (it) => all.push(it));
  return all;
}

beforeEach(() => {
  stopClocks();
  clients = [];
});

afterEach(() => {
  for (const client of clients) client.close();
  restoreClocks();
  FakePage.remove();
});

describe('subscriptions', () => {
  test('a subscription is sent once there is a connection, and receives what follows', async () => {
    const client = await connect();
    const all = receivedBy(client.subscribe(TABLES));
    last().welcome();
    assert.deepEqual(last().sent, [{ type: 'subscribe', channel: TABLES, id: 1 }]);
    last().answer(TABLES, { position: 'p0' });
    last().receive(event(1));
    assert.deepEqual(all, [1]);
    assert.equal(client.status.state, 'live');
  });

  test('a new connection resumes from the last position', async () => {
    const client = await connect();
    const subscription = client.subscribe(TABLES, { snapshot: true });
    const all = receivedBy(subscription);
    last().welcome();
    assert.equal(last().sent[0].snapshot, true);
    last().answer(TABLES, { position: 'p1' });
    assert.equal(subscription.position, undefined, 'its snapshot has not come');
    last().receive(snapshot(1), event(2));
    last().end(1012, 'service_restart');
    assert.equal(subscription.state, 'waiting');
    await advance(1);
    last().welcome();
    assert.deepEqual(last().sent, [{ type: 'subscribe', channel: TABLES, id: 2, position: 'p2' }]);
    last().answer(TABLES, { position: 'p2', recovered: true, replayed: 1 });
    last().receive(event(3));
    assert.deepEqual(all, [[1], 2, 3]);
  });

  test('a subscription may begin with the last events, until it has a position', async () => {
    const client = await connect();
    const all = receivedBy(client.subscribe(TABLES, { history: 2 }));
    assert.deepEqual(last().welcome().sent, [{ type: 'subscribe', channel: TABLES, id: 1, history: 2 }]);
    last().answer(TABLES, { position: 'p0', recovered: true, replayed: 2 });
    last().receive(event(1), event(2));
    last().end();
    await advance(1);
    assert.deepEqual(last().welcome().sent, [{ type: 'subscribe', channel: TABLES, id: 2, position: 'p2' }]);
    assert.deepEqual(all, [1, 2]);
  });

  test('a snapshot that has not come is asked for again', async () => {
    const client = await connect();
    client.subscribe(TABLES, { snapshot: true });
    last().welcome().answer(TABLES, { position: 'p1' });
    last().end();
    await advance(1);
    assert.deepEqual(last().welcome().sent, [{ type: 'subscribe', channel: TABLES, id: 2, snapshot: true }]);
  });

  test('a position without meaning is a gap, then a snapshot, again if the connection breaks between them', async () => {
    const client = await connect();
    const subscription = client.subscribe(TABLES, { position: 'p3' });
    const all = receivedBy(subscription);
    const lost = { position: 'p7', recovered: false, reason: 'expired' };
    last().welcome().answer(TABLES, lost);
    assert.deepEqual(await subscription.ready, { recovered: false, replayed: 0, reason: 'expired' });
    last().end();
    await advance(1);
    assert.equal(last().welcome().sent[0].position, 'p3');
    last().answer(TABLES, lost);
    last().receive(snapshot(7), event(8));
    assert.deepEqual(all, ['expired', 'expired', [7], 8]);
    last().receive(snapshot(9, TABLES, { recovered: false, reason: 'topic_recreated' }));
    assert.deepEqual(all.slice(4), ['topic_recreated', [9]], 'without being asked');
  });

  test('a pong moves the positions of quiet channels on', async () => {
    const client = await connect();
    const [known, waiting] = [client.subscribe(TABLES), client.subscribe(NEWS, { snapshot: true })];
    last().welcome().answer(TABLES, { position: 'p0' });
    last().receive({ type: 'pong', live: true, positions: { [TABLES]: 'p5', [NEWS]: 'p5' } });
    assert.deepEqual([known.position, waiting.position], ['p5', undefined]);
  });

  test('several subscriptions to a channel are one on the wire, which ends 100 ms after the last', async () => {
    const client = await connect();
    last().welcome();
    const [first, second] = [client.subscribe(TABLES), client.subscribe(TABLES)];
    const all = receivedBy(second);
    last().answer(TABLES, { position: 'p0' });
    first.close();
    first.close();
    last().receive(event(1));
    assert.deepEqual(all, [1]);
    second[Symbol.dispose ?? 'close']();
    await advance(0.05);
    client.subscribe(TABLES).close();
    await advance(0.09);
    assert.deepEqual(last().of('unsubscribe'), []);
    await advance(0.1);
    assert.deepEqual(last().of('unsubscribe'), [{ type: 'unsubscribe', channel: TABLES }]);
    assert.equal(last().of('subscribe').length, 1);
  });

  test('what arrives late of a subscription that was ended is not that of the next one', async () => {
    const client = await connect();
    last().welcome();
    client.subscribe(TABLES).close();
    await advance(0.2);
    const all = receivedBy(client.subscribe(TABLES));
    last().receive({ type: 'subscribed', channel: TABLES, id: 1, position: 'p0' }, event(1));
    assert.deepEqual(all, []);
    last().answer(TABLES, { position: 'p1' });
    last().receive(event(2));
    assert.deepEqual(all, [2]);
  });

  test('a second subscription begins with the state that the first one has received', async () => {
    const client = await connect();
    last().welcome();
    const first = receivedBy(client.subscribe(TABLES, { snapshot: true }));
    last().answer(TABLES, { position: 'p1' });
    last().receive(snapshot(1), event(2));
    const second = client.subscribe(TABLES, { snapshot: true });
    assert.deepEqual(await second.ready, { recovered: false, replayed: 0, reason: undefined });
    const late = receivedBy(second);
    await settle();
    last().receive(event(3));
    assert.deepEqual([first, late], [[[1], 2, 3], [[1], 2, 3]]);
    assert.equal(last().of('subscribe').length, 1);
  });

  test('a subscription that needs a state which nobody has received asks for it, and the others receive it', async () => {
    const client = await connect();
    last().welcome();
    const first = receivedBy(client.subscribe(TABLES));
    last().answer(TABLES, { position: 'p1' });
    last().receive(event(2));
    const second = receivedBy(client.subscribe(TABLES, { snapshot: true }));
    last().receive(event(3));
    last().answer(TABLES, { position: 'p3' });
    last().receive(snapshot(3), event(4));
    assert.deepEqual([first, second], [[2, 'resubscribed', [3], 4], [[3], 4]]);
  });

  test('what is kept of a channel is bounded', async () => {
    const client = await connect();
    last().welcome();
    const first = receivedBy(client.subscribe(TABLES, { snapshot: true }));
    last().answer(TABLES, { position: 'p0' });
    last().receive(snapshot(0), ...Array.from({ length: 500 }, (_, number) => event(number)));
    const second = receivedBy(client.subscribe(TABLES, { snapshot: true }));
    await settle();
    assert.deepEqual([first.length, first.at(-1), second], [502, 'resubscribed', []]);
    last().answer(TABLES, { position: 'p500' });
    last().receive(snapshot(500), { ...event(1), data: { number: 1, text: 'x'.repeat(2 ** 21) } });
    const third = receivedBy(client.subscribe(TABLES, { snapshot: true }));
    await settle();
    assert.deepEqual([second.at(-1), third], ['resubscribed', []]);
  });

  test('messages of unknown types are passed on, and what a listener throws concerns nobody else', async () => {
    const client = await connect();
    last().welcome();
    const reported = [];
    globalThis.reportError = (error) => reported.push(error.message);
    const subscription = client.subscribe(TABLES);
    const [messages, all] = [[], []];
    subscription.on('message', () => { throw new Error('mine'); });
    subscription.on('message', (message) => messages.push(message.type));
    client.on('message', (message) => all.push(message.type));
    last().answer(TABLES, { position: 'p0' });
    last().receive({ type: 'typing', channel: TABLES, user: 'u1' }, { type: 'of.tomorrow' });
    assert.deepEqual(messages, ['typing']);
    assert.deepEqual(all, ['subscribed', 'typing', 'of.tomorrow']);
    assert.deepEqual(reported, ['mine']);
    delete globalThis.reportError;
  });

  test('an aborted signal closes a subscription', async () => {
    const client = await connect();
    last().welcome();
    const abort = new AbortController();
    const subscription = client.subscribe(TABLES, { signal: abort.signal });
    abort.abort();
    assert.equal(subscription.state, 'ended');
    await assert.rejects(subscription.ready, MesaYAError);
    assert.equal(client.subscribe(NEWS, { signal: abort.signal }).state, 'ended');
    await advance(0.2);
    assert.deepEqual(last().of('unsubscribe').map((it) => it.channel), [TABLES, NEWS]);
  });

  test('a refused subscription ends, and says why', async () => {
    const client = await connect();
    last().welcome();
    const subscription = client.subscribe('nonsense');
    const all = receivedBy(subscription);
    last().receive({ type: 'error', code: 'bad_channel', message: 'No.', id: 1, channel: 'nonsense' });
    await assert.rejects(subscription.ready, { code: 'bad_channel', channel: 'nonsense' });
    assert.deepEqual([all, subscription.state], [[{ reason: 'bad_channel', again: false }], 'ended']);
    assert.deepEqual(client.said, [['error', 'bad_channel']]);
    last().end();
    await advance(1);
    assert.deepEqual(last().welcome().sent, []);
  });

  test('a subscription that cannot be answered now is tried again', async () => {
    const client = await connect();
    last().welcome();
    const subscription = client.subscribe(TABLES);
    last().receive({ type: 'error', code: 'unavailable', message: 'Later.', id: 1, channel: TABLES });
    await advance(2);
    assert.deepEqual(last().of('subscribe').map((it) => it.id), [1, 2]);
    assert.equal(subscription.state, 'waiting');
  });
});

describe('iterations and stores', () => {
  test('an iteration yields snapshot, messages and gaps, and ends with its subscription', async () => {
    const client = await connect();
    last().welcome();
    const subscription = client.subscribe(TABLES, { snapshot: true });
    const all = [];
    const over = (async () => { for await (const it of subscription) all.push(it.type); })();
    last().answer(TABLES, { position: 'p1' });
    last().receive(snapshot(1), event(2), snapshot(3, TABLES, { recovered: false, reason: 'expired' }));
    await settle();
    subscription.close();
    await over;
    assert.deepEqual(all, ['snapshot', 'table.updated', 'gap', 'snapshot']);
  });

  test('an iteration that takes nothing is ended, so that what waits is bounded', async () => {
    const client = await connect();
    last().welcome();
    const subscription = client.subscribe(TABLES);
    const iteration = subscription[Symbol.asyncIterator]();
    const first = iteration.next();
    last().answer(TABLES, { position: 'p0' });
    last().receive(event(0));
    assert.equal((await first).value.data.number, 0);
    for (let number = 1; number <= 10_001; number++) last().receive(event(number));
    await assert.rejects(iteration.next(), { code: 'slow' });
  });

  test('one that is left takes nothing more, begun or not, waiting or not', async () => {
    const client = await connect();
    last().welcome();
    const subscription = client.subscribe(TABLES, { snapshot: true });
    last().answer(TABLES, { position: 'p1' });
    last().receive(snapshot(1));
    const listeners = new Set();
    const { add, delete: remove } = Set.prototype;
    Set.prototype.add = function (it) {
      if (typeof it?.f === 'function') add.call(listeners, it);
      return add.call(this, it);
    };
    Set.prototype.delete = function (it) {
      remove.call(listeners, it);
      return remove.call(this, it);
    };
    try {
      for await (const { type } of subscription) {
        assert.deepEqual([type, listeners.size], ['snapshot', 1]);
        break;
      }
      assert.equal(listeners.size, 0, 'which had begun');
      await subscription[Symbol.asyncIterator]().return();
      assert.equal(listeners.size, 0, 'which had not');
      const iteration = subscription[Symbol.asyncIterator]();
      await iteration.next();
      const waiting = iteration.next();
      await iteration.return();
      assert.deepEqual([await waiting, listeners.size], [{ value: undefined, done: true }, 0], 'which waited');
      subscription.close();
      for await (const _ of subscription) assert.fail();
      assert.equal(listeners.size, 0, 'of what is over');
    } finally {
      Object.assign(Set.prototype, { add, delete: remove });
    }
  });

  test('a store makes one value of snapshot and messages, and is complete however late it is made', async () => {
    const client = await connect();
    last().welcome();
    const subscription = client.subscribe(TABLES, { snapshot: true });
    const reduce = (state, it) => (it.type === 'snapshot' ? [it.data.up] : it.data.number ? [...state, it.data.number] : state);
    const store = subscription.store(reduce);
    let changes = 0;
    const off = store.subscribe(() => changes++);
    assert.equal(store.get(), undefined);
    last().answer(TABLES, { position: 'p1' });
    last().receive(snapshot(1), event(2), event(0));
    assert.deepEqual([store.get(), changes], [[1, 2], 2], 'the third has changed nothing');
    assert.deepEqual(subscription.store(reduce).get(), [1, 2]);
    off();
    last().receive(event(3));
    assert.deepEqual([store.get(), changes], [[1, 2, 3], 2]);
    const seen = [];
    const { unsubscribe } = store['@@observable']().subscribe({ next: (value) => seen.push(value.length) });
    last().receive(event(4));
    unsubscribe();
    last().receive(event(5));
    assert.deepEqual(seen, [3, 4]);
  });
});

describe('connections', () => {
  test('pauses grow with full jitter to 30 s, and a good answer resets them, not an open socket', async () => {
    const client = await connect();
    const pauses = [];
    client.on('status', ({ retryIn }) => retryIn && pauses.push(Math.round(retryIn * 10) / 10));
    client.subscribe(TABLES);
    for (let turn = 0; turn < 8; turn++) {
      last().welcome();
      last().end();
      await nextSocket();
    }
    last().welcome().answer(TABLES, { position: 'p0' });
    last().end();
    assert.deepEqual(pauses, [0.5, 1, 2, 4, 8, 16, 30, 30, 0.5]);
    assert.deepEqual(client.status.reason, { code: 1006, name: 'abnormal', message: 'The connection has ended: abnormal.' });
  });

  test('a pause is any share of its longest', async () => {
    Math.random.mock.mockImplementation(() => 0);
    const client = await connect();
    last().end();
    assert.equal(client.status.retryIn, 0);
  });

  test('a socket that says nothing, or anything else than the gateway would, is given up', async () => {
    const client = await connect();
    await advance(15);
    assert.equal(sockets[0].closedWith, 1000);
    assert.equal(client.status.reason.name, 'no_welcome');
    await advance(1);
    last().receive('hello');
    assert.equal(client.status.reason.name, 'not_the_gateway');
    await advance(1);
    assert.equal(sockets.length, 3);
  });

  test('a client that moves uses the next connection once it is welcome there, and repeats nothing', async () => {
    const client = await connect();
    const all = receivedBy(client.subscribe(TABLES));
    const states = [];
    client.on('status', ({ state }) => states.push(state));
    const old = last().welcome();
    old.answer(TABLES, { position: 'p0' });
    old.receive(event(1), { type: 'going_away', closeIn: 5 });
    await settle();
    assert.equal(sockets.length, 2);
    old.receive(event(2));
    last().end();
    await advance(1);
    old.receive(event(3));
    last().welcome();
    assert.ok(old.isDropped);
    old.receive(event(4));
    last().answer(TABLES, { position: 'p3', recovered: true, replayed: 1 });
    last().receive(event(4), event(5));
    assert.equal(last().sent[0].position, 'p3');
    assert.deepEqual(all, [1, 2, 3, 4, 5]);
    assert.deepEqual(states, ['live'], 'the client has been connected all the time');
  });

  test('a connection that is closed while the next one is opened is not missed', async () => {
    const client = await connect();
    client.subscribe(TABLES);
    const old = last().welcome();
    old.receive({ type: 'going_away', closeIn: 5 });
    await settle();
    old.end(1012, 'service_restart');
    await advance(5);
    assert.equal(sockets.length, 2);
    assert.equal(client.status.state, 'connecting');
    last().welcome();
    assert.equal(client.status.state, 'live');
  });

  for (const code of [1002, 1003, 1007, 1009, 4029, 4429]) {
    test(`a client that is closed with ${code} stays away until it is asked to connect`, async () => {
      const client = await connect();
      last().welcome().end(code, 'no');
      assert.deepEqual([client.status.state, client.status.reason.code], ['refused', code]);
      await advance(100);
      assert.equal(sockets.length, 1);
      client.reconnect();
      await settle();
      assert.equal(sockets.length, 2);
    });
  }

  for (const code of [1000, 1001, 1006, 1011, 1012, 1013, 4008, 4009, 4408, 3999]) {
    test(`a client that is closed with ${code} comes back`, async () => {
      await connect();
      last().welcome().end(code, 'back');
      await advance(1);
      assert.equal(sockets.length, 2);
    });
  }

  test('a closed client stays closed, and all of it ends', async () => {
    const client = await connect();
    const subscription = client.subscribe(TABLES);
    const all = receivedBy(subscription);
    last().welcome();
    client.close();
    client.close();
    client.reconnect();
    await assert.rejects(client.authenticate(), { code: 'closed' });
    await advance(100);
    assert.equal(sockets.length, 1);
    assert.equal(last().closedWith, 1000);
    assert.deepEqual(all, [{ reason: 'closed', again: false }]);
    assert.equal(client.subscribe(TABLES).state, 'ended');
    assert.equal(client.status.state, 'closed');
  });

  test('the status follows what the gateway says of itself', async () => {
    const client = await connect();
    const { since } = client.status;
    last().welcome({ live: false, asOf: undefined, lag: 5 });
    assert.deepEqual([client.status.state, client.status.lag], ['behind', 5]);
    assert.ok(client.status.since >= since);
    last().receive({ type: 'pong', live: true, asOf: 7, lag: 0, positions: {} });
    assert.deepEqual([client.status.state, client.status.asOf], ['live', 7]);
    await advance(20);
    last().receive({ type: 'pong', live: true, asOf: 7, lag: 0, positions: {} });
    assert.equal(client.status.state, 'behind', 'as of the same time as 20 s ago');
  });

  for (const [url, expected] of [['https://h.example/ws#x', 'wss://h.example/ws'], ['http://h.example/ws', 'ws://h.example/ws']]) {
    test(`${url} is ${expected}`, () => {
      clients.push(new MesaYA(url, { WebSocket: FakeSocket }));
    });
  }

  test('a url of nothing is refused at once', () => {
    assert.throws(() => new MesaYA('ftp://host/ws'), TypeError);
    assert.throws(() => new MesaYA('host'), TypeError);
  });

  test('debug lines say what happens, and no token', async () => {
    const lines = [];
    await connect({ debug: (line) => lines.push(line), token: 'secret' });
    last().welcome().end(1012, 'service_restart');
    assert.ok(lines.some((line) => line.includes('1012')));
    assert.ok(!lines.join().includes('secret'));
  });
});

describe('requests', () => {
  const CHAT = 'restaurant:1:chat:u1';
  const published = (socket, number = 0) => {
    const { id, messageId } = socket.of('publish')[number];
    socket.receive({ type: 'published', id, channel: CHAT, messageId, position: `p${number}` });
  };

  test('what is published resolves with its position, under an id of its own', async () => {
    const client = await connect();
    last().welcome();
    const [one, other] = [client.publish(CHAT, { text: 'Hola' }), client.publish(CHAT, { text: '¿Sí?' }, { id: 'mine' })];
    await settle();
    published(last(), 1);
    published(last(), 0);
    assert.deepEqual(await other, { position: 'p1', id: 'mine' });
    assert.match((await one).id, /^[0-9a-f]{32}$/);
    assert.deepEqual(last().of('publish')[1].data, { text: '¿Sí?' });
  });

  test('an answer is none of the messages of the channel that it names', async () => {
    const client = await connect();
    const received = [];
    client.subscribe(CHAT).on('message', ({ type }) => received.push(type));
    last().welcome();
    last().answer(CHAT, { position: 'p0' });
    const sent = client.publish(CHAT, { text: 'Hola' });
    await settle();
    published(last());
    await sent;
    last().receive({ type: 'history', id: 'r9', channel: CHAT, messages: [], before: null });
    assert.deepEqual(received, []);
  });

  test('what has no answer is sent again on the next connection, under the same id and in its order', async () => {
    const client = await connect();
    const sent = ['a', 'b', 'c'].map((text) => client.publish(CHAT, { text }, { id: text }));
    await settle();
    const first = last().welcome();
    published(first, 1);
    first.end();
    await advance(1);
    last().welcome();
    assert.deepEqual(last().of('publish').map((it) => it.messageId), ['a', 'c']);
    published(last(), 0);
    published(last(), 1);
    published(last(), 1);
    assert.deepEqual((await Promise.all(sent)).map((it) => it.id), ['a', 'b', 'c']);
  });

  test('what cannot be published now is sent again, when the gateway says so', async () => {
    const client = await connect();
    const socket = last().welcome();
    const sent = client.publish(CHAT, {});
    await settle();
    const { id } = socket.of('publish')[0];
    socket.receive({ type: 'error', code: 'rate_limited', message: 'Slowly.', id, channel: CHAT, retryIn: 4 });
    await advance(3.9);
    assert.equal(socket.of('publish').length, 1);
    await advance(1);
    socket.receive({ type: 'error', code: 'unavailable', message: 'Later.', id, channel: CHAT });
    await advance(2);
    assert.equal(socket.of('publish').length, 3);
    published(socket, 2);
    assert.equal((await sent).position, 'p2');
  });

  test('messages that come too often are sent again together, in their order', async () => {
    const client = await connect();
    const socket = last().welcome();
    const sent = ['a', 'b', 'c', 'd'].map((text) => client.publish(CHAT, { text }, { id: text }));
    await settle();
    published(socket, 0);
    for (const [number, retryIn] of [[1, 2], [2, 1.5], [3, 1]]) {
      socket.receive({ type: 'error', code: 'rate_limited', message: 'Slowly.', id: socket.of('publish')[number].id, retryIn });
    }
    await advance(3);
    assert.deepEqual(socket.of('publish').map((it) => it.messageId), ['a', 'b', 'c', 'd', 'b', 'c', 'd']);
    for (const number of [4, 5, 6]) published(socket, number);
    await Promise.all(sent);
  });

  test('what may not be sent again for long is refused, and puts off nothing else', async () => {
    const client = await connect();
    const socket = last().welcome();
    const [refused, other] = [client.publish(CHAT, {}), client.publish('restaurant:r2:chat:u', {})];
    await settle();
    const [first, second] = socket.of('publish');
    socket.receive({ type: 'error', code: 'rate_limited', message: 'Wait.', id: first.id, channel: CHAT, retryIn: 3600 });
    await assert.rejects(refused, (error) => error.code === 'rate_limited' && error.answer.retryIn === 3600);
    socket.receive({ type: 'error', code: 'rate_limited', message: 'Slowly.', id: second.id, channel: CHAT, retryIn: 1 });
    await advance(2);
    published(socket, 2);
    assert.equal((await other).position, 'p2');
  });

  test('what is refused, aborted or left at the end is rejected', async () => {
    const client = await connect();
    const socket = last().welcome();
    const abort = new AbortController();
    const [refused, aborted, left] = [
      client.publish(CHAT, {}), client.publish(CHAT, {}, { signal: abort.signal }), client.publish(CHAT, {}),
    ];
    await settle();
    socket.receive({ type: 'error', code: 'not_allowed', message: 'No.', id: socket.of('publish')[0].id, channel: CHAT });
    await assert.rejects(refused, { code: 'not_allowed' });
    abort.abort(new Error('enough'));
    await assert.rejects(aborted, { message: 'enough' });
    await assert.rejects(client.publish(CHAT, {}, { signal: abort.signal }), { message: 'enough' });
    client.close();
    await assert.rejects(left, { code: 'closed' });
    await assert.rejects(client.publish(CHAT, {}), { code: 'closed' });
    assert.deepEqual(client.said, [], 'whoever has asked knows');
  });

  test('what waits is bounded', async () => {
    const client = await connect();
    const waiting = Array.from({ length: 100 }, () => client.publish(CHAT, {}).catch(() => {}));
    await assert.rejects(client.publish(CHAT, {}), { code: 'too_many_requests' });
    client.close();
    await Promise.all(waiting);
  });
});

describe('silence and hints', () => {
  test('after 30 s of silence a visible page pings, and 5 s later it dials', async () => {
    const client = await connect();
    const first = last().welcome();
    await advance(41);
    assert.equal(first.of('ping').length, 1);
    assert.equal(first.closedWith, 1000);
    assert.equal(client.status.reason.name, 'no_answer');
    assert.equal(sockets.length, 2);
  });

  test('an answer, or anything else, shows that the connection lives', async () => {
    await connect();
    const first = last().welcome();
    for (let turn = 0; turn < 6; turn++) {
      await advance(35.5);
      first.receive({ type: 'pong', live: true, asOf: turn, positions: {} });
    }
    assert.equal(sockets.length, 1);
    assert.ok(first.of('ping').length >= 5);
  });

  test('a busy connection is pinged each minute for the positions of quiet channels', async () => {
    const client = await connect();
    client.subscribe(TABLES);
    last().welcome().answer(TABLES, { position: 'p0' });
    for (let turn = 0; turn < 66; turn++) {
      await advance(1);
      last().receive(event(turn));
    }
    assert.equal(last().of('ping').length, 1);
  });

  test('who waits for a large message in vain waits longer each time', async () => {
    await connect();
    const waits = [];
    for (let turn = 0; turn < 3; turn++) {
      const socket = last().welcome();
      const before = socket.sent.length;
      while (socket.sent.length === before) await advance(0.5);
      const begun = Date.now();
      while (!socket.isDropped) await advance(0.5);
      waits.push((Date.now() - begun) / 1000);
      while (last() === socket) await advance(0.5);
    }
    assert.deepEqual(waits, [5, 10, 20]);
  });

  test('a machine that has slept asks whether the connection lives', async () => {
    await connect();
    const first = last().welcome();
    sleep(3600);
    await advance(5);
    assert.equal(first.of('ping').length, 1);
    await advance(6);
    assert.ok(first.isDropped);
  });

  for (const [hint, fields] of [['online', {}], ['pageshow', { persisted: true }]]) {
    test(`${hint} makes a client that waits dial at once, and one that is connected ask`, async () => {
      const page = new FakePage();
      await connect();
      for (let turn = 0; turn < 6; turn++) {
        last().end();
        await advance(20);
      }
      last().end();
      const count = sockets.length;
      page.say(hint, fields);
      await settle();
      assert.equal(sockets.length, count + 1);
      last().welcome();
      page.say(hint, fields);
      assert.equal(last().of('ping').length, 1);
    });
  }

  test('a page that is shown for the first time asks nothing', async () => {
    const page = new FakePage();
    await connect();
    last().welcome();
    page.say('pageshow', { persisted: false });
    assert.deepEqual(last().sent, []);
  });

  test('a page that is hidden for long pauses, and dials when it is visible', async () => {
    const page = new FakePage();
    const client = await connect({ pauseWhenHiddenFor: 60 });
    client.subscribe(TABLES);
    last().welcome().answer(TABLES, { position: 'p0' });
    last().answersPings = true;
    page.show(false);
    await advance(59);
    assert.equal(client.status.state, 'live');
    page.show(true);
    page.show(false);
    await advance(61);
    assert.deepEqual([client.status.state, sockets[0].closedWith], ['paused', 1000]);
    page.say('offline');
    await advance(1000);
    assert.equal(sockets.length, 1);
    page.show(true);
    await settle();
    assert.equal(last().welcome().sent[0].position, 'p0');
    assert.equal(client.status.state, 'live');
  });

  test('a hidden page that may not pause goes on', async () => {
    const page = new FakePage();
    const client = await connect({ pauseWhenHiddenFor: 0 });
    last().welcome();
    page.show(false);
    await advance(50);
    assert.equal(client.status.state, 'live');
    assert.deepEqual(last().of('ping'), [], 'silence is no concern of a hidden page');
  });

  test('offline is a hint: it is shown, and dialling goes on', async (it) => {
    const page = new FakePage();
    it.mock.getter(navigator_(), 'onLine', () => false);
    const client = await connect();
    assert.equal(client.status.state, 'offline');
    last().welcome();
    assert.equal(client.status.state, 'live');
    page.say('offline');
    assert.equal(last().of('ping').length, 1);
    last().end();
    await advance(1);
    assert.equal(sockets.length, 2);
  });
});

/** Return a navigator that can be changed; Node has one from 21 on. */
function navigator_() {
  const fake = { get onLine() { return true; } };
  Object.defineProperty(globalThis, 'navigator', { value: fake, configurable: true });
  return fake;
}

describe('tokens', () => {
  test('a token goes along with the handshake, and the source is asked before each one', async () => {
    const asked = [];
    const client = await connect({ token: async (why) => (asked.push(why), `t${asked.length}`) });
    assert.deepEqual(last().protocols, ['mesaya.v1', 'bearer.t1']);
    last().welcome({ user: 'u1' });
    assert.equal(client.status.user, 'u1');
    last().end();
    await advance(1);
    assert.deepEqual(last().protocols, ['mesaya.v1', 'bearer.t2']);
    assert.deepEqual(asked, ['connect', 'connect']);
  });

  test('without a token, and with none from the source, a client is anonymous', async () => {
    await connect();
    assert.deepEqual(last().protocols, []);
    await connect({ token: async () => null });
    assert.deepEqual(last().protocols, []);
  });

  test('a source that throws is asked again after a pause', async () => {
    let count = 0;
    const client = await connect({ token: () => { if (!count++) throw new Error('no network'); return 't'; } });
    assert.deepEqual([client.status.reason.name, sockets.length], ['no_token', 0]);
    await advance(1);
    assert.equal(sockets.length, 1);
  });

  test('a source that never answers is given up after 30 s', async () => {
    const client = await connect({ token: () => new Promise(() => {}) });
    await advance(31);
    assert.equal(client.status.reason.name, 'no_token');
  });

  test('a token that was not accepted is shown once more only if it is another one', async () => {
    const asked = [];
    const client = await connect({ token: async (why) => (asked.push(why), asked.length < 3 ? `t${asked.length}` : 't2') });
    const refuse = (socket) => {
      socket.readyState = 1;
      socket.receive({ type: 'error', code: 'bad_token', message: 'The token has expired.' });
      socket.end(4401, 'unauthenticated');
    };
    refuse(last());
    await advance(1);
    assert.deepEqual([asked, last().protocols[1]], [['connect', 'rejected'], 'bearer.t2']);
    refuse(last());
    await advance(10);
    assert.equal(sockets.length, 2);
    assert.deepEqual(client.status.reason, { code: 4401, name: 'unauthenticated', message: 'The token has expired.' });
    assert.equal(client.status.state, 'refused');
    assert.deepEqual(client.said, [['error', 'unauthenticated']]);
    const signedIn = client.authenticate();
    await settle();
    last().welcome({ user: 'u1' });
    await signedIn;
    assert.equal(client.status.state, 'live');
  });

  test('a token that cannot be sent is not accepted, and another one is asked for', async () => {
    class Strict extends FakeSocket {
      constructor(url, protocols) {
        if (protocols.some((one) => /\s/.test(one))) throw new SyntaxError('An invalid subprotocol was specified');
        super(url, protocols);
      }
    }
    const asked = [];
    const client = await connect({ WebSocket: Strict, token: async (why) => (asked.push(why), asked.length === 1 ? 'a b' : 'ab') });
    await advance(1);
    assert.deepEqual([asked, sockets.length], [['connect', 'rejected'], 1]);
    last().welcome({ user: 'u1' });
    assert.equal(client.status.state, 'live');
  });

  test('where there is no WebSocket, or none is allowed, the client is refused', async () => {
    const client = await connect({ WebSocket: class { constructor() { throw new Error('mixed content'); } } });
    assert.deepEqual([client.status.state, client.status.reason.message], ['refused', 'Error: mixed content']);
  });

  test('a fixed token that was not accepted is refused', async () => {
    const client = await connect({ token: 'fixed' });
    last().end(4401, 'unauthenticated');
    await advance(1);
    assert.deepEqual([client.status.state, sockets.length], ['refused', 1]);
  });

  test('an expiring token is renewed on the same connection', async () => {
    const asked = [];
    const client = await connect({ token: async (why) => (asked.push(why), `t${asked.length}`) });
    last().welcome({ user: 'u1' });
    last().answersPings = true;
    await advance(1000);
    last().receive({ type: 'token_expiring', expiresIn: 60 }, { type: 'token_expiring', expiresIn: 60 });
    await advance(0.1);
    assert.deepEqual(asked, ['connect', 'expiring'], 'once for both');
    const { token, id } = last().of('auth').at(-1);
    assert.equal(token, 't2');
    last().receive({ type: 'authenticated', id, user: 'u1', roles: [], expiresIn: 600 });
    assert.deepEqual([client.status.user, sockets.length], ['u1', 1]);
  });

  test('a token in use that is not accepted any more signs out, whatever is subscribed', async () => {
    const client = await connect({ token: async () => 't' });
    last().welcome({ user: 'u1' }).receive({ type: 'token_expiring', expiresIn: 0 });
    await advance(1.5);
    last().receive({ type: 'error', code: 'bad_token', message: 'It has expired.', id: last().of('auth')[0].id });
    await settle();
    assert.deepEqual(client.said, [['error', 'bad_token'], ['signedOut', 'expired']]);
    assert.deepEqual([client.status.user, sockets.length], [undefined, 1]);
  });

  test('a token that ends soon is used for half of its life', async () => {
    const client = await connect({ token: async () => 't' });
    last().welcome({ user: 'u1' });
    for (let turn = 0; turn < 3; turn++) {
      last().receive({ type: 'token_expiring', expiresIn: 8 });
      await advance(3.5);
      assert.equal(last().of('auth').length, turn);
      await advance(1);
      last().receive({ type: 'authenticated', id: last().of('auth')[turn].id, user: 'u1', expiresIn: 8 });
    }
    assert.equal(client.status.user, 'u1');
  });

  test('channels whose token has ended come back with the next one, from where they were', async () => {
    let token = 'old';
    const client = await connect({ token: async () => token });
    const own = 'user:u1:notifications';
    const [all, open] = [receivedBy(client.subscribe(own)), receivedBy(client.subscribe(NEWS))];
    last().welcome({ user: 'u1' }).answer(own, { position: 'p0' });
    last().answer(NEWS, { position: 'p0' });
    last().receive(event(1, own), { type: 'unsubscribed', channel: own, reason: 'token_expired', position: 'p4' });
    await settle();
    assert.deepEqual(client.said, [['signedOut', 'expired'], ['error', 'bad_token']], 'there was no other one');
    last().receive(event(9, own), event(2, NEWS));
    token = 'new';
    const signedIn = client.authenticate();
    await settle();
    last().receive({ type: 'authenticated', id: last().of('auth').at(-1).id, user: 'u1', roles: [], expiresIn: 600 });
    await signedIn;
    assert.equal(last().of('subscribe').at(-1).position, 'p4');
    last().answer(own, { position: 'p4', recovered: true, replayed: 1 });
    last().receive(event(5, own));
    assert.deepEqual([all, open], [[1, { reason: 'token_expired', again: true }, 5], [2]]);
  });

  test('a right that is taken away ends a subscription for good', async () => {
    const client = await connect({ token: 't' });
    const all = receivedBy(client.subscribe('restaurant:1:reservations'));
    last().welcome({ user: 'u1' }).answer('restaurant:1:reservations', { position: 'p0' });
    last().receive({ type: 'unsubscribed', channel: 'restaurant:1:reservations', reason: 'rights_changed', position: 'p1' });
    assert.deepEqual(all, [{ reason: 'rights_changed', again: false }]);
    last().end();
    await advance(1);
    assert.deepEqual(last().welcome({ user: 'u1' }).sent, []);
  });

  test('a private channel waits for another token, and is not asked for with the same', async () => {
    let token = null;
    const client = await connect({ token: async () => token });
    const own = 'user:u1:notifications';
    const subscription = client.subscribe(own);
    const all = receivedBy(subscription);
    last().welcome();
    last().receive({ type: 'error', code: 'unauthorized', message: 'Private.', id: 1, channel: own });
    await assert.rejects(subscription.ready, { code: 'unauthorized' });
    assert.deepEqual([all, subscription.state], [[{ reason: 'unauthorized', again: true }], 'waiting']);
    last().end();
    await advance(1);
    assert.deepEqual(last().welcome().sent, []);
    token = 't';
    last().end();
    await advance(1);
    assert.deepEqual(last().welcome({ user: 'u1' }).of('subscribe').length, 1);
  });

  for (const code of ['other_user', 'unknown_type']) {
    test(`a token that this connection cannot take (${code}) is shown on another one`, async () => {
      let token = 'a';
      const client = await connect({ token: async () => token });
      const all = receivedBy(client.subscribe(NEWS));
      const old = last().welcome({ user: 'u1' });
      old.answer(NEWS, { position: 'p0' });
      token = 'b';
      const signedIn = client.authenticate();
      await settle();
      old.receive({ type: 'error', code, message: 'No.', id: old.of('auth')[0].id });
      await settle();
      old.receive(event(1, NEWS));
      assert.deepEqual(last().protocols, ['mesaya.v1', 'bearer.b']);
      last().welcome({ user: 'u2' });
      await signedIn;
      assert.equal(last().sent[0].position, 'p1');
      assert.deepEqual([client.status.user, all], ['u2', [1]]);
    });
  }

  test('a connection that is opened with no token when somebody signs in is opened again, with one', async () => {
    let token = null;
    const client = await connect({ token: async () => token });
    last().welcome().receive({ type: 'going_away', closeIn: 5 });
    await settle();
    const anonymous = last();
    token = 'a';
    const signedIn = client.authenticate();
    await settle();
    assert.deepEqual([anonymous.isDropped, last().protocols], [true, ['mesaya.v1', 'bearer.a']]);
    last().welcome({ user: 'u1' });
    await signedIn;
    assert.equal(client.status.user, 'u1');
  });

  test('whether a token is good may not be known now: it is shown again later', async () => {
    const client = await connect({ token: 't' });
    const socket = last().welcome();
    const signedIn = client.authenticate();
    await settle();
    socket.receive({ type: 'error', code: 'unavailable', message: 'Later.', id: socket.of('auth')[0].id });
    await advance(5);
    socket.receive({ type: 'authenticated', id: socket.of('auth')[1].id, user: 'u1', roles: [] });
    await signedIn;
  });

  test('a bad token is answered to who has asked for it', async () => {
    const client = await connect({ token: async (why) => (why === 'rejected' ? 'worse' : 'bad') });
    const socket = last().welcome();
    const signedIn = client.authenticate();
    await settle();
    socket.receive({ type: 'error', code: 'bad_token', message: 'Bad.', id: socket.of('auth')[0].id });
    await settle();
    socket.receive({ type: 'error', code: 'bad_token', message: 'Worse.', id: socket.of('auth')[1].id });
    await assert.rejects(signedIn, { code: 'bad_token', message: 'Worse.' });
    assert.deepEqual(client.said, [['error', 'bad_token']]);
  });

  test('who signs out is anonymous until authenticate is called', async () => {
    const client = await connect({ token: async () => 't' });
    last().welcome({ user: 'u1' });
    client.signOut();
    assert.equal(last().of('auth')[0].token, null);
    assert.deepEqual([client.said, client.status.user], [[['signedOut', 'signed-out']], undefined]);
    last().end();
    await advance(1);
    assert.deepEqual(last().protocols, []);
    last().welcome();
    client.authenticate();
    await settle();
    assert.equal(last().of('auth')[0].token, 't');
  });

  test('who signs out while a token is asked for stays signed out', async () => {
    const given = [];
    const client = await connect({ token: () => new Promise((resolve) => given.push(resolve)) });
    given[0]('t1');
    await settle();
    const socket = last().welcome({ user: 'u1' });
    socket.receive({ type: 'token_expiring', expiresIn: 1 });
    await advance(1.5);
    client.signOut();
    given[1]('t2');
    await settle();
    socket.receive({ type: 'authenticated', id: socket.of('auth')[0].id });
    const signedIn = client.authenticate();
    client.signOut();
    await assert.rejects(signedIn, { code: 'signed_out' });
    await settle();
    given[2]('t3');
    await settle();
    assert.deepEqual([socket.of('auth').map(({ token }) => token), client.status.user], [[null, null], undefined]);
  });

  test('who signs out receives nothing more that is private, and what is public as before', async () => {
    const client = await connect({ token: async () => 't' });
    const own = 'user:u1:notifications';
    const [all, open] = [receivedBy(client.subscribe(own, { snapshot: true })), receivedBy(client.subscribe(NEWS))];
    client.subscribe('restaurant:1:reservations');
    const socket = last().welcome({ user: 'u1' });
    socket.answer(own, { position: 'p1' });
    socket.answer(NEWS, { position: 'p0' });
    socket.receive(snapshot(1, own));
    client.on('signedOut', () => all.push('signedOut'));
    client.signOut();
    socket.answer('restaurant:1:reservations', { position: 'p0' });
    socket.receive(event(2, own), event(2, NEWS), event(1, 'restaurant:1:reservations'));
    socket.receive({ type: 'authenticated', id: socket.of('auth')[0].id }, { type: 'unsubscribed', channel: own, reason: 'signed_out' });
    const late = receivedBy(client.subscribe(own, { snapshot: true }));
    await settle();
    assert.deepEqual([all, open, late], [[[1], 'signedOut', { reason: 'signed_out', again: true }, 'resubscribed'], [2], []]);
    client.authenticate();
    await settle();
    socket.receive({ type: 'authenticated', id: socket.of('auth').at(-1).id, user: 'u1' });
    assert.deepEqual(socket.of('subscribe').slice(-2).map(({ channel }) => channel).sort(), ['restaurant:1:reservations', own]);
  });

  test('a token that is on its way when somebody signs out is taken back', async () => {
    const client = await connect({ token: async () => 't' });
    const socket = last().welcome();
    const signedIn = client.authenticate();
    await settle();
    client.signOut();
    await assert.rejects(signedIn, { code: 'signed_out' });
    const [first, second] = socket.of('auth');
    assert.deepEqual([first.token, second.token], ['t', null]);
    socket.receive({ type: 'authenticated', id: first.id, user: 'u1' }, { type: 'authenticated', id: second.id });
    assert.deepEqual([client.status.user, client.said], [undefined, []]);
  });

  test('who signs in has signed in with the answer to that, not to what was shown before', async () => {
    const given = [];
    const client = await connect({ token: () => new Promise((resolve) => given.push(resolve)) });
    given[0]('t1');
    await settle();
    const socket = last().welcome({ user: 'u1' });
    socket.receive({ type: 'token_expiring', expiresIn: 0 });
    await advance(1.5);
    given[1]('t2');
    await settle();
    client.signOut();
    const signedIn = client.authenticate();
    const [renewal, signOut] = socket.of('auth');
    let isSettled = false;
    signedIn.finally(() => (isSettled = true));
    socket.receive({ type: 'error', code: 'bad_token', message: 'No.', id: renewal.id });
    socket.receive({ type: 'authenticated', id: signOut.id });
    await settle();
    assert.equal(isSettled, false);
    given[2]('t3');
    await settle();
    const { token, id } = socket.of('auth').at(-1);
    assert.equal(token, 't3');
    socket.receive({ type: 'authenticated', id, user: 'u1' });
    await signedIn;
    assert.equal(client.status.user, 'u1');
  });

  test('a source that was asked before somebody signed in is asked anew', async () => {
    const given = [];
    const client = await connect({ token: () => new Promise((resolve) => given.push(resolve)) });
    given[0](null);
    await settle();
    last().welcome().receive({ type: 'going_away', closeIn: 5 });
    await settle();
    const signedIn = client.authenticate();
    given[1](null);
    await settle();
    assert.equal(given.length, 3, 'one at a time');
    given[2]('t');
    await settle();
    last().welcome({ user: 'u1' });
    await signedIn;
    assert.deepEqual([last().protocols[1], client.status.user], ['bearer.t', 'u1']);
  });

  test('a renewal that has failed is tried once more, whatever else was to be renewed', async () => {
    const asked = [];
    const client = await connect({ token: (why) => (asked.push(why), asked.length === 2 ? new Promise((_, reject) => (client.refuse = reject)) : 't') });
    const socket = last().welcome({ user: 'u1' });
    client.authenticate();
    await settle();
    socket.receive({ type: 'token_expiring', expiresIn: 60 });
    client.refuse(new Error('no network'));
    await settle();
    socket.end();
    await advance(1);
    last().welcome({ user: 'u1' }).answersPings = true;
    await advance(60);
    assert.deepEqual(asked.filter((why) => why === 'expiring'), [], 'what was dropped with the connection');
  });

  test('who closes the client when the user is signed out has closed it', async () => {
    const client = await connect({ token: async () => 't' });
    client.on('signedOut', () => client.close());
    const own = 'user:u1:notifications';
    client.subscribe(own);
    last().welcome({ user: 'u1' }).answer(own, { position: 'p0' });
    last().receive({ type: 'unsubscribed', channel: own, reason: 'revoked' });
    await settle();
    assert.deepEqual([client.status.state, last().of('auth')], ['closed', []]);
  });

  test('a channel that ends while it is asked for again keeps the position of what it has received', async () => {
    const client = await connect({ token: async () => 't' });
    const own = 'restaurant:1:chat:u1';
    const subscription = client.subscribe(own);
    last().welcome({ user: 'u1' }).answer(own, { position: 'p1' });
    client.subscribe(own, { presence: true });
    last().receive(event(2, own), { type: 'unsubscribed', channel: own, reason: 'revoked', position: 'p2' });
    assert.equal(subscription.position, 'p1');
  });

  test('who is believed is that user again by authenticate', async () => {
    const client = await connect({ user: 'u1' });
    last().welcome().receive({ type: 'authenticated', user: 'u1', roles: [] });
    client.signOut();
    last().receive({ type: 'authenticated', id: last().of('auth')[1].id });
    assert.equal(client.status.user, undefined);
    client.authenticate();
    await settle();
    assert.deepEqual(last().welcome().of('auth'), [{ type: 'auth', user: 'u1' }]);
    last().receive({ type: 'authenticated', user: 'u1', roles: [] });
    assert.equal(client.status.user, 'u1');
  });

  test('who is believed has the private channels again by authenticate', async () => {
    const client = await connect({ user: 'u1' });
    const own = 'user:u1:notifications';
    const all = receivedBy(client.subscribe(own));
    last().welcome().answer(own, { position: 'p0' });
    client.signOut();
    client.authenticate();
    await settle();
    const link = last().welcome();
    link.receive({ type: 'authenticated', user: 'u1', roles: [] });
    assert.deepEqual(link.of('subscribe').map((it) => [it.channel, it.position]), [[own, 'p0']]);
    link.answer(own, { position: 'p0', recovered: true, replayed: 1 });
    link.receive(event(1, own));
    assert.deepEqual(all, [{ reason: 'signed_out', again: true }, 1]);
  });

  test('one tab at a time asks for a token, but not for ever', async () => {
    const requests = [];
    const fake = navigator_();
    fake.locks = { request: (name, { signal }, ask) => (requests.push(name), requests.length === 1 ? ask() : Promise.reject(signal)) };
    await connect({ token: async () => 't' });
    await connect({ token: async () => 't' });
    await settle();
    assert.equal(new Set(requests).size, 1);
    assert.deepEqual(sockets.map((socket) => socket.protocols[1]), ['bearer.t', 'bearer.t']);
  });
});

describe('kept positions', () => {
  /** As of a browser: what is in it are its own properties. */
  class Storage {
    getItem(key) { return this[key] ?? null; }
    setItem(key, value) { this[key] = value; }
    removeItem(key) { delete this[key]; }
  }

  for (const positions of [{}, new Storage()]) {
    test(`a later client resumes from them: ${positions.constructor.name}`, async () => {
      const first = await connect({ positions });
      first.subscribe(TABLES);
      last().welcome().answer(TABLES, { position: 'p0' });
      last().receive(event(1));
      first.close();
      const next = await connect({ positions });
      next.subscribe(TABLES);
      assert.equal(last().welcome().sent[0].position, 'p1');
      const third = await connect({ positions });
      third.subscribe(TABLES, { snapshot: true });
      assert.equal(last().welcome().sent[0].snapshot, true, 'whoever needs the state has none from before');
    });
  }

  test('what a storage has had for long without use is forgotten, and nothing of anybody else is removed', async () => {
    const positions = new Storage();
    const key = (name) => `mesaya-ws wss://gateway.example/ws ${name}`;
    const day = 24 * 3_600_000;
    const old = `p1 ${Date.now() - 31 * day}`;
    Object.assign(positions, { 'of another program': old, [key('undated')]: 'p1', [key('old')]: old });
    positions[key('kept')] = `p2 ${Date.now() - 29 * day}`;
    const client = await connect({ positions });
    last().welcome();
    assert.deepEqual(Object.keys(positions), ['of another program', key('kept')]);
    client.subscribe('kept');
    assert.equal(last().sent.at(-1).position, 'p2');
    last().answer('kept', { position: 'p3' });
    assert.equal(positions[key('kept')], `p3 ${Date.now()}`);
  });

  test('a storage that throws is passed over', async () => {
    const no = () => { throw new Error('full'); };
    const client = await connect({ positions: { getItem: no, setItem: no } });
    const all = receivedBy(client.subscribe(TABLES));
    last().welcome().answer(TABLES, { position: 'p0' });
    last().receive(event(1));
    assert.deepEqual(all, [1]);
  });
});
