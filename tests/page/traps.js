// What must not be written in the page's modules: each of these fails only in the browser, some without a word.

/** @typedef {{line: number, trap: string, text: string}} Finding */

/** @type {[RegExp, string][]} */
const TRAPS = [
  [/\b(?:inner|outer)HTML\b|\binsertAdjacentHTML\b|\bdangerouslySetInnerHTML\b|\bsrcdoc\b|\bdocument\.write/, "text that becomes markup: Trusted Types refuse it; use html`...` or replaceChildren()"],
  [/\bDOMParser\b|\bcreateContextualFragment\b|\bcreatePolicy\b/, "a parser of markup: Trusted Types refuse it"],
  [/\beval\s*\(|\bnew\s+Function\b|\bset(?:Timeout|Interval)\s*\(\s*["'`]/, "text that becomes code: the CSP refuses it"],
  [/\bnew\s+(?:Shared)?Worker\b|\bserviceWorker\b/, "a worker: Trusted Types refuse its address"],
  [/setAttribute\s*\(\s*["'`]style["'`]/, "a style attribute: the CSP refuses it; set properties of el.style"],
  [/createElement\s*\(\s*["'`](?:style|script)["'`]|<(?:style|script)\b/, "an inline style sheet or script: the CSP refuses it"],
  [/\bstyle=\$\{(?!\{)(?![^}]*\.value\s*\})/, "style=${...} takes an object written on the spot: a signal there clears the style without a word"],
  [/["'`]javascript:/i, "an address that is code: the CSP refuses it"],
  [/https?:\/\/(?!www\.w3\.org\/)/, "an address of another origin: the page works offline"],
];
const LENGTHS = /\b(?:width|height|min\w+|max\w+|left|top|right|bottom|inset\w*|margin\w*|padding\w*|gap|fontSize|border\w*)["']?\s*:\s*-?[1-9][\d.]*\s*[,}]/;
const VOID = /<(?:br|hr|img|input|col|wbr|area|source|track)\b/g;

/**
 * Take comments out, and keep the lines where they are.
 * @param {string} source
 * @returns {string}
 */
function code(source) {
  return source.replace(/\/\*[\s\S]*?\*\/|(?<=^|[\s;,{}()])\/\/.*$/gm, (comment) => comment.replace(/[^\n]/g, " "));
}

/**
 * Where a tag ends: the first ">" that is neither in ${...} nor in quotes.
 * @param {string} source
 * @param {number} from
 * @returns {number}
 */
function endOfTag(source, from) {
  let depth = 0;
  let quote = "";
  for (let at = from; at < source.length; at += 1) {
    const char = source[at] ?? "";
    if (source.startsWith("${", at)) depth += 1;
    else if (depth > 0 && char === "{" && source[at - 1] !== "$") depth += 1;
    else if (char === "}" && depth > 0) depth -= 1;
    else if (depth > 0) continue;
    else if (quote) quote = char === quote ? "" : quote;
    else if (char === '"' || char === "'") quote = char;
    else if (char === ">") return at;
  }
  return source.length;
}

/**
 * Find the traps in a module of the page.
 * @param {string} source
 * @returns {Finding[]}
 */
export function traps(source) {
  const plain = code(source);
  /** @type {Finding[]} */
  const found = [];
  const lines = plain.split("\n");
  for (const [index, text] of lines.entries()) {
    for (const [pattern, trap] of TRAPS) if (pattern.test(text)) found.push({ line: index + 1, trap, text: text.trim() });
  }
  for (const style of plain.matchAll(/\bstyle=\$\{\{([\s\S]*?)\}\}/g)) {
    const trap = "a length without a unit: Preact drops it without a word; write \"10px\"";
    if (LENGTHS.test(`${style[1]}}`)) found.push({ line: lineOf(plain, style.index), trap, text: style[0] });
  }
  for (const tag of plain.matchAll(VOID)) {
    const end = endOfTag(plain, tag.index);
    const trap = "htm takes what follows for children: write <br />";
    if (plain[end - 1] !== "/") found.push({ line: lineOf(plain, tag.index), trap, text: plain.slice(tag.index, end + 1) });
  }
  return found;
}

/**
 * @param {string} source
 * @param {number} at
 */
const lineOf = (source, at) => source.slice(0, at).split("\n").length;
