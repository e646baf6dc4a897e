// The jobs of this session that wait: what they are, and buttons to move or drop one.

import { say } from "./texts.js";

const MOVES = ["up", "down", "cancel"];

export function fillQueue(list, jobs, ask) {
  const shape = JSON.stringify(jobs);
  if (list.dataset.shape === shape) return;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset : null;
  list.dataset.shape = shape;
  list.closest("details").hidden = jobs.length === 0;
  list.closest("details").querySelector("summary").textContent = say("js.shell.queue", { count: jobs.length });
  list.replaceChildren(...jobs.map((job, place) => row(job, place, jobs.length, ask)));
  if (focused) list.querySelector(`[data-job="${focused.job}"][data-move="${focused.move}"]:not(:disabled)`)?.focus();
}

function row(job, place, count, ask) {
  const item = document.createElement("li");
  const words = document.createElement("span");
  words.textContent = job.title || say("js.shell.queue.untitled");
  words.title = words.textContent;
  const number = document.createElement("span");
  number.className = "gesso-badge";
  number.textContent = job.total > 1 ? `×${job.total}` : "";
  number.hidden = job.total < 2;
  item.append(words, number, ...MOVES.map((move) => button(job, move, place, count, ask)));
  return item;
}

function button(job, move, place, count, ask) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "gesso-button";
  made.textContent = { up: "↑", down: "↓", cancel: "✕" }[move];
  made.title = say(`js.shell.queue.${move}`);
  made.setAttribute("aria-label", say(`js.shell.queue.${move}_of`, { title: job.title }));
  made.disabled = (move === "up" && place === 0) || (move === "down" && place === count - 1);
  Object.assign(made.dataset, { job: job.id, move });
  made.addEventListener("click", async () => {
    await fetch(`gesso/queue/${job.id}/${move}`, { method: "POST" }).catch(() => null);
    ask();
  });
  return made;
}
