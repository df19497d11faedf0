// What the theme says wrongly to a screen reader, and what it leaves out of sight.
document.addEventListener("DOMContentLoaded", function () {
  // The button reads "Search Ctrl+K": its own words are its name.
  document.querySelectorAll(".search-button-field").forEach(function (button) { button.removeAttribute("aria-label"); });
  // The other one shows a picture for each of the three, with these words.
  document.querySelectorAll(".theme-switch-button").forEach(function (button) {
    button.setAttribute("aria-label", "Color mode: Light, Dark, System Settings");
  });
  // The entries of the bibliography have a role of their own, so they are no list's items.
  document.querySelectorAll(".citation-list").forEach(function (list) { list.removeAttribute("role"); });
  // A line may break behind a formula, which would leave a comma or a full stop at the beginning of the next.
  document.querySelectorAll(".bd-article span.math").forEach(function (formula) {
    const behind = formula.nextSibling;
    const mark = behind && behind.nodeType === Node.TEXT_NODE && /^[.,;:?!)]+/.exec(behind.data);
    if (!mark) return;
    const both = document.createElement("span");
    both.className = "formula-and-mark";
    formula.replaceWith(both);
    behind.splitText(mark[0].length);
    both.append(formula, behind);
  });
});

// The theme puts the sidebar where it was on the page before; the entry of this page may lie outside it then.
window.addEventListener("load", function () {
  const bar = document.querySelector(".bd-sidebar-primary");
  const entry = bar && bar.querySelector(".bd-docs-nav a.current");
  if (!entry) return;
  const place = entry.getBoundingClientRect();
  const frame = bar.getBoundingClientRect();
  if (place.top >= frame.top && place.bottom <= frame.bottom) return;
  bar.scrollTop += place.top - frame.top - frame.height / 2;
});
