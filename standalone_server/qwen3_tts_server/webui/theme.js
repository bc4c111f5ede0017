// Light, dark, or what the system says; remembered in this browser.

const ORDER = { "": "light", light: "dark", dark: "" };
const NAMES = { "": "as the system", light: "light", dark: "dark" };
const KEPT = "qwen3-tts-theme";

export function startTheme(button, onChange) {
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.setAttribute("aria-label", `Theme: ${NAMES[theme]}`);
    button.title = `Theme: ${NAMES[theme]}`;
    localStorage.setItem(KEPT, theme);
    onChange();
  };
  button.addEventListener("click", () => set(ORDER[document.documentElement.dataset.theme]));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", onChange);
  const kept = localStorage.getItem(KEPT);
  set(kept in ORDER ? kept : "");
}
