/**
 * Draws what is around every page: name, ways to the pages, whether what is seen is live, help, messages.
 */
import {html, signal, useEffect, useSignal} from "../lib/preact.js";
import {useKeys} from "../lib/keys.js";
import {current, now, UNHEARD} from "../lib/live.js";
import {go, route} from "../lib/route.js";
import {learnSession, session} from "../lib/session.js";
import {nextTheme, theme} from "../lib/theme.js";
import {duration} from "../lib/format.js";
import {pageOf, PAGES} from "../pages.js";
import {Later} from "./later.js";
import {Problem} from "./states.js";

/** One line at the bottom, said to screen readers too; it goes after 4 s. */
const said = signal("");
/** @type {number | undefined} */
let silence;

/** What the page that is open says of itself: the link to exactly what is seen. */
export const page = {link: () => location.href};

/**
 * Say something in passing: "Link copied".
 * @param {string} text
 */
export function say(text) {
  said.value = text;
  clearTimeout(silence);
  silence = window.setTimeout(() => (said.value = ""), 4000);
}

export function Shell() {
  const help = useSignal(false), helped = useSignal(false), find = useSignal(false), found = useSignal(false);
  const showHelp = () => (help.value = helped.value = true);
  useEffect(learnSession, []);
  useKeys({
    help: () => (help.value ? (help.value = false) : showHelp()),
    find: () => (find.value = found.value = true),
    "go-runs": () => go("/"),
    "go-compare": () => go("/compare"),
    "go-health": () => go("/health"),
    theme: nextTheme,
    link: copyLink,
    close: () => {
      help.value = false;
      if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    },
  });
  return html`
    <a class="skip" href="#page">To the content</a>
    <header class="bar">
      <a class="brand" href="/"><${Logo} /> RunBus</a>
      <nav aria-label="Pages">
        ${PAGES.filter((page) => page.nav).map((page) => html`
          <a href=${page.path} aria-current=${route.value.path === page.path ? "page" : null}>${page.title}</a>`)}
      </nav>
      <span class="grow"></span>
      <${LiveState} />
      <button class="quiet" type="button" onClick=${copyLink} title="Copy the link to this view (s)">Link</button>
      <button class="quiet" type="button" onClick=${nextTheme} title="Dark, light, as the system (d)">${{system: "Auto", dark: "Dark", light: "Light"}[theme.value]}</button>
      <button class="quiet" type="button" onClick=${showHelp} title="Keys (?)" aria-label="Keys">?</button>
      ${session.value.token && html`<form method="post" action="/logout"><button class="quiet">Log out</button></form>`}
    </header>
    <main id="page" tabindex="-1"><${Current} /></main>
    ${helped.value && html`<${Later} load=${() => import("./help.js").then((module) => module.Help)} open=${help} />`}
    ${found.value && html`<${Later} load=${() => import("./find.js").then((module) => module.Find)} open=${find} />`}
    <div class="said" role="status">${said.value}</div>`;
}

/** The page of the address; its module is loaded when it is first opened. */
function Current() {
  const page = pageOf(route.value.path);
  const drawn = useSignal(/** @type {{path: string, draw: () => any} | null} */ (null));
  const failed = useSignal("");
  useEffect(() => {
    document.title = page ? `${page.title} · RunBus` : "Not found · RunBus";
    failed.value = "";
    let wanted = true; // a page that comes late is none any more
    page?.load().then(
      (module) => wanted && (drawn.value = {path: page.path, draw: module.default}),
      () => wanted && (failed.value = page.path),
    );
    return () => void (wanted = false);
  }, [page?.path]);
  if (!page) {
    return html`<${Problem} title="There is no page at this address" text=${route.value.path}>
      <a href="/">All runs</a></${Problem}>`;
  }
  if (failed.value) {
    return html`<${Problem} title="The page could not be loaded" text="The dashboard did not answer.">
      <button type="button" onClick=${() => location.reload()}>Load it again</button></${Problem}>`;
  }
  return drawn.value?.path === page.path ? html`<${drawn.value.draw} key=${page.path} />` : html`<p class="note">Loading ${page.title} …</p>`;
}

/** @type {Record<string, string>} */
const WORDS = {opening: "connecting", live: "live", paused: "paused", ...UNHEARD};

/** Whether the page hears the server, and how old the newest is that it heard. */
function LiveState() {
  const live = current.value;
  if (!live) return null;
  const state = live.state.value;
  const age = live.sentAt.value ? now.value - live.sentAt.value : 0;
  const silence = state === "silent" ? live.silence : undefined;
  const old = silence ? ` · ${duration(now.value - silence.since / 1000)}` : state !== "live" && live.sentAt.value ? ` · ${duration(age)}` : "";
  return html`<span class="live ${state}" role="status" title=${silence?.why ?? `Newest from the server: ${live.sentAt.value ? `${duration(age)} ago` : "nothing yet"}`}>
    <span class="dot" aria-hidden="true"></span>${WORDS[state]}${old}</span>`;
}

function Logo() {
  return html`<svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true"><rect width="32" height="32" rx="7" class="logo" />
    <path d="M6 21h6l3-11 4 15 3-9h4" fill="none" stroke="#fff" stroke-width="2.6" stroke-linecap="round" stroke-linejoin="round" /></svg>`;
}

async function copyLink() {
  try {
    await navigator.clipboard.writeText(page.link());
    say("The link to this view is in the clipboard");
  } catch {
    say(`Copy this link: ${page.link()}`);
  }
}

