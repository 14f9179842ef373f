// @ts-check
/**
 * A client of the gateway for browsers and Node: subscriptions that outlive connections, without a gap and without a
 * repetition. What it offers is described in `mesaya-ws.d.ts`. No dependency, no build; what not every page needs is in the
 * files beside it, which are loaded when they are needed.
 *
 * One link (a WebSocket, or what stands in for one) is in use at a time, and at most one more is being opened, always by `#dial`:
 *
 *     what happens                             what is done
 *     welcome on the link being opened         it is in use; the one before is dropped, and all channels are subscribed
 *                                              from their positions, which include all that the one before has brought
 *     going_away                               dial; the link in use goes on meanwhile
 *     closed, broken, or no answer to a ping   dial, after a pause with full jitter
 *     closed with 4401                         likewise, but the token must be another one
 *     closed with a code of NEVER_AGAIN        refused, until `reconnect` or `authenticate` is called
 *     UNHEARD WebSockets cut before `welcome`  with `fallback`: the next link reads events by HTTP; while it is in use,
 *                                              a WebSocket is dialled from time to time
 *     online, visible, pageshow, after sleep   ping the link in use; without one, dial at once
 *     hidden for `pauseWhenHiddenFor`          drop the link, and dial when the page is visible again
 *
 * @module
 */

/** @typedef {import("./mesaya-ws.d.ts").Options} Options */
/** @typedef {import("./mesaya-ws.d.ts").Status} Status */
/** @typedef {import("./mesaya-ws.d.ts").SubscribeOptions} SubscribeOptions */
/** @typedef {Record<string, any>} Json */
/** @typedef {{recovered: boolean, replayed: number, reason?: string}} Answer */
/** @typedef {"connect" | "expiring" | "rejected"} Why */

const PAUSES = { least: 500, most: 30_000 }; // ms: the longest pause after the first failure, and after many
const PROBES = { least: 2_500, most: 120_000 }; // the same between attempts with a WebSocket, while the fallback is in use
const UNHEARD = 2; // WebSockets in a row that are cut before the gateway is heard; one that is silent counts for as many
const OPEN_TIMEOUT = 15_000; // ms from dialling to `welcome`
const TOKEN_TIMEOUT = 30_000; // ms that the token source may take
const LOCK_TIMEOUT = 5_000; // ms that another tab may hold the lock: it may be frozen
const TICK = 5_000; // ms between two looks at the clocks
const SILENCE = 30_000; // ms after which a visible page pings
const POSITIONS = 60_000; // ms after which a ping brings the positions of quiet channels, before the log removes them
const PATIENCE = { least: 5_000, most: 60_000 }; // ms for the answer to a ping; longer each time that there is none, since
// an answer waits for the large snapshot before it
const STANDSTILL = 10_000; // ms in which `asOf` has to advance
const LINGER = 100; // ms that a channel stays subscribed without subscriptions: pages mount and unmount
const KEPT = { messages: 500, characters: 2 ** 21 }; // a snapshot and what followed, for subscriptions that come later
const WAITING = 10_000; // messages that an iteration may leave waiting
const POSITIONS_KEPT_FOR = 30 * 24 * 3_600_000; // ms after their last use: gateways keep seven days by default

/** Close codes after which another attempt would end in the same way (docs/protocol.md). */
const NEVER_AGAIN = [1002, 1003, 1007, 1009, 4029, 4429];
const UNAUTHENTICATED = 4401;
const REJECTED = "The token was not accepted.";

/** Channels that are not open to everybody. */
const PRIVATE = /^user|:.+:(res|chat)/;

/** What a sub-protocol may hold (RFC 9110, 5.6.2): a handshake with anything else cannot be sent. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/;

/** Why the gateway ends a subscription that may come back: with the next token. */
const SIGNED_OUT = /** @type {Record<string, "expired" | "revoked" | "signed-out">} */ ({
  token_expired: "expired",
  revoked: "revoked",
  signed_out: "signed-out",
});

const scope = /** @type {any} */ (globalThis);
const dispose = /** @type {typeof Symbol.dispose} */ (Symbol.dispose ?? Symbol("dispose"));
const isVisible = () => !scope.document?.hidden;

/** @param {number} failures @param {{least: number, most: number}} range */
const grown = (failures, range) => Math.min(range.most, range.least * 2 ** failures);

/** @param {unknown} error */
const report = (error) => (scope.reportError ?? console.error)(error);

/** Return an id that nobody else has; `crypto.randomUUID` is missing on pages without TLS. */
const uniqueId = () => crypto.getRandomValues(new Uint32Array(4)).join("-");

/** An error that the gateway has answered, or the end of a subscription; `code` is one of docs/protocol.md. */
export class MesaYAError extends Error {
  /** @param {string} code @param {string} message @param {string} [channel] @param {any} [answer] */
  constructor(code, message, channel, answer) {
    super(message);
    this.name = "MesaYAError";
    this.code = code;
    this.channel = channel;
    this.answer = answer;
  }
}

/** Listeners by event. What one of them throws concerns nobody else. */
class Emitter {
  /** @type {Map<string, Set<{f: Function}>>} */
  #listeners = new Map();

  /** @param {string} event @param {Function} f @param {AbortSignal} [signal] @returns {() => void} */
  on(event, f, signal) {
    if (signal?.aborted) return () => {};
    const entry = { f };
    const all = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, all.add(entry));
    const off = () => {
      all.delete(entry);
      signal?.removeEventListener("abort", off);
    };
    signal?.addEventListener("abort", off);
    return off;
  }

  /** @param {string} event @param {...unknown} values */
  emit(event, ...values) {
    for (const { f } of [...(this.#listeners.get(event) ?? [])]) {
      try {
        f(...values);
      } catch (error) {
        report(error);
      }
    }
  }
}

/** Return a `Store`, and what gives it another value. @param {any} [value] */
function storeOf(value) {
  const changes = new Emitter();
  const get = () => value;
  const subscribe = (/** @type {() => void} */ f) => changes.on("change", f);
  const observable = () => ({
    subscribe: (/** @type {any} */ observer) => {
      const next = () => (observer.next ? observer.next(value) : observer(value));
      if (value !== undefined) next();
      return { unsubscribe: subscribe(next) };
    },
  });
  const set = (/** @type {any} */ next) => {
    const before = value;
    value = next;
    if (!Object.is(before, next)) changes.emit("change");
  };
  const store = { get, subscribe, "@@observable": observable, [scope.Symbol.observable ?? "@@observable"]: observable };
  return { store, set };
}

/**
 * Return what makes methods that call those of something that is loaded, with the turn in which they were called.
 * Nobody needs to listen when one is refused.
 * @param {() => Promise<any>} load @param {{turn: AbortController}} whose
 */
const methodsOf = (load, whose) => (/** @type {string} */ name) => (/** @type {any[]} */ ...given) => {
  const { turn } = whose;
  const done = load().then((it) => it[name](turn.signal, ...given));
  done.catch(() => {});
  return done;
};

/** A promise, and what settles it; nobody needs to listen when it is rejected. */
class Deferred {
  resolve = /** @type {(value?: any) => void} */ (() => {});
  reject = /** @type {(error: unknown) => void} */ (() => {});
  /** @type {Promise<any>} */
  promise = new Promise((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
  constructor() {
    this.promise.catch(() => {});
  }
}

/** A WebSocket, until it is dropped or has ended. */
class Link {
  heardAt = performance.now();
  answeredAt = this.heardAt;
  shownAt = this.heardAt; // its token
  /** @type {any} Runs while a ping is not answered. */
  pinging;
  /** @type {any} Runs until `welcome`. */
  opening;
  /** @type {{why?: Why, id?: number, token?: string | null} | undefined} The last `auth`, from asking for its token to its answer. */
  auth;
  /** Whether it is to be replaced: the gateway goes away, or takes another token on another link alone. */
  isStale = false;
  /** @type {Json | undefined} The last error that named no message of ours: why the link is closed. */
  error;

  /** @param {any} socket @param {string | null} token @param {boolean | undefined} isFallback */
  constructor(socket, token, isFallback) {
    this.socket = socket;
    this.token = token;
    this.isFallback = isFallback;
  }

  /** @param {Json} message */
  send(message) {
    if (this.socket.readyState === 1) this.socket.send(JSON.stringify(message));
  }

  /** Have nothing more to do with it; a peer that is gone is not waited for. */
  drop() {
    clearTimeout(this.pinging);
    clearTimeout(this.opening);
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close(1000);
  }
}

/** What is subscribed on the wire once, for all subscriptions to it. */
class Channel {
  /** @type {Set<Subscription>} */
  subscriptions = new Set();
  /** @type {string | undefined} That of the last message. */
  position;
  /** @type {boolean | undefined} Whether one of the subscriptions needs the state. */
  snapshot;
  /** @type {number | undefined} With how many of the last events it begins. */
  history;
  /** @type {boolean | undefined} Whether one of the subscriptions shows who else is there. */
  hasPresence;
  /** @type {Json | undefined} Who is there. */
  presence;
  /** The last `subscribe`; 0 if there was none, or it was refused. */
  id = 0;
  /** Whether the last `subscribe` has been answered on the link in use. */
  live = false;
  /** @type {string | null | undefined} The token with which the channel was refused: it is asked for with another one. */
  refused;
  /** @type {Answer | undefined} */
  answer;
  /** @type {Json[] | undefined} The last snapshot, and what followed it. */
  kept;
  size = 0;
  /** @type {any} Runs while it has no subscriptions. */
  leaving;

  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }

  /** @param {(subscription: Subscription) => void} act */
  each(act) {
    [...this.subscriptions].forEach(act); // which may change meanwhile
  }

  /** @param {Json} message @param {number} size */
  deliver(message, size) {
    if (message.type === "presence") this.presence = message;
    if (message.type === "snapshot") {
      this.kept = [];
      this.size = 0;
    }
    if (this.kept && message.position !== undefined) {
      this.kept.push(message);
      this.size += message.type === "snapshot" ? 0 : size;
      if (this.kept.length > KEPT.messages || this.size > KEPT.characters) this.kept = undefined;
    }
    this.each((one) => one.deliver(message));
  }

  /** @param {string} reason */
  gap(reason) {
    this.kept = undefined;
    this.each((one) => one.deliver({ type: "gap", channel: this.name, reason }));
  }
}

/** See `Subscription` in `mesaya-ws.d.ts`. */
class Subscription {
  #channel;
  #options;
  #leave;
  #events = new Emitter();
  #ready = new Deferred();
  #isOver = false;
  #isHeard = false;
  /** @type {Json[] | undefined} What the first listeners are told in a moment, when all of them are there. */
  #backlog;
  #abort = () => this.close();

  /** @param {Channel} channel @param {SubscribeOptions} options @param {() => void} leave */
  constructor(channel, options, leave) {
    this.#channel = channel;
    this.#options = options;
    this.#leave = leave;
    this.channel = channel.name;
    this.ready = this.#ready.promise;
    options.signal?.addEventListener("abort", this.#abort);
  }

  get state() {
    return this.#isOver ? "ended" : this.#channel.live ? "live" : "waiting";
  }

  get position() {
    return this.#channel.position;
  }

  /** @param {string} event @param {Function} listener */
  on(event, listener) {
    if ((event === "message" || event === "snapshot") && !this.#isHeard) {
      // Its first listeners miss nothing, though others have the channel already, or the answer came before them.
      this.#isHeard = true;
      const backlog = (this.#backlog = [...this.#kept()]);
      queueMicrotask(() => {
        this.#backlog = undefined;
        for (const message of backlog) this.#emit(message);
      });
    }
    const channel = this.#channel;
    if (event === "presence" && channel.presence) queueMicrotask(() => channel.presence && listener(channel.presence));
    return this.#events.on(event, listener);
  }

  /** @param {(state: any, message: any) => any} reduce */
  store(reduce) {
    const { store, set } = storeOf();
    const take = (/** @type {Json | undefined} */ message) =>
      message && message.type !== "gap" && set(reduce(store.get(), message));
    this.#kept().forEach(take);
    this.#events.on("*", take);
    return store;
  }

  [Symbol.asyncIterator]() {
    const queue = [...this.#kept()];
    let wake = /** @type {(value?: any) => void} */ (() => {});
    let isSlow = false;
    let isOver = this.#isOver;
    const end = () => {
      isOver = true;
      off();
      wake();
    };
    const off = this.#events.on("*", (/** @type {Json | undefined} */ message) => {
      if (message) isSlow ||= queue.push(message) > WAITING;
      else end();
      wake();
    });
    const iteration = (async function* () {
      try {
        for (;;) {
          while (queue.length && !isSlow) yield queue.shift();
          if (isSlow) throw new MesaYAError("slow", "The iteration was too slow.");
          if (isOver) return;
          await new Promise((resolve) => (wake = resolve));
        }
      } finally {
        end();
      }
    })();
    // One that has not begun, or waits, does not come by its `finally`.
    const leave = iteration.return.bind(iteration);
    iteration.return = (/** @type {any} */ value) => (end(), leave(value));
    return iteration;
  }

  close() {
    if (this.#isOver) return;
    this.#over(new MesaYAError("closed", "The subscription was closed.", this.channel));
    this.#leave();
  }

  [dispose]() {
    this.close();
  }

  // What the client does with it

  /** @param {Json} message */
  deliver(message) {
    const { type } = message;
    if (type === "presence") return this.#events.emit(type, message);
    if (this.#backlog?.length) this.#backlog.push(message);
    else this.#emit(message);
    this.#events.emit("*", message);
  }

  /** @param {Answer} answer */
  answered(answer) {
    this.#ready.resolve(answer);
  }

  /** @param {MesaYAError} error @param {boolean} again */
  ended(error, again) {
    if (again) this.#ready.reject(error);
    else this.#over(error);
    this.#events.emit("ended", { reason: error.code, again });
  }

  /** @param {MesaYAError} error */
  #over(error) {
    this.#isOver = true;
    this.#options.signal?.removeEventListener("abort", this.#abort);
    this.#ready.reject(error);
    this.#events.emit("*");
  }

  #kept() {
    return (this.#options.snapshot && !this.#isOver && this.#channel.kept) || [];
  }

  /** @param {Json} message */
  #emit(message) {
    const { type } = message;
    if (this.#isOver) return;
    if (type === "snapshot") this.#events.emit(type, message.data, message.position);
    else this.#events.emit(type === "gap" ? type : "message", message);
  }
}

/**
 * Return what gets the position that is kept of a channel, or with a `position` keeps that; a storage that throws is none.
 * In a `Storage`, each has the time beside it: those that are there at first, of whatever gateway, are forgotten when old.
 * @param {any} storage @param {string} url
 */
function positionsIn(storage, url) {
  const isStorage = Boolean(storage?.setItem);
  const partsOf = (/** @type {string} */ key) => storage.getItem(key)?.split(" ") ?? [];
  try {
    for (const it of Object.keys(isStorage && storage))
      if (it.startsWith("mesaya-ws ") && !(Date.now() - +partsOf(it)[1] < POSITIONS_KEPT_FOR)) storage.removeItem(it);
  } catch {}
  /** @param {string} channel @param {string} [position] */
  return (channel, position) => {
    const key = `mesaya-ws ${url} ${channel}`;
    try {
      if (!isStorage) return position ? (storage[channel] = position) : storage[channel];
      if (position) return storage.setItem(key, `${position} ${Date.now()}`);
      return partsOf(key)[0];
    } catch {}
  };
}

/** Let one tab at a time ask for a token. @template T @param {() => Promise<T>} ask @returns {Promise<T>} */
async function inTurn(ask) {
  const locks = scope.navigator?.locks;
  if (!locks) return ask();
  let isGranted = false;
  try {
    return await locks.request("mesaya-ws token", { signal: AbortSignal.timeout(LOCK_TIMEOUT) }, () => {
      isGranted = true;
      return ask();
    });
  } catch (error) {
    if (isGranted) throw error;
    return ask();
  }
}

/** See `MesaYA` in `mesaya-ws.d.ts`. */
export class MesaYA {
  #url;
  #options;
  #stored;
  #events = new Emitter();
  #hints = new AbortController();
  /** @type {Map<string, Channel>} */
  #channels = new Map();
  /** @type {Promise<any> | undefined} What is loaded when it is needed. */
  #requests;
  /** @type {Link | undefined} The one in use. */
  #link;
  /** @type {Link | undefined} The one being opened. */
  #opening;
  /** @type {object | undefined} The attempt under way: it asks for a token, or opens a link. */
  #attempt;
  #failures = 0;
  /** WebSockets in a row of which there was no sign of life. */
  #unheard = 0;
  #unanswered = 0;
  #ids = 0;
  /** @type {any} */ #retry;
  /** @type {any} */ #renewal;
  /** @type {any} */ #ticking;
  /** @type {any} */ #pausing;
  #tickedAt = Date.now();

  /** @type {string | null | undefined} The token that was not accepted. */
  #rejected;
  /** @type {{why?: Why, promise: Promise<string | null>} | undefined} */
  #asking;
  /** @type {Deferred | undefined} What `authenticate` waits for. */
  #signingIn;
  #isSignedOut = false;
  /** @type {string | undefined} */
  #user;
  /**
   * Whose turn it is, as soon as that is known. The turn is aborted when the user has signed out, or is another one: what was
   * asked in it is not done after that.
   * @type {{turn: AbortController, user?: string}}
   */
  #whose = { turn: new AbortController() };

  /** @type {"closed" | "refused" | "paused" | undefined} Why there is to be no link. */
  #rest;
  /** @type {Status["reason"]} */
  #reason;
  /** @type {number | undefined} */
  #retryIn;
  /** @type {{live: boolean, asOf?: number, lag?: number, movedAt: number, isMoving: boolean}} */
  #freshness = { live: false, movedAt: 0, isMoving: true };
  /** @type {Status} */
  status = Object.freeze({ state: "connecting", since: Date.now() });

  #call = methodsOf(() => this.#load(), this.#whose);
  publish = this.#call("publish");
  ack = this.#call("ack");
  hold = this.#call("hold");

  /** @param {string} url @param {Options} [options] */
  constructor(url, options = {}) {
    const { href } = new URL(url, scope.location?.href);
    this.#url = href.replace(/^http/, "ws").replace(/#.*/, "");
    if (!/^wss?:/.test(this.#url)) throw new TypeError("A gateway's URL is wss://host/ws.");
    this.#options = options;
    this.#stored = positionsIn(options.positions, this.#url);
    const signal = { signal: this.#hints.signal };
    scope.addEventListener?.("online", () => this.#wake(), signal);
    scope.addEventListener?.("offline", () => (this.#ping(), this.#update()), signal);
    scope.addEventListener?.("pageshow", (/** @type {any} */ event) => event.persisted && this.#wake(), signal);
    scope.document?.addEventListener("visibilitychange", () => this.#onVisibility(), signal);
    this.#ticking = setInterval(() => this.#tick(), TICK);
    this.#dial();
    this.#onVisibility();
  }

  /** @param {string} event @param {Function} listener @param {{signal?: AbortSignal}} [options] */
  on(event, listener, options) {
    return this.#events.on(event, listener, options?.signal);
  }

  /** @param {string} name @param {SubscribeOptions} [options] */
  subscribe(name, options = {}) {
    const known = this.#channels.get(name);
    const it = known ?? new Channel(name);
    this.#channels.set(name, it);
    const isPresenceNews = options.presence && !it.hasPresence;
    it.hasPresence ||= options.presence;
    const subscription = new Subscription(it, options, () => this.#leave(it, subscription));
    if (!known) {
      it.snapshot = options.snapshot;
      it.position = options.position ?? (it.snapshot ? undefined : this.#stored(name));
      it.history = options.history;
      this.#ask(it);
    } else if (options.snapshot && !it.kept && (!it.snapshot || it.position !== undefined)) {
      // The state must be asked for. What follows it may have been received before, and what lies between may be in it.
      if (it.position !== undefined) it.gap("resubscribed");
      it.snapshot = true;
      it.position = undefined;
      this.#ask(it);
    } else if (isPresenceNews) {
      this.#ask(it); // from its position
    } else if (it.answer && it.live) {
      subscription.answered(it.answer);
    }
    it.subscriptions.add(subscription);
    if (this.#rest === "closed" || options.signal?.aborted) subscription.close();
    return subscription;
  }

  /** Its stores are there at once; the rest of it is loaded meanwhile. @param {string} restaurant @param {string} [user] */
  chat(restaurant, user) {
    const stores = [storeOf([]), storeOf(0), storeOf([])];
    const conversation = this.#load().then((requests) => requests.chat(stores, restaurant, user));
    const call = methodsOf(() => conversation, this.#whose);
    const [messages, unread, typing] = stores.map((it) => it.store);
    /** @type {any} */
    const chat = { messages, unread, typing };
    for (const name of ["edit", "remove", "more", "read", "type", "close"]) chat[name] = call(name);
    chat[dispose] = chat.close;
    chat.send = (/** @type {string} */ text, /** @type {string[]} */ attachments) => {
      /** @type {any} */
      const sent = { id: uniqueId(), drop: () => call("drop")(sent) };
      sent.retry = () => {
        sent.status = "pending";
        sent.done = call("send")(sent, text, attachments);
      };
      sent.retry();
      return sent;
    };
    return chat;
  }

  /** Load what awaits answers, with the first request, however often that fails. @returns {Promise<any>} */
  #load() {
    const send = (/** @type {Json} */ message) => this.#link?.send(message);
    /** @type {() => Promise<any>} */
    const load = () =>
      import("./mesaya-ws-requests.js").then(
        ({ Requests }) => new Requests(/** @type {any} */ (this), send, MesaYAError),
        async (error) => {
          this.#events.emit("error", error);
          await new Promise((resolve) => setTimeout(resolve, TICK));
          if (this.#rest === "closed") throw error;
          return load();
        },
      );
    return (this.#requests ??= load());
  }

  authenticate() {
    if (this.#rest === "closed") return Promise.reject(new MesaYAError("closed", "The client was closed."));
    const { promise } = (this.#signingIn ??= new Deferred());
    this.#isSignedOut = false;
    this.#rejected = undefined;
    if (this.#asking) this.#asking.why = undefined; // who has signed in now, it may not know yet
    if (this.#attempt) this.#redial(); // which may have asked for its token before
    else if (this.#link && !this.#options.user) this.#renew("connect");
    else this.reconnect();
    return promise;
  }

  signOut() {
    this.#isSignedOut = true;
    const error = this.#endTurn();
    this.#signingIn?.reject(error);
    this.#signingIn = undefined;
    if (this.#attempt || this.#link?.isFallback) this.reconnect();
    else if (this.#link) this.#sendToken(this.#link, null);
    this.#onSignedOut("signed-out");
    // What is on its way to the user is nobody's any more.
    this.#channels.forEach((it) => it.id && PRIVATE.test(it.name) && this.#setAside(it, null, error));
  }

  reconnect() {
    if (this.#rest === "closed") return;
    this.#stop();
    this.#rest = undefined;
    this.#failures = 0;
    this.#dial();
  }

  close() {
    if (this.#rest === "closed") return;
    this.#rest = "closed";
    this.#stop();
    this.#hints.abort();
    clearInterval(this.#ticking);
    clearTimeout(this.#pausing);
    const error = new MesaYAError("closed", "The client was closed.");
    for (const channel of [...this.#channels.values()]) this.#end(channel, error);
    this.#signingIn?.reject(error);
    this.#update();
  }

  [dispose]() {
    this.close();
  }

  // Links

  /** @param {boolean} [isProbe] Whether a WebSocket is tried while the link in use is the fallback. */
  async #dial(isProbe) {
    this.#rush();
    if (this.#rest || this.#attempt) return;
    const attempt = (this.#attempt = {});
    this.#update();
    let token;
    try {
      token = await this.#token(this.#rejected === undefined ? "connect" : "rejected");
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#attempt = undefined;
      this.#later(0, "no_token", `No token: ${error}`);
      return;
    }
    if (attempt !== this.#attempt) return;
    if (token === this.#rejected) {
      this.#refuse(UNAUTHENTICATED, "unauthenticated", this.#reason?.message ?? REJECTED);
      return;
    }
    const { fallback, fetch } = this.#options;
    const isFallback = fallback && !isProbe && this.#unheard >= UNHEARD;
    let socket;
    try {
      const Socket = isFallback
        ? (await import("./mesaya-ws-events.js")).EventSocket
        : this.#options.WebSocket ?? scope.WebSocket;
      if (attempt !== this.#attempt) return;
      socket = new Socket(this.#url, token ? ["mesaya.v1", `bearer.${token}`] : [], isFallback ? fetch : undefined);
    } catch (error) {
      if (attempt !== this.#attempt) return;
      this.#attempt = undefined;
      if (token && !TOKEN.test(token)) {
        this.#rejected = token;
        this.#later(UNAUTHENTICATED, "bad_token", REJECTED);
      } else if (fallback) {
        this.#unheard = isFallback ? 1 : UNHEARD;
        this.#later(0, "no_socket", String(error));
      } else {
        this.#refuse(0, "no_websocket", String(error)); // there is no such class, or a page of https asks for ws
      }
      return;
    }
    const link = (this.#opening = new Link(socket, token, isFallback));
    link.socket.onmessage = (/** @type {any} */ event) => this.#receive(link, event.data);
    link.socket.onerror = () => {};
    link.socket.onclose = (/** @type {any} */ event) => this.#onEnd(link, event.code, event.reason);
    link.opening = setTimeout(() => this.#onEnd(link, 1006, "no_welcome"), OPEN_TIMEOUT);
  }

  /** Dial instead of what is being opened: that has another token, or tries a way that may be silent for long. */
  #redial() {
    if (this.#link) this.#link.isStale = true;
    this.#abandon();
    this.#dial();
  }

  /** @param {Link} link @param {number} code @param {string} reason */
  #onEnd(link, code, reason) {
    link.drop();
    this.#log(`ended: ${code} ${reason}`);
    if (link === this.#link) {
      if (link.isFallback && !this.#opening?.isFallback) this.#stop(); // a WebSocket that is tried is not waited for
      this.#unuse();
      this.#rush();
    } else if (link === this.#opening) {
      this.#opening = this.#attempt = undefined;
      if (code === 1006) this.#unheard = link.isFallback ? 1 : this.#unheard + (reason ? UNHEARD : 1);
    } else {
      return;
    }
    const name = reason || link.error?.code || "abnormal";
    const message = link.error?.message ?? `The connection has ended: ${name}.`;
    if (code === UNAUTHENTICATED) this.#rejected = link.token;
    if (NEVER_AGAIN.includes(code) && !this.#link && !this.#opening) this.#refuse(code, name, message);
    else this.#later(code, name, message);
  }

  /** Dial after a pause, unless that is under way. @param {number} code @param {string} name @param {string} message */
  #later(code, name, message) {
    if (!this.#link) this.#reason = { code, name, message };
    this.#schedule();
    this.#update();
  }

  #schedule() {
    if (!this.#attempt && !this.#retry) {
      const isProbe = this.#link?.isFallback && !this.#link.isStale;
      const pause = Math.random() * (isProbe ? grown(this.#unheard, PROBES) : grown(this.#failures++, PAUSES));
      this.#retryIn = this.#link ? undefined : pause / 1000;
      this.#retry = setTimeout(() => this.#dial(isProbe), pause);
    }
  }

  /** Have no pause. */
  #rush() {
    clearTimeout(this.#retry);
    this.#retry = this.#retryIn = undefined;
  }

  /** @param {number} code @param {string} name @param {string} message */
  #refuse(code, name, message) {
    this.#stop();
    this.#rest = "refused";
    this.#reason = { code, name, message };
    this.#onAuthFailure(new MesaYAError(name, message));
    if (code === UNAUTHENTICATED) this.#onSignedOut("expired");
    this.#update();
  }

  /** Open no link. */
  #abandon() {
    this.#opening?.drop();
    this.#opening = this.#attempt = undefined;
  }

  /** Have no link, and open none. */
  #stop() {
    this.#rush();
    this.#abandon();
    this.#link?.drop();
    this.#unuse();
  }

  #unuse() {
    clearTimeout(this.#renewal);
    this.#link = undefined;
    this.#channels.forEach((it) => (it.live = false));
  }

  /** @param {Link} link @param {Json} welcome */
  #use(link, welcome) {
    clearTimeout(link.opening);
    this.#link?.drop();
    this.#unuse();
    this.#link = link;
    this.#opening = this.#attempt = this.#reason = this.#rejected = undefined;
    this.#freshness = /** @type {any} */ ({ ...welcome, movedAt: link.heardAt, isMoving: true });
    const { user, roles } = this.#options;
    const isUser = user && !this.#isSignedOut;
    if (isUser) link.send({ type: "auth", user, roles });
    this.#channels.forEach((it) => (isUser || it.refused !== link.token) && this.#ask(it));
    if (link.isFallback) this.#schedule();
    else this.#unheard = 0;
    this.#onIdentity(welcome.user ?? (user && this.#user)); // whose listeners may subscribe, too
  }

  // Hints, which are not the truth

  #wake() {
    if (this.#rest === "paused") this.#rest = undefined;
    if (this.#link) this.#ping();
    else this.#dial();
  }

  #onVisibility() {
    const { pauseWhenHiddenFor = 300 } = this.#options;
    clearTimeout(this.#pausing);
    const pause = () => {
      if (this.#rest) return;
      this.#stop();
      this.#rest = "paused";
      this.#update();
    };
    if (isVisible()) this.#wake();
    else if (pauseWhenHiddenFor) this.#pausing = setTimeout(pause, pauseWhenHiddenFor * 1000);
  }

  #tick() {
    const before = this.#tickedAt;
    const link = this.#link;
    this.#tickedAt = Date.now();
    const now = performance.now();
    if (isVisible() && this.#tickedAt - before > 3 * TICK) this.#wake(); // timers stand still while a machine sleeps
    else if (link && ((isVisible() && now - link.heardAt > SILENCE) || now - link.answeredAt > POSITIONS)) this.#ping();
  }

  #ping() {
    const link = this.#link;
    if (!link || link.pinging) return;
    link.pinging = setTimeout(() => {
      this.#unanswered++;
      this.#onEnd(link, 1006, "no_answer");
    }, grown(this.#unanswered, PATIENCE));
    link.send({ type: "ping" });
  }

  // Messages

  /** @param {Link} link @param {unknown} text */
  #receive(link, text) {
    link.heardAt = performance.now();
    clearTimeout(link.pinging);
    link.pinging = undefined;
    /** @type {Json | undefined} */
    let message;
    try {
      message = JSON.parse(/** @type {string} */ (text));
    } catch {}
    if (typeof message?.type !== "string") {
      this.#onEnd(link, 1006, "not_the_gateway");
      return;
    }
    if (message.type === "welcome" && link === this.#opening) this.#use(link, message);
    if (message.type === "error" && message.id === undefined) link.error = message;
    if (link === this.#link) this.#onMessage(link, message, /** @type {string} */ (text).length);
  }

  /** @param {Link} link @param {Json} m @param {number} size */
  #onMessage(link, m, size) {
    const channel = this.#channels.get(m.channel);
    if ("live" in m) this.#onFreshness(m);
    switch (m.type) {
      case "pong":
        link.answeredAt = link.heardAt;
        this.#failures = this.#unanswered = 0;
        for (const [name, position] of Object.entries(m.positions ?? {})) {
          const quiet = this.#channels.get(name);
          if (quiet?.live && quiet.position !== undefined) this.#keep(quiet, position);
        }
        break;
      case "going_away":
        this.#redial();
        break;
      case "token_expiring": {
        // A token that ends soon after it was shown is used for half of its life: the next one may be no longer.
        const used = link.heardAt - link.shownAt;
        this.#renewLater("expiring", 0, Math.max(0, 1000 - used, m.expiresIn * 500 - used));
        break;
      }
      case "authenticated":
        if (m.id === link.auth?.id) this.#onAuthenticated(link, m);
        break;
      case "subscribed":
        if (channel && m.id === channel.id) this.#onSubscribed(channel, m);
        break;
      case "unsubscribed":
        if (channel?.id && m.reason) this.#onUnsubscribed(link, channel, m);
        break;
      case "error":
        this.#onError(link, channel, m);
        break;
      default:
        // What has an id answers a request, such as one on this channel.
        if (channel?.live && m.id === undefined) {
          if (m.recovered === false) channel.gap(m.reason);
          channel.position = m.position ?? channel.position;
          channel.deliver(m, size);
          if (m.position) this.#stored(channel.name, m.position);
        }
    }
    this.#events.emit("message", m);
  }

  /** @param {Channel} channel */
  #ask(channel) {
    channel.live = false;
    if (!this.#link) return;
    channel.refused = undefined;
    channel.id = ++this.#ids;
    const { name, id, position, hasPresence, snapshot, history } = channel;
    const first = position === undefined && { snapshot: snapshot || undefined, history };
    this.#link.send({ type: "subscribe", channel: name, id, position, ...first, presence: hasPresence || undefined });
  }

  /** @param {Channel} channel @param {string} position */
  #keep(channel, position) {
    channel.position = position;
    this.#stored(channel.name, position);
  }

  /** @param {Channel} channel @param {Json} m */
  #onSubscribed(channel, m) {
    const { recovered, replayed = 0, reason } = m;
    this.#failures = 0;
    channel.live = true;
    const answer = (channel.answer = { recovered: recovered === true, replayed, reason });
    // Until its snapshot has arrived, a channel keeps the position before: if the link breaks, that brings it again.
    if (recovered === false) channel.gap(reason);
    else if (channel.position !== undefined || !channel.snapshot) this.#keep(channel, m.position);
    channel.each((one) => one.answered(answer));
  }

  /** @param {Link} link @param {Channel} channel @param {Json} m */
  #onUnsubscribed(link, channel, m) {
    const why = SIGNED_OUT[m.reason];
    // While it is asked for again, what came before has not been taken.
    if (channel.live && m.position !== undefined && channel.position !== undefined) this.#keep(channel, m.position);
    const error = new MesaYAError(m.reason, `The subscription has ended: ${m.reason}.`, channel.name);
    if (!why) {
      this.#end(channel, error);
      return;
    }
    this.#setAside(channel, link.token, error);
    if (!this.#isSignedOut && why !== "signed-out") {
      this.#rejected = link.token;
      if (this.#onSignedOut(why)) this.#renew("rejected");
    }
  }

  /** @param {Link} link @param {Channel | undefined} channel @param {Json} m */
  #onError(link, channel, m) {
    const error = new MesaYAError(m.code, m.message, m.channel, m);
    if (m.code === "not_subscribed" || typeof m.id === "string") return; // whose id is a text, that is a request's
    if (m.id !== undefined && m.id === link.auth?.id) {
      this.#onAuthError(link, error);
      return;
    }
    if (channel && m.id === channel.id) {
      if (m.code === "unavailable") {
        const again = () => channel.id === m.id && this.#channels.get(channel.name) === channel && this.#ask(channel);
        setTimeout(again, (1 + Math.random()) * PAUSES.least * 2);
        return;
      }
      if (m.code === "unauthorized") this.#setAside(channel, link.token, error);
      else this.#end(channel, error);
    }
    this.#events.emit("error", error);
  }

  /** Wait with a channel for another token. @param {Channel} channel @param {string | null} token @param {MesaYAError} error */
  #setAside(channel, token, error) {
    channel.live = false;
    channel.id = 0;
    channel.presence = channel.kept = undefined;
    channel.refused = token;
    channel.each((one) => one.ended(error, true));
  }

  /** @param {Channel} channel @param {MesaYAError} error */
  #end(channel, error) {
    this.#channels.delete(channel.name);
    channel.each((one) => one.ended(error, false));
  }

  /** @param {Channel} channel @param {Subscription} subscription */
  #leave(channel, subscription) {
    channel.subscriptions.delete(subscription);
    clearTimeout(channel.leaving);
    channel.leaving = setTimeout(() => {
      if (channel.subscriptions.size || this.#channels.get(channel.name) !== channel) return;
      this.#channels.delete(channel.name);
      if (channel.id) this.#link?.send({ type: "unsubscribe", channel: channel.name });
    }, LINGER);
  }

  // Identity

  /** Ask the token source, once for all who want the same. @param {Why} why @returns {Promise<string | null>} */
  async #token(why) {
    const { token } = this.#options;
    if (this.#isSignedOut) return null;
    if (typeof token !== "function") return token ?? null;
    while (this.#asking && this.#asking.why !== why) await this.#asking.promise.catch(() => {});
    if (!this.#asking) {
      const { promise, resolve, reject } = new Deferred();
      const timeout = setTimeout(reject, TOKEN_TIMEOUT, "no answer");
      inTurn(async () => token(why)).then(resolve, reject);
      this.#asking = { why, promise };
      const over = () => {
        clearTimeout(timeout);
        this.#asking = undefined;
      };
      promise.then(over, over);
    }
    return (await this.#asking.promise) ?? null;
  }

  /** Show another token on the link in use, instead of one that was to be shown before. @param {Why} why */
  async #renew(why, failures = 0) {
    const link = this.#link;
    if (!link) return; // a listener has closed the client, or reconnects
    const auth = (link.auth = { why });
    clearTimeout(this.#renewal);
    let token;
    try {
      token = await this.#token(why);
    } catch (error) {
      this.#log(`No token: ${error}`);
      if (auth === this.#link?.auth) this.#renewLater(why, failures + 1);
      return;
    }
    // The next link was opened with a token of its own, and a later renewal, or a signing out, is in place of this one.
    if (auth !== this.#link?.auth) return;
    if (why !== "rejected" || token !== this.#rejected) return this.#sendToken(link, token, why);
    this.#rejected = undefined;
    this.#onAuthFailure(new MesaYAError("bad_token", REJECTED));
    if (token === link.token) this.#onSignedOut("expired");
  }

  /** @param {Why} why @param {number} failures */
  #renewLater(why, failures, wait = Math.random() * grown(failures, PAUSES)) {
    clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => this.#renew(why, failures), wait);
  }

  /** @param {Link} link @param {string | null} token @param {Why} [why] */
  #sendToken(link, token, why) {
    link.auth = { id: ++this.#ids, token, why };
    link.send({ type: "auth", token, id: link.auth.id });
  }

  /** @param {Link} link @param {Json} m */
  #onAuthenticated(link, m) {
    link.token = link.auth?.token ?? null;
    link.auth = this.#rejected = undefined;
    link.shownAt = link.heardAt;
    this.#onIdentity(m.user);
    if (link.token === null) return;
    this.#channels.forEach((it) => it.refused !== undefined && this.#ask(it));
  }

  /** @param {Link} link @param {MesaYAError} error */
  #onAuthError(link, error) {
    const { token, why } = /** @type {{token: string | null, why: Why}} */ (link.auth);
    if (error.code === "unavailable") {
      this.#renewLater(why, 1);
    } else if (error.code !== "bad_token") {
      this.#redial(); // another user, or a gateway that takes tokens in the handshake alone: a new link
    } else if (why !== "rejected") {
      this.#rejected = token;
      this.#renew("rejected");
    } else {
      this.#rejected = undefined;
      this.#onAuthFailure(error);
    }
  }

  /** @param {MesaYAError} error */
  #onAuthFailure(error) {
    this.#signingIn?.reject(error);
    this.#signingIn = undefined;
    this.#events.emit("error", error);
  }

  /** @param {string | undefined} user */
  #onIdentity(user) {
    if (user === undefined) this.#onSignedOut("expired");
    else if (user !== (this.#whose.user ??= user)) this.#endTurn(user);
    this.#user = user;
    this.#signingIn?.resolve();
    this.#signingIn = undefined;
    this.#update();
  }

  /** @param {string} [user] Who comes next. */
  #endTurn(user) {
    const error = new MesaYAError("signed_out", "Signed out.");
    this.#whose.turn.abort(error);
    this.#whose.turn = new AbortController();
    this.#whose.user = user;
    return error;
  }

  /** Tell that the user is signed out, once. @param {"expired" | "revoked" | "signed-out"} reason */
  #onSignedOut(reason) {
    if (this.#user === undefined) return false;
    this.#user = undefined;
    this.#events.emit("signedOut", { reason });
    this.#update();
    return true;
  }

  // The status

  /** @param {Json} m */
  #onFreshness(m) {
    const now = performance.now();
    const { asOf, movedAt } = this.#freshness;
    const hasMoved = m.asOf !== asOf;
    const isMoving = hasMoved || now - movedAt < STANDSTILL;
    this.#freshness = /** @type {any} */ ({ ...m, movedAt: hasMoved ? now : movedAt, isMoving });
    this.#update();
  }

  /** @returns {Status["state"]} */
  #state() {
    if (this.#rest) return this.#rest;
    const { live, isMoving } = this.#freshness;
    if (this.#link) return live && isMoving ? "live" : "behind";
    return scope.navigator?.onLine === false ? "offline" : "connecting";
  }

  #update() {
    const { since, ...before } = this.status;
    const state = this.#state();
    const { asOf, lag } = this.#freshness;
    const now = { state, asOf, lag, user: this.#user, retryIn: this.#retryIn, reason: this.#reason };
    if (JSON.stringify(before) === JSON.stringify(now)) return;
    this.status = Object.freeze({ ...now, since: state === before.state ? since : Date.now() });
    this.#log(state);
    this.#events.emit("status", this.status);
  }

  /** @param {string} line */
  #log(line) {
    const { debug } = this.#options;
    if (debug) (typeof debug === "function" ? debug : console.debug)(`mesaya-ws: ${line}`);
  }
}
