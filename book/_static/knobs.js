// The page of knobs: sliders choose a row of the data that the page holds; marks move to it.
(() => {
  if (window.howfarKnobs) return; // the theme loads scripts of this folder twice
  window.howfarKnobs = true;
  document.addEventListener("DOMContentLoaded", () => {
    for (const box of document.querySelectorAll("div.knobs")) {
      const data = JSON.parse(box.querySelector(".knobs-data").textContent);
      const form = box.querySelector("form");
      const sliders = [...form.querySelectorAll("input")];
      const show = () => {
        for (const slider of sliders) {
          const text = data.shown[slider.name][slider.value];
          slider.parentElement.querySelector("output").textContent = text;
          slider.setAttribute("aria-valuetext", text);
        }
        const [values, chosen, reading] = data.rows[sliders.map((s) => s.value).join(",")];
        data.names.forEach((name, i) => {
          const line = box.querySelector(`[data-row="${name}"]`);
          const { low, high } = line.parentElement.dataset;
          const place = (v) => (100 * (Math.min(Math.max(v, low), high) - low)) / (high - low);
          const [mean, from, to] = values.slice(3 * i, 3 * i + 3);
          const bar = line.querySelector(".knobs-bar");
          bar.style.left = `${place(from)}%`;
          bar.style.width = `${place(to) - place(from)}%`;
          line.querySelector(".knobs-dot").style.left = `${place(mean)}%`;
          const [a, b, c] = [mean, from, to].map((v) => v.toFixed(2).replace("-", "−"));
          line.querySelector(".knobs-value").textContent = `${a} [${b}, ${c}]`;
        });
        box.querySelector(".knobs-chosen").textContent = chosen;
        box.querySelector(".knobs-reading").textContent = reading;
      };
      form.addEventListener("input", show);
      form.addEventListener("submit", (event) => event.preventDefault());
      form.hidden = false;
      show();
    }
  });
})();
