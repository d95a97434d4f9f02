/**
 * Leaves the login page at once if the browser is logged in already.
 *
 * A link on another site brings no cookie with it (SameSite=Strict), so the server asks for the token. What this page
 * asks for does bring it.
 */
const next = document.querySelector("input[name=next]")?.getAttribute("value") ?? "/";
const answer = await fetch("/api/v1/session");
if (answer.ok) location.replace(next);

export {};
