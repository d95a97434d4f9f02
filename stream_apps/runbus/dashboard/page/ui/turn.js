/**
 * Draws one turn of a transcript: who, what was said, the tools that were called with what they gave back, what it cost.
 */
import {html, useSignal} from "../lib/preact.js";
import {count, duration, exact, moment, number} from "../lib/format.js";
import {isError} from "../lib/jump.js";
import {cut, firstLine, messages} from "../lib/transcript.js";

/** @typedef {import("../lib/transcript.js").Turn} Turn */
/** @typedef {import("../lib/transcript.js").Totals} Totals */
/** @typedef {import("../lib/transcript.js").Message} Message */
/** @typedef {import("../lib/episode.js").Step} Step */

const LONG = 4000;
/** @type {Record<string, string>} */
const WHO = {model: "assistant", agent: "sub-agent", human: "human", judge: "judge", env: "environment", tool: "tool"};

/**
 * @param {{index: number, turn: Turn, entries: import("../lib/transcript.js").Entry[], stepOf: (step: number) => Step | undefined, cursor: number,
 *   word: string, raw: boolean, go: (step: number) => void}} props `cursor`: the step under the cursor, -1 = in another turn
 */
export function TurnView({index, turn, entries, stepOf, cursor, word, raw, go}) {
  const head = entries[turn.head];
  const step = stepOf(head.step);
  const tools = turn.entries.filter((place) => place !== turn.head).map((place) => entries[place]);
  const said = step ? spoken(step) : [];
  const role = head.step === 0 ? "start" : (WHO[head.kind] ?? (said[0]?.role || "agent"));
  return html`<article class=${`turn ${role} ${isError(head.status) ? "error" : ""} ${cursor >= 0 ? "here" : ""}`}
    data-turn=${index} aria-label=${`Turn ${index}, ${role}`}>
    <header onClick=${() => go(head.step)}><b class="who">${role}</b>
      <a class="muted" role="button" tabindex="0" title=${`seq ${head.seq}, ${moment(head.ts)}`}
        onKeyDown=${(/** @type {KeyboardEvent} */ event) => event.key === "Enter" && go(head.step)}>#${exact(head.step)}</a>
      ${head.status && head.status !== "ok" && html`<span
        class=${`badge ${isError(head.status) ? "bad" : "warn"}`}>${head.status}</span>`}
      <span class="grow"></span><${Cost} totals=${turn.totals} /></header>
    ${!step && html`<p class="muted">Loading …</p>`}
    ${step && raw && [head, ...tools].map((entry) => html`<pre key=${entry.seq} tabindex="0" class="value-text raw">${JSON.stringify(stepOf(entry.step) ?? entry, null, 1)}</pre>`)}
    ${step && !raw && html`<${Said} step=${step} said=${said} tools=${tools} stepOf=${stepOf} word=${word} go=${go} />`}
  </article>`;
}

/** The messages of a step in the order they came: what the agent said, then what came back. @param {Step} step */
function spoken(step) {
  return step.step === 0 ? messages(step.observation) : messages(step.action);
}

/** @param {{step: Step, said: Message[], tools: import("../lib/transcript.js").Entry[], stepOf: (step: number) => Step | undefined, word: string, go: (step: number) => void}} props */
function Said({step, said, tools, stepOf, word, go}) {
  const back = step.step === 0 ? [] : messages(step.observation);
  const calls = said.flatMap((message) => message.calls);
  const results = tools.map((entry) => ({entry, step: stepOf(entry.step)}));
  // a step that is a call and its result in one, as in a loop without kinds
  const own = calls.length > 0 && !tools.length && back.length > 0;
  return html`
    ${said.map((message, i) => html`<${MessageView} key=${i} message=${message} word=${word}
      role=${said.length > 1 || step.step === 0} />`)}
    ${calls.map(
      (call, i) => html`<${Call} key=${i} name=${call.name} input=${call.input} word=${word} go=${go}
      result=${own && i === calls.length - 1 ? {status: step.status, text: textOf(back)} : resultOf(results[i])}
        at=${results[i]?.entry.step} />`,
    )}
    ${results.slice(calls.length).map(
      ({
        entry,
        step: one,
      }) => html`<${Call} key=${`t${entry.seq}`} name=${one ? (messages(one.action)[0]?.calls[0]?.name ?? "tool") : "tool"}
        input=${one ? textOf(messages(one.action)) : ""}
      result=${resultOf({entry, step: one})} word=${word} go=${go} at=${entry.step} />`,
    )}
    ${!own && back.map((message, i) => html`<${MessageView} key=${`b${i}`} message=${message} word=${word} role=${true}
      back=${said.length > 0} />`)}
    ${step.reward ? html`<p class="reward">reward <b>${number(step.reward)}</b></p>` : null}
    ${step.stop && html`<p class="muted">stopped: ${step.stop}</p>`}`;
}

/** @param {Message[]} all */
const textOf = (all) =>
  all
    .map((message) =>
      [message.text, ...message.calls.map((call) => `${call.name} ${call.input}`)].filter(Boolean).join("\n"),
    )
    .join("\n");

/** @param {{entry: import("../lib/transcript.js").Entry, step: Step | undefined} | undefined} found */
function resultOf(found) {
  if (!found) return undefined;
  return {
    status: found.entry.status,
    text: found.step ? textOf(messages(found.step.observation)) : "…",
    duration: found.entry.duration,
  };
}

/** @param {{message: Message, word: string, role: boolean, back?: boolean}} props */
function MessageView({message, word, role, back}) {
  if (!message.text && !message.reasoning && !message.other.length) return null;
  return html`<div class=${`said-part ${back ? "back" : ""}`}>
    ${role && message.role && html`<span class="role">${message.role}</span>`}
    ${message.reasoning && html`<details class="reasoning">
      <summary>Reasoning <span class="muted">${firstLine(message.reasoning, 80)}</span></summary>
        <${Text} text=${message.reasoning} word=${word} /></details>`}
    ${message.text && html`<${Text} text=${message.text} word=${word} />`}
    ${message.other.map((part) => html`<span class="badge">${part}: not shown</span>`)}</div>`;
}

/** Text with the word that was looked for marked; a long one is cut until it is asked for. @param {{text: string, word: string}} props */
function Text({text, word}) {
  const whole = useSignal(false);
  const long = text.length > LONG && !whole.value;
  // what was looked for is shown, also far down in a long text
  const at = long && word ? Math.max(0, text.toLowerCase().indexOf(word.toLowerCase()) - LONG / 2) : 0;
  const shown = long ? text.slice(at, at + LONG) : text;
  return html`<div class="said-text">${at > 0 && "… "}${cut(shown, word).map((part, i) => (part.found ? html`<mark
    key=${i}>${part.text}</mark>` : part.text))}${long && " …"}</div>
    ${long && html`<button type="button" class="quiet"
      onClick=${() => (whole.value = true)}>Show all ${exact(text.length)} characters</button>`}`;
}

/** @param {{name: string, input: string, result?: {status: string, text: string, duration?: number}, word: string, at?: number, go: (step: number) => void}} props */
function Call({name, input, result, word, at, go}) {
  const bad = result && isError(result.status);
  const hit = Boolean(word) && `${input}\n${result?.text ?? ""}`.toLowerCase().includes(word.toLowerCase());
  return html`<details class=${`call ${bad ? "error" : ""}`} open=${hit || bad} onClick=${() => at !== undefined && go(at)}>
    <summary><b>${name}</b> <code>${firstLine(input, 70)}</code> ${result ? html`<span class="arrow">→</span> <span
      class="result">${bad && html`<b class="bad">${result.status}</b> `}${firstLine(result.text, 90)}</span>` : html`<span
        class="muted">no result</span>`}
      ${result?.duration ? html`<span class="muted"> ${duration(result.duration)}</span>` : null}</summary>
    ${input && html`<h4>Input</h4><${Text} text=${input} word=${word} />`}
    ${result && html`<h4>Result</h4><${Text} text=${result.text} word=${word} />`}
  </details>`;
}

/** What something cost, in one line; what is nothing is left out. @param {{totals: Totals}} props */
export function Cost({totals}) {
  const {input, output, cached, cost, duration: ms, tools, errors} = totals;
  return html`<span class="cost">
    ${tools > 0 && html`<span>${exact(tools)} ${tools === 1 ? "tool" : "tools"}</span>`}
    ${errors > 0 && html`<span class="bad">${exact(errors)} ${errors === 1 ? "error" : "errors"}</span>`}
    ${input + output > 0 && html`<span title=${`${exact(input)} tokens in, of them ${exact(cached)} from a cache; ${exact(output)} out`}>${count(input)} in · ${count(output)} out</span>`}
    ${cost > 0 && html`<span title="US dollars">$${cost < 0.01 ? cost.toFixed(4) : cost.toFixed(2)}</span>`}
    ${ms > 0 && html`<span title="Time of models and tools, added up">${duration(ms)}</span>`}</span>`;
}
