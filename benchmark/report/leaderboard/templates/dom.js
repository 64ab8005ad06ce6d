"use strict";

/** The element with this id. */
function at(id) {
  return document.getElementById(id);
}

/** An HTML element. Children are nodes or texts; texts never become markup. */
function make(name, attributes = {}, ...children) {
  return furnish(document.createElement(name), attributes, children);
}

/** An SVG element, in the same way. */
function draw(name, attributes = {}, ...children) {
  return furnish(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else if (name.startsWith("--")) node.style.setProperty(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** Replaces the children of an element. */
function fill(id, ...children) {
  at(id).replaceChildren(...children.flat(2).filter((child) => child !== null && child !== undefined));
}

/** Rebuilds parts of the page and returns the focus to the part that had it. */
function keepingFocus(rebuild) {
  const key = document.activeElement?.dataset?.key;
  rebuild();
  if (!key || document.activeElement?.dataset?.key === key) return;
  document.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}

/** Radio buttons in a fieldset, as segments of one bar. Options: [{id, title}]. */
function segments(id, options, chosen, choose) {
  const legend = at(id).querySelector("legend");
  fill(
    id,
    legend,
    options.map((option) =>
      make(
        "label",
        {},
        make("input", {
          type: "radio",
          name: id,
          value: option.id,
          "data-key": `${id}/${option.id}`,
          checked: option.id === chosen,
          change: () => choose(option.id),
        }),
        make("span", {}, option.title),
      ),
    ),
  );
}

function paragraphs(texts) {
  return texts.map((text) => make("p", {}, text));
}

/** A small table of names and values. */
function facts(entries) {
  return make(
    "dl",
    { class: "facts" },
    entries.map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
}
