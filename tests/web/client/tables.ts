// What the pages below show: the tables of a restaurant.

import type { Message, Snapshot } from "@mesaya/ws";

export interface Table {
  tableId: string;
  number: number;
  status: string;
}

export type Tables = ReadonlyMap<string, Table>;

export const { url, channel } = Object.fromEntries(new URLSearchParams(location.search)) as { url: string; channel: string };

export function tables(before: Tables | undefined, { type, data }: Message | Snapshot): Tables {
  if (type === "snapshot") return new Map(data.tables.map((table: Table) => [table.tableId, table]));
  return type === "table.updated" ? new Map(before).set(data.tableId, data as Table) : before ?? new Map();
}

export const text = ({ number, status }: Table) => `${number} ${status}`;
