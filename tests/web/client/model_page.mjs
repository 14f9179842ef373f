// A page with a client, and what must hold for it whatever happens.

import assert from 'node:assert/strict';
import { mock } from 'node:test';
import { MesaYA } from '../../../mesaya_ws/web/client/mesaya-ws.js';
import '../../../mesaya_ws/web/client/mesaya-ws-events.js'; // what is loaded when it is needed, but clocks stand still here
import '../../../mesaya_ws/web/client/mesaya-ws-requests.js';
import { FakePage, settle, sockets, streams } from './fakes.mjs';
import { Gateway } from './model_gateway.mjs';
import { ownerOf } from './model_session.mjs';

export const CHANNELS = ['global:announcements', 'restaurant:1:tables', 'user:u1:notifications', 'user:u2:notifications'];
const GRACE = 100_000; // ms without harm after which nobody loses an identity
const numberOf = (position) => (position === undefined ? undefined : Number(position.slice(1)));

/** Return a function that returns numbers from 0 to 1, which the seed determines (mulberry32). */
function randomOf(seed) {
  let state = seed * 0x9e3779b1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let it = Math.imul(state ^ (state >>> 15), 1 | state);
    it = (it + Math.imul(it ^ (it >>> 7), 61 | it)) ^ it;
    return ((it ^ (it >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A page with a client, of which everything is watched; all that it leaves to chance, the seed determines. */
export class World {
  happened = [];
  wrong = [];
  source = { mode: 'good', user: 'u1', changedAt: 0 };
  subscriptions = new Set();
  signingIn = new Set();
  asked = []; // of the gateway, by number
  asking = new Set();
  signOuts = 0;
  isSignedOut = false;
  isSigningOut = false;
  isHidden = false;
  harmedAt = Date.now();

  constructor(seed) {
    this.random = randomOf(seed);
    mock.method(Math, 'random', this.random);
    this.page = new FakePage();
    this.gateway = new Gateway(this.random, (message, user) => this.onReceived(message, user));
    this.hasFallback = this.chance(0.75);
    this.startedAt = Date.now();
    this.client = new MesaYA('wss://gateway.example/ws', {
      WebSocket: this.gateway.Socket,
      fetch: this.gateway.fetch,
      fallback: this.hasFallback && 'sse',
      token: (why) => this.token(why),
      positions: this.chance(0.3) ? {} : undefined,
      pauseWhenHiddenFor: 30,
      debug: (line) => this.note(line),
    });
    this.client.on('signedOut', ({ reason }) => this.onSignedOut(reason));
    this.client.on('status', ({ state, user }) => this.note(`status ${state} ${user}`));
    this.client.on('message', (message) => this.onMessage(message));
  }

  chance = (share) => this.random() < share;
  between = (from, to) => from + this.random() * (to - from);
  anyOf = (all) => [...all][Math.floor(this.random() * [...all].length)];
  note = (line) => this.happened.push(`${((Date.now() - this.startedAt) / 1000).toFixed(2)} ${line}`);

  fail(text) {
    this.note(`WRONG: ${text}`);
    this.wrong.push(text);
  }

  // The token source

  async token(why) {
    const { mode, user } = this.source;
    this.note(`token for ${why}: ${mode} ${user}`);
    const isCached = why === 'connect' && this.cached?.user === user && this.gateway.identityOf(this.cached.token);
    if (!isCached) this.cached = { user, token: this.gateway.issue(user, this.between(40, 240)) };
    const { token } = this.cached;
    if (mode === 'hanging') return new Promise(() => {});
    if (mode === 'slow') await new Promise((resolve) => setTimeout(resolve, this.between(500, 20_000)));
    if (mode === 'failing') throw new Error('no network');
    return { null: null, bad: this.anyOf(['bad.1', 'bad.2']) }[mode] ?? (mode === 'null' ? null : token);
  }

  // What must hold at any time

  onSignedOut(reason) {
    this.note(`signedOut ${reason}`);
    if (!this.isSigningOut && this.chance(0.1)) this.client.reconnect();
    if ((reason === 'signed-out') !== this.isSigningOut) this.fail(`It was told of a signing out: ${reason}.`);
    if (reason === 'expired' && Date.now() - this.harmedAt > GRACE) this.fail('An identity has ended though there was a good token.');
  }

  onMessage({ type, channel }) {
    if (type !== 'subscribed') return;
    for (const it of this.subscriptions) {
      if (it.name === channel && !it.wantsSnapshot) it.seen ??= numberOf(it.subscription.position);
    }
  }

  subscribe(name, wantsSnapshot) {
    const subscription = this.client.subscribe(name, { snapshot: wantsSnapshot });
    const it = { name, wantsSnapshot, subscription, seen: wantsSnapshot ? undefined : numberOf(subscription.position), hasGap: false };
    this.subscriptions.add(it);
    const check = (what, isRight) => {
      if (!isRight) this.fail(`${what} on ${name} after ${it.seen}${it.hasGap ? ' and a gap' : ''}`);
      if (ownerOf(name) && this.isSignedOut) this.fail(`${what} on ${name} for who has signed out`);
      if (!this.subscriptions.has(it)) this.fail(`${what} on ${name}, which is closed`);
    };
    subscription.on('message', ({ data: { number } }) => {
      check(`message ${number}`, !it.hasGap && (it.seen === undefined ? !wantsSnapshot : number === it.seen + 1));
      it.seen = number;
    });
    subscription.on('snapshot', ({ up }) => {
      check(`snapshot ${up}`, it.seen === undefined || it.hasGap);
      [it.seen, it.hasGap] = [up, false];
    });
    subscription.on('gap', () => (it.hasGap = true));
    subscription.on('ended', ({ reason, again }) => again || this.isClosed || this.fail(`${name} has ended: ${reason}`));
  }

  authenticate() {
    const it = { source: { ...this.source }, at: Date.now() };
    this.isSignedOut = false;
    this.signingIn.add(it);
    const isSame = () => !this.isUnsteady(it.at) && this.source.user === it.source.user;
    this.client.authenticate().then(
      () => {
        this.note('authenticated');
        const { user } = this.client.status;
        if (isSame() && user !== this.source.user) this.fail(`${user} has signed in, and not ${this.source.user}.`);
      },
      ({ code }) => {
        this.note(`not authenticated: ${code}`);
        if (isSame() && !this.isSignedOut && !this.isClosed) this.fail(`Signing in has failed: ${code}.`);
      },
    ).finally(() => this.signingIn.delete(it));
  }

  /** Ask for something, as whoever is there. */
  ask() {
    const { user } = this.client.status;
    const { signOuts } = this;
    const id = `b${this.asked.length}`;
    const it = { user, signOuts };
    this.asked.push(it);
    this.asking.add(it);
    this.note(`ask ${id} as ${user}`);
    this.client.ack(id).then(
      () => this.note(`${id} is done`),
      ({ code }) => {
        this.note(`${id} is not done: ${code}`);
        const isTheirs = [undefined, user].includes(this.client.status.user) && user !== undefined;
        if (code === 'signed_out' && isTheirs && signOuts === this.signOuts) this.fail(`${id} has ended though ${user} has not signed out.`);
      },
    ).finally(() => this.asking.delete(it));
  }

  /** What the gateway has received is what its user has asked, and has not signed out since. */
  onReceived({ reservationId }, user) {
    const it = this.asked[Number(reservationId.slice(1))];
    this.note(`${reservationId} is received from ${user}`);
    if (user !== undefined && it.user !== undefined && it.user !== user) this.fail(`${user} asks what ${it.user} has asked.`);
    if (user !== undefined && it.signOuts !== this.signOuts && it.user !== user) this.fail(`${user} asks what was asked before a signing out.`);
  }

  /** Whether the source, or what refuses a client or its token, was other than good since a time. */
  isUnsteady = (since) => this.source.mode !== 'good' || this.source.changedAt >= since || this.refusedAt >= since;

  signOut() {
    this.isSigningOut = this.isSignedOut = true;
    this.signOuts++;
    this.client.signOut();
    this.isSigningOut = false;
    if (this.client.status.user !== undefined) this.fail('Who has signed out is somebody.');
  }

  /** The links that the client has not let go of. */
  links() {
    const open = sockets.filter((it) => !it.isDropped && it.readyState < 3);
    return { sockets: open, streams: streams.filter((it) => !it.isAborted) };
  }

  check() {
    const links = this.links();
    if (links.sockets.length + links.streams.length > 2) this.fail('There are more than two links.');
    if (sockets.some((it) => it.isDropped && it.closedWith === undefined)) this.fail('A socket was dropped and not closed.');
    if (this.isHarmed()) this.harmedAt = Date.now();
    assert.deepEqual(this.wrong, [], this.happened.slice(-400).join('\n'));
  }

  isHarmed() {
    const { passes, business } = this.gateway;
    const isCut = this.hasFallback ? passes.http !== 'pass' : passes.WebSocket !== 'pass';
    return isCut || this.source.mode !== 'good' || this.isHidden || business > 0 || this.isSignedOut;
  }

  async pass(ms, most = 250) {
    for (let left = ms; left > 0; left -= most) {
      mock.timers.tick(Math.ceil(Math.min(left, most)));
      await settle();
      this.gateway.look();
      this.check();
    }
  }

  become(mode, user) {
    this.source = { mode, user, changedAt: Date.now() };
  }

  show(isVisible) {
    this.isHidden = !isVisible;
    this.page.show(isVisible);
  }

  // How it ends

  /** Do no more harm, but let WebSockets be as they are where there is something else. */
  calm() {
    this.note('--- calm');
    this.become('good', this.source.user);
    Object.assign(this.gateway, { business: 0, slowness: 100 });
    this.gateway.passes.http = 'pass';
    if (!this.hasFallback) this.gateway.passes.WebSocket = 'pass';
    this.show(true);
    if (!this.isSignedOut || this.chance(0.5)) this.authenticate();
    else if (this.client.status.state === 'refused') this.client.reconnect();
  }

  async live(seconds) {
    for (let passed = 0; passed < seconds; passed += 20) {
      this.gateway.publish(this.anyOf(CHANNELS));
      await this.pass(20_000, 1000);
    }
  }

  /** What is not as it has to be once everything passes. */
  *faults() {
    const { client, subscriptions, gateway } = this;
    const user = this.isSignedOut ? undefined : this.source.user;
    const { state, user: actual } = client.status;
    if (state !== 'live' || actual !== user) yield `${actual} is ${state}, and not ${user} live`;
    if (this.signingIn.size) yield 'authenticate() has not settled';
    if (this.asking.size) yield 'ack() has not settled';
    for (const { name, seen, hasGap, subscription: { state } } of subscriptions) {
      const isTheirs = !ownerOf(name) || ownerOf(name) === user;
      const { end } = gateway.logOf(name);
      if (state !== (isTheirs ? 'live' : 'waiting')) yield `the subscription to ${name} is ${state}`;
      else if (isTheirs && (seen !== end || hasGap)) yield `${seen} was seen last of ${end} on ${name}${hasGap ? ', after a gap' : ''}`;
    }
  }

  /** What is used though a WebSocket passes. */
  *slowWays() {
    if (!sockets.some((it) => !it.isDropped && it.readyState === 1)) yield 'no WebSocket is used';
  }

  /** Wait until all is as it has to be; it is not for a moment each time that another token is shown. */
  async settle(faults, seconds) {
    for (let left = seconds; left > 0 && !faults().next().done; left--) await this.pass(1000);
    for (const fault of faults()) this.fail(fault);
    this.check();
  }

  async close() {
    this.isClosed = true;
    this.client.close();
    for (const it of this.subscriptions) this.subscriptions.delete(it);
    await this.live(60);
    const { sockets, streams } = this.links();
    assert.deepEqual([sockets.length, streams.length], [0, 0], 'what is left of a client that is closed');
  }
}
