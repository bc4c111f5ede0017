// Small helpers for building the page. Text goes in as text, never as markup.

// Elements marked data-part="name" under `root`, by name.
export function parts(root) {
  const found = {};
  for (const element of root.querySelectorAll("[data-part]")) found[element.dataset.part] = element;
  return found;
}

// A copy of the only element in <template id="id">.
export function fromTemplate(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export const milliseconds = (value) => `${Math.round(value)} ms`;
export const seconds = (value) => `${value.toFixed(1)} s`;
export const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");

export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain HTTP outside localhost has no clipboard API.
  const area = element("textarea", { value: text, className: "offscreen" });
  const focused = document.activeElement;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  focused?.focus();
}
