/** Lists of products. Loaded only where an answer has one: most placements of a checkout show something else. */

const MAX_ITEMS = 24;

/** @typedef {Record<string, any>} Content */

/**
 * The changes that can be taken back, as `render.js` has them.
 * @typedef {object} Tools
 * @property {(parent: Element | DocumentFragment, tag: string, name: string) => HTMLElement} append
 * @property {(element: Element, ...nodes: (string | Node)[]) => void} fill
 * @property {(element: Element, name: string, value: string | null) => void} set
 * @property {(place: ParentNode, name: string) => HTMLElement | null} slot
 * @property {(element: Element, text: unknown) => void} write
 */

/**
 * @param {Tools} tools
 * @returns {(place: HTMLElement, content: Content) => void} the component's renderer
 */
export function products({ append, fill, set, slot, write }) {
  return (place, { title, items }) => {
    if (!items.length) return;
    const template = place.querySelector("template");
    const target = slot(place, "items") ?? place;
    const list = document.createDocumentFragment();
    const heading = title && (slot(place, "title") ?? append(list, "p", "title"));
    if (heading) write(heading, title);
    const entries = template ? list : append(list, "ul", "products");
    for (const item of items.slice(0, MAX_ITEMS)) entries.append(product(template?.content ?? plainProduct(), item));
    fill(target, ...(template?.parentNode === target ? [template] : []), list);
    set(place, "hidden", null);
  };

  /** @returns {ParentNode} markup for one product, for a shop that brings none */
  function plainProduct() {
    const plain = document.createDocumentFragment();
    const item = append(plain, "li", "product");
    const link = append(item, "a", "link");
    append(link, "img", "image").setAttribute("alt", ""); // the name stands beside it
    append(link, "span", "name");
    append(item, "span", "price");
    return plain;
  }

  /**
   * @param {ParentNode} markup
   * @param {Content} item
   */
  function product(markup, { id, name, price, url, image, from: source }) {
    const node = /** @type {DocumentFragment} */ (markup.cloneNode(true));
    const [label, tag] = [slot(node, "name"), slot(node, "price")];
    if (label) write(label, name);
    if (tag && price) write(tag, price);
    lead(node.querySelector("a[data-cashwrap-slot=link]"), "href", url);
    lead(node.querySelector("img[data-cashwrap-slot=image]"), "src", image);
    if (source) node.firstElementChild?.setAttribute("data-cashwrap-source", source); // so that a theme can say who chose it
    node.querySelector("input[data-cashwrap-slot=id]")?.setAttribute("value", id);
    node.querySelector("[data-cashwrap-event]")?.setAttribute("data-cashwrap-prop-product_id", id);
    return node;
  }
}

/**
 * Point a link or a picture somewhere, unless that is a script.
 * @param {Element | null} element
 * @param {"href" | "src"} name
 * @param {string | undefined} address
 */
function lead(element, name, address) {
  if (element && address && /^https?:$/.test(new URL(address, location.href).protocol)) element.setAttribute(name, address);
  else if (name === "src") element?.remove();
}
