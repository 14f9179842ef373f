// A page with a component of Angular that shows a channel; it is compiled in the browser.

import "@angular/compiler";
import { Component, inject, provideZonelessChangeDetection } from "@angular/core";
import { bootstrapApplication } from "@angular/platform-browser";
import { MesaYA } from "@mesaya/ws";
import { GatewayService, MESAYA } from "../../../mesaya_ws/web/client/examples/gateway.service";
import { channel, tables, text, url } from "./tables";

@Component({
  selector: "floor-plan",
  template: `
    <main>
      @for (table of plan()?.values(); track table.tableId) {
        <div>{{ text(table) }}</div>
      }
    </main>
    <output>{{ gateway.status().state === "live" ? plan()?.size : "" }}</output>
  `,
})
class FloorPlan {
  readonly gateway = inject(GatewayService);
  readonly plan = this.gateway.channel(channel, tables);
  readonly text = text;
}

document.body.append(document.createElement("floor-plan"));
await bootstrapApplication(FloorPlan, {
  providers: [provideZonelessChangeDetection(), { provide: MESAYA, useFactory: () => new MesaYA(url) }],
});
