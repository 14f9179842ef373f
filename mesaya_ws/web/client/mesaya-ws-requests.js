// @ts-check
/**
 * What a client asks of the gateway, and is answered: a part of `mesaya-ws.js`, which loads it when it is first needed.
 *
 * Everything here may be asked twice: it is sent again on the next connection, and when it cannot be answered now. But it is
 * asked for the user who is there now: when that one signs out, or another one comes, it has ended.
 *
 * @module
 */

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./mesaya-ws.js").MesaYA} MesaYA */
/** @typedef {{message: Json, isPutOff: boolean, resolve: (answer: Json) => void, reject: (error: unknown) => void}} Request */

const MOST = 100; // what may wait for an answer, also while there is no connection
const LATER = 500; // ms at most, at random, beside those that the gateway names
const LONGEST = 60; // seconds that a request is put off, and all others with it: past that, it is refused

/** What has no answer yet, in its order. */
export class Requests {
  #client;
  #send;
  #Failure;
  /** @type {Map<string, Request>} */
  #waiting = new Map();
  #ids = 0;
  /** @type {string | undefined} Whose it is, as soon as the gateway has said so. */
  #user;
  /** What is aborted when it is another one's. */
  #turn = new AbortController();
  /** @type {any} Runs until what was put off is sent again. */
  #resending;

  /**
   * @param {MesaYA} client
   * @param {(message: Json) => void} send Sends on the connection in use, if there is one.
   * @param {typeof import("./mesaya-ws.js").MesaYAError} Failure
   */
  constructor(client, send, Failure) {
    this.#client = client;
    this.#send = send;
    this.#Failure = Failure;
    client.on("message", (/** @type {Json} */ message) => this.#take(message));
    client.on("status", () => this.#onStatus());
    this.#onStatus();
  }

  #onStatus() {
    this.#endIfClosed();
    const { user } = this.#client.status;
    if (user === undefined || user === this.#user) return;
    if (this.#user !== undefined) this.signOut(new this.#Failure("signed_out", "Another user has signed in."));
    this.#user = user;
  }

  /** @param {Error} error */
  signOut(error) {
    this.#user = undefined;
    this.#turn.abort(error);
    this.#turn = new AbortController();
    this.#endAll(error);
  }

  /** @param {string} channel @param {unknown} data @param {{id?: string, signal?: AbortSignal}} [options] */
  async publish(channel, data, { id = uniqueId(), signal } = {}) {
    const { position } = await this.ask({ type: "publish", channel, messageId: id, data }, signal);
    return { position, id };
  }

  /** @param {string} reservation */
  async ack(reservation) {
    await this.ask({ type: "reservation.ack", reservationId: reservation });
  }

  /** @param {string} restaurant @param {string[]} tables @param {{from?: Date, to?: Date, signal?: AbortSignal}} [options] */
  async hold(restaurant, tables, options) {
    const { signal } = this.#turn;
    const ask = async (/** @type {Json} */ fields, /** @type {AbortSignal | undefined} */ own) => {
      signal.throwIfAborted();
      return this.ask(fields, own);
    };
    const { hold } = await import("./mesaya-ws-hold.js");
    return hold(this.#client, ask, signal, this.#Failure, uniqueId, restaurant, tables, options);
  }

  /** @param {any[]} stores @param {string} restaurant @param {string} [user] */
  async chat(stores, restaurant, user) {
    /** @type {AbortSignal | undefined} */
    let signal = this.#turn.signal;
    const { Conversation } = await import("./mesaya-ws-chat.js");
    setTimeout(() => (signal = undefined)); // by then, what was asked of it while it was loaded has reached it
    const turn = () => signal ?? this.#turn.signal;
    return new Conversation(this.#client, this.ask, this.#send, turn, stores, restaurant, user);
  }

  /**
   * Ask, and return the answer. Rejects with what the gateway refuses it for, when the client is closed or its
   * user signed out, when too much waits already, and with the reason of `signal`.
   * @param {Json} fields @param {AbortSignal} [signal] @returns {Promise<Json>}
   */
  ask = (fields, signal) =>
    new Promise((resolve, reject) => {
      const id = `r${++this.#ids}`;
      const message = { ...fields, id };
      signal?.throwIfAborted();
      if (this.#waiting.size >= MOST) throw new this.#Failure("too_many_requests", "Too much waits for an answer.");
      const abort = () => this.#settle(id)?.reject(signal?.reason);
      this.#waiting.set(id, {
        message,
        isPutOff: false,
        resolve: (answer) => (resolve(answer), signal?.removeEventListener("abort", abort)),
        reject: (error) => (reject(error), signal?.removeEventListener("abort", abort)),
      });
      signal?.addEventListener("abort", abort);
      this.#endIfClosed();
      // A sign-out may come right behind: while this file was loading, both waited for it.
      queueMicrotask(() => this.#waiting.has(id) && this.#send(message));
    });

  /** @param {string} id @returns {Request | undefined} */
  #settle(id) {
    const request = this.#waiting.get(id);
    this.#waiting.delete(id);
    return request;
  }

  #endIfClosed() {
    if (this.#client.status.state !== "closed") return;
    this.#endAll(new this.#Failure("closed", "The client was closed."));
  }

  /** @param {Error} error */
  #endAll(error) {
    clearTimeout(this.#resending);
    this.#resending = undefined;
    for (const id of this.#waiting.keys()) this.#settle(id)?.reject(error);
  }

  /** @param {Json} m */
  #take(m) {
    if (m.type === "welcome") this.#resend(() => true);
    else if (m.type !== "error") this.#settle(m.id)?.resolve(m);
    else if (m.code === "unavailable" || (m.code === "rate_limited" && !(m.retryIn > LONGEST))) this.#putOff(m);
    else this.#settle(m.id)?.reject(new this.#Failure(m.code, m.message, m.channel, /** @type {any} */ (m)));
  }

  /** @param {Json} m */
  #putOff({ id, retryIn = 1 }) {
    const request = this.#waiting.get(id);
    if (!request) return;
    request.isPutOff = true;
    // All at once, so that they keep their order.
    this.#resending ??= setTimeout(() => this.#resend((it) => it.isPutOff), retryIn * 1000 + Math.random() * LATER);
  }

  /** Send some of the requests on the connection in use. @param {(request: Request) => boolean} isDue */
  #resend(isDue) {
    clearTimeout(this.#resending);
    this.#resending = undefined;
    for (const request of this.#waiting.values()) {
      if (!isDue(request)) continue;
      request.isPutOff = false;
      this.#send(request.message);
    }
  }
}

/** Return an id that nobody else has; `crypto.randomUUID` is missing on pages without TLS. */
const uniqueId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (it) => it.toString(16).padStart(2, "0")).join("");
