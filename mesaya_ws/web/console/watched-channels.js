/**
 * The channels that Watch follows: one that goes is left, and one may be left to be followed again from another position.
 *
 * @module
 */

/** ms until a channel that was left may be followed from another position: the client lingers for a moment. */
const LINGER = 200;

/** In place of how to leave a channel that has been left to be followed again. */
const hasLeft = () => {};

export class WatchedChannels {
  /** How to leave each. */
  #leave = new Map();
  /** From where those that have been left are to be followed, once. */
  #positions = new Map();

  /** Follow these channels, and no others; `begin` takes a name and perhaps a position, and returns how to leave it. */
  follow(names, begin) {
    for (const [name, leave] of this.#leave) {
      if (names.includes(name)) continue;
      leave();
      this.#leave.delete(name);
      this.#positions.delete(name);
    }
    for (const name of names) {
      if (this.#leave.has(name)) continue;
      this.#leave.set(name, begin(name, this.#positions.get(name)));
      this.#positions.delete(name);
    }
  }

  /** Leave a channel, and call `again` when it can be followed from a position; return whether it is followed at all. */
  resume(name, position, again) {
    const leave = this.#leave.get(name);
    if (!leave) return false;
    this.#positions.set(name, position);
    if (leave === hasLeft) return true;
    leave();
    this.#leave.set(name, hasLeft);
    setTimeout(() => {
      if (this.#leave.get(name) !== hasLeft) return;
      this.#leave.delete(name);
      again();
    }, LINGER);
    return true;
  }

  leaveAll() {
    this.follow([]);
  }
}
