// @ts-check
/**
 * What a client asks of the gateway, and is answered: a part of `mesaya-ws.js`, which loads it when it is first needed.
 *
 * Everything here may be asked twice: it is sent again on the next connection, and when it cannot be answered now. But it is
 * asked in the turn of a user: when that one signs out, or another one comes, the turn is aborted, and what it asked has ended.
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
    client.on("status", () => this.#endIfClosed());
  }

  /** @param {AbortSignal} turn @param {string} channel @param {unknown} data @param {{id?: string, signal?: AbortSignal}} [options] */
  async publish(turn, channel, data, { id = uniqueId(), signal } = {}) {
    const { position } = await this.ask({ type: "publish", channel, messageId: id, data }, turn, signal);
    return { position, id };
  }

  /** @param {AbortSignal} turn @param {string} reservation */
  async ack(turn, reservation) {
    await this.ask({ type: "reservation.ack", reservationId: reservation }, turn);
  }

  /**
   * @param {AbortSignal} turn @param {string} restaurant @param {string[]} tables
   * @param {{from?: Date, to?: Date, signal?: AbortSignal}} [options]
   */
  async hold(turn, restaurant, tables, options) {
    const ask = (/** @type {Json} */ fields, /** @type {AbortSignal | undefined} */ signal) => this.ask(fields, turn, signal);
    const { hold } = await import("./mesaya-ws-hold.js");
    return hold(this.#client, ask, turn, this.#Failure, uniqueId, restaurant, tables, options);
  }

  /** @param {any[]} stores @param {string} restaurant @param {string} [user] */
  async chat(stores, restaurant, user) {
    const { Conversation } = await import("./mesaya-ws-chat.js");
    return new Conversation(this.#client, this.ask, this.#send, this.#Failure, stores, restaurant, user);
  }

  /**
   * Ask, and return the answer. Rejects with what the gateway refuses it for, when the client is closed, when too much
   * waits already, and with the reason of what is aborted: the turn, or `signal`.
   * @param {Json} fields @param {AbortSignal} turn @param {AbortSignal} [signal] @returns {Promise<Json>}
   */
  ask = (fields, turn, signal) =>
    new Promise((resolve, reject) => {
      const id = `r${++this.#ids}`;
      const message = { ...fields, id };
      const signals = signal ? [turn, signal] : [turn];
      signals.forEach((it) => it.throwIfAborted());
      if (this.#waiting.size >= MOST) throw new this.#Failure("too_many_requests", "Too much waits for an answer.");
      const abort = (/** @type {any} */ { target }) => this.#settle(id)?.reject(target.reason);
      const forget = () => signals.forEach((it) => it.removeEventListener("abort", abort));
      this.#waiting.set(id, {
        message,
        isPutOff: false,
        resolve: (answer) => (resolve(answer), forget()),
        reject: (error) => (reject(error), forget()),
      });
      signals.forEach((it) => it.addEventListener("abort", abort));
      this.#send(message);
      this.#endIfClosed();
    });

  /** @param {string} id @returns {Request | undefined} */
  #settle(id) {
    const request = this.#waiting.get(id);
    this.#waiting.delete(id);
    return request;
  }

  #endIfClosed() {
    if (this.#client.status.state !== "closed") return;
    clearTimeout(this.#resending);
    this.#resending = undefined;
    const error = new this.#Failure("closed", "The client was closed.");
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
