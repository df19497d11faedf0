// What the theme says wrongly to a screen reader.
document.addEventListener("DOMContentLoaded", function () {
  // The button reads "Search Ctrl+K": its own words are its name.
  document.querySelectorAll(".search-button-field").forEach(function (button) { button.removeAttribute("aria-label"); });
  // The other one shows a picture for each of the three, with these words.
  document.querySelectorAll(".theme-switch-button").forEach(function (button) {
    button.setAttribute("aria-label", "Color mode: Light, Dark, System Settings");
  });
  // The entries of the bibliography have a role of their own, so they are no list's items.
  document.querySelectorAll(".citation-list").forEach(function (list) { list.removeAttribute("role"); });
});
