"use strict";
/* What makes the pages quicker to work with. They do the same without it; nothing is fetched and nothing is kept. */

const all = (selector, within = document) => [...within.querySelectorAll(selector)];

const led = (group, yes) => {
  const told = group.querySelector("input[name=led]");
  if (told) told.value = yes ? "1" : "";
};

/* Choices: buttons that tick all or none; one that stands for all others ticks them. */
for (const group of all("fieldset[data-choices]")) {
  const boxes = all("input[type=checkbox]", group);
  const leader = boxes.find((box) => box.value === group.dataset.leader);
  for (const button of all("button[name=tick]", group)) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      const on = button.value.endsWith(":all");
      for (const box of boxes) box.checked = on;
      led(group, on);
      group.dispatchEvent(new Event("input", { bubbles: true }));
    });
  }
  leader?.addEventListener("change", () => {
    if (!leader.checked) return;
    for (const box of boxes) box.checked = true;
    led(group, true);
  });
}

/* Lists: one box that chooses all of the page. */
for (const form of all("form[data-choose]")) {
  const place = form.querySelector("thead td");
  const boxes = all("td.choose input", form);
  const every = document.createElement("input");
  every.type = "checkbox";
  every.setAttribute("aria-label", "Choose all on this page");
  every.addEventListener("change", () => {
    for (const box of boxes) box.checked = every.checked;
  });
  place.replaceChildren(every);
}

/* What is wrong comes first, unless the page says what does. */
if (!document.querySelector("[autofocus]")) all("[aria-invalid=true]").find((field) => field.matches("input, select, textarea"))?.focus();

/* A page that nobody uses is put away, after a word of warning. */
const idleS = Number(document.body.dataset.idleS ?? 0);
let isPutAway = false;
if (idleS > 0) {
  const warnedS = Math.min(60, idleS / 2);
  setTimeout(() => {
    const told = document.createElement("p");
    told.className = "warning";
    told.setAttribute("role", "alert");
    told.textContent = `Nobody has done anything on this page for a while. It is put away in ${Math.round(warnedS)} seconds unless you send it or open another one.`;
    document.querySelector("main").prepend(told);
  }, (idleS - warnedS) * 1000);
  setTimeout(() => {
    isPutAway = true;
    location.replace("/ended");
  }, (idleS + 5) * 1000);
}

/* A form that was changed is not left by mistake, and is sent once. */
for (const form of all("main form[method=post]")) {
  let changed = false;
  let sent = false;
  form.addEventListener("input", () => { changed = true; });
  form.addEventListener("submit", (event) => {
    if (sent) {
      event.preventDefault();
      return;
    }
    sent = true;
    form.setAttribute("aria-busy", "true");
  });
  window.addEventListener("beforeunload", (event) => {
    if (changed && !sent && !isPutAway) event.preventDefault();
  });
  window.addEventListener("pageshow", () => {
    sent = false;
    form.removeAttribute("aria-busy");
  });
}
