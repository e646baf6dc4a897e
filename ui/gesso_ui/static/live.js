// Work as it happens: asks the host a few times a second and fills whatever panels are on the page.
// Short requests instead of a stream: a browser keeps only six connections to a host, whatever the number of its tabs,
// and after a restart of the host the next request simply works.

import { fillQueue } from "./queue.js";
import { say } from "./texts.js";
import "./keys.js";

const BUSY_MS = 250;
const IDLE_MS = 1000;
const HIDDEN_MS = 3000;
const panels = new Set();
let state = null;
let previews = { job: "", number: 0, image: "" };
let timer = 0;
let asking = false;

function clock(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function pause() {
  if (document.hidden) return HIDDEN_MS;
  return state && (state.job || state.waiting) ? BUSY_MS : IDLE_MS;
}

async function ask() {
  if (asking) return;
  asking = true;
  clearTimeout(timer);
  try {
    const seen = new URLSearchParams({ job: previews.job, preview: previews.number });
    const answer = await fetch(`gesso/live?${seen}`, { cache: "no-store" });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    state = await answer.json();
    state.lost = false;
    remember(state.job);
  } catch {
    state = { ...(state ?? {}), job: null, lost: true };
  }
  asking = false;
  for (const panel of panels) {
    if (panel.element.isConnected) panel.show(state);
    else panels.delete(panel);
  }
  timer = setTimeout(ask, pause());
}

function remember(job) {
  if (!job) return;
  if (job.id !== previews.job) previews = { job: job.id, number: 0, image: "" };
  if (job.preview) previews = { job: job.id, number: job.preview_number, image: job.preview };
}

document.addEventListener("visibilitychange", () => document.hidden || ask());
// What a person does shows at once, not at the next turn.
document.addEventListener("click", (event) => {
  if (event.target.closest?.(".gesso-acts")) for (const ms of [150, 400, 800]) setTimeout(ask, ms);
});

function line(state) {
  const job = state.job;
  if (state.lost) return say("js.live.lost");
  if (!job) return state.waiting ? waiting(state) : state.engine;
  const parts = [];
  if (job.pictures_total > 1) {
    parts.push(say("js.live.picture", { number: Math.min(job.pictures + 1, job.pictures_total), total: job.pictures_total }));
  }
  parts.push(job.total ? `${job.stage} ${job.done}/${job.total}` : job.stage);
  if (job.rate) parts.push(job.rate >= 1 ? say("js.live.rate", { rate: job.rate.toFixed(1) }) : say("js.live.pace", { pace: (1 / job.rate).toFixed(1) }));
  if (job.seconds_left !== null) parts.push(say("js.live.left", { time: clock(job.seconds_left) }));
  if (state.waiting) parts.push(say("js.live.more", { count: state.waiting }));
  return parts.filter(Boolean).join(" · ");
}

function waiting(state) {
  const one = state.ahead ? say("js.live.one_behind", { ahead: state.ahead }) : say("js.live.one");
  const which = state.waiting === 1 ? one : say("js.live.several", { count: state.waiting });
  return [which, state.engine].filter(Boolean).join(" · ");
}

function fraction(job) {
  if (!job) return 0;
  const batch = job.total ? job.done / job.total : 0;
  const left = Math.max(0, job.pictures_total - job.pictures);
  const inBatch = Math.min(left, job.batch_size);
  return Math.min(1, (job.pictures + batch * inBatch) / Math.max(1, job.pictures_total));
}

// A panel of one generation tab: line, bar and preview. `made` is called when there is something new to show.
export function mountJob(element, made) {
  const [text, bar, fill, picture] = ["line", "bar", "fill", "preview"].map((n) => element.querySelector(`.gesso-${n}`));
  const list = element.querySelector(".gesso-queue ol");
  let token = null;
  const show = (state) => {
    const busy = Boolean(state.job || state.waiting);
    element.dataset.state = state.lost ? "lost" : busy ? "busy" : "idle";
    const words = line(state);
    if (text.textContent !== words) text.textContent = words;
    if (state.queue) fillQueue(list, state.queue, ask);
    const percent = (fraction(state.job) * 100).toFixed(1);
    fill.style.width = `${percent}%`;
    bar.setAttribute("aria-valuenow", percent);
    const image = state.job && previews.job === state.job.id ? previews.image : "";
    if (picture.getAttribute("src") !== image) image ? picture.setAttribute("src", image) : picture.removeAttribute("src");
    picture.hidden = !image;
    element.closest(".gesso-generation")?.classList.toggle("gesso-busy", busy);
    if (!state.lost && state.made !== token) {
      token = state.made;
      made();
    }
  };
  panels.add({ element, show });
  ask();
}

// The line at the foot of the page.
export function mountFoot(element) {
  panels.add({
    element,
    show: (state) => {
      const words = state.lost ? say("js.live.not_connected") : state.memory;
      const place = element.querySelector(".gesso-memory");
      if (place.textContent !== words) place.textContent = words;
    },
  });
  ask();
}
