/** The tip of elements with `data-tip`: on hover, on focus, and on a tap. */

function setUpTips() {
  const owner = (event) => event.target.closest?.("[data-tip]");
  document.addEventListener("pointerover", (event) => showTip(owner(event)));
  document.addEventListener("pointerout", hideTip);
  document.addEventListener("focusin", (event) =>
    showTip(event.target.matches(":focus-visible") ? owner(event) : null),
  );
  document.addEventListener("focusout", hideTip);
  document.addEventListener("click", (event) => showTip(owner(event)));
  document.addEventListener("scroll", hideTip, { capture: true, passive: true });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());
}

function hideTip() {
  at("tip").hidden = true;
}

function showTip(node) {
  const tip = at("tip");
  tip.hidden = !node?.dataset.tip || !node.isConnected;
  if (tip.hidden) return;
  // A modal dialog covers the rest of the page, so its tips are placed inside it.
  (node.closest("dialog") ?? document.body).append(tip);
  tip.textContent = node.dataset.tip;
  const box = node.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = tip;
  const left = Math.min(
    Math.max(8, box.left + box.width / 2 - width / 2),
    document.documentElement.clientWidth - width - 8,
  );
  const above = box.top - height - 8;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${above > 4 ? above : box.bottom + 8}px`;
}
