/**
 * How links are opened with what a platform has.
 *
 * @module
 */

import type { Environment } from "../environment.js";
import { ClosedError, TransportError } from "../error.js";
import type { OpenLink, TransportName } from "./link.js";
import { underPolicy } from "./policy.js";
import { openWebSocket } from "./websocket.js";
import { openWebTransport } from "./webtransport.js";

/** Opens a link of each transport. The race never asks for one that is missing. */
export function openers(environment: Environment): Record<TransportName, OpenLink> {
  const { WebTransport, WebSocket } = environment;
  return {
    webtransport: explained(environment, (address, events, signal) =>
      WebTransport === null
        ? missing()
        : openWebTransport(WebTransport, environment, address, events, signal),
    ),
    websocket: explained(environment, (address, events, signal) =>
      WebSocket === null ? missing() : openWebSocket(WebSocket, address, events, signal),
    ),
  };
}

/** Says that the platform has none of `transports`; `null` when it has one. */
export function lackOfTransport(
  { WebTransport, WebSocket }: Pick<Environment, "WebTransport" | "WebSocket">,
  transports: readonly TransportName[],
): TransportError | null {
  const has = { webtransport: WebTransport !== null, websocket: WebSocket !== null };
  if (transports.some((name) => has[name])) {
    return null;
  }
  const asked = transports.length === 0 ? "none was asked for" : `asked for: ${transports.join(", ")}`;
  return new TransportError(
    `This platform lacks every transport that may be used (${asked}); bring one in \`environment\`.`,
  );
}

function explained(environment: Environment, open: OpenLink): OpenLink {
  return (address, events, signal) =>
    underPolicy(environment, address.url, () => open(address, events, signal));
}

function missing(): Promise<never> {
  return Promise.reject(new ClosedError("There is no such transport here."));
}
