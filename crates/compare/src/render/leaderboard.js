// The table is complete and ordered without this: it adds sorting by any column and two filters.
(() => {
  const table = document.querySelector(".board");
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const key = (row, at) => row.cells[at].dataset.sort ?? row.cells[at].textContent;
  const compare = (one, other) =>
    Number.isFinite(+one) && Number.isFinite(+other) ? one - other : one.localeCompare(other);

  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      // Rates are first wanted from the top, words from A.
      const first = head.className === "n" ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = head.getAttribute("aria-sort") === first ? other : first;
      heads.forEach((one) => one.setAttribute("aria-sort", one === head ? order : "none"));
      const sign = order === "ascending" ? 1 : -1;
      const rows = [...body.rows].sort((a, b) => sign * compare(key(a, at), key(b, at)));
      body.append(...rows);
    });
  });

  const chosen = { subject: "", backend: "" };
  const bar = document.createElement("div");
  bar.className = "filter";
  for (const what of Object.keys(chosen)) {
    const label = document.createElement("label");
    label.textContent = what[0].toUpperCase() + what.slice(1);
    const select = document.createElement("select");
    const names = [...new Set([...body.rows].map((row) => row.dataset[what]))];
    select.append(new Option("all", ""), ...names.map((name) => new Option(name, name)));
    select.addEventListener("change", () => {
      chosen[what] = select.value;
      for (const row of body.rows) {
        row.hidden = Object.entries(chosen).some(([one, name]) => name && row.dataset[one] !== name);
      }
    });
    label.append(select);
    bar.append(label);
  }
  table.parentElement.before(bar);
})();
