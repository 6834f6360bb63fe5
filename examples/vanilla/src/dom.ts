/**
 * Makes elements without a framework. Text is always a text node, never markup.
 *
 * @module
 */

type Child = Node | string | null | undefined | false;

type Events = { [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void };

/** The properties of an element for {@link el}. */
export interface Props {
  class?: string;
  id?: string;
  /** `data-testid`, by which the browser tests find the element. */
  test?: string;
  /** More attributes; one that is `false` or `null` is left out. */
  attrs?: Record<string, string | number | boolean | null>;
  on?: Events;
}

/** Makes an element with its attributes, listeners and children. */
export function el<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  const { class: names, id, test, attrs = {}, on = {} } = props;
  const all: NonNullable<Props["attrs"]> = {
    class: names ?? null,
    id: id ?? null,
    "data-testid": test ?? null,
    ...attrs,
  };
  for (const [name, value] of Object.entries(all)) {
    if (value !== null && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  for (const [name, listener] of Object.entries(on)) {
    element.addEventListener(name, listener as EventListener);
  }
  element.append(...children.filter(isNode));
  return element;
}

function isNode(child: Child): child is Node | string {
  return child !== null && child !== undefined && child !== false;
}

/** Replaces the children of `parent`. */
export function fill(parent: Element, ...children: Child[]): void {
  parent.replaceChildren(...children.filter(isNode));
}

const SVG = "http://www.w3.org/2000/svg";

/** A line icon, for decoration only: its user must provide a label. */
export function icon(path: string): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** The paths of the icons of this page. */
export const ICONS = {
  send: "M4 12 20 4l-5 16-3.5-6.5z",
  reply: "M10 7 5 12l5 5M5 12h9a5 5 0 0 1 5 5",
  erase: "M5 7h14M10 7V5h4v2M7 7l1 12h8l1-12",
  close: "M6 6l12 12M18 6 6 18",
  clock: "M12 7v5l3 2M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16",
  check: "M5 13l4 4L19 7",
  checks: "M2 13l4 4 9-10M11 15l2 2 9-10",
  down: "M12 5v14M6 13l6 6 6-6",
};
