/**
 * Which page is shown: the part of the address after `#`, as `#/floor?restaurant=…`. So pages can be linked to.
 *
 * @module
 */

import { Value } from "./html.js";

export const place = new Value(placeOf(location.hash));

addEventListener("hashchange", () => place.set(placeOf(location.hash)));

function placeOf(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { page: path, query: new URLSearchParams(query) };
}

export function linkTo(page, query = {}) {
  const text = new URLSearchParams(query).toString();
  return `#/${page}${text ? `?${text}` : ""}`;
}

/** Go to a page; `replace` leaves nothing to go back to. */
export function goTo(page, query, { replace = false } = {}) {
  const link = linkTo(page, query);
  if (link === location.hash) return;
  if (replace) history.replaceState(null, "", link);
  else history.pushState(null, "", link);
  place.set(placeOf(link));
}
