// Loads the gene explorer on its own page and, for genes among its results, on the search page.
(() => {
  if (window.howfarGenesAsked) return; // the theme loads scripts of this folder twice
  window.howfarGenesAsked = true;
  document.addEventListener("DOMContentLoaded", () => {
    if (!document.querySelector(".howfar-genes, #search-results")) return;
    const root = document.documentElement.dataset.content_root || "./";
    const style = document.createElement("link");
    const script = document.createElement("script");
    style.rel = "stylesheet";
    style.href = `${root}genes/genes.css`;
    script.src = `${root}genes/genes.js`;
    document.head.append(style, script);
  });
})();
