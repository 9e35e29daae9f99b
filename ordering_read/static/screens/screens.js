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
  target.matches("input, select, textarea") ? target.focus() : target.click();
});
// A field with data-submit sends its form when it is changed.
addEventListener("change", ({ target: t }) => t.matches("[data-submit]") && t.form.submit());

// --- Parts that refresh themselves -------------------------------------------------------------
// <section id="events" data-refresh="5"> is replaced by itself, from the same page, every 5 seconds
// while somebody looks at the page. A part in which something has the focus stays as it is.
function refreshRegularly(part) {
  const seconds = Number(part.dataset.refresh);
  if (!seconds) return;
  setTimeout(async () => {
    const isStill = document.hidden || part.contains(document.activeElement);
    refreshRegularly(isStill ? part : await refreshed(part));
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
    // A part that is only awaited asks at once, but not again and again.
    part.dataset.refresh = Math.max(part.dataset.refresh, 5);
    return part;
  }
}

document.querySelectorAll("[data-refresh]").forEach(refreshRegularly);

// --- Parts that scroll sideways ----------------------------------------------------------------
// The keyboard reaches them while their table is wider than they are.
const scrolled = new ResizeObserver((entries) => entries.forEach(({ target: part }) => {
  part.tabIndex = part.scrollWidth > part.clientWidth ? 0 : -1;
}));
document.querySelectorAll(".results, .wide:not([tabindex])").forEach((part) => scrolled.observe(part));

// --- Suggestions -------------------------------------------------------------------------------
// <input list="products" data-suggest="/admin/suggest/products/"> asks for options as people type.
// The answer is a list of {value, label}.
let timer, answers = 0;
document.addEventListener("input", ({ target: input }) => {
  if (!input.matches("input[data-suggest]")) return;
  clearTimeout(timer);
  timer = setTimeout(async () => {
    const text = input.value;
    const response = await fetch(`${input.dataset.suggest}?q=${encodeURIComponent(text)}`);
    if (!response.ok || response.redirected || input.value !== text) return;
    const options = (await response.json()).map(({ value, label }) => {
      const option = document.createElement("option");
      Object.assign(option, { value, label });
      return option;
    });
    input.list?.replaceChildren(...options);
  }, 150);
});

// --- Forms that answer in place ----------------------------------------------------------------
// <form data-answered="lines total"> is sent by buttons with data-in-place; with data-each-change by
// changes too. The parts with these ids get the last one's answer, unless people type meanwhile.
async function answer(form, button) {
  const pressed = [["in_place", "1"], ...(button ? [[button.name, button.value]] : [])];
  const fields = () => new URLSearchParams([...new FormData(form), ...pressed]).toString();
  const sent = fields(), number = ++answers;
  const response = await fetch(form.action, { method: "POST", body: new URLSearchParams(sent) });
  if (response.redirected) return location.assign(response.url); // The login keeps the form.
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  if (!response.ok || number < answers || fields() !== sent) return;
  const focused = button ? page.querySelector("form [autofocus]")?.id : document.activeElement.id;
  page.querySelectorAll("[autofocus]").forEach((field) => field.removeAttribute("autofocus"));
  form.dataset.answered.split(" ").forEach((id) => {
    const part = document.getElementById(id), fresh = page.getElementById(id);
    if (!part.isEqualNode(fresh)) part.replaceChildren(...fresh.childNodes);
  });
  const field = focused && document.getElementById(focused);
  for (const act of ["focus", "select"]) field?.[act]?.();
}

["change", "submit"].forEach((type) => document.addEventListener(type, (event) => {
  const form = event.target.closest("form[data-answered]"), button = event.submitter;
  const isMeant = button ? button.matches("[data-in-place]") : form?.matches("[data-each-change]");
  if (!form || !isMeant) return;
  event.preventDefault();
  // Enter changes the field and presses a button at once: one answer is enough.
  clearTimeout(timer);
  timer = setTimeout(answer, 0, form, button);
}));
