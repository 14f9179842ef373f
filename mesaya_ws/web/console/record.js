/**
 * Records as somebody writes them, and some to begin with.
 *
 * @module
 */

const DOMAINS = ["announcements", "auth", "images", "menus", "objects", "owner-upgrade", "payments", "reservations", "restaurants", "reviews", "section-objects", "sections", "subscriptions", "tables"];

export const TOPICS = DOMAINS.map(topicOf);

export function topicOf(domain) {
  return `mesa-ya.${domain}.events`;
}

/**
 * Return the record that somebody has written: {topic, key?, value}.
 *
 * A text that is an object of `topic` and `value` is a whole record, as samples have them. Text that is no JSON stands for the
 * bytes that it is, and nothing for a tombstone.
 */
export function recordOf({ topic, key, text }) {
  const record = { topic: topic.trim(), ...(key.trim() && { key: key.trim() }) };
  if (!text.trim()) return { ...record, value: null };
  let value;
  try {
    value = JSON.parse(text);
  } catch {
    return { ...record, value: text, isText: true };
  }
  if (typeof value?.topic === "string" && "value" in value) return { topic: value.topic, ...(value.key && { key: value.key }), value: value.value };
  return { ...record, value };
}

const day = 86_400_000;

/** Records to begin with, by name; `at` is {restaurant, table?}, what there is to speak of. */
export const EXAMPLES = {
  table: (at) => record("tables", "updated", at.table?.tableId ?? "t1", { ...asWritten(at.table), status: "OCCUPIED" }),
  reservation: (at) => {
    const id = crypto.randomUUID?.() ?? "a1b2c3";
    const time = new Date(Math.ceil(Date.now() / day) * day + day / 2).toISOString();
    const data = { restaurantId: at.restaurant ?? "r1", userId: "u1", tableId: at.table?.tableId ?? "t1", reservationDate: time.slice(0, 10), reservationTime: time, numberOfGuests: 2, status: "PENDING" };
    return record("reservations", "created", id, data);
  },
  review: (at) => record("reviews", "created", "v1", { restaurantId: at.restaurant ?? "r1", userId: "u1", userName: "Ana Paz", rating: 5, comment: "¡Qué ceviche!" }),
  restaurant: (at) => record("restaurants", "status_changed", at.restaurant ?? "r1", { status: "SUSPENDED" }),
  orphan: () => record("tables", "created", "t-nowhere", { sectionId: "s-nowhere", number: 1, capacity: 4, status: "AVAILABLE" }),
  poison: () => ({ topic: topicOf("reviews"), value: { event_type: "created", data: { rating: "many" } } }),
};

function record(domain, what, id, data) {
  return { topic: topicOf(domain), value: { timestamp: new Date().toISOString(), event_type: what, entity_id: id, data: { id, ...data } } };
}

/** Return a table as the platform writes it, from what its channel says of it. */
function asWritten(table) {
  if (!table) return { sectionId: "s1", number: 1, capacity: 4 };
  const { tableId: _, ...data } = table;
  return data;
}
