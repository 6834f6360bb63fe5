import { defineConfig } from "vite";

/** Where `npm run dev` finds the server. */
const SERVER = "http://127.0.0.1:8080";

export default defineConfig({
  build: {
    target: "es2022",
    // Nothing inline: the page lives under a content security policy that allows none of it.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  server: { proxy: { "/v1": { target: SERVER, ws: true, changeOrigin: true } } },
});
