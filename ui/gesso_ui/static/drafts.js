// What is typed in a tab outlives a reload: kept in this browser, by the controls' ids, soon after whatever somebody does.

const AFTER_MS = [300, 1000, 2000]; // the later ones for what the server sends in answer
const place = (name) => `gesso-draft-${name}`;
const timers = new WeakMap();

function keep(name, ids, values) {
  try {
    localStorage.setItem(place(name), JSON.stringify(Object.fromEntries(ids.map((id, i) => [id, values[i]]))));
  } catch {
    localStorage.removeItem(place(name)); // full, or not allowed: then the last run is what a reload shows
  }
}

function touched(event) {
  const tab = event.isTrusted && event.target.closest?.('[role="tabpanel"]');
  const button = tab && tab.querySelector(".gesso-keep-button");
  if (!button) return;
  for (const timer of timers.get(button) ?? []) clearTimeout(timer);
  timers.set(button, AFTER_MS.map((ms) => setTimeout(() => button.click(), ms)));
}

for (const kind of ["input", "change", "click", "keyup", "pointerup"]) document.addEventListener(kind, touched, true);
window.gessoDrafts = { keep, read: (name) => localStorage.getItem(place(name)) ?? "" };
