// Shows openapi.json: operations by tag, then schemas. Text goes in as text, never as HTML.

const METHODS = ["get", "post", "patch", "put", "delete"];

/** Makes an element: `el("p.note", {id: "x"}, "text", child)`. */
function el(kind, attributes, ...children) {
  const [tag, ...classes] = kind.split(".");
  const node = document.createElement(tag);
  if (classes.length > 0) node.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes ?? {})) node.setAttribute(name, value);
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Text in which `code` between backticks is set as code. */
function prose(text) {
  return (text ?? "").split("`").map((part, i) => (i % 2 === 1 ? el("code", {}, part) : part));
}

function nameOf(reference) {
  return reference.split("/").at(-1);
}

/** A type as one line, with links to schemas. */
function type(schema) {
  if (schema === undefined) return ["anything"];
  if (schema.$ref) {
    const name = nameOf(schema.$ref);
    return [el("a", { href: `#schema-${name}` }, name)];
  }
  const choices = schema.oneOf ?? schema.anyOf;
  if (choices) return choices.flatMap((one, i) => [i > 0 ? " or " : "", ...type(one)]);
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" or ")];
  const kinds = [schema.type].flat();
  return kinds.flatMap((kind, i) => [i > 0 ? " or " : "", ...oneKind(kind, schema)]);
}

function oneKind(kind, schema) {
  if (kind === "array") return ["list of ", ...type(schema.items)];
  if (kind === "object" && typeof schema.additionalProperties === "object") {
    return ["map of ", ...type(schema.additionalProperties)];
  }
  return [schema.format ? `${kind} (${schema.format})` : (kind ?? "anything")];
}

function fields(schema) {
  const required = new Set(schema.required ?? []);
  const rows = Object.entries(schema.properties ?? {}).map(([name, property]) =>
    el("tr", {},
      el("td", {}, el("code", {}, name), required.has(name) ? null : el("div.optional", {}, "optional")),
      el("td", {}, el("span.type", {}, type(property)), el("div", {}, prose(property.description)))),
  );
  return rows.length > 0 ? el("table", {}, el("tbody", {}, rows)) : el("p", {}, type(schema));
}

function contentOf(part) {
  return Object.entries(part?.content ?? {})[0];
}

function operation(path, method, operation) {
  const [, body] = contentOf(operation.requestBody) ?? [];
  const responses = Object.entries(operation.responses ?? {}).map(([status, response]) => {
    const [, content] = contentOf(response) ?? [];
    return el("tr", {},
      el("td", {}, el("code", {}, status)),
      el("td", {}, prose(response.description), content ? [" ", el("span.type", {}, type(content.schema))] : null));
  });
  const headers = (operation.parameters ?? []).map((parameter) =>
    el("tr", {}, el("td", {}, el("code", {}, parameter.name)), el("td", {}, prose(parameter.description))));
  return el("article.card", { id: operation.operationId },
    el("div.head", {},
      el(`span.method.${method}`, {}, method.toUpperCase()),
      el("span.path", {}, path),
      el("h3", {}, operation.summary ?? operation.operationId),
      operation.security ? el("span.lock", {}, "needs an access token") : null),
    el("p", {}, prose(operation.description)),
    headers.length > 0 ? [el("h4", {}, "Headers"), el("table", {}, el("tbody", {}, headers))] : null,
    body ? [el("h4", {}, "Body"), el("p", {}, type(body.schema))] : null,
    el("h4", {}, "Answers"),
    el("table", {}, el("tbody", {}, responses)));
}

function byTag(api) {
  const tags = new Map((api.tags ?? []).map((tag) => [tag.name, { tag, operations: [] }]));
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((method) => item[method])) {
      const name = item[method].tags?.[0] ?? "Other";
      if (!tags.has(name)) tags.set(name, { tag: { name }, operations: [] });
      tags.get(name).operations.push([path, method, item[method]]);
    }
  }
  return [...tags.values()];
}

function show(api) {
  const page = document.querySelector("#document");
  const contents = document.querySelector("#contents");
  page.replaceChildren(
    el("h1", {}, `${api.info.title} REST`),
    el("p", {}, `Version ${api.info.version} · `, el("a", { href: "/openapi.json" }, "openapi.json")),
    el("p", {}, prose(api.info.description)));
  for (const { tag, operations } of byTag(api)) {
    contents.append(el("h2", {}, tag.name), ...operations.map(([, , one]) =>
      el("a", { href: `#${one.operationId}` }, one.summary ?? one.operationId)));
    page.append(el("h2", {}, tag.name), el("p", {}, prose(tag.description)),
      ...operations.map((one) => operation(...one)));
  }
  const schemas = Object.entries(api.components?.schemas ?? {});
  contents.append(el("h2", {}, "Schemas"), ...schemas.map(([name]) => el("a", { href: `#schema-${name}` }, name)));
  page.append(el("h2", {}, "Schemas"), ...schemas.map(([name, schema]) =>
    el("article.card", { id: `schema-${name}` },
      el("h3", {}, name), el("p", {}, prose(schema.description)), fields(schema))));
  if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  const answer = await fetch("/openapi.json");
  show(await answer.json());
} catch (error) {
  document.querySelector("#document").replaceChildren(
    el("p", {}, "openapi.json cannot be shown: ", String(error)));
}
