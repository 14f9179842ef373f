/**
 * Floor: the plan of a restaurant, drawn to scale, as its tables are now.
 *
 * @module
 */

import { useClient } from "../gateway.js";
import { html, useEffect, useState, useStore } from "../html.js";
import { Icon } from "../icons.js";
import { number, t } from "../language.js";
import { Empty, RestaurantPicker } from "../parts.js";
import { heldTables, planAfter, roomsOf, stateOf, STATES } from "../plan.js";
import { useRestaurants } from "../restaurants.js";
import { goTo } from "../router.js";
import { Changes, Legend, TableDetails } from "./floor-aside.js";
import { FloorPlan } from "./floor-plan.js";

export function FloorPage({ query }) {
  const restaurants = useRestaurants();
  const id = query.get("restaurant") ?? restaurants?.[0]?.restaurantId;
  const [plan, viewers] = usePlan(id);
  const [chosen, setChosen] = useState(undefined);
  useCountdown(plan?.holds.size);
  useEffect(() => setChosen(undefined), [id]);
  const choose = (restaurant) => goTo("floor", { restaurant });

  if (restaurants && !restaurants.length && !id) {
    return html`<${Empty} icon="floor" title=${t("floor.nothing")}><p>${t("floor.nothing-about")}</p><pre class="command">scripts/serve --demo</pre><//>`;
  }
  const rooms = plan ? roomsOf(plan) : [];
  const held = plan ? heldTables(plan, performance.now()) : new Map();
  const tables = rooms.flatMap((room) => room.tables.map(({ table }) => table));
  const counts = Object.fromEntries(STATES.map((state) => [state, tables.filter((table) => stateOf(table, held) === state).length]));
  const table = chosen && plan?.tables.get(chosen);
  return html`
    <div class="toolbar">
      <${RestaurantPicker} restaurants=${restaurants} value=${id} onChoose=${choose} />
      ${viewers !== undefined && html`<p class="aside viewers"><${Icon} name="eye" />${t("floor.viewers", { viewers: number(viewers) })}</p>`}
      <${Legend} counts=${counts} />
    </div>
    <div class="floor">
      <div class="floor-plan">
        ${plan && !rooms.length && html`<${Empty} icon="floor" title=${t("floor.no-rooms")} />`}
        ${!plan && html`<p class="loading" role="status">${t("floor.loading")}</p>`}
        ${rooms.length > 0 && html`<${FloorPlan} rooms=${rooms} held=${held} chosen=${chosen} onChoose=${setChosen} changes=${plan.changes} />`}
      </div>
      <aside class="floor-aside">
        ${table && html`<${TableDetails} key=${chosen} restaurant=${id} table=${table} section=${plan.sections.get(table.sectionId)} held=${held} onClose=${() => setChosen(undefined)} />`}
        <${Changes} changes=${plan?.changes ?? []} />
      </aside>
    </div>
  `;
}

/** Return the plan of a restaurant as it is now, undefined until that is known; and how many look at it. */
function usePlan(restaurant) {
  const own = useClient();
  const [store, setStore] = useState(undefined);
  const [viewers, setViewers] = useState(undefined);
  useEffect(() => {
    if (!restaurant) return undefined;
    const subscription = own.subscribe(`restaurant:${restaurant}:tables`, { snapshot: true, presence: true });
    setStore(subscription.store((plan, message) => planAfter(plan, message, performance.now())));
    subscription.on("presence", (presence) => setViewers(presence.viewers));
    return () => {
      setStore(undefined);
      setViewers(undefined);
      subscription.close();
    };
  }, [own, restaurant]);
  return [useStore(store), viewers];
}

/** Draw the page again every second as long as something is held. */
function useCountdown(holds) {
  const [, setTick] = useState(0);
  useEffect(() => {
    if (!holds) return undefined;
    const timer = setInterval(() => setTick((tick) => tick + 1), 1000);
    return () => clearInterval(timer);
  }, [Boolean(holds)]);
}
