(() => {
  "use strict";
  const bar = document.getElementById("filter");
  if (!bar) return;
  const part = (name) => document.getElementById(`filter-${name}`);
  const [text, state, place, bad, clear, told] = ["text", "state", "place", "bad", "clear", "told"].map(part);
  const fold = (words) => words.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const count = new Intl.NumberFormat(bar.dataset.lang);
  const nothing = document.getElementById("filter-nothing");
  let groups = null;
  const read = () => {
    groups = Array.from(document.querySelectorAll("[data-group]"), (group) => {
      const rows = Array.from(group.querySelectorAll("[data-at]"), (row) => ({
        row,
        words: fold(row.textContent),
        at: row.dataset.at.split(" ").map((told) => told.match(/^(.*):([a-z-]+)(!?)$/)),
      }));
      const own = Array.from(group.querySelectorAll("[data-own], .over-row"), (found) => found.textContent);
      return { group, rows, own: fold(own.join(" ")), isActivity: group.localName === "article" };
    });
  };
  const show = (element, isShown) => {
    if (element.classList.contains("off") === isShown) element.classList.toggle("off", !isShown);
  };
  const apply = () => {
    if (!groups) read();
    const terms = fold(text.value).split(/\s+/).filter(Boolean);
    const isNarrow = Boolean(state.value || place.value || bad.checked);
    const isOn = isNarrow || terms.length > 0;
    const fits = ([, at, how, mark]) =>
      (!state.value || how === state.value) && (!place.value || at === place.value) && (!bad.checked || mark === "!");
    const seen = { activities: 0, all_activities: 0, rows: 0, all_rows: 0 };
    for (const { group, rows, own, isActivity } of groups) {
      const left = terms.filter((term) => !own.includes(term));
      let shown = 0;
      for (const { row, words, at } of rows) {
        const isShown = (!isNarrow || at.some(fits)) && left.every((term) => words.includes(term));
        shown += isShown;
        show(row, isShown);
      }
      const isShown = shown > 0 || (!isNarrow && left.length === 0);
      show(group, isShown);
      if (isActivity) {
        seen.activities += isShown;
        seen.all_activities += 1;
        seen.rows += shown;
        seen.all_rows += rows.length;
      }
    }
    clear.disabled = !isOn;
    nothing.hidden = !isOn || seen.activities > 0;
    document.body.classList.toggle("filtered", isOn);
    told.textContent = isOn
      ? bar.dataset.count.replace(/\{(\w+)\}/g, (whole, name) => count.format(seen[name] ?? 0))
      : "";
  };
  const reset = () => {
    text.value = state.value = place.value = "";
    bad.checked = false;
    apply();
  };
  let timer = 0;
  text.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(apply, 150);
  });
  for (const choice of [state, place, bad]) choice.addEventListener("change", apply);
  clear.addEventListener("click", () => {
    reset();
    text.focus();
  });
  bar.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    clearTimeout(timer);
    reset();
  });
  addEventListener("hashchange", () => {
    const target = document.getElementById(location.hash.slice(1));
    if (!target || !target.closest(".off")) return;
    reset();
    target.scrollIntoView();
  });
  bar.hidden = false;
})();
