"use strict";
// Renders the OpenAPI document of this address: operations by tag, their parameters, bodies and answers.
const METHODS = ["get", "post", "put", "patch", "delete"];

function element(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function example(schema, all, depth = 0) {
  if (!schema || depth > 6) return null;
  if (schema.$ref) return example(all[schema.$ref.split("/").pop()], all, depth + 1);
  if (schema.example !== undefined) return schema.example;
  const first = (schema.oneOf || schema.anyOf || schema.allOf || [])[0];
  if (first) return example(first, all, depth + 1);
  const type = Array.isArray(schema.type) ? schema.type[0] : schema.type;
  if (schema.enum) return schema.enum[0];
  if (type === "array") return [example(schema.items, all, depth + 1)];
  if (type === "object" || schema.properties) {
    const out = {};
    for (const [key, value] of Object.entries(schema.properties || {})) out[key] = example(value, all, depth + 1);
    return out;
  }
  return { string: "text", integer: 0, number: 0, boolean: true }[type] ?? null;
}

function content(title, part, schemas) {
  const json = part && part.content && Object.values(part.content)[0];
  if (!json || !json.schema) return null;
  return element("div", {}, element("h4", {}, title), element("pre", {}, JSON.stringify(example(json.schema, schemas), null, 2)));
}

function operation(path, method, op, schemas) {
  const rows = (op.parameters || []).map((p) =>
    element("tr", {}, element("td", {}, element("code", {}, p.name)), element("td", {}, p.in + (p.required ? ", required" : "")), element("td", {}, p.description || "")));
  const answers = Object.entries(op.responses || {}).map(([status, answer]) =>
    element("tr", {}, element("td", {}, element("code", {}, status)), element("td", {}, answer.description || "")));
  const good = Object.entries(op.responses || {}).find(([status]) => status.startsWith("2"));
  const body = element("div", { class: "body" },
    element("p", {}, op.description || op.summary || ""),
    rows.length ? element("table", {}, ...rows) : null,
    content("Body", op.requestBody, schemas),
    element("h4", {}, "Answers"), element("table", {}, ...answers),
    good ? content("Answer " + good[0], good[1], schemas) : null);
  const node = element("details", {},
    element("summary", {}, element("span", { class: "method " + method }, method.toUpperCase()), element("code", {}, path), element("span", {}, op.summary || "")),
    body);
  node.dataset.text = (method + " " + path + " " + (op.summary || "")).toLowerCase();
  return node;
}

async function show() {
  const doc = await (await fetch("/api/v1/openapi.json")).json();
  document.getElementById("title").textContent = doc.info.title + " API";
  const schemas = (doc.components && doc.components.schemas) || {};
  const groups = new Map();
  for (const [path, item] of Object.entries(doc.paths)) {
    for (const method of METHODS.filter((m) => item[m])) {
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(path, method, item[method], schemas));
    }
  }
  const main = document.getElementById("operations");
  main.replaceChildren(...[...groups].map(([tag, nodes]) => element("section", {}, element("h2", {}, tag), ...nodes)));
  document.getElementById("filter").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const section of main.children) {
      const nodes = [...section.querySelectorAll("details")];
      for (const node of nodes) node.hidden = !node.dataset.text.includes(wanted);
      section.hidden = nodes.every((node) => node.hidden);
    }
  });
}

show().catch((error) => { document.getElementById("operations").textContent = "The document could not be read: " + error.message; });
