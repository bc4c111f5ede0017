// The page at /docs: shows /openapi.json. Text goes in as text, never as markup.
import { copy, element } from "/static/dom.js";
import { requests } from "/static/request.js";
import { startTheme } from "/static/theme.js";

const byId = (id) => document.getElementById(id);

async function start() {
  startTheme(byId("theme"), () => {});
  const response = await fetch("/openapi.json");
  if (!response.ok) throw new Error(`The server answered ${response.status}.`);
  const api = await response.json();
  byId("version").textContent = `version ${api.info.version}`;
  byId("about").append(...paragraphs(api.info.description), errors(api));
  byId("groups").append(...api.tags.map((tag) => group(api, tag)));
  byId("news").textContent = "";
  byId("open-all").addEventListener("click", openAll);
  addEventListener("hashchange", openNamed);
  openNamed();
}

function openAll({ currentTarget: button }) {
  const open = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", open);
  button.textContent = open ? "Close all" : "Open all";
  for (const details of document.querySelectorAll("details.route")) details.open = open;
}

function openNamed() {
  const named = byId(location.hash.slice(1));
  if (!named) return;
  named.open = true;
  named.scrollIntoView();
}

// ---- the parts of the page, from the whole to the small

function errors(api) {
  const summary = element("summary", {}, "The shape of every error");
  return element("details", { className: "errors" }, summary, ...fields(api, api.components.schemas.Failure));
}

function group(api, { name, description }) {
  const routes = Object.entries(api.paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => operation.tags.includes(name))
      .map(([method, operation]) => route(api, path, method, operation)),
  );
  const head = element("h2", {}, name);
  return element("section", {}, head, element("p", { className: "muted" }, description), ...routes);
}

function route(api, path, method, operation) {
  const needsKey = (operation.security ?? api.security ?? []).length > 0;
  const kind = operation.responses["101"] ? "ws" : method;
  const summary = element(
    "summary",
    {},
    element("b", { className: `method ${kind}` }, kind.toUpperCase()),
    element("code", {}, path),
    element("span", {}, operation.summary),
  );
  const made = element("details", { className: "route card", id: operation.operationId }, summary);
  made.append(
    ...paragraphs(operation.description ?? ""),
    ...parameters(operation.parameters ?? []),
    ...body(api, operation.requestBody),
    title("As a request"),
    ...requests(path, method, operation, needsKey).flatMap(command),
    ...answers(api, operation.responses),
  );
  return made;
}

function parameters(all) {
  if (!all.length) return [];
  const rows = all.map(({ name, in: where, schema, description, required }) =>
    row(name, required, `${where} · ${typeOf(schema)}`, description),
  );
  return [title("Parameters"), table(rows)];
}

function body(api, requestBody) {
  if (!requestBody) return [];
  const [[type, { schema }]] = Object.entries(requestBody.content);
  const about = requestBody.required ? type : `${type}, may be left out`;
  return [title("Body", about), ...fields(api, schema)];
}

// A table of an object's fields, and one for each object in them.
function fields(api, schema, within = "") {
  const { properties = {}, required = [] } = resolved(api, schema);
  const rows = [];
  const inner = [];
  for (const [name, field] of Object.entries(properties)) {
    rows.push(row(within + name, required.includes(name), typeOf(field), field.description));
    const object = (field.anyOf ?? [field]).find(({ $ref }) => $ref);
    if (object) inner.push(...fields(api, object, `${within}${name}.`));
  }
  return [table(rows), ...inner];
}

function answers(api, responses) {
  const good = [];
  const bad = [];
  for (const [status, given] of Object.entries(responses)) {
    const { description, headers = {}, content = {} } = resolved(api, given);
    const extra = Object.keys(headers).filter((name) => name !== "X-Request-Id");
    const told = [...Object.keys(content), ...extra].join(", ");
    if (given.$ref) {
      bad.push(row(status, false, extra.join(", "), description));
      continue;
    }
    good.push(title(`Answer ${status}`, told), ...paragraphs(description));
    const example = content["application/json"]?.example;
    if (example) good.push(element("pre", {}, JSON.stringify(example, null, 2)));
  }
  if (bad.length) {
    const summary = element("summary", {}, `Errors ${bad.map((one) => one.cells[0].textContent).join(", ")}`);
    good.push(element("details", { className: "errors" }, summary, table(bad)));
  }
  return good;
}

function command({ summary, command: text }) {
  const button = element("button", { type: "button", className: "quiet" }, "Copy");
  button.addEventListener("click", async () => {
    await copy(text);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  const about = summary ? [element("p", { className: "muted" }, summary)] : [];
  const shown = element("pre", { tabIndex: 0, role: "region", ariaLabel: "The request" }, text);
  return [...about, element("div", { className: "command" }, shown, button)];
}

// ---- small things

const resolved = (api, part) =>
  part.$ref ? part.$ref.slice(2).split("/").reduce((at, name) => at[name], api) : part;

const title = (text, about = "") =>
  element("h3", {}, text, ...(about ? [" ", element("span", { className: "muted" }, about)] : []));

const table = (rows) => element("div", { className: "table" }, element("table", {}, element("tbody", {}, ...rows)));

function row(name, required, type, description = "") {
  const head = element("th", { scope: "row" }, element("code", {}, name));
  if (required) head.append(" ", element("small", {}, "required"));
  return element("tr", {}, head, element("td", { className: "type" }, type), element("td", {}, ...marked(description)));
}

const paragraphs = (text) =>
  text.split("\n\n").filter(Boolean).map((part) => element("p", {}, ...marked(part)));

// `code` becomes an element.
const marked = (text) =>
  text.split("`").map((part, index) => (index % 2 ? element("code", {}, part) : part));

function typeOf({ $ref, type, const: only, enum: several, anyOf, pattern }) {
  if ($ref) return "object";
  if (only !== undefined) return JSON.stringify(only);
  if (several) return several.filter((value) => value !== "").join(", ");
  if (anyOf) return anyOf.filter((one) => one.type !== "null").map(typeOf).join(" or ");
  return type ?? (pattern ? "code" : "any");
}

try {
  await start();
} catch (error) {
  byId("news").textContent = `This page cannot be shown: ${error.message}`;
  byId("news").classList.add("bad");
}
