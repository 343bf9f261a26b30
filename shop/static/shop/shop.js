/** The shop's own script: small comforts. Everything works without it. */
import "./consent.js";
import "./why.js";

// A quantity that changes updates the basket at once; the button stays for everyone else.
for (const input of document.querySelectorAll(".line-quantity input[type=number]")) {
  input.closest("li")?.querySelector("[data-update]")?.setAttribute("hidden", "");
  input.addEventListener("change", () => input.form?.requestSubmit());
}

// The list of products in the basket is no flat property: this one event is sent by a call.
const basket = document.querySelector(".page-cart .lines");
if (basket) window.cashwrap?.track("Cart Viewed", facts());

function facts() {
  const { cart = {}, currency } = JSON.parse(document.querySelector("script[data-cashwrap-context]")?.dataset.cashwrapContext || "{}");
  const products = (cart.items || []).map((item) => ({ product_id: item.id, price: item.price, quantity: item.quantity }));
  return { cart_id: cart.token, currency, products };
}
