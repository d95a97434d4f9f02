/**
 * Starts the page.
 */
import {effect, html, render} from "./lib/preact.js";
import {listenToKeys} from "./lib/keys.js";
import {listen} from "./lib/route.js";
import {applyTheme} from "./lib/theme.js";
import {Shell} from "./ui/shell.js";

listen();
listenToKeys();
effect(applyTheme);
const root = document.getElementById("app");
if (root) {
  root.replaceChildren();
  render(html`<${Shell} />`, root);
}
