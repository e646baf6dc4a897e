// What is typed in a tab outlives a reload: kept in this browser, by the controls' ids, a moment after the last change.

const PAUSE_MS = 400;
const timers = {};
const waiting = {};
const place = (name) => `gesso-draft-${name}`;

function write(name) {
  clearTimeout(timers[name]);
  if (!waiting[name]) return;
  try {
    localStorage.setItem(place(name), JSON.stringify(waiting[name]));
  } catch {
    localStorage.removeItem(place(name)); // full, or not allowed: then the last run is what a reload shows
  }
  delete waiting[name];
}

function keep(name, ids, values) {
  waiting[name] = Object.fromEntries(ids.map((id, i) => [id, values[i]]));
  clearTimeout(timers[name]);
  timers[name] = setTimeout(write, PAUSE_MS, name);
}

window.gessoDrafts = { keep, read: (name) => localStorage.getItem(place(name)) ?? "" };
addEventListener("pagehide", () => Object.keys(waiting).forEach(write));
