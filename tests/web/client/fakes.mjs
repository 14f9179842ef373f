// What the client's rules are tested with: a clock that is moved by hand, a page, and sockets whose other end is the test.

import { mock } from 'node:test';

/** All sockets that were opened, in order. */
export const sockets = [];

export class FakeSocket {
  readyState = 0;
  sent = [];
  answersPings = false;

  constructor(url, protocols) {
    Object.assign(this, { url, protocols });
    sockets.push(this);
  }

  send(text) {
    const message = JSON.parse(text);
    this.sent.push(message);
    if (this.answersPings && message.type === 'ping') this.receive({ type: 'pong', live: true, asOf: Date.now(), positions: {} });
  }

  close(code) {
    this.closedWith ??= code;
    this.readyState = 3;
  }

  /** Whether the client has let go of it. */
  get isDropped() {
    return this.onmessage === null;
  }

  welcome(fields = {}) {
    this.readyState = 1;
    this.onopen?.({});
    this.receive({ type: 'welcome', connection: 'c', live: true, asOf: 1, lag: 0, ...fields });
    return this;
  }

  receive(...messages) {
    for (const message of messages) this.onmessage?.({ data: JSON.stringify(message) });
  }

  end(code = 1006, reason = '') {
    this.readyState = 3;
    this.onclose?.({ code, reason });
  }

  /** The messages of a type that the client has sent. */
  of(type) {
    return this.sent.filter((message) => message.type === type);
  }

  /** Answer the last subscription to a channel. */
  answer(channel, fields) {
    const { id } = this.of('subscribe').findLast((message) => message.channel === channel);
    this.receive({ type: 'subscribed', channel, id, ...fields });
  }
}

/** The page: its listeners, and whether it is visible. */
export class FakePage {
  #targets = { window: new EventTarget(), document: new EventTarget() };

  constructor() {
    const { window, document } = this.#targets;
    document.hidden = false;
    globalThis.addEventListener = window.addEventListener.bind(window);
    globalThis.document = document;
  }

  say(event, fields = {}) {
    this.#targets.window.dispatchEvent(Object.assign(new Event(event), fields));
  }

  show(isVisible) {
    this.#targets.document.hidden = !isVisible;
    this.#targets.document.dispatchEvent(new Event('visibilitychange'));
  }

  static remove() {
    delete globalThis.addEventListener;
    delete globalThis.document;
  }
}

const dayClock = Date.now;

/** Stop all clocks, and let every pause be as long as it may be; `advance` moves them. */
export function stopClocks() {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_800_000_000_000 });
  mock.method(performance, 'now', () => Date.now());
  mock.method(Math, 'random', () => 0.999_999);
  sockets.length = streams.length = 0;
}

export function restoreClocks() {
  mock.timers.reset();
  Date.now = dayClock;
  mock.restoreAll();
}

/** Let what is promised happen. */
export const settle = () => new Promise((resolve) => setImmediate(resolve));

export async function advance(seconds) {
  for (let left = seconds * 1000; left > 0; left -= 500) {
    mock.timers.tick(Math.min(500, left));
    await settle();
  }
}

/** Let the clock of the day go on while timers stand still, as when a machine sleeps. */
export function sleep(seconds) {
  const now = Date.now;
  Date.now = () => now() + seconds * 1000;
}

/** All streams that were opened by `fakeFetch`, in order. */
export const streams = [];

class FakeStream {
  isAborted = false;

  constructor(url, { headers, signal }) {
    this.url = new URL(url);
    this.headers = headers;
    this.channels = this.url.searchParams.getAll('channel');
    this.answer = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.body = new ReadableStream({ start: (controller) => (this.controller = controller) });
    signal.addEventListener('abort', () => {
      this.isAborted = true;
      this.reject(new Error('aborted'));
      try { this.controller.error(new Error('aborted')); } catch {}
    });
  }

  /** Answer, and greet as the gateway does. */
  async open(welcome = {}) {
    this.resolve({ ok: true, body: this.body });
    await this.write('retry: 1000\n:\n\n');
    await this.receive({ type: 'welcome', connection: 'c', live: true, asOf: 1, lag: 0, ...welcome });
    return this;
  }

  async refuse(status, code) {
    this.resolve({ ok: false, status, json: async () => ({ error: { code, message: `It is ${code}.` } }) });
    await settle();
  }

  async write(text) {
    this.controller.enqueue(typeof text === 'string' ? new TextEncoder().encode(text) : text);
    for (let turn = 0; turn < 3; turn++) await settle();
  }

  /** Send messages; a second element of a pair is the id of that event. */
  async receive(...messages) {
    const texts = messages.map((it) => {
      const [message, id] = Array.isArray(it) ? it : [it];
      return `${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(message)}\n\n`;
    });
    await this.write(texts.join(''));
  }

  /** End, as a connection that is cut. */
  async end() {
    this.controller.close();
    for (let turn = 0; turn < 3; turn++) await settle();
  }
}

export async function fakeFetch(url, options) {
  const stream = new FakeStream(url, options);
  streams.push(stream);
  return stream.answer;
}
