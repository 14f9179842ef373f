// @ts-check
/**
 * The conversation of a guest with a restaurant: a part of `mesaya-ws.js`, which loads it when `chat` is first called.
 *
 *     the log's messages ─── snapshot, events, pages of history ──┐
 *     what is on its way ─── pending ─▶ sent ─▶ in the log        ├──▶ the store `messages`
 *                               └─────▶ failed ─▶ retry           ┘
 *
 * What is on its way comes last, in the order in which it was sent, until the log has it. What is asked is asked in the turn of
 * a user (`turn`), which is aborted when that one signs out, or another one comes. What one has not sent, the next one is not shown.
 *
 * @module
 */

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./mesaya-ws.js").MesaYA} MesaYA */
/** @typedef {{set: (value: any) => void}} Settable */
/**
 * @typedef {{sent: Json, text: string, attachments?: string[], abort: AbortController, done?: Promise<{position: string}>}} Outgoing
 */

const PAGE = 50; // messages that `more` brings
const MOST = 5_000; // messages that are kept while others arrive; `more` brings the ones before again
const TYPING = { again: 5_000, over: 15_000 }; // ms after which `type` says it again, and after which nobody has

/** See `Chat` in `mesaya-ws.d.ts`; its methods are called there. */
export class Conversation {
  #client;
  #ask;
  #send;
  #stores;
  #restaurant;
  /** @type {string | undefined} The guest. */
  #guest;
  /** @type {string | undefined} Who the client is. */
  #me;
  /** @type {(channel: string) => void} */
  #open = () => {};
  /** @type {Promise<string>} The name of the channel, as soon as it is known whose conversation it is. */
  #channel = new Promise((resolve) => (this.#open = resolve));
  /** @type {(() => void)[]} What ends it. */
  #ends = [];
  /** @type {{close(): void} | undefined} */
  #inbox;
  #end = new AbortController();
  #Failure;

  /** @type {Map<string, Json>} By their ids, in the log's order. */
  #logged = new Map();
  /** @type {Map<string, Outgoing>} */
  #outgoing = new Map();
  /** @type {WeakMap<Json, {turn: AbortSignal, user?: string}>} Whose the messages are that were sent, also when dropped. */
  #origins = new WeakMap();
  /** @type {string | null | undefined} From where history goes on; null: it was the beginning. */
  #before;
  /** @type {Record<string, string | null>} Up to where each side has read. */
  #marks = {};
  /** @type {(value?: any) => void} */
  #show = () => {};
  #shown = new Promise((resolve) => (this.#show = resolve));
  /** @type {Promise<boolean> | undefined} */
  #loading;
  /** @type {Map<string, any>} Who is typing, with what ends it. */
  #typing = new Map();
  #typedAt = -Infinity;
  /** @type {string | undefined} Up to where `read` was called, and up to where the gateway knows of. */
  #readUpTo;
  /** @type {string | undefined} */
  #markedUpTo;
  /** @type {AbortSignal | undefined} In whose turn marks are being sent, and older messages loaded. */
  #marking;
  /** @type {AbortSignal | undefined} */
  #reader;

  /**
   * @param {MesaYA} client
   * @param {(fields: Json, turn: AbortSignal, signal?: AbortSignal) => Promise<Json>} ask
   * @param {(message: Json) => void} send
   * @param {typeof import("./mesaya-ws.js").MesaYAError} Failure
   * @param {Settable[]} stores
   * @param {string} restaurant
   * @param {string} [guest] The client's own user, unless it is given.
   */
  constructor(client, ask, send, Failure, stores, restaurant, guest) {
    this.#client = client;
    this.#ask = ask;
    this.#send = send;
    this.#Failure = Failure;
    this.#stores = { messages: stores[0], unread: stores[1], typing: stores[2] };
    this.#restaurant = restaurant;
    if (guest !== undefined) this.#begin(guest);
    this.#identify();
    this.#ends.push(client.on("status", () => this.#identify()));
  }

  /** @param {string} guest */
  #begin(guest) {
    this.#guest = guest;
    const channel = `restaurant:${this.#restaurant}:chat:${guest}`;
    const subscription = this.#client.subscribe(channel, { snapshot: true });
    subscription.on("snapshot", (/** @type {Json} */ data) => this.#onSnapshot(data));
    subscription.on("message", (/** @type {Json} */ message) => this.#onMessage(message));
    this.#ends.push(() => subscription.close());
    this.#open(channel);
  }

  /** Find out whose conversation it is, and of which side the messages are counted that have not been read. */
  #identify() {
    const { state, user } = this.#client.status;
    if (state === "closed") this.close();
    if (user === undefined || user === this.#me || this.#end.signal.aborted) return;
    const isAnother = this.#me !== undefined;
    this.#me = user;
    if (isAnother) {
      this.#markedUpTo = undefined;
      this.#typedAt = -Infinity;
      for (const [id, { sent }] of this.#outgoing) if (this.#origins.get(sent)?.user !== user) this.#outgoing.delete(id);
      this.#publish();
    }
    if (this.#guest === undefined) this.#begin(user);
    this.#inbox?.close();
    const name = this.#side === "guest" ? `user:${user}:chats` : `restaurant:${this.#restaurant}:chats`;
    const inbox = this.#client.subscribe(name, { snapshot: true });
    const isOurs = (/** @type {Json} */ it) => it.restaurantId === this.#restaurant && it.userId === this.#guest;
    inbox.on("snapshot", ({ conversations }) => {
      // One that has been quiet for long is not in it.
      this.#stores.unread.set(conversations.find(isOurs)?.unread ?? this.#unreadHere());
    });
    inbox.on("message", (/** @type {Json} */ { data }) => isOurs(data) && this.#stores.unread.set(data.unread));
    this.#inbox = inbox;
  }

  get #side() {
    return this.#me === this.#guest ? "guest" : "restaurant";
  }

  #unreadHere() {
    const mark = this.#marks[this.#side];
    const all = [...this.#logged.values()];
    const from = all.findIndex((it) => it.position === mark);
    return mark && from < 0 ? 0 : all.slice(from + 1).filter((it) => it.from !== this.#side && it.text !== null).length;
  }

  close() {
    this.#end.abort(new this.#Failure("closed", "The conversation was closed."));
    this.#inbox?.close();
    for (const end of this.#ends.splice(0)) end();
    for (const timer of this.#typing.values()) clearTimeout(timer);
  }

  // What is received

  /** @param {Json} data */
  #onSnapshot(data) {
    this.#logged = new Map(data.messages.map((/** @type {Json} */ it) => [it.messageId, { ...it, status: "sent" }]));
    this.#before = data.before;
    this.#marks = data.read;
    for (const [id, { sent }] of this.#outgoing) if (sent.status === "sent") this.#outgoing.delete(id);
    this.#show();
    this.#publish();
  }

  /** @param {Json} message */
  #onMessage({ type, position, data }) {
    const known = this.#logged.get(data.messageId);
    if (type === "chat.message") {
      this.#logged.set(data.messageId, { ...data, position, status: "sent" });
      this.#forgetSome();
      this.#onTyping(data.from, false);
    } else if (type === "chat.edited" && known) {
      this.#logged.set(data.messageId, { ...known, text: data.text, editedAt: data.editedAt });
    } else if (type === "chat.deleted" && known) {
      this.#logged.set(data.messageId, { ...known, text: null, attachments: [], deletedBy: data.by });
    } else if (type === "chat.read") {
      this.#marks = { ...this.#marks, [data.by]: data.upTo };
      return;
    } else if (type === "chat.typing") {
      this.#onTyping(data.by, data.typing);
      return;
    }
    this.#publish();
  }

  #forgetSome() {
    for (const [id] of this.#logged) {
      if (this.#logged.size <= MOST) return;
      this.#logged.delete(id);
      this.#before = this.#logged.values().next().value?.position;
    }
  }

  /** @param {string} side @param {boolean} isTyping */
  #onTyping(side, isTyping) {
    const wasTyping = this.#typing.has(side);
    clearTimeout(this.#typing.get(side));
    this.#typing.delete(side);
    if (isTyping) this.#typing.set(side, setTimeout(() => this.#onTyping(side, false), TYPING.over));
    if (isTyping !== wasTyping) this.#stores.typing.set([...this.#typing.keys()].filter((it) => it !== this.#side));
  }

  /** Have the store show what there is now. */
  #publish() {
    const outgoing = [];
    for (const [id, { sent, text, attachments = [] }] of this.#outgoing) {
      if (this.#logged.has(id)) {
        sent.status = "sent";
        this.#outgoing.delete(id);
        continue;
      }
      outgoing.push({
        messageId: id,
        restaurantId: this.#restaurant,
        userId: this.#guest,
        from: this.#side,
        authorId: this.#me,
        authorName: null,
        text,
        attachments,
        replyTo: null,
        sentAt: null,
        status: sent.status,
        sent,
      });
    }
    this.#stores.messages.set([...this.#logged.values(), ...outgoing]);
  }

  // What is sent

  /**
   * Wait for something. Rejects when one of the signals is aborted, or the conversation closed.
   * @template T @param {Promise<T>} promise @param {...AbortSignal} signals @returns {Promise<T>}
   */
  #wait(promise, ...signals) {
    const over = new AbortController(); // signals live longer than what is waited for
    return new Promise((resolve, reject) => {
      promise.then(resolve);
      for (const it of [this.#end.signal, ...signals]) {
        if (it.aborted) reject(it.reason);
        it.addEventListener("abort", () => reject(it.reason), { signal: over.signal });
      }
    }).finally(() => over.abort());
  }

  /** Return the name of the channel, which is waited for if it is not known. @param {...AbortSignal} signals */
  #named(...signals) {
    return this.#guest === undefined ? this.#wait(this.#channel, ...signals) : this.#channel;
  }

  /**
   * Return the turn in which a message is sent: the first one, or another one of the same user.
   * @param {Json} sent @param {AbortSignal} turn
   */
  #turnOf(sent, turn) {
    const { user } = this.#client.status;
    const origin = this.#origins.get(sent) ?? { turn, user };
    if (origin.turn.aborted && user !== undefined && origin.user === user) origin.turn = turn;
    this.#origins.set(sent, origin);
    return origin.turn;
  }

  /**
   * Send a message, or send it again after it was refused: as the one who has sent it first.
   * @param {AbortSignal} turn @param {Json} sent @param {string} text @param {string[]} [attachments]
   * @returns {Promise<{position: string}>}
   */
  send(turn, sent, text, attachments) {
    const known = this.#outgoing.get(sent.id);
    if (known?.done) return known.done;
    const own = this.#turnOf(sent, turn);
    if (own.aborted) {
      sent.status = "failed";
      return Promise.reject(own.reason);
    }
    const outgoing = known ?? { sent, text, attachments, abort: new AbortController() };
    const { signal } = outgoing.abort;
    this.#outgoing.set(sent.id, outgoing);
    this.#typedAt = -Infinity; // the gateway takes it as the end of typing
    const published = this.#named(own, signal).then((channel) =>
      this.#ask({ type: "publish", channel, messageId: sent.id, data: { text, attachments } }, own, signal),
    );
    outgoing.done = published.then(
      ({ position }) => {
        sent.status = "sent";
        this.#publish();
        return { position };
      },
      (error) => {
        sent.status = "failed";
        outgoing.done = undefined;
        this.#publish();
        throw error;
      },
    );
    this.#publish();
    return outgoing.done;
  }

  /** Give up a message; it may have been published by then. @param {AbortSignal} _ @param {Json} sent */
  drop(_, { id }) {
    this.#outgoing.get(id)?.abort.abort();
    this.#outgoing.delete(id);
    this.#publish();
  }

  /** @param {AbortSignal} turn @param {string} messageId @param {string} text */
  async edit(turn, messageId, text) {
    await this.#ask({ type: "edit", channel: await this.#named(turn), messageId, data: { text } }, turn);
  }

  /** @param {AbortSignal} turn @param {string} messageId */
  async remove(turn, messageId) {
    await this.#ask({ type: "delete", channel: await this.#named(turn), messageId }, turn);
  }

  /**
   * Mark messages as read; the gateway takes a mark every two seconds, so what comes meanwhile is one.
   * @param {AbortSignal} turn @param {string} [upTo]
   */
  async read(turn, upTo = [...this.#logged.values()].pop()?.position) {
    this.#readUpTo = upTo;
    if (this.#marking === turn) return;
    this.#marking = turn;
    try {
      const channel = await this.#named(turn);
      while (this.#marking === turn && this.#readUpTo !== undefined && this.#readUpTo !== this.#markedUpTo) {
        const position = this.#readUpTo;
        await this.#ask({ type: "read", channel, position }, turn);
        this.#markedUpTo = position;
      }
    } finally {
      if (this.#marking === turn) this.#marking = undefined;
    }
  }

  /** Say that the user is typing; to be called at each key. @param {AbortSignal} turn */
  async type(turn) {
    const now = performance.now();
    if (now - this.#typedAt < TYPING.again) return;
    this.#typedAt = now;
    const channel = await this.#named(turn);
    if (!turn.aborted) this.#send({ type: "typing", channel, typing: true });
  }

  /** Load older messages; return whether there are more. @param {AbortSignal} turn */
  more(turn) {
    if (this.#reader === turn && this.#loading) return this.#loading;
    const loading = this.#loadMore(turn).finally(() => this.#loading === loading && (this.#loading = undefined));
    this.#reader = turn;
    return (this.#loading = loading);
  }

  /** @param {AbortSignal} turn */
  async #loadMore(turn) {
    await this.#wait(this.#shown, turn);
    const before = this.#before;
    if (typeof before !== "string") return false;
    const page = await this.#ask({ type: "history", channel: await this.#named(turn), before, limit: PAGE }, turn);
    if (this.#before === before) {
      const older = page.messages.map((/** @type {Json} */ it) => [it.messageId, { ...it, status: "sent" }]);
      this.#logged = new Map([...older, ...this.#logged]);
      this.#before = page.before;
      this.#publish();
    }
    return typeof this.#before === "string";
  }
}
