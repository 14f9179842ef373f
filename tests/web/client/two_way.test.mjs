// The parts of the client by which a page brings something in: chat, holds, acknowledgements; and who else is there.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { MesaYA } from '../../../mesaya_ws/web/client/mesaya-ws.js';
import '../../../mesaya_ws/web/client/mesaya-ws-requests.js'; // parts are loaded when they are needed, but clocks stand still here
import '../../../mesaya_ws/web/client/mesaya-ws-chat.js';
import '../../../mesaya_ws/web/client/mesaya-ws-hold.js';
import { FakeSocket, advance, restoreClocks, settle, sockets, stopClocks } from './fakes.mjs';

const CHANNEL = 'restaurant:r1:chat:u1';
const TABLES = 'restaurant:r1:tables';

let client;

const last = () => sockets.at(-1);

/** Let what is loaded be there, and what waits for it happen. */
async function rest() {
  for (let turn = 0; turn < 5; turn++) await settle();
}

async function connect(user = 'u1', options = {}) {
  client = new MesaYA('wss://gateway.example/ws', { WebSocket: FakeSocket, token: 't', ...options });
  client.failures = [];
  client.on('error', (error) => client.failures.push(error.code));
  await settle();
  last().welcome(user ? { user } : {});
  return client;
}

const said = (number, fields = {}) => ({
  messageId: `m${number}`, restaurantId: 'r1', userId: 'u1', from: 'restaurant', authorId: 'o1', authorName: null,
  text: `text ${number}`, attachments: [], replyTo: null, sentAt: 't', ...fields,
});
const event = (type, number, data) => ({ type, channel: CHANNEL, position: `p${number}`, timestamp: 't', data });
const snapshot = (numbers, fields = {}) => ({
  type: 'snapshot', channel: CHANNEL, position: `p${Math.max(0, ...numbers)}`, complete: true,
  data: {
    messages: numbers.map((number) => ({ ...said(number), position: `p${number}` })),
    read: { guest: null, restaurant: null }, blocked: false, before: null, ...fields,
  },
});
const conversation = (unread, fields = {}) => ({ restaurantId: 'r1', userId: 'u1', unread, ...fields });

/** Open a conversation, of which the gateway shows these messages. */
async function open(numbers, fields) {
  const chat = client.chat('r1');
  await rest();
  last().answer(CHANNEL, { position: 'p0' });
  last().receive(snapshot(numbers, fields));
  return chat;
}

const texts = (chat) => chat.messages.get().map(({ text, status }) => (status === 'sent' ? text : `${text} (${status})`));
const published = (sent, position = 'p9') => {
  const { id, messageId, data, channel } = last().of('publish').findLast((it) => it.messageId === sent.id);
  last().receive(
    { type: 'chat.message', channel, position, timestamp: 't', data: said(0, { messageId, from: 'guest', text: data.text }) },
    { type: 'published', id, channel, messageId, position },
  );
};
const refuse = (type, fields) => {
  const { id } = last().of(type).at(-1);
  last().receive({ type: 'error', id, message: 'No.', ...fields });
};

beforeEach(stopClocks);

afterEach(() => {
  client.close();
  restoreClocks();
});

describe('chat', () => {
  test('the conversation is shown as it stands, and follows what happens', async () => {
    await connect();
    const chat = await open([1, 2]);
    assert.deepEqual(texts(chat), ['text 1', 'text 2']);
    last().receive(
      event('chat.message', 3, said(3)),
      event('chat.edited', 4, { messageId: 'm1', text: 'other', editedAt: 't' }),
      event('chat.deleted', 5, { messageId: 'm2', by: 'restaurant' }),
      event('chat.edited', 6, { messageId: 'gone', text: 'x', editedAt: 't' }),
    );
    assert.deepEqual(texts(chat), ['other', null, 'text 3']);
    assert.equal(chat.messages.get()[1].deletedBy, 'restaurant');
  });

  test('whose conversation it is may be known late, and is the user that signs in', async () => {
    await connect(null, { token: async () => null });
    const chat = client.chat('r1');
    await rest();
    assert.deepEqual(last().of('subscribe'), []);
    const sent = chat.send('Hola');
    await rest();
    assert.deepEqual([sent.status, texts(chat)], ['pending', ['Hola (pending)']]);
    last().end();
    await advance(1);
    last().welcome({ user: 'u1' });
    await rest();
    assert.deepEqual(last().of('subscribe').map((it) => it.channel), [CHANNEL, 'user:u1:chats']);
    assert.equal(last().of('publish')[0].channel, CHANNEL);
  });

  test('a message is shown at once, and once, where the log has it', async () => {
    await connect();
    const chat = await open([1]);
    const sent = chat.send('Hola');
    await rest();
    assert.deepEqual(texts(chat), ['text 1', 'Hola (pending)']);
    assert.equal(chat.messages.get()[1].sent, sent);
    last().receive(event('chat.message', 2, said(2)));
    assert.deepEqual(texts(chat), ['text 1', 'text 2', 'Hola (pending)']);
    published(sent, 'p3');
    assert.deepEqual(await sent.done, { position: 'p3' });
    assert.deepEqual([sent.status, texts(chat)], ['sent', ['text 1', 'text 2', 'Hola']]);
  });

  test('a message whose answer was lost is sent again, and was in the state already', async () => {
    await connect();
    const chat = await open([1]);
    const sent = chat.send('Hola');
    await rest();
    last().end();
    await advance(1);
    last().welcome({ user: 'u1' });
    assert.equal(last().of('publish')[0].messageId, sent.id);
    last().answer(CHANNEL, { position: 'p5', recovered: false, reason: 'expired' });
    const state = snapshot([1]);
    state.data.messages.push({ ...said(2, { messageId: sent.id, text: 'Hola', from: 'guest' }), position: 'p2' });
    last().receive(state);
    assert.deepEqual([sent.status, texts(chat)], ['sent', ['text 1', 'Hola']]);
    last().receive({ type: 'published', id: last().of('publish')[0].id, channel: CHANNEL, messageId: sent.id, position: 'p2' });
    assert.deepEqual(await sent.done, { position: 'p2' });
  });

  test('what is refused fails, and may be sent again under the same id, or dropped', async () => {
    await connect();
    const chat = await open([]);
    const [one, other] = [chat.send('uno'), chat.send('dos')];
    await rest();
    for (const { id } of last().of('publish')) last().receive({ type: 'error', code: 'not_allowed', message: 'No.', id });
    await assert.rejects(one.done, { code: 'not_allowed' });
    assert.deepEqual([one.status, texts(chat)], ['failed', ['uno (failed)', 'dos (failed)']]);
    one.retry();
    assert.equal(one.status, 'pending');
    other.drop();
    await rest();
    assert.deepEqual(texts(chat), ['uno (pending)']);
    assert.deepEqual(last().of('publish').map((it) => it.messageId), [one.id, other.id, one.id]);
    published(one);
    await one.done;
    one.retry();
    await rest();
    published(one);
    await one.done;
    assert.deepEqual([one.status, texts(chat)], ['sent', ['uno']], 'once, however often it is sent');
    assert.deepEqual(client.failures, [], 'whoever has asked knows');
  });

  test('a message that is dropped before it was sent never is', async () => {
    await connect();
    last().end();
    const chat = client.chat('r1', 'u1');
    const sent = chat.send('No');
    await rest();
    sent.drop();
    await assert.rejects(sent.done, { name: 'AbortError' });
    await advance(1);
    last().welcome({ user: 'u1' });
    await rest();
    assert.deepEqual([last().of('publish'), texts(chat), sent.status], [[], [], 'failed']);
  });

  test('edits and deletions are asked for, and rejected when they are refused', async () => {
    await connect();
    const chat = await open([1]);
    const edited = chat.edit('m1', 'other');
    await rest();
    const { type, channel, messageId, data, id } = last().of('edit')[0];
    assert.deepEqual([type, channel, messageId, data], ['edit', CHANNEL, 'm1', { text: 'other' }]);
    last().receive({ type: 'published', id, channel, messageId, position: 'p2' });
    await edited;
    const removed = chat.remove('m1');
    await rest();
    refuse('delete', { code: 'not_found' });
    await assert.rejects(removed, { code: 'not_found' });
  });

  test('the gateway counts what has not been read', async () => {
    await connect();
    const chat = client.chat('r1');
    await rest();
    last().answer('user:u1:chats', { position: 'p0' });
    last().receive({
      type: 'snapshot', channel: 'user:u1:chats', position: 'p1', complete: true,
      data: { conversations: [conversation(7, { restaurantId: 'r2' }), conversation(2)], more: false },
    });
    assert.equal(chat.unread.get(), 2);
    const counted = (unread, fields) => ({
      type: 'chat.conversation', channel: 'user:u1:chats', position: 'p2', timestamp: 't', data: conversation(unread, fields),
    });
    last().receive(counted(9, { restaurantId: 'r2' }), counted(3));
    assert.equal(chat.unread.get(), 3);
  });

  test('of a conversation that is not among the latest, what is here is counted', async () => {
    await connect('o1');
    const chat = client.chat('r1', 'u1');
    await rest();
    last().answer(CHANNEL, { position: 'p0' });
    last().receive(snapshot([1]));
    const state = snapshot([1, 2, 3], { read: { guest: null, restaurant: 'p1' } });
    for (const it of state.data.messages) it.from = 'guest';
    last().receive(state);
    last().answer('restaurant:r1:chats', { position: 'p0' });
    last().receive({
      type: 'snapshot', channel: 'restaurant:r1:chats', position: 'p1', complete: true, data: { conversations: [], more: true },
    });
    assert.equal(chat.unread.get(), 2);
  });

  test('marks go one by one, each up to the last message', async () => {
    await connect();
    const chat = await open([1]);
    chat.read();
    await rest();
    last().receive(event('chat.message', 2, said(2)));
    chat.read();
    last().receive(event('chat.message', 3, said(3)));
    chat.read();
    await rest();
    assert.deepEqual(last().of('read').map((it) => it.position), ['p1']);
    refuse('read', { code: 'rate_limited', retryIn: 2 });
    await advance(3);
    last().receive({ type: 'published', id: last().of('read').at(-1).id, channel: CHANNEL, position: 'p1' });
    await rest();
    last().receive({ type: 'published', id: last().of('read').at(-1).id, channel: CHANNEL, position: 'p3' });
    await rest();
    chat.read();
    await rest();
    assert.deepEqual(last().of('read').map((it) => it.position), ['p1', 'p1', 'p3'], 'and none twice');
  });

  test('a mark that is refused does not keep later ones from being sent', async () => {
    await connect();
    const chat = await open([1]);
    chat.read();
    await rest();
    refuse('read', { code: 'not_found' });
    await rest();
    chat.read();
    await rest();
    assert.equal(last().of('read').length, 2);
  });

  test('typing is said at most every 5 s, and that of others ends by itself', async () => {
    await connect();
    const chat = await open([]);
    const typing = (by, isTyping) => ({ type: 'chat.typing', channel: CHANNEL, data: { by, typing: isTyping } });
    chat.type();
    chat.type();
    await rest();
    assert.deepEqual(last().of('typing'), [{ type: 'typing', channel: CHANNEL, typing: true }]);
    await advance(5.5);
    chat.type();
    await rest();
    assert.equal(last().of('typing').length, 2);
    last().receive(typing('restaurant', true), typing('guest', true));
    assert.deepEqual(chat.typing.get(), ['restaurant'], 'not the own side');
    last().receive(typing('restaurant', false));
    assert.deepEqual(chat.typing.get(), []);
    last().receive(typing('restaurant', true));
    await advance(10);
    last().receive(typing('restaurant', true));
    await advance(10);
    assert.deepEqual(chat.typing.get(), ['restaurant']);
    await advance(6);
    assert.deepEqual(chat.typing.get(), []);
    last().receive(typing('restaurant', true), event('chat.message', 1, said(1)));
    assert.deepEqual(chat.typing.get(), [], 'who has written is done');
  });

  test('older messages are loaded page by page, once', async () => {
    await connect();
    const chat = await open([3, 4], { before: 'p3' });
    const more = Promise.all([chat.more(), chat.more()]);
    await rest();
    const [{ before, id }, ...others] = last().of('history');
    assert.deepEqual([before, others], ['p3', []]);
    last().receive({ type: 'history', id, channel: CHANNEL, messages: [{ ...said(2), position: 'p2' }], before: 'p2' });
    assert.deepEqual(await more, [true, true]);
    assert.deepEqual(texts(chat), ['text 2', 'text 3', 'text 4']);
    const end = chat.more();
    await rest();
    last().receive({ type: 'history', id: last().of('history')[1].id, channel: CHANNEL, messages: [{ ...said(1), position: 'p1' }], before: null });
    assert.equal(await end, false);
    assert.equal(await chat.more(), false);
    assert.equal(last().of('history').length, 2);
    assert.deepEqual(texts(chat), ['text 1', 'text 2', 'text 3', 'text 4']);
  });

  test('what is kept of a conversation is bounded, and more begins where it does', async () => {
    await connect();
    const chat = await open([]);
    last().receive(...Array.from({ length: 5010 }, (_, number) => event('chat.message', number, said(number))));
    assert.equal(chat.messages.get().length, 5000);
    chat.more();
    await rest();
    assert.equal(last().of('history')[0].before, 'p10');
  });

  test('a chat that is closed leaves nothing', async () => {
    await connect();
    const chat = await open([1]);
    chat[Symbol.dispose ?? 'close']();
    chat.close();
    await rest();
    await advance(0.5);
    assert.deepEqual(last().of('unsubscribe').map((it) => it.channel).sort(), [CHANNEL, 'user:u1:chats']);
    last().end();
    await advance(1);
    assert.deepEqual(last().welcome({ user: 'u2' }).of('subscribe'), []);
  });
});

describe('presence', () => {
  const there = (viewers) => ({ type: 'presence', channel: TABLES, viewers });

  test('who asks is answered at once, and others are not', async () => {
    await connect();
    const [plain, watching] = [client.subscribe(TABLES), client.subscribe(TABLES, { presence: true })];
    const [seen, others, iterated] = [[], [], []];
    watching.on('presence', ({ viewers }) => seen.push(viewers));
    plain.on('message', (it) => others.push(it.type));
    (async () => { for await (const it of plain) iterated.push(it.type); })();
    last().answer(TABLES, { position: 'p0' });
    last().receive(there(1), there(2));
    const late = [];
    client.subscribe(TABLES, { presence: true }).on('presence', ({ viewers }) => late.push(viewers));
    await settle();
    assert.deepEqual([seen, late, others, iterated], [[1, 2], [2], [], []]);
  });

  test('it is asked for from where the channel is, and again on each connection', async () => {
    await connect();
    const all = [];
    client.subscribe(TABLES).on('message', (it) => all.push(it.position));
    last().answer(TABLES, { position: 'p1' });
    const second = client.subscribe(TABLES, { presence: true });
    assert.deepEqual(last().of('subscribe')[1], { type: 'subscribe', channel: TABLES, id: 2, position: 'p1', presence: true });
    last().receive({ type: 'table.updated', channel: TABLES, position: 'p2', timestamp: 't', data: {} }); // comes again
    last().answer(TABLES, { position: 'p1', recovered: true, replayed: 1 });
    last().receive({ type: 'table.updated', channel: TABLES, position: 'p2', timestamp: 't', data: {} });
    assert.deepEqual([(await second.ready).recovered, all], [true, ['p2']]);
    client.subscribe(TABLES, { presence: true });
    assert.equal(last().of('subscribe').length, 2);
    last().end();
    await advance(1);
    assert.equal(last().welcome().of('subscribe')[0].presence, true);
  });

  test('what has no position is not kept for those who come later', async () => {
    await connect();
    client.subscribe(CHANNEL, { snapshot: true });
    last().answer(CHANNEL, { position: 'p0' });
    last().receive(snapshot([1]), { type: 'chat.typing', channel: CHANNEL, data: { by: 'guest', typing: true } });
    const late = [];
    client.subscribe(CHANNEL, { snapshot: true }).on('message', (it) => late.push(it.type));
    await settle();
    assert.deepEqual(late, []);
  });
});

describe('acknowledgements', () => {
  test('an acknowledgement is sent again until it is answered', async () => {
    await connect();
    const done = client.ack('b1');
    await rest();
    last().end();
    await advance(1);
    const { reservationId, id } = last().welcome().of('reservation.ack')[0];
    assert.equal(reservationId, 'b1');
    last().receive({ type: 'acknowledged', id, reservationId, by: 'o1', at: 't' });
    assert.equal(await done, undefined);
    const refused = client.ack('b2');
    await rest();
    refuse('reservation.ack', { code: 'unauthorized' });
    await assert.rejects(refused, { code: 'unauthorized' });
  });
});

describe('holds', () => {
  const from = new Date('2026-03-01T20:00:00Z');

  /** Answer the last request for a hold as the gateway does that grants it. */
  function grant(fields = {}) {
    const { id, holdId, tableIds, from: begin = null } = last().of('table.select').at(-1);
    last().receive({ type: 'selected', id, holdId, tableIds, from: begin, to: null, token: 17, expiresAt: 't', expiresIn: 300, ...fields });
  }

  const end = (holdId, reason, id) => last().receive({ type: 'released', id, holdId, tableIds: ['t1', 't2'], from: null, to: null, reason });

  /** Have two tables held. */
  async function held(options) {
    const promise = client.hold('r1', ['t1', 't2'], options);
    await rest();
    const asked = last().of('table.select')[0];
    grant();
    return [await promise, asked];
  }

  /** Return what keeps how a hold has ended. */
  function ending(hold) {
    const kept = {};
    hold.ended.then((it) => (kept.why = it));
    return kept;
  }

  test('tables are held, and the countdown is by a clock that never steps', async () => {
    await connect();
    const [hold, asked] = await held({ from });
    assert.deepEqual([asked.restaurantId, asked.tableIds, asked.from, asked.to], ['r1', ['t1', 't2'], '2026-03-01T20:00:00.000Z', undefined]);
    assert.match(asked.holdId, /^[0-9a-f]{32}$/);
    assert.deepEqual([hold.id, hold.token, hold.tables, hold.remaining()], [asked.holdId, 17, ['t1', 't2'], 300]);
    await advance(100);
    assert.equal(hold.remaining(), 200);
  });

  for (const reason of ['released', 'expired', 'reserved', 'disconnected']) {
    test(`its end is reported: ${reason}`, async () => {
      await connect();
      const [hold] = await held();
      end('another', 'expired');
      end(hold.id, reason);
      assert.deepEqual([await hold.ended, hold.remaining()], [reason, 0]);
    });
  }

  test('who gives it up is answered once the log has it', async () => {
    await connect();
    const [hold] = await held();
    const over = hold.release();
    await rest();
    const { id, holdId } = last().of('table.release')[0];
    assert.equal(holdId, hold.id);
    end(hold.id, 'released', id);
    await over;
    assert.equal(await hold.ended, 'released');
    hold[Symbol.dispose ?? 'release']();
    await rest();
    assert.equal(last().of('table.release').length, 2);
  });

  test('one that somebody else has is refused, with when it ends', async () => {
    await connect();
    const refused = client.hold('r1', ['t1']);
    await rest();
    refuse('table.select', { code: 'conflict', until: 't', expiresIn: 12 });
    const error = await refused.catch((it) => it);
    assert.deepEqual([error.code, error.answer.expiresIn], ['conflict', 12]);
  });

  test('on another connection it is asked for again, and the answer says how it is', async () => {
    await connect();
    const [hold, asked] = await held();
    const kept = ending(hold);
    last().end();
    await advance(1);
    last().welcome({ user: 'u1' });
    await rest();
    assert.equal(last().of('table.select')[0].holdId, asked.holdId);
    grant({ expiresIn: 250 });
    await rest();
    assert.deepEqual([kept.why, hold.remaining()], [undefined, 250]);
    last().end();
    await advance(1);
    last().welcome({ user: 'u1' });
    await rest();
    end(hold.id, 'disconnected', last().of('table.select')[0].id);
    assert.equal(await hold.ended, 'disconnected');
    last().end();
    await advance(3);
    assert.deepEqual(last().welcome({ user: 'u1' }).of('table.select'), [], 'what has ended is not asked for');
  });

  test('that of another tab of the same user is the same hold', async () => {
    await connect();
    const promise = client.hold('r1', ['t1', 't2']);
    await rest();
    grant({ holdId: 'of the other tab' });
    const hold = await promise;
    assert.equal(hold.id, 'of the other tab');
    end('of the other tab', 'reserved');
    assert.equal(await hold.ended, 'reserved');
  });

  test('without news of its end, it has ended some seconds after its time', async () => {
    await connect();
    const [hold] = await held();
    last().answersPings = true;
    const kept = ending(hold);
    await advance(304);
    assert.deepEqual([kept.why, hold.remaining()], [undefined, 0]);
    await advance(2);
    assert.equal(kept.why, 'expired');
  });

  test('one that has ended before the answer came is refused, but what was taken back is asked for anew', async () => {
    await connect();
    const promise = client.hold('r1', ['t1', 't2']);
    await rest();
    const first = last().of('table.select')[0];
    end(first.holdId, 'abandoned', first.id);
    await rest();
    const second = last().of('table.select')[1];
    assert.notEqual(second.holdId, first.holdId);
    end(second.holdId, 'expired', second.id);
    await assert.rejects(promise, { code: 'expired' });
  });

  test('one that is no longer wanted is given back, though nobody knows whether it was granted', async () => {
    await connect();
    const abort = new AbortController();
    const promise = client.hold('r1', ['t1'], { signal: abort.signal });
    await rest();
    abort.abort(new Error('enough'));
    await assert.rejects(promise, { message: 'enough' });
    assert.equal(last().of('table.release')[0].holdId, last().of('table.select')[0].holdId);
  });
});

describe('what a user has asked is not done as another one', () => {
  /** Let u1 sign out, and u2 sign in on another connection. */
  async function change() {
    client.signOut();
    await rest();
    last().end();
    client.authenticate();
    await advance(1);
    last().welcome({ user: 'u2' });
    await rest();
  }

  /** Have u1 connected, and return that guest's conversation. */
  async function converse() {
    await connect('u1', { token: async () => 't' });
    return client.chat('r1', 'u1');
  }

  const asked = () => last().sent.filter(({ type }) => !['auth', 'subscribe', 'unsubscribe', 'ping'].includes(type));

  for (const [what, isConnected] of [['while there is no connection', false], ['without an answer yet', true]]) {
    test(`${what}, it ends when that one signs out`, async () => {
      await connect('u1', { token: async () => 't' });
      await client.publish(CHANNEL, {}, { signal: AbortSignal.abort('loaded') }).catch(() => {});
      if (!isConnected) last().end();
      const all = [client.hold('r1', ['t1']), client.ack('b1'), client.publish(CHANNEL, { text: 'Hola' })];
      const chat = client.chat('r1');
      const sent = chat.send('Hola');
      await rest();
      await change();
      for (const one of [...all, sent.done]) await assert.rejects(one, { code: 'signed_out' });
      assert.deepEqual(asked(), []);
    });
  }

  test('what waits to be sent again ends, too', async () => {
    await connect();
    const refused = client.ack('b1');
    await rest();
    refuse('reservation.ack', { code: 'rate_limited', retryIn: 3 });
    client.signOut();
    await assert.rejects(refused, { code: 'signed_out' });
    await advance(10);
    assert.equal(last().of('reservation.ack').length, 1);
  });

  test('it ends when another one is there without that', async () => {
    await connect();
    const one = client.ack('b1');
    await rest();
    last().end();
    await advance(1);
    last().welcome({ user: 'u2' });
    await assert.rejects(one, { code: 'signed_out' });
    assert.deepEqual(asked(), []);
  });

  test('nor what was asked before anybody was known', async () => {
    await connect(null, { token: async () => null });
    last().end();
    const chat = client.chat('r1');
    const all = [client.ack('b1'), client.hold('r1', ['t1']), chat.send('Hola').done, chat.edit('m1', 'x')];
    await change();
    for (const one of all) await assert.rejects(one, { code: 'signed_out' });
    assert.deepEqual(asked(), []);
  });

  test('nor what is asked in the moment of signing out', async () => {
    await connect();
    const one = client.hold('r1', ['t1']);
    const other = client.ack('b1');
    client.signOut();
    const third = client.ack('b2');
    await rest();
    await assert.rejects(one, { code: 'signed_out' });
    await assert.rejects(other, { code: 'signed_out' });
    assert.equal(last().of('table.select').length, 0);
    assert.deepEqual(last().of('reservation.ack').map(({ reservationId }) => reservationId), ['b2']);
    refuse('reservation.ack', { code: 'unauthorized' });
    await assert.rejects(third, { code: 'unauthorized' }, 'what is asked later is whose it is then');
  });

  test('nor what was asked in the moment before another one was there, while what it needs was loading', async () => {
    await connect();
    const chat = client.chat('r1', 'u9');
    await rest();
    last().receive({ type: 'going_away' });
    await rest();
    const all = [client.ack('b1'), client.hold('r1', ['t1']), client.publish(CHANNEL, {}), chat.send('Hola').done, chat.remove('m1')];
    last().welcome({ user: 'u2' });
    const later = client.ack('b2');
    for (const one of all) await assert.rejects(one, { code: 'signed_out' });
    assert.deepEqual(asked().map(({ reservationId }) => reservationId), ['b2'], 'but what that one asks is asked');
    last().receive({ type: 'acked', id: asked()[0].id });
    await later;
  });

  test('what one could not send is shown to nobody else, who cannot send it again', async () => {
    const chat = await converse();
    await rest();
    const [failed, pending] = [chat.send('uno'), chat.send('dos')];
    await rest();
    const { id } = last().of('publish')[0];
    last().receive({ type: 'error', code: 'not_allowed', message: 'No.', id });
    await assert.rejects(failed.done, { code: 'not_allowed' });
    assert.deepEqual(texts(chat), ['uno (failed)', 'dos (pending)']);
    await change();
    await assert.rejects(pending.done, { code: 'signed_out' });
    assert.deepEqual(texts(chat), []);
    failed.retry();
    await assert.rejects(failed.done, { code: 'signed_out' });
    assert.deepEqual([asked(), texts(chat)], [[], []]);
    chat.send('tres');
    await rest();
    assert.deepEqual([asked().map(({ data }) => data.text), texts(chat)], [['tres'], ['tres (pending)']]);
  });

  test('who comes back may send it again', async () => {
    const chat = await converse();
    const sent = chat.send('uno');
    await rest();
    client.signOut();
    await assert.rejects(sent.done, { code: 'signed_out' });
    last().end();
    client.authenticate();
    await advance(1);
    last().welcome({ user: 'u1' });
    await rest();
    assert.deepEqual(texts(chat), ['uno (failed)']);
    sent.retry();
    await rest();
    assert.deepEqual(asked().map(({ messageId }) => messageId), [sent.id]);
  });

  test('nor may another one send what was dropped', async () => {
    const chat = await converse();
    const sent = chat.send('uno');
    await rest();
    sent.drop();
    await assert.rejects(sent.done);
    await change();
    sent.retry();
    await assert.rejects(sent.done, { code: 'signed_out' });
    assert.deepEqual(asked(), []);
  });

  for (const [what, act, code] of [
    ['signs out', () => client.signOut(), 'signed_out'],
    ['closes the client', () => client.close(), 'closed'],
    ['closes the conversation', (chat) => chat.close(), 'closed'],
  ]) {
    test(`what waits until somebody is known ends when one ${what}`, async () => {
      await connect(null, { token: async () => null });
      const chat = client.chat('r1');
      const all = [chat.send('Hola').done, chat.edit('m1', 'x'), chat.remove('m1'), chat.read('p1'), chat.type(), chat.more()];
      await rest();
      act(chat);
      for (const one of all) await assert.rejects(one, { code });
    });
  }

  test('what is dropped before anybody is known ends', async () => {
    await connect(null, { token: async () => null });
    const sent = client.chat('r1').send('Hola');
    await rest();
    sent.drop();
    await assert.rejects(sent.done, { name: 'AbortError' });
  });

  test('what one has read, another one has not', async () => {
    const chat = await converse();
    await rest();
    for (const user of ['u1', 'u2']) {
      chat.read('p3');
      chat.type();
      await rest();
      assert.deepEqual(asked().map(({ type }) => type), ['read', 'typing'], user);
      last().receive({ type: 'marked', id: asked()[0].id });
      chat.read('p3');
      await rest();
      assert.equal(last().of('read').length, 1);
      if (user === 'u1') await change();
    }
  });

  test('older messages are loaded for who asks now', async () => {
    const chat = await converse();
    await rest();
    last().answer(CHANNEL, { position: 'p0' });
    last().receive(snapshot([3], { before: 'p3' }));
    const one = chat.more();
    await rest();
    assert.equal(asked().length, 1);
    client.signOut();
    const other = chat.more();
    await assert.rejects(one, { code: 'signed_out' });
    await rest();
    assert.equal(asked().length, 2);
    last().receive({ type: 'history', id: asked()[1].id, messages: [], before: null });
    assert.equal(await other, false);
  });

  test('it goes on for the same one, whose token had ended', async () => {
    await connect();
    const one = client.ack('b1');
    await rest();
    last().end();
    await advance(1);
    last().welcome({ user: 'u1' });
    const [{ id }] = asked();
    last().receive({ type: 'acked', id });
    await one;
  });

  test('a hold has ended', async () => {
    await connect('u1', { token: async () => 't' });
    const promise = client.hold('r1', ['t1']);
    await rest();
    const { id, holdId } = last().of('table.select')[0];
    last().receive({ type: 'selected', id, holdId, token: 1, tableIds: ['t1'], expiresIn: 300 });
    const hold = await promise;
    await change();
    assert.deepEqual([await hold.ended, hold.remaining(), asked()], ['disconnected', 0, []]);
    await assert.rejects(hold.release(), { code: 'signed_out' });
    assert.deepEqual(asked(), []);
  });

  test('who was there before is nobody that the next one is shown', async () => {
    await connect();
    const subscription = client.subscribe(CHANNEL, { presence: true });
    last().answer(CHANNEL, { position: 'p0' });
    last().receive({ type: 'presence', channel: CHANNEL, guest: true, restaurant: true });
    const shown = [];
    subscription.on('presence', (it) => shown.push(it));
    client.signOut();
    subscription.on('presence', (it) => shown.push(it));
    await rest();
    assert.deepEqual(shown, []);
  });
});

describe('a user that is believed', () => {
  test('says who it is on each connection, before anything else', async () => {
    await connect(null, { token: undefined, user: 'u1', roles: ['OWNER'] });
    client.subscribe(TABLES);
    assert.deepEqual(last().sent[0], { type: 'auth', user: 'u1', roles: ['OWNER'] });
    last().receive({ type: 'authenticated', user: 'u1', roles: ['OWNER'] });
    assert.equal(client.status.user, 'u1');
    const outs = [];
    client.on('signedOut', ({ reason }) => outs.push(reason));
    last().end();
    await advance(1);
    assert.deepEqual(last().welcome().of('auth').length, 1);
    last().receive({ type: 'authenticated', user: 'u1', roles: ['OWNER'] });
    assert.deepEqual([client.status.user, outs], ['u1', []]);
    client.signOut();
    assert.deepEqual([last().of('auth')[1].token, outs], [null, ['signed-out']]);
    last().end();
    await advance(1);
    assert.deepEqual(last().welcome().of('auth'), []);
  });
});
