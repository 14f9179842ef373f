import type { MesaYA, MessageOf, Snapshot, Store } from "@mesaya/ws";
import { useEffect, useState, useSyncExternalStore } from "react";

const NOTHING = { get: () => undefined, subscribe: () => () => {} };

/**
 * Return what `reduce` makes of a channel's snapshot and messages; undefined until the snapshot has come.
 *
 * `reduce` must be the same function each time, so define it outside of the component. Components that use the same channel
 * share one subscription.
 */
export function useChannel<Channel extends string, State>(
  client: MesaYA,
  channel: Channel,
  reduce: (state: State | undefined, message: MessageOf<Channel> | Snapshot) => State,
): State | undefined {
  const [store, setStore] = useState<Store<State>>();
  useEffect(() => {
    const subscription = client.subscribe(channel, { snapshot: true });
    setStore(subscription.store(reduce));
    return () => subscription.close();
  }, [client, channel, reduce]);
  const { subscribe, get } = store ?? NOTHING;
  return useSyncExternalStore<State | undefined>(subscribe, get);
}
