/**
 * The restaurants that the gateway knows, for those who choose one of them.
 *
 * @module
 */

import { client } from "./gateway.js";
import { useEffect, useState, useStore } from "./html.js";

/** Return the restaurants after a message: a map of their ids. */
export function restaurantsAfter(before, message) {
  if (message.type === "snapshot") return new Map(message.data.restaurants.map((one) => [one.restaurantId, one]));
  const id = message.data?.restaurantId;
  if (!id || !message.type.startsWith("restaurant.")) return before;
  const after = new Map(before);
  if (message.type === "restaurant.deleted") after.delete(id);
  else after.set(id, { ...after.get(id), ...message.data });
  return after;
}

/** Return the restaurants by their names, or undefined while nothing is known yet. */
export function useRestaurants() {
  const own = useStore(client);
  const [store, setStore] = useState(undefined);
  useEffect(() => {
    const subscription = own.subscribe("global:restaurants", { snapshot: true });
    setStore(subscription.store(restaurantsAfter));
    return () => subscription.close();
  }, [own]);
  const known = useStore(store);
  return known && [...known.values()].sort((one, other) => String(one.name).localeCompare(String(other.name)));
}

/** Return a channel's name with the restaurant's in place of its id: what it is of comes first, if there is little room. */
export function shortName(channel, restaurants) {
  const [scope, id, ...rest] = channel.split(":");
  const name = scope === "restaurant" && restaurants?.find((one) => one.restaurantId === id)?.name;
  return name ? `${rest.join(":")} · ${name}` : channel;
}
