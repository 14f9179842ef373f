/**
 * A restaurant's floor plan: what its messages make of it, and how its rooms fit on a page.
 *
 * @module
 */

/** How many of the last changes of tables are kept. */
const CHANGES = 30;

export const EMPTY = { sections: new Map(), tables: new Map(), objects: new Map(), models: new Map(), holds: new Map(), changes: [] };

const byId = (list, id) => new Map((list ?? []).map((one) => [one[id], one]));

/**
 * Return the plan after a message. `now` is a time that nobody sets (performance.now()), by which holds are counted down:
 * the clocks of browsers are wrong too often.
 */
export function planAfter(plan = EMPTY, message, now) {
  const { type, data } = message;
  const [noun] = type.split(".");
  if (type === "snapshot" || type === "restaurant.created") return { ...plan, ...wholePlan(data, plan, now), changes: [] };
  if (type === "restaurant.deleted") return EMPTY;
  if (type === "table.selecting") return { ...plan, holds: withHold(plan.holds, data, now) };
  if (type === "table.released") return { ...plan, holds: without(plan.holds, [keyOf(data)]) };
  if (noun === "section") return afterSection(plan, type, data);
  if (noun === "table") return afterTable(plan, type, data, message.timestamp);
  if (noun === "section_object") return afterPiece(plan, type, data);
  if (noun === "object") return afterModel(plan, type, data);
  return plan;
}

function wholePlan(data, plan, now) {
  let holds = new Map();
  for (const hold of data.holds ?? []) holds = withHold(holds, hold, now);
  return {
    sections: byId(data.sections, "sectionId"),
    tables: byId(data.tables, "tableId"),
    objects: byId(data.sectionObjects, "sectionObjectId"),
    models: new Map([...plan.models, ...byId(data.objects, "objectId")]),
    holds,
  };
}

function afterSection(plan, type, data) {
  const tables = without(plan.tables, data.tableIds);
  const objects = without(plan.objects, data.sectionObjectIds);
  if (type === "section.deleted") return { ...plan, tables, objects, sections: without(plan.sections, [data.sectionId]) };
  const { tables: more, sectionObjects, tableIds, sectionObjectIds, ...section } = data;
  return {
    ...plan,
    sections: new Map(plan.sections).set(data.sectionId, section),
    tables: more ? new Map([...tables, ...byId(more, "tableId")]) : tables,
    objects: sectionObjects ? new Map([...objects, ...byId(sectionObjects, "sectionObjectId")]) : objects,
  };
}

function afterTable(plan, type, data, timestamp) {
  const before = plan.tables.get(data.tableId);
  if (type === "table.deleted") {
    return { ...plan, tables: without(plan.tables, [data.tableId]), changes: withChange(plan.changes, { ...data, was: before?.status, status: undefined, at: timestamp }) };
  }
  const tables = new Map(plan.tables).set(data.tableId, data);
  const changes = before?.status === data.status ? plan.changes : withChange(plan.changes, { ...data, was: before?.status, at: timestamp });
  return { ...plan, tables, changes };
}

function afterPiece(plan, type, data) {
  if (type === "section_object.deleted") return { ...plan, objects: without(plan.objects, [data.sectionObjectId]) };
  return { ...plan, objects: new Map(plan.objects).set(data.sectionObjectId, data) };
}

function afterModel(plan, type, data) {
  if (type !== "object.deleted") return { ...plan, models: new Map(plan.models).set(data.objectId, data) };
  return { ...plan, models: without(plan.models, [data.objectId]), objects: without(plan.objects, data.sectionObjectIds) };
}

function without(map, ids) {
  if (!ids?.some((id) => map.has(id))) return map;
  const left = new Map(map);
  for (const id of ids) left.delete(id);
  return left;
}

let serial = 0;

const withChange = (changes, change) => [{ ...change, key: ++serial }, ...changes].slice(0, CHANGES);

// Holds: those who do not hold a table themselves are not told whose it is, or its id

const keyOf = ({ tableIds, from, to }) => JSON.stringify([[...(tableIds ?? [])].sort(), from ?? null, to ?? null]);

const withHold = (holds, hold, now) => new Map(holds).set(keyOf(hold), { ...hold, until: now + hold.expiresIn * 1000, lasts: hold.expiresIn });

/** Return the holds by the ids of their tables, each with the seconds that are `left`. */
export function heldTables(plan, now) {
  const held = new Map();
  for (const hold of plan.holds.values()) {
    const left = (hold.until - now) / 1000;
    if (left > 0) for (const id of hold.tableIds ?? []) held.set(id, { ...hold, left });
  }
  return held;
}

/** Return seconds as a clock that counts down. */
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** The states in which tables are drawn, in the order of the legend. */
export const STATES = ["available", "occupied", "held", "blocked", "other"];

/** Return in which state a table is drawn; a hold shows on a table that would be free. */
export function stateOf(table, held) {
  const status = String(table.status ?? "available").toLowerCase();
  if (status === "available") return held.has(table.tableId) ? "held" : "available";
  return STATES.includes(status) ? status : "other";
}

// Where things are

const ROOM = { width: 400, height: 300 };
const TABLE = { width: 80, height: 80 };
const WALL = 24;
export const GAP = 56;

const size = (value, otherwise) => (Number(value) > 0 ? Number(value) : otherwise);

/** Return where something stands in its room. */
export function boxOf(thing, otherwise = TABLE) {
  return {
    x: Number(thing.posX) || 0,
    y: Number(thing.posY) || 0,
    width: size(thing.width, otherwise.width),
    height: size(thing.height, otherwise.height),
    rotation: Number(thing.rotation) || 0,
  };
}

/** Return the rooms of a plan, each with what stands in it, and as large as that needs if more than it says. */
export function roomsOf(plan) {
  const rooms = [...plan.sections.values()].map((section) => ({ section, tables: [], pieces: [], ...boxOf(section, ROOM) }));
  const byId = new Map(rooms.map((room) => [room.section.sectionId, room]));
  for (const table of plan.tables.values()) byId.get(table.sectionId)?.tables.push({ ...boxOf(table), table });
  for (const object of plan.objects.values()) {
    const shape = object.width > 0 ? object : plan.models.get(object.objectId);
    if (shape) byId.get(object.sectionId)?.pieces.push({ ...boxOf(shape), object });
  }
  for (const room of rooms) {
    for (const { x, y, width, height } of [...room.tables, ...room.pieces]) {
      room.width = Math.max(room.width, x + width + WALL);
      room.height = Math.max(room.height, y + height + WALL);
    }
    room.tables.sort((one, other) => one.y - other.y || one.x - other.x);
  }
  return rooms.sort((one, other) => String(one.section.name).localeCompare(String(other.section.name)));
}

const overlap = (one, other) =>
  one.x < other.x + other.width && other.x < one.x + one.width && one.y < other.y + other.height && other.y < one.y + one.height;

/**
 * Return where each room is drawn, and how large all of it is, for a place of that width and height.
 *
 * Rooms that have places of their own, which do not overlap, are drawn there. Others are put beside and below each other,
 * such that they are as large as possible.
 */
export function layoutOf(rooms, width, height) {
  if (!rooms.length) return { rooms: [], width: 0, height: 0 };
  const isPlaced = rooms.length > 1 && rooms.every((one, index) => rooms.every((other, place) => place <= index || !overlap(one, other)));
  if (isPlaced) return framed(rooms.map((room) => ({ room, x: room.x, y: room.y })));
  const widths = [...new Set(rooms.map((_, index) => rooms.slice(0, index + 1).reduce((sum, room) => sum + room.width + GAP, 0)))];
  let best;
  for (const most of widths) {
    const placed = framed(inRows(rooms, Math.max(most, ...rooms.map((room) => room.width + GAP))));
    const scale = Math.min(width / placed.width, height / placed.height);
    if (!best || scale > best.scale + 0.001) best = { ...placed, scale };
  }
  return best;
}

function inRows(rooms, most) {
  const placed = [];
  let [x, y, tallest] = [0, 0, 0];
  for (const room of rooms) {
    if (x && x + room.width + GAP > most) [x, y, tallest] = [0, y + tallest + GAP, 0];
    placed.push({ room, x, y });
    x += room.width + GAP;
    tallest = Math.max(tallest, room.height);
  }
  return placed;
}

function framed(placed) {
  const left = Math.min(...placed.map((one) => one.x));
  const top = Math.min(...placed.map((one) => one.y));
  return {
    rooms: placed.map((one) => ({ ...one, x: one.x - left, y: one.y - top })),
    width: Math.max(...placed.map(({ room, x }) => x - left + room.width)),
    height: Math.max(...placed.map(({ room, y }) => y - top + room.height)),
  };
}

/** Return the next table from one in a direction (dx, dy of -1, 0 or 1), by where they are on the page. */
export function neighbour(places, from, dx, dy) {
  let best;
  for (const place of places) {
    const along = (place.cx - from.cx) * dx + (place.cy - from.cy) * dy;
    const aside = Math.abs((place.cx - from.cx) * dy) + Math.abs((place.cy - from.cy) * dx);
    if (along <= 1) continue;
    const distance = along + 2.5 * aside;
    if (!best || distance < best.distance) best = { place, distance };
  }
  return best?.place;
}

/** Return where the chairs of a table stand, around it: {x, y, angle}, from its middle. */
export function chairsOf({ width, height }, capacity) {
  const count = Math.min(20, Math.max(0, Math.round(Number(capacity) || 0)));
  const isRow = width > height * 1.3 || count > 4;
  const perSide = isRow ? [Math.ceil(count / 2), 0, Math.floor(count / 2), 0] : [0, 1, 2, 3].map((side) => Math.floor((count + 3 - [0, 2, 1, 3][side]) / 4));
  const chairs = [];
  const out = 11;
  perSide.forEach((number, side) => {
    const isHorizontal = side % 2 === 0;
    const length = isHorizontal ? width : height;
    for (let index = 0; index < number; index++) {
      const along = ((index + 0.5) / number - 0.5) * length;
      const away = (isHorizontal ? height : width) / 2 + out;
      chairs.push([
        { x: along, y: -away, angle: 0 },
        { x: away, y: along, angle: 90 },
        { x: along, y: away, angle: 180 },
        { x: -away, y: along, angle: 270 },
      ][side]);
    }
  });
  return chairs;
}
