/** The badge of a page that was opened by a preview link: staff must not take it for what shoppers see. */

const STYLE = {
  position: "fixed",
  insetInlineStart: "8px",
  bottom: "8px",
  zIndex: "2147483647",
  padding: "4px 10px",
  borderRadius: "4px",
  font: "14px/1.4 system-ui, sans-serif",
  color: "#fff",
  background: "#4a148c",
  pointerEvents: "none",
};

/** @type {HTMLElement | undefined} */
let mark;

/** @param {number} status what the server answered: 403 is a link that was changed, expired or made for another store */
export function badge(status) {
  mark ??= document.body.appendChild(document.createElement("div"));
  mark.className = "cw-preview";
  mark.setAttribute("role", "status");
  Object.assign(mark.style, STYLE);
  mark.textContent = status === 403 ? "Preview: this link is not valid any more" : "Preview";
}
