/**
 * What pages are made of: elements and hooks of the one library, and the hooks that all pages share.
 *
 * @module
 */

import { html, render, useEffect, useMemo, useRef, useState } from "./vendor/htm-preact-standalone.js";

export { html, render, useEffect, useMemo, useRef, useState };

/**
 * Return a function that has `draw` called at the next frame, once, however often it is called until then; its `cancel` has
 * nothing drawn any more. Browsers draw no frames of hidden pages.
 *
 * @param {() => void} draw
 */
export function oncePerFrame(draw) {
  let due = 0;
  const request = () => {
    due ||= requestAnimationFrame(() => {
      due = 0;
      draw();
    });
  };
  request.cancel = () => cancelAnimationFrame(due);
  return request;
}

/** Return the value of a store, and draw the component again when it changes, at most once a frame. */
export function useStore(store) {
  const [, redraw] = useState(0);
  useEffect(() => {
    if (!store) return undefined;
    const request = oncePerFrame(() => redraw((count) => count + 1));
    const leave = store.subscribe(request);
    request();
    return () => {
      request.cancel();
      leave();
    };
  }, [store]);
  return store?.get();
}

/** Draw the component again every so many seconds: for ages and countdowns. Returns the time, in ms since 1970. */
export function useClock(seconds = 1) {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), seconds * 1000);
    return () => clearInterval(timer);
  }, [seconds]);
  return now;
}

/** Return a value as it was `ms` ago, so that whoever types is not followed at every key. */
export function useSettled(value, ms = 400) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** Return the size of an element, which is to have the `ref`, as it changes. */
export function useSize() {
  const ref = useRef(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      setSize((before) => (before.width === width && before.height === height ? before : { width, height }));
    });
    if (ref.current) observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return { ref, ...size };
}

/** A store of one value, like those of the client; `set` takes a value, or a function of the one before. */
export class Value {
  #value;
  #listeners = new Set();

  constructor(value) {
    this.#value = value;
  }

  get() {
    return this.#value;
  }

  set(next) {
    const value = typeof next === "function" ? next(this.#value) : next;
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const listener of [...this.#listeners]) listener();
  }

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
