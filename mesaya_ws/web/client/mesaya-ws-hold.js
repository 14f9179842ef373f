// @ts-check
/**
 * Tables that are kept free for a while: a part of `mesaya-ws.js`, which loads it when `hold` is first called.
 *
 *     what happens                             what is done
 *     the gateway says that it has ended       so it has, for the reason that is given
 *     another connection                       ask for the same hold again: that is safe, and the answer says how it is
 *     its user signs out, or another one comes so it has ended, as if the user were away
 *     its time is over, and nothing is heard   it has ended: the log says so within seconds, but maybe not to us
 *
 * A countdown is only shown: it is by the time that was left when the gateway answered, since the clocks of pages are wrong.
 *
 * @module
 */

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./mesaya-ws.js").MesaYA} MesaYA */
/** @typedef {(fields: Json, signal?: AbortSignal) => Promise<Json>} Ask */
/** @typedef {"released" | "expired" | "reserved" | "disconnected"} Ending */

const GRACE = 5_000; // ms after its time that the end of a hold may take to arrive

const dispose = /** @type {typeof Symbol.dispose} */ (Symbol.dispose ?? Symbol("dispose"));

/**
 * Have tables held, and return the `Hold`.
 * @param {MesaYA} client @param {Ask} ask @param {AbortSignal} turn That of the user: after it, nobody may ask. @param {typeof import("./mesaya-ws.js").MesaYAError} Failure
 * @param {() => string} uniqueId @param {string} restaurant @param {string[]} tables
 * @param {{from?: Date, to?: Date, signal?: AbortSignal}} [options]
 */
export async function hold(client, ask, turn, Failure, uniqueId, restaurant, tables, { from, to, signal } = {}) {
  const slot = { from: from?.toISOString(), to: to?.toISOString() };
  for (;;) {
    const wanted = { type: "table.select", restaurantId: restaurant, tableIds: tables, ...slot, holdId: uniqueId() };
    let answer;
    try {
      answer = await ask(wanted, signal);
    } catch (error) {
      // It may be granted all the same.
      if (signal?.aborted) ask({ type: "table.release", holdId: wanted.holdId }).catch(() => {});
      throw error;
    }
    turn.throwIfAborted();
    if (answer.type === "selected") return new Hold(client, ask, turn, wanted, answer);
    // The answer came too late: what was granted has ended meanwhile. What was taken back for that is asked for anew.
    if (answer.reason !== "abandoned") throw new Failure(answer.reason, `The hold has ended: ${answer.reason}.`, undefined, /** @type {any} */ (answer));
  }
}

/** See `Hold` in `mesaya-ws.d.ts`. */
class Hold {
  #ask;
  #wanted;
  #off;
  #until = 0;
  /** @type {any} */
  #timer;
  /** @type {(ending: Ending) => void} */
  #resolve = () => {};
  /** @type {Promise<Ending>} */
  ended = new Promise((resolve) => (this.#resolve = resolve));

  /** @param {MesaYA} client @param {Ask} ask @param {AbortSignal} turn @param {Json} wanted @param {Json} granted */
  constructor(client, ask, turn, wanted, granted) {
    this.#ask = ask;
    this.#wanted = { ...wanted, holdId: granted.holdId }; // of this user's, which another tab may have asked for
    this.id = granted.holdId;
    this.token = granted.token;
    this.tables = granted.tableIds;
    const off = client.on("message", (/** @type {Json} */ m) => {
      if (m.type === "released" && m.holdId === this.id) this.#end(m.reason);
      if (m.type === "welcome") this.#look();
    });
    const onSignedOut = () => this.#end("disconnected");
    turn.addEventListener("abort", onSignedOut);
    this.#off = () => {
      off();
      turn.removeEventListener("abort", onSignedOut);
    };
    this.#take(granted);
  }

  remaining() {
    return Math.max(0, (this.#until - performance.now()) / 1000);
  }

  async release() {
    this.#take(await this.#ask({ type: "table.release", holdId: this.id }));
  }

  [dispose]() {
    this.release().catch(() => {});
  }

  #look() {
    this.#ask(this.#wanted).then(
      (answer) => this.#take(answer),
      () => {}, // its time tells
    );
  }

  /** @param {Json} answer */
  #take({ type, expiresIn, reason }) {
    if (type === "released") {
      this.#end(reason);
      return;
    }
    this.#until = performance.now() + expiresIn * 1000;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#end("expired"), expiresIn * 1000 + GRACE);
  }

  /** @param {Ending | "abandoned"} reason */
  #end(reason) {
    clearTimeout(this.#timer);
    this.#off();
    this.#until = 0;
    this.#resolve(reason === "abandoned" ? "released" : reason);
  }
}
