// A search field above each table inside `div.filterable`: rows without the words are hidden.
// What is too wide for the screen scrolls, with the keyboard too.
(() => {
  if (window.howfarTables) return; // the theme loads scripts of this folder twice
  window.howfarTables = true;
  document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll(".pst-scrollable-table-container, .bd-article table.dataframe, .bd-article pre")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
    for (const box of document.querySelectorAll("div.filterable")) {
      const rows = [...box.querySelectorAll("tbody tr")];
      const field = document.createElement("input");
      const count = document.createElement("span");
      field.type = "search";
      field.placeholder = "search this table";
      field.setAttribute("aria-label", "search this table");
      const show = () => {
        const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
        for (const row of rows) {
          const text = row.textContent.toLowerCase();
          row.hidden = !words.every((word) => text.includes(word));
        }
        count.textContent = ` ${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
      };
      field.addEventListener("input", show);
      box.prepend(field, count);
      show();
    }
  });
})();
