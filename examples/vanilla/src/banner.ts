/**
 * A banner that says when there is no connection.
 *
 * @module
 */

import { CloseCode } from "@nowrong/sdk";
import type { App } from "./app.ts";
import { el, fill } from "./dom.ts";
import { failureText } from "./refusal.ts";

/** After these the account can connect here again. After any other the same would happen again. */
const RETURNS: readonly number[] = [CloseCode.REPLACED, CloseCode.CLIENT_LEFT, CloseCode.FLOODING];

/** A strip above every screen, empty while the connection is ready. `restart` is called after a new connection was opened. */
export function connectionBanner(app: App, restart: () => void): { readonly element: HTMLElement } {
  const element = el("div", { class: "banner", test: "banner", attrs: { role: "status" } });
  const { connection } = app;
  const again = () => {
    app.reconnect();
    restart();
  };
  const update = () => {
    element.dataset["state"] = connection.state;
    switch (connection.state) {
      case "ready":
        fill(element);
        break;
      case "connecting":
        fill(element, el("span", { class: "spinner" }), "Connecting…");
        break;
      case "reconnecting":
        fill(element, el("span", { class: "spinner" }), "Connection lost. Reconnecting…");
        break;
      case "closed":
        fill(
          element,
          el("span", {}, failureText(connection.error)),
          RETURNS.includes(connection.error?.code ?? 0) &&
            el("button", { class: "small", test: "connect", on: { click: again } }, "Connect here"),
        );
        break;
    }
  };
  connection.on("state", update);
  update();
  return { element };
}
