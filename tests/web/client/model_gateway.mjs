// A gateway of a few lines, and a network that does what a test wants of it.

import { FakeSocket, fakeFetch, streams } from './fakes.mjs';
import { Session } from './model_session.mjs';

const COMMENTS = 15_000; // ms between two positions that a stream is told
const encoder = new TextEncoder();

/** What lies between a client and the gateway: all that is sent arrives in its order, after a while, until it is cut. */
class Line {
  #ways = { up: [], down: [] };
  isOver = false;

  constructor(gateway) {
    this.gateway = gateway;
  }

  pass(way, arrive) {
    this.#ways[way].push(arrive);
    setTimeout(() => {
      const next = this.#ways[way].shift();
      if (!this.isOver) next();
    }, this.gateway.latency());
  }

  /** End it, as a router does that says so to the client; the gateway notices by itself. */
  cut() {
    if (this.isOver) return;
    this.isOver = true;
    this.gateway.leave(this);
    this.break();
  }

  /** Swallow everything, both ways. */
  silence() {
    this.isOver = true;
    this.gateway.leave(this);
  }
}

/** `passes` says what becomes of a `WebSocket` and of `http`: pass, cut, silent, or refused. */
export class Gateway {
  passes = { WebSocket: 'pass', http: 'pass' };
  slowness = 100; // ms
  business = 0; // the share of what cannot be answered now
  sessions = new Map(); // by line
  lines = new Set(); // with both ends
  #logs = new Map();
  #tokens = new Map();
  #revokedAt = new Map();

  /** @param onReceived Is told what is asked, and of which user. */
  constructor(random, onReceived) {
    this.random = (from, to) => from + random() * (to - from);
    this.onReceived = onReceived;
  }

  latency = () => Math.floor(this.random(0, this.slowness));
  isBusy = () => this.random(0, 1) < this.business;
  freshness = () => ({ live: true, asOf: Date.now(), lag: 0 });

  // The log, and tokens

  logOf(channel) {
    if (!this.#logs.has(channel)) this.#logs.set(channel, { begin: 0, end: 0 });
    return this.#logs.get(channel);
  }

  publish(channel) {
    this.logOf(channel).end++;
    for (const session of this.sessions.values()) if (session.places.has(channel)) session.catchUp(channel);
  }

  /** Have it forget what was before, so that nobody can resume there. */
  forget(channel) {
    const log = this.logOf(channel);
    log.begin = log.end;
  }

  issue(user, seconds) {
    const token = `${user}.${this.#tokens.size}`;
    this.#tokens.set(token, { user, issuedAt: Date.now(), endsAt: Date.now() + seconds * 1000 });
    return token;
  }

  identityOf(token) {
    const identity = this.#tokens.get(token);
    return identity && Date.now() < identity.endsAt && !(identity.issuedAt <= this.#revokedAt.get(identity.user)) ? identity : undefined;
  }

  revoke(user) {
    this.#revokedAt.set(user, Date.now());
    for (const session of this.sessions.values()) if (session.identity?.user === user) session.endIdentity('revoked');
  }

  // Connections

  look() {
    for (const session of this.sessions.values()) session.look();
  }

  announce() {
    for (const [line, session] of this.sessions) {
      session.tell({ type: 'going_away', closeIn: 5 });
      setTimeout(() => this.end(line, 1012, 'service_restart'), 5000);
    }
  }

  end(line, code, name) {
    if (!this.sessions.has(line)) return;
    this.leave(line);
    line.end(code, name);
  }

  leave(line) {
    this.sessions.delete(line);
    this.lines.delete(line);
  }

  /** A class of WebSockets whose other end it is. */
  get Socket() {
    const gateway = this;
    return class extends FakeSocket {
      line = new Line(gateway);

      constructor(url, protocols) {
        super(url, protocols);
        gateway.#accept(this, this.line, protocols[1]?.slice('bearer.'.length));
      }

      send(text) {
        super.send(text);
        this.line.pass('up', () => gateway.sessions.get(this.line)?.onMessage(JSON.parse(text)));
      }

      close(code) {
        super.close(code);
        this.line.silence();
      }
    };
  }

  #accept(socket, line, token) {
    this.lines.add(line);
    line.show = (message) => line.pass('down', () => socket.receive(message));
    line.end = (code, name) => line.pass('down', () => socket.end(code, name));
    line.break = () => socket.end();
    if (this.passes.WebSocket === 'silent') line.silence();
    else if (this.passes.WebSocket !== 'pass') setTimeout(() => line.cut(), this.latency());
    else {
      line.pass('up', () => {
        const identity = this.identityOf(token);
        line.pass('down', () => (socket.readyState = 1));
        if (!token || identity) this.sessions.set(line, new Session(this, line, identity));
        else {
          line.show({ type: 'error', code: 'bad_token', message: 'It is bad.' });
          line.end(4401, 'unauthenticated');
        }
      });
    }
  }

  /** A `fetch` whose other end it is. */
  fetch = (url, options) => {
    const answer = fakeFetch(url, options);
    const line = new Line(this);
    options.signal.addEventListener('abort', () => line.silence());
    this.#open(streams.at(-1), line, options.headers.Authorization?.slice('Bearer '.length));
    return answer;
  };

  #open(stream, line, token) {
    const places = stream.channels.map(() => '');
    this.lines.add(line);
    const write = (text) => line.pass('down', () => stream.controller.enqueue(encoder.encode(text)));
    const event = (message) => `data: ${JSON.stringify(message)}\n\n`;
    const refuse = (status, code) =>
      line.pass('down', () => stream.resolve({ ok: false, status, json: async () => ({ error: { code, message: `It is ${code}.` } }) }));
    line.show = (message) => {
      const { type, channel, position, recovered } = message;
      const number = stream.channels.indexOf(channel);
      const isDue = recovered === false || (stream.wantsSnapshot && !places[number]);
      if (position && number >= 0 && !(type === 'subscribed' && isDue)) places[number] = position;
      write(position && number >= 0 ? `id: ${places.join('.')}\n${event(message)}` : event(message));
    };
    line.end = (code, name) => {
      write(event({ type: 'close', code, name }));
      line.pass('down', () => stream.controller.close());
    };
    line.break = () => {
      stream.reject(new Error('cut'));
      try { stream.controller.close(); } catch {}
    };
    stream.wantsSnapshot = stream.url.searchParams.has('snapshot');
    if (this.passes.http === 'silent') line.silence();
    else if (this.passes.http === 'cut') setTimeout(() => line.cut(), this.latency());
    else if (this.passes.http === 'refused') refuse(503, 'draining');
    else line.pass('up', () => this.#serve(stream, line, token, places, refuse, write, event));
  }

  #serve(stream, line, token, places, refuse, write, event) {
    const identity = this.identityOf(token);
    if (token && !identity) {
      refuse(401, 'bad_token');
      return;
    }
    line.pass('down', () => stream.resolve({ ok: true, body: stream.body }));
    const session = new Session(this, line, identity);
    this.sessions.set(line, session);
    const since = stream.headers['Last-Event-ID']?.split('.') ?? [];
    stream.channels.forEach((channel, number) => {
      const position = since[number] || undefined;
      places[number] = position ?? '';
      session.onMessage({ type: 'subscribe', channel, position, snapshot: stream.wantsSnapshot });
    });
    const comment = () => {
      if (!this.sessions.has(line)) return;
      write(`:\n\nid: ${places.join('.')}\n\n${event({ type: 'pong', ...this.freshness() })}`);
      setTimeout(comment, COMMENTS);
    };
    setTimeout(comment, COMMENTS);
  }
}
