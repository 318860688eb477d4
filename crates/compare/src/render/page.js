// The page is complete without this: it only opens the cell that the address names and moves the
// focus there.
(() => {
  const decoded = (text) => {
    try { return decodeURIComponent(text); } catch { return text; }
  };
  const open = (hash) => {
    const wanted = decoded(hash.slice(1));
    const panels = [...document.querySelectorAll(".panel")];
    const panel = wanted && panels.find((one) => decoded(one.id) === wanted);
    if (!panel) return;
    const cell = panel.parentElement;
    const summary = cell.querySelector("summary");
    cell.open = true;
    // After the browser's own jump, which goes to the panel and leaves its title above the window.
    setTimeout(() => {
      summary.scrollIntoView({ block: "start" });
      summary.focus({ preventScroll: true });
    });
  };
  addEventListener("hashchange", () => open(location.hash));
  addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    if (link) open(link.getAttribute("href"));
  });
  addEventListener("load", () => open(location.hash));
})();
