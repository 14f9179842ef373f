// @ts-check
/**
 * Tables that are kept free for a while: a part of `mesaya-ws.js`, which loads it when `hold` is first called.
 *
 * The log decides when a hold ends, and everybody is told so on the channel of the floor plan. A countdown is only shown:
 * it is by the time that was left when the gateway answered, since the clocks of pages are wrong.
 *
 * @module
 */

/** @typedef {Record<string, any>} Json */
/** @typedef {import("./mesaya-ws.js").MesaYA} MesaYA */
/** @typedef {(fields: Json, signal?: AbortSignal) => Promise<Json>} Ask */
/** @typedef {"released" | "expired" | "reserved" | "disconnected"} Ending */

const GRACE = 5_000; // ms after its time that the end of a hold may take to arrive; without a connection, it has ended then

const dispose = /** @type {typeof Symbol.dispose} */ (Symbol.dispose ?? Symbol("dispose"));

/**
 * Have tables held, and return the `Hold`.
 * @param {MesaYA} client @param {Ask} ask @param {string} restaurant @param {string[]} tables
 * @param {{holdId: string, from?: Date, to?: Date, signal?: AbortSignal}} options
 */
export async function hold(client, ask, restaurant, tables, { holdId, from, to, signal }) {
  const subscription = client.subscribe(`restaurant:${restaurant}:tables`);
  try {
    const slot = { from: from?.toISOString(), to: to?.toISOString() };
    const granted = await ask({ type: "table.select", restaurantId: restaurant, tableIds: tables, ...slot, holdId }, signal);
    return new Hold(ask, subscription, granted);
  } catch (error) {
    subscription.close();
    // It may be granted all the same.
    if (signal?.aborted) ask({ type: "table.release", holdId }).catch(() => {});
    throw error;
  }
}

/** See `Hold` in `mesaya-ws.d.ts`. */
class Hold {
  #ask;
  #subscription;
  #granted;
  #until;
  #timer;
  /** @type {(ending: Ending) => void} */
  #resolve = () => {};
  /** @type {Promise<Ending>} */
  ended = new Promise((resolve) => (this.#resolve = resolve));

  /** @param {Ask} ask @param {ReturnType<MesaYA["subscribe"]>} subscription @param {Json} granted */
  constructor(ask, subscription, granted) {
    this.#ask = ask;
    this.#subscription = subscription;
    this.#granted = granted;
    this.id = granted.holdId;
    this.token = granted.token;
    this.tables = granted.tableIds;
    this.#until = performance.now() + granted.expiresIn * 1000;
    this.#timer = setTimeout(() => this.#end("expired"), granted.expiresIn * 1000 + GRACE);
    subscription.on("message", ({ type, data }) => {
      if (type === "table.released" && this.#isThis(data)) this.#end(data.reason === "abandoned" ? "released" : data.reason);
    });
    subscription.on("snapshot", ({ holds = [] }) => {
      if (!holds.some((/** @type {Json} */ it) => this.#isThis(it))) this.#end(this.remaining() ? "disconnected" : "expired");
    });
  }

  remaining() {
    return Math.max(0, (this.#until - performance.now()) / 1000);
  }

  async release() {
    await this.#ask({ type: "table.release", holdId: this.id });
    this.#end("released");
  }

  [dispose]() {
    this.release().catch(() => {});
  }

  /** Return whether that is what is said of this hold: nobody else can hold a table at the same time. @param {Json} said */
  #isThis({ tableIds, from, to }) {
    const { tableIds: own, from: begin, to: end } = this.#granted;
    const isSame = (/** @type {string} */ it) => own.includes(it);
    return tableIds.length === own.length && tableIds.every(isSame) && (from ?? null) === (begin ?? null) && (to ?? null) === (end ?? null);
  }

  /** @param {Ending} ending */
  #end(ending) {
    clearTimeout(this.#timer);
    this.#subscription.close();
    this.#resolve(ending);
  }
}
