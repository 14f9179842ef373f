// A page with two components on one channel, in React's StrictMode, which mounts each of them twice.

import { MesaYA } from "@mesaya/ws";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { useChannel } from "../../../mesaya_ws/web/client/examples/use-channel";
import { channel, tables, text, url } from "./tables";

const client = new MesaYA(url);

function Plan() {
  const all = useChannel(client, channel, tables);
  return all && <main>{[...all.values()].map((table) => <div key={table.tableId}>{text(table)}</div>)}</main>;
}

function Count() {
  return <output>{useChannel(client, channel, tables)?.size}</output>;
}

createRoot(document.querySelector("body > div") as Element).render(
  <StrictMode>
    <Plan />
    <Count />
  </StrictMode>,
);
