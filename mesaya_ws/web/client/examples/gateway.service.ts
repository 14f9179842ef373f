import { DestroyRef, Injectable, InjectionToken, type Signal, inject, signal } from "@angular/core";
import { MesaYA, type MessageOf, type Snapshot, type Status } from "@mesaya/ws";

/** The client of the whole application. */
export const MESAYA = new InjectionToken<MesaYA>("MesaYA", {
  providedIn: "root",
  factory: () => new MesaYA("/ws"),
});

/** Channels of the gateway as signals. */
@Injectable({ providedIn: "root" })
export class GatewayService {
  private readonly client = inject(MESAYA);

  /** The state of the connection, for a notice while it is not `live`. */
  readonly status: Signal<Status> = this.statusSignal();

  /**
   * Return what `reduce` makes of a channel's snapshot and messages; undefined until the snapshot has come. To be called
   * where `inject` may be, as in the field of a component: the subscription ends with it.
   */
  channel<Channel extends string, State>(
    name: Channel,
    reduce: (state: State | undefined, message: MessageOf<Channel> | Snapshot) => State,
  ): Signal<State | undefined> {
    const subscription = this.client.subscribe(name, { snapshot: true });
    inject(DestroyRef).onDestroy(() => subscription.close());
    const store = subscription.store(reduce);
    const value = signal(store.get());
    store.subscribe(() => value.set(store.get()));
    return value.asReadonly();
  }

  private statusSignal(): Signal<Status> {
    const status = signal(this.client.status);
    this.client.on("status", (changed) => status.set(changed));
    return status.asReadonly();
  }
}
