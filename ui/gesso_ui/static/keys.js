// Keys of a generation tab: Ctrl+Enter begins, Alt+Enter goes to the next picture, Esc stops.

const press = (tab, name) => tab?.querySelector(`.gesso-${name}-button`)?.click();
// Esc closes what is open first: a list, a menu, a picture at full size.
const OPEN = '[role="listbox"], [role="menu"], dialog[open], [role="dialog"]';
const shown = (selector) => [...document.querySelectorAll(selector)].some((element) => element.offsetParent);

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.isComposing) return;
  const tab = [...document.querySelectorAll(".gesso-generation")].find((one) => one.offsetParent);
  if (!tab) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) press(tab, "generate");
  else if (event.key === "Enter" && event.altKey) press(tab, "skip");
  else if (event.key === "Escape" && tab.matches(".gesso-busy") && !shown(OPEN)) press(tab, "interrupt");
  else return;
  event.preventDefault();
}, true);
