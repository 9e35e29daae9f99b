// Adds to the pages for people: keys, parts that refresh themselves, and suggestions while typing.
// Everything works without this script too.
"use strict";

// --- Keys --------------------------------------------------------------------------------------
// An element with data-key="x" is followed, or focused if it is a field, when x is pressed.
document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, select, textarea, [contenteditable]");
  if (field || event.ctrlKey || event.metaKey || event.altKey) return;
  const target = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  if (target.matches("input, select, textarea")) target.focus();
  else target.click();
});

// --- Parts that refresh themselves -------------------------------------------------------------
// <section id="events" data-refresh="5"> is replaced by itself, from the same page, every 5 seconds
// while somebody looks at the page. A part in which something has the focus stays as it is.
function refreshRegularly(part) {
  const seconds = Number(part.dataset.refresh);
  setTimeout(async () => {
    let next = part;
    if (!document.hidden && !part.contains(document.activeElement)) {
      next = await refreshed(part);
    }
    refreshRegularly(next);
  }, seconds * 1000);
}

async function refreshed(part) {
  const lost = document.getElementById("connection-lost");
  try {
    const url = new URL(location.href);
    url.searchParams.set("part", part.id);
    const response = await fetch(url);
    if (!response.ok || response.redirected) throw new Error(response.status);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    const fresh = page.getElementById(part.id);
    lost.hidden = true;
    if (fresh.isEqualNode(part)) return part;
    part.replaceWith(fresh);
    return fresh;
  } catch {
    lost.hidden = false;
    return part;
  }
}

document.querySelectorAll("[data-refresh]").forEach(refreshRegularly);

// --- Suggestions -------------------------------------------------------------------------------
// <input list="products" data-suggest="/admin/suggest/products/"> asks for options as people type.
// The answer is a list of {value, label}.
document.querySelectorAll("input[data-suggest]").forEach((input) => {
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const url = `${input.dataset.suggest}?q=${encodeURIComponent(input.value)}`;
      const response = await fetch(url);
      if (!response.ok || response.redirected) return;
      const options = (await response.json()).map(({ value, label }) => {
        const option = document.createElement("option");
        option.value = value;
        option.label = label;
        return option;
      });
      input.list.replaceChildren(...options);
    }, 150);
  });
});
