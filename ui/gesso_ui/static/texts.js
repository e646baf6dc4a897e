// What scripts say, in the reader's language: every text whose key begins with "js." comes with the page.

const read = (id) => JSON.parse(document.getElementById(id)?.textContent || "{}");
const words = read("gesso-texts");
export const languages = read("gesso-languages");

// say("js.live.left", { time: "0:12" })
export function say(key, values = {}) {
  return (words[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}
