// A prompt box: its counter of tokens, and weights by keyboard.

import { say } from "./texts.js";

const STEP = 0.1;
const PAUSE_MS = 300;

export function mount(element) {
  const output = element.querySelector(".gesso-tokens");
  const box = document.querySelector(`#${output.dataset.box} textarea`);
  if (!box) return;
  box.closest(".gesso-prompt").append(output); // into the line of its label
  const field = (id) => document.querySelector(`#${id} input:not([type="range"])`)?.value ?? "";
  let timer = 0;
  let asked = 0;
  const count = async () => {
    const mine = ++asked;
    const wanted = {
      prompt: box.value, model: field(output.dataset.model), role: output.dataset.role,
      steps: Math.min(1000, Math.max(1, Number.parseInt(field(output.dataset.steps), 10) || 20)),
    };
    const answer = await fetch("gesso/tokens", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(wanted),
    }).catch(() => null);
    if (mine !== asked) return;
    const found = answer?.ok ? await answer.json() : null;
    output.textContent = found ? `${found.tokens}/${found.limit}` : "–";
    output.title = found ? say("js.shell.tokens", found) : "";
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(count, PAUSE_MS);
  };
  box.addEventListener("input", soon);
  box.addEventListener("keydown", weigh);
  // An earlier request fills the box without an event; so do model and steps.
  let seen = null;
  setInterval(() => {
    if (document.hidden || !output.isConnected || !box.offsetParent) return;
    const now = [box.value, field(output.dataset.model), field(output.dataset.steps)].join("\n");
    if (now !== seen) {
      seen = now;
      soon();
    }
  }, 500);
}

// Ctrl+↑ and Ctrl+↓: the marked words, or the word or brackets around the caret, weigh more or less.
function weigh(event) {
  if (!(event.ctrlKey || event.metaKey) || !["ArrowUp", "ArrowDown"].includes(event.key)) return;
  event.preventDefault();
  const box = event.target;
  const change = weighed(box.value, box.selectionStart, box.selectionEnd, event.key === "ArrowUp" ? STEP : -STEP);
  if (!change) return;
  box.setSelectionRange(change.from, change.to);
  // Through the editor, so that Ctrl+Z takes it back.
  if (!document.execCommand("insertText", false, change.text)) {
    box.setRangeText(change.text, change.from, change.to, "select");
    box.dispatchEvent(new Event("input", { bubbles: true }));
  }
  box.setSelectionRange(change.select[0], change.select[1]);
}

// What to replace, [from, to) by text, and what is selected then. null: there is nothing to weigh.
export function weighed(value, start, end, step) {
  const around = enclosing(value, start, end);
  if (around) return set(value, around, step);
  if (start === end) [start, end] = word(value, start);
  if (start === end) return null;
  const inner = value.slice(start, end);
  const text = `(${inner}:${written(1 + step)})`;
  return { from: start, to: end, text, select: [start + 1, start + 1 + inner.length] };
}

// The innermost "(words:1.2)", "(words)" or "<name:arg:1.2>" that holds [start, end].
function enclosing(value, start, end) {
  let depth = 0;
  for (let at = start - 1; at >= 0; at--) {
    const one = value[at];
    if (value[at - 1] === "\\") continue;
    if (one === ")" || one === ">") depth++;
    if (one !== "(" && one !== "<") continue;
    if (depth-- > 0) continue;
    const close = closing(value, at);
    if (close >= end) {
      const inner = value.slice(at + 1, close);
      const found = /:\s*(-?[\d.]+)\s*$/.exec(inner);
      if (one === "<" && !found) return null;
      const weight = found ? Number(found[1]) : 1.1;
      const words = found ? inner.slice(0, found.index) : inner;
      return Number.isNaN(weight) ? null : { at, close, words, weight, tag: one === "<" };
    }
    return null;
  }
  return null;
}

function closing(value, open) {
  const [one, other] = value[open] === "(" ? ["(", ")"] : ["<", ">"];
  let depth = 0;
  for (let at = open; at < value.length; at++) {
    if (value[at - 1] === "\\") continue;
    if (value[at] === one) depth++;
    if (value[at] === other && --depth === 0) return at;
  }
  return -1;
}

function set(value, { at, close, words, weight, tag }, step) {
  const next = Math.round((weight + step) * 100) / 100;
  const [from, to] = [at, close + 1];
  if (next === 1 && !tag) return { from, to, text: words, select: [at, at + words.length] };
  const [open, shut] = tag ? "<>" : "()";
  return { from, to, text: `${open}${words}:${written(next)}${shut}`, select: [at + 1, at + 1 + words.length] };
}

function word(value, caret) {
  const stop = /[\s,.;:()[\]<>{}|]/;
  let [start, end] = [caret, caret];
  while (start > 0 && !stop.test(value[start - 1])) start--;
  while (end < value.length && !stop.test(value[end])) end++;
  return [start, end];
}

const written = (number) => String(Math.round(number * 100) / 100);
