/**
 * The drawing of a floor plan: one picture in the plan's own measure, so that everything is to scale.
 *
 * A state has a colour and a sign: it can be told without the one or the other. For the keyboard the plan is one stop, in which
 * the arrows go from table to table, by where they stand.
 *
 * @module
 */

import { html, useRef, useSize, useState } from "../html.js";
import { t, tWord } from "../language.js";
import { statusWord } from "../parts.js";
import { chairsOf, clock, layoutOf, neighbour, stateOf } from "../plan.js";

const PAD = 26;
const TITLE = 40;

/** ms during which a table that has changed is marked. */
const FRESH = 2500;

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function FloorPlan({ rooms, held, chosen, onChoose, changes }) {
  const { ref, width } = useSize();
  const [stop, setStop] = useState(undefined);
  const fresh = useFresh(changes);
  const tall = rooms.map((room) => ({ ...room, height: room.height + TITLE }));
  const layout = layoutOf(tall, width || 900, Math.max(340, innerHeight - 260));
  const places = layout.rooms.flatMap(({ room, x, y }) =>
    room.tables.map((one) => ({ ...one, cx: x + one.x + one.width / 2, cy: y + TITLE + one.y + one.height / 2 })),
  );
  const current = places.find((place) => place.table.tableId === stop) ?? places[0];

  const onKeyDown = (event) => {
    const arrow = ARROWS[event.key];
    if (event.key === "Enter" || event.key === " ") onChoose(current?.table.tableId);
    else if (event.key === "Escape") onChoose(undefined);
    else if (!arrow) return;
    event.preventDefault();
    const next = arrow && current && neighbour(places, current, ...arrow);
    if (!next) return;
    setStop(next.table.tableId);
    ref.current.querySelector(`[data-table="${CSS.escape(next.table.tableId)}"]`)?.focus();
  };

  const box = [-PAD, -PAD, layout.width + 2 * PAD, layout.height + 2 * PAD];
  const most = Math.max(340, innerHeight - 200);
  return html`
    <div class="plan" ref=${ref}>
      <svg viewBox=${box.join(" ")} style=${{ maxHeight: width > 700 ? `${most}px` : undefined }} onKeyDown=${onKeyDown} role="group" aria-label=${t("floor.plan")}>
        <${Patterns} />
        ${layout.rooms.map(({ room, x, y }) => html`<${Room} key=${room.section.sectionId} room=${room} x=${x} y=${y + TITLE} height=${room.height - TITLE} />`)}
        ${places.map(
          (place) => html`
            <${Table}
              key=${place.table.tableId}
              place=${place}
              state=${stateOf(place.table, held)}
              hold=${held.get(place.table.tableId)}
              isChosen=${place.table.tableId === chosen}
              isStop=${place === current}
              isFresh=${fresh.has(place.table.tableId)}
              onChoose=${() => (setStop(place.table.tableId), onChoose(place.table.tableId))}
            />
          `,
        )}
        ${places.filter(({ table }) => stateOf(table, held) === "held").map(({ cx, cy, table }) => html`<text key=${table.tableId} class="table-left" aria-hidden="true" x=${cx} y=${cy + 24}>${clock(held.get(table.tableId).left)}</text>`)}
      </svg>
    </div>
  `;
}

/** Return the ids of the tables that have changed a moment ago. */
function useFresh(changes) {
  const seen = useRef(new Map()).current;
  const newest = useRef(changes[0]?.key ?? 0);
  const now = performance.now();
  for (const change of changes) {
    if (change.key <= newest.current) break;
    seen.set(change.tableId, now);
  }
  newest.current = Math.max(newest.current, changes[0]?.key ?? 0);
  for (const [id, at] of seen) if (now - at > FRESH) seen.delete(id);
  return seen;
}

const Patterns = () => html`
  <defs>
    <pattern id="hatch" width="12" height="12" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
      <rect class="hatch-ground" width="12" height="12" /><rect class="hatch-line" width="4" height="12" />
    </pattern>
    <pattern id="floorboards" width="120" height="30" patternUnits="userSpaceOnUse">
      <rect class="board" width="120" height="30" /><path class="board-line" d="M0 0H120M30 0V15M90 15V30M0 15H120" />
    </pattern>
  </defs>
`;

const Room = ({ room, x, y, height }) => html`
  <g class="room" transform="translate(${x} ${y})">
    <text class="room-name" x="2" y="-13">${room.section.name ?? room.section.sectionId}</text>
    <rect class="room-floor" width=${room.width} height=${height} rx="10" />
    ${room.pieces.map(
      ({ x: left, y: top, width, height: tall, rotation }) =>
        html`<rect class="piece" x=${left} y=${top} width=${width} height=${tall} rx="5" transform=${turned(rotation, left + width / 2, top + tall / 2)} />`,
    )}
  </g>
`;

const turned = (rotation, x = 0, y = 0) => (rotation ? `rotate(${rotation} ${x} ${y})` : undefined);

function Table({ place, state, hold, isChosen, isStop, isFresh, onChoose }) {
  const { cx, cy, width, height, rotation, table } = place;
  const isRound = ["round", "circle", "circular"].includes(String(table.shape ?? "").toLowerCase());
  const words = [
    t("floor.table", { number: table.number ?? "?" }),
    t("floor.seats", { seats: table.capacity ?? "?" }),
    state === "held" ? t("floor.held", { left: clock(hold.left) }) : statusWord(table.status),
  ];
  return html`
    <g
      class=${`table table-${state}${isChosen ? " is-chosen" : ""}${isFresh ? " is-fresh" : ""}`}
      transform="translate(${cx} ${cy})"
      role="button"
      data-table=${table.tableId}
      tabindex=${isStop ? 0 : -1}
      aria-pressed=${isChosen}
      aria-label=${words.join(", ")}
      onClick=${onChoose}
    >
      <g transform=${turned(rotation)}>
        ${chairsOf(place, table.capacity).map(
          ({ x, y, angle }) => html`<rect class="chair" x="-13" y="-6" width="26" height="12" rx="5.5" transform="translate(${x} ${y}) rotate(${angle})" />`,
        )}
        <rect class="ring" x=${-width / 2 - 7} y=${-height / 2 - 7} width=${width + 14} height=${height + 14} rx=${isRound ? width / 2 + 7 : 17} />
        <rect class="top" x=${-width / 2} y=${-height / 2} width=${width} height=${height} rx=${isRound ? width / 2 : 12} />
      </g>
      <text class="table-number" y="-3">${table.number ?? "?"}</text>
      ${state !== "held" && html`<g class="sign" transform="translate(0 20)">${SIGNS[state]}</g>`}
    </g>
  `;
}

/** The signs of the states, below the number: free is a ring, taken a disk, blocked a cross; of what is held, it is what is left. */
export const SIGNS = {
  available: html`<circle class="sign-line" r="7" />`,
  occupied: html`<circle class="sign-fill" r="8" />`,
  held: html`<path class="sign-line" d="M0 -8A8 8 0 1 1 -.1 -8M0 -4V0L4 3" />`,
  blocked: html`<path class="sign-line" d="M-6 -6 6 6M-6 6 6 -6" />`,
  other: html`<path class="sign-line" d="M-7 0H7" />`,
};

export const stateWord = (state) => tWord(`floor.state.${state}`, state);
