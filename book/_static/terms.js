// The box with a term's definition: beside its word, inside the window, and gone when Escape is pressed.
(function () {
  "use strict";
  const GAP = 6;

  function place(use) {
    const box = use.querySelector(".definition");
    const word = use.querySelector("a").getClientRects()[0];
    use.classList.remove("dismissed");
    if (!word || window.innerWidth <= 576) return; // a telephone shows it at the foot of the window
    box.classList.add("placed");
    const room = document.documentElement.clientWidth - box.offsetWidth - GAP;
    box.style.left = Math.max(GAP, Math.min(word.left, room)) + "px";
    const above = word.top - box.offsetHeight;
    const below = word.bottom + box.offsetHeight <= window.innerHeight;
    box.style.top = (below || above < 0 ? word.bottom : above) + "px";
  }

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll(".term-use").forEach(function (use) {
      use.addEventListener("pointerenter", function () { place(use); });
      use.addEventListener("focusin", function () { place(use); });
    });
  });

  document.addEventListener("scroll", function () {
    document.querySelectorAll(".term-use:not(.dismissed):is(:hover, :focus-within)").forEach(place);
  }, {passive: true});

  document.addEventListener("keydown", function (event) {
    if (event.key !== "Escape") return;
    document.querySelectorAll(".term-use").forEach(function (use) { use.classList.add("dismissed"); });
  });
})();
