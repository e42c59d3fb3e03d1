// Sort a table by clicking on a header, and filter its rows by words that all must occur.
"use strict";
for (const box of document.querySelectorAll(".sorted")) {
  const body = box.querySelector("tbody");
  const rows = Array.from(body.rows);
  const words = rows.map((row) => Array.from(row.cells, (cell) => cell.classList.contains("n") ? "" : cell.textContent).join(" ").toLowerCase());
  const headers = Array.from(box.querySelectorAll("thead th"));
  const value = (row, column) => {
    const cell = row.cells[column];
    if (!cell.classList.contains("n")) return cell.textContent.toLowerCase();
    const number = parseFloat(cell.textContent.replace(/,/g, "").replace("<", "0"));
    return Number.isNaN(number) ? -Infinity : number;
  };
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = header.textContent;
    header.replaceChildren(button);
    button.addEventListener("click", () => {
      const before = header.getAttribute("aria-sort");
      const down = before ? before === "ascending" : header.classList.contains("n");
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      header.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = rows.map((row, at) => [value(row, column), at, row]);
      keyed.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0) * (down ? -1 : 1) || a[1] - b[1]);
      body.append(...keyed.map((entry) => entry[2]));
    });
  });
  const filter = box.querySelector(".filter");
  const input = filter.querySelector("input");
  const output = filter.querySelector("output");
  const show = () => {
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    rows.forEach((row, at) => {
      row.hidden = !wanted.every((word) => words[at].includes(word));
      count += !row.hidden;
    });
    output.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  };
  input.addEventListener("input", show);
  filter.hidden = false;
  show();
}
