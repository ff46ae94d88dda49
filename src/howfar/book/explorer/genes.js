// The gene explorer: search, one gene, all genes of a study. Data are scripts (see genes.py), as a
// page that is opened as a file may not fetch another.
(() => {
  if (window.howfarGenes) return;
  const here = document.currentScript;
  const base = here && here.src ? new URL(".", here.src).href : "genes/";

  // --- data ---------------------------------------------------------------------------------

  const got = new Map(), waiting = new Map();
  const take = (file, value) => {
    got.set(file, Promise.resolve(value));
    if (waiting.has(file)) waiting.get(file)(value);
  };
  const load = (file) => {
    if (!got.has(file)) {
      got.set(file, new Promise((resolve, reject) => {
        waiting.set(file, resolve);
        const script = document.createElement("script");
        script.src = `${base}${file}.js`;
        script.onerror = () => { got.delete(file); reject(new Error(`${file}.js cannot be read`)); };
        document.head.append(script);
      }));
    }
    return got.get(file);
  };
  window.howfarGenes = {
    names: (data) => take("names", opened(data)),
    shard: (number, genes) => take(String(number), genes),
    list: (study, data) => take(`list-${study}`, data),
  };

  // Names and ids; numbers of Ensembl ids are differences in base 36.
  function opened(data) {
    let last = 0;
    const ids = data.ids.split(data.between).map((text) => {
      if (text.startsWith("=")) return text.slice(1);
      last += parseInt(text, 36);
      return `ENSG${String(last).padStart(11, "0")}`;
    });
    const names = data.ids ? data.names.split(data.between).map((name, i) => name || ids[i]) : [];
    const count = new Map();
    for (const name of names) count.set(name, (count.get(name) || 0) + 1);
    const address = (i) => encodeURIComponent(count.get(names[i]) === 1 ? names[i] : ids[i]);
    return { ...data, ids: data.ids ? ids : [], names, address };
  }

  // Genes whose name, id or other name is the text, then begins with it, then holds it.
  function find(data, text) {
    const asked = text.trim().toUpperCase().replace(/^(ENSG\d+)\.\d+$/, "$1");
    if (!asked) return [];
    const hits = [];
    data.names.forEach((name, i) => {
      let best = 9;
      for (const each of [name, data.ids[i], ...(data.aliases[i] || [])]) {
        const at = each.toUpperCase().indexOf(asked);
        if (at === 0) best = Math.min(best, each.length === asked.length ? 0 : 1);
        else if (at > 0 && asked.length > 2) best = Math.min(best, 2);
      }
      if (best < 9) hits.push([best, name, i]);
    });
    hits.sort((a, b) => a[0] - b[0] || a[1].length - b[1].length || (a[1] < b[1] ? -1 : 1));
    return hits.map(([score, , gene]) => ({ gene, exact: score === 0 }));
  }

  // Rows of a gene in a table: [number of rows, {column: packed}].
  function column(rows, name) {
    const [n, columns] = rows, packed = columns[name];
    if (Array.isArray(packed)) return packed;
    if (packed && packed.tile) return Array.from({ length: n }, (_, i) => packed.tile[i % packed.tile.length]);
    if (packed && packed.each) return Array.from({ length: n }, (_, i) => packed.each[Math.floor((i * packed.each.length) / n)]);
    return Array(n).fill(packed === undefined ? null : packed);
  }
  function records(rows) {
    const names = Object.keys(rows[1]), columns = names.map((name) => column(rows, name));
    return Array.from({ length: rows[0] }, (_, i) => Object.fromEntries(names.map((name, j) => [name, columns[j][i]])));
  }

  // --- words --------------------------------------------------------------------------------

  const known = (x) => x !== null && x !== undefined;
  const minus = (text) => text.replace(/-/g, "−");
  const fixed = (x, digits = 3) => (known(x) ? minus(x.toFixed(digits)) : "");
  const short = (x) => {
    if (typeof x !== "number") return known(x) ? String(x) : "";
    if (Number.isInteger(x)) return minus(x.toLocaleString("en"));
    return minus(Math.abs(x) >= 1000 ? Math.round(x).toLocaleString("en") : String(Number(x.toPrecision(3))));
  };
  const span = (row) => (known(row.ci_low) ? ` [${fixed(row.ci_low, 2)}, ${fixed(row.ci_high, 2)}]` : "");
  const estimate = (row) => (known(row.pearson) ? `${fixed(row.pearson, 2)}${span(row)}` : "no r");
  // Features by what they are about, as columns of a table.
  const FEATURES = {
    Heritability: { h2: "h² in cis" },
    "Lead eQTL": {
      lead_eqtl_distance: "bp from the TSS", lead_eqtl_r: "r of dosage and expression", lead_eqtl_maf: "MAF",
      lead_eqtl_log10p: "−log10 p", lead_eqtl_log10p_beta: "−log10 p of the gene, from permutations", lead_eqtl_q: "q over genes",
      eqtl_signals: "Independent signals",
    },
    "Expression level": { mean_expression: "Mean over people", median_expression: "Median over people", cv_expression: "Coefficient of variation" },
    "Drivers and fine mapping": {
      main_driver_distance: "Main driver: bp from the TSS", main_driver_relative_size: "Main driver: share of the largest contribution near the TSS",
      linear_approximation_r: "r of the sum of variant effects with the prediction",
      fine_mapped_distance_brain: "Brain eQTL, fine-mapped: bp from the TSS", fine_mapped_distance_cortex: "Cortex eQTL, fine-mapped: bp from the TSS",
    },
  };
  const REGIONS = { train: "training", valid: "validation", test: "test" };
  const CONTROLS = { permuted: "people permuted: a control", centred: "population means removed" };

  // --- elements -----------------------------------------------------------------------------

  function add(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
      else if (known(value) && value !== false) node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.flat(Infinity).filter((child) => known(child) && child !== ""));
    return node;
  }
  const el = (tag, attributes = {}, ...children) => add(document.createElement(tag), attributes, children);
  const svg = (tag, attributes = {}, ...children) =>
    add(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
  const label = (x, y, text, more = {}) => svg("text", { x, y, ...more }, text);
  const line = (x1, y1, x2, y2, more = {}) => svg("line", { x1, y1, x2, y2, ...more });

  // A marker by kind of model, so that colour is not needed to tell them apart.
  function mark(kind, x, y, colour, r = 4.5) {
    const more = { class: "mark", fill: colour };
    if (kind === "linear") return svg("rect", { x: x - r + 0.5, y: y - r + 0.5, width: 2 * r - 1, height: 2 * r - 1, ...more });
    if (kind === "lead_snp") return svg("path", { d: `M${x} ${y - r - 1}L${x + r + 1} ${y + r}H${x - r - 1}Z`, ...more });
    if (kind === "truth") return svg("path", { d: `M${x} ${y - r - 1}L${x + r + 1} ${y}L${x} ${y + r + 1}L${x - r - 1} ${y}Z`, ...more });
    return svg("circle", { cx: x, cy: y, r, ...more });
  }
  const paint = (colour) => (/^#(000000|555555)$/.test(colour) ? "currentColor" : colour);

  // Places of ticks, [value, words], with as many digits as tell them apart.
  function ticks(low, high, about) {
    const raw = (high - low) / about, power = 10 ** Math.floor(Math.log10(raw));
    const step = power * [1, 2, 5, 10].find((each) => each * power >= raw);
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), found = [];
    const words = (v) => minus(v.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }).replace(/^-(0(\.0*)?)$/, "$1"));
    for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) found.push([i * step, words(i * step)]);
    return found;
  }
  const range = (values, ...more) => {
    const all = [...values, ...more].filter((v) => typeof v === "number" && Number.isFinite(v));
    const low = Math.min(...all), high = Math.max(...all), room = (high - low || Math.abs(high) || 1) * 0.05;
    return [low - room, high + room];
  };

  // A drawing that is made again when the page's width changes.
  function drawing(draw, words) {
    const box = el("div", { class: "drawing" });
    let last = 0;
    new ResizeObserver(() => {
      const width = Math.floor(box.clientWidth);
      if (!width || width === last) return;
      last = width;
      const [height, parts] = draw(width);
      box.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words }, parts));
    }).observe(box);
    return box;
  }

  // Axes of a plane: x and y to pixels, with what to draw.
  function plane(width, height, [x0, x1], [y0, y1], xWords, yWords) {
    const left = 58, right = width - 10, top = 24, bottom = height - 44;
    const x = (v) => left + ((v - x0) / (x1 - x0)) * (right - left);
    const y = (v) => bottom - ((v - y0) / (y1 - y0)) * (bottom - top);
    const parts = [line(left, bottom, right, bottom, { class: "axis" }), line(left, top, left, bottom, { class: "axis" })];
    for (const [v, words] of ticks(x0, x1, width / 90)) parts.push(line(x(v), bottom, x(v), bottom + 4, { class: "axis" }), label(x(v), bottom + 17, words, { "text-anchor": "middle" }));
    for (const [v, words] of ticks(y0, y1, height / 60)) parts.push(line(left - 4, y(v), left, y(v), { class: "axis" }), label(left - 7, y(v) + 4, words, { "text-anchor": "end" }));
    if (x0 < 0 && x1 > 0) parts.push(line(x(0), top, x(0), bottom, { class: "faint" }));
    if (y0 < 0 && y1 > 0) parts.push(line(left, y(0), right, y(0), { class: "faint" }));
    parts.push(label((left + right) / 2, height - 8, xWords, { "text-anchor": "middle" }), label(2, 14, yWords));
    return { x, y, parts, bottom };
  }

  function table(words, heads, rows) {
    return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": words },
      el("table", {},
        el("thead", {}, el("tr", {}, heads.map((head) => el("th", { scope: "col" }, head)))),
        el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell) => el("td", {}, cell)))))));
  }

  function csv(heads, rows) {
    const text = (v) => {
      if (!known(v)) return "";
      const word = v === Infinity ? "inf" : v === -Infinity ? "-inf" : String(v);
      return /[",\n]/.test(word) ? `"${word.replace(/"/g, '""')}"` : word;
    };
    return [heads, ...rows].map((row) => row.map(text).join(",")).join("\n") + "\n";
  }
  function download(name, words, make) {
    return el("button", {
      type: "button",
      onclick: () => {
        const link = el("a", { href: URL.createObjectURL(new Blob([make()], { type: "text/csv" })), download: name });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      },
    }, words);
  }

  let boxes = 0;
  // A choice of several, with what is shown of the chosen one below.
  function choice(words, options, show) {
    boxes += 1;
    const id = `howfar-choice-${boxes}`, place = el("div");
    const select = el("select", { id, onchange: () => place.replaceChildren(...show(options[select.value])) },
      options.map((option, i) => el("option", { value: i }, option.words)));
    place.replaceChildren(...show(options[0]));
    return [options.length > 1 ? el("p", {}, el("label", { for: id }, `${words} `), select) : el("p", {}, `${words} ${options[0].words}`), place];
  }

  // --- a gene -------------------------------------------------------------------------------

  function gene(data, i, shard) {
    const rows = shard[i - data.shards[shardOf(data, i)]], name = data.names[i], id = data.ids[i];
    const studies = data.studies.filter((study) => rows[study.name]);
    const of = (what) => studies.filter((study) => rows[study.name][what]).flatMap((study) => {
      const runs = new Map(study.runs.map((run, order) => [run[0], { id: run[0], label: run[1], kind: run[2], units: run[3], colour: paint(run[4]), order }]));
      return records(rows[study.name][what]).map((row) => ({ ...row, study, run: runs.get(row.run_id) }));
    });
    const save = (what) => download(`${name}.${what}.csv`, "Rows (CSV)", () => {
      const all = of(what), skip = new Set(["study", "run"]);
      const heads = [...new Set(all.flatMap((row) => Object.keys(row)))].filter((head) => !skip.has(head));
      return csv(["study", "gene_id", ...heads], all.map((row) => [row.study.name, id, ...heads.map((head) => row[head])]));
    });
    const section = (title, what, ...parts) => el("section", {}, el("h3", {}, title), parts, el("p", {}, save(what)));

    const across = of("across"), features = of("features"), reference = of("reference");
    const drivers = of("drivers"), effects = of("effects");
    const others = (data.aliases[i] || []).filter((each) => each !== name);
    const places = new Map();
    for (const row of of("genes")) {
      const text = `${row.chrom}:${short(row.tss)}${{ "+": " (+)", "-": " (−)" }[row.strand] || ""}`;
      places.set(text, [...(places.get(text) || []), row.study.name]);
    }
    const parts = [
      el("h2", {}, name),
      el("p", {}, name === id ? "" : el("code", {}, id), others.length ? `, also ${others.join(", ")}` : "",
        " TSS: ", [...places].map(([text, list]) => `${text} in ${list.join(", ")}`).join("; "), "."),
    ];
    if (across.length) parts.push(section("Correlation across people", "across", ...forest(name, across, features)));
    const people = studies.filter((study) => rows[study.name].points);
    if (people.length) parts.push(section("The people", "points", ...scatter(name, people, rows, across)));
    else if (across.length) parts.push(el("p", { class: "note" }, "Points of single people are not shown: no study with this gene has public ones."));
    if (features.length) parts.push(section("Heritability, lead eQTL, expression level", "features", ...facts(features)));
    if (reference.length) parts.push(section("Reference prediction", "reference", ...references(reference)));
    if (drivers.length) parts.push(section("Drivers: variants that carry a model's predictions", "drivers", ...driving(name, drivers)));
    if (effects.length) parts.push(section("Effects of single variants against measured slopes", "effects", ...against(name, effects)));
    const lacking = [[people, "points of people"], [features, "heritability and eQTL"], [reference, "reference prediction"], [drivers, "drivers"], [effects, "variant effects"], [across, "r across people"]]
      .filter(([list]) => !list.length).map(([, words]) => words);
    if (lacking.length) parts.push(el("p", { class: "note" }, `No study here has for this gene: ${lacking.join(", ")}.`));
    parts.push(el("details", {}, el("summary", {}, "What is real, what simulated"),
      el("ul", {}, studies.map((study) => el("li", {}, el("strong", {}, study.title), ". ", study.reality)))));
    return parts;
  }

  const heading = (row) => row.run.label + (row.population && row.population !== "pooled" ? `, ${row.population}` : "");

  function forest(name, across, features) {
    across.sort((a, b) => a.run.order - b.run.order);
    const studies = [...new Set(across.map((row) => row.study))];
    const pooled = new Set(across.filter((row) => row.population === "pooled").map((row) => row.study));
    const main = across.filter((row) => row.population === "pooled" || !pooled.has(row.study));
    const ceilings = new Map();
    for (const row of features) {
      if (row.feature === "h2" && (!ceilings.has(row.study) || /estimated/.test(row.source))) ceilings.set(row.study, Math.sqrt(Math.max(0, row.value)));
    }
    const [low, high] = range(main.flatMap((row) => [row.pearson, row.ci_low, row.ci_high]), 0, ...ceilings.values());
    const draw = (width) => {
      const narrow = width < 560, left = narrow ? 8 : 250, right = width - (narrow ? 8 : 165);
      const x = (v) => left + ((v - low) / (high - low)) * (right - left);
      const parts = [], step = narrow ? 42 : 24;
      let y = 4;
      for (const study of studies) {
        y += 20;
        parts.push(label(0, y - 4, study.title.length * 8 > width ? study.name : study.title, { class: "strong" }));
        for (const row of main.filter((each) => each.study === study)) {
          const at = y + step - 10, words = y + (narrow ? 14 : step - 6);
          parts.push(line(x(0), narrow ? at - 9 : y, x(0), y + step, { class: "faint" }));
          if (known(row.null_mean)) {
            const reach = row.null_mean + 2 * (row.null_sd || 0), a = Math.max(x(-reach), left), b = Math.min(x(reach), right);
            parts.push(svg("rect", { x: a, y: at - 6, width: b - a, height: 12, class: "null" }));
          }
          if (known(row.ci_low)) parts.push(line(x(row.ci_low), at, x(row.ci_high), at, { class: "mark", stroke: row.run.colour, "stroke-width": 2.5 }));
          if (known(row.pearson)) parts.push(mark(row.run.kind, x(row.pearson), at, row.run.colour));
          const title = heading(row), room = narrow ? (width - 150) / 7 : 34;
          parts.push(label(0, words, title.length > room ? `${title.slice(0, room - 1)}…` : title));
          parts.push(label(width, words, estimate(row), { "text-anchor": "end" }));
          y += step;
          const limit = ceilings.get(study);
          if (known(limit)) parts.push(line(x(limit), narrow ? at - 9 : y - step, x(limit), y, { class: "ceiling" }));
        }
      }
      parts.push(line(left, y + 6, right, y + 6, { class: "axis" }));
      for (const [v, words] of ticks(low, high, (right - left) / 50)) parts.push(line(x(v), y + 6, x(v), y + 10, { class: "axis" }), label(x(v), y + 24, words, { "text-anchor": "middle" }));
      parts.push(label((left + right) / 2, y + 42, "Pearson r across people", { "text-anchor": "middle" }));
      return [y + 50, parts];
    };
    const best = main.filter((row) => known(row.pearson)).sort((a, b) => b.pearson - a.pearson);
    const said = best.length ? ` Highest: ${best[0].run.label}, ${best[0].study.name}, ${estimate(best[0])}; lowest: ${best[best.length - 1].run.label}, ${best[best.length - 1].study.name}, ${estimate(best[best.length - 1])}.` : "";
    const row = (each) => [each.study.name, each.run.label, each.population + (CONTROLS[each.population] ? ` (${CONTROLS[each.population]})` : ""),
      short(each.n), fixed(each.pearson), known(each.ci_low) ? `${fixed(each.ci_low)} to ${fixed(each.ci_high)}` : "", fixed(each.spearman),
      short(each.p), short(each.q), known(each.null_mean) ? `${fixed(each.null_mean)} (SD ${fixed(each.null_sd)})` : "", short(each.p_null)];
    return [
      el("p", {}, "r of prediction and expression over people, with its 95 % interval where the number of people is known. Grey: |r| of random weights on this gene's own variants (mean + 2 SD), where made. Dashed: the ceiling √h². No r: the prediction or the expression does not vary."),
      drawing(draw, `Correlation across people for ${name}, ${main.length} rows of ${studies.length} studies.${said}`),
      el("details", {}, el("summary", {}, `All numbers (${across.length} rows: populations and controls too)`),
        table(`r across people for ${name}`, ["Study", "Model", "People", "n", "r", "95 % interval", "Spearman", "p", "q", "Own null, mean |r|", "p, own null"], across.map(row))),
    ];
  }

  function scatter(name, people, rows, across) {
    const options = people.flatMap((study) => {
      const points = records(rows[study.name].points), ids = new Set(points.map((point) => point.run_id));
      return study.runs.filter((run) => ids.has(run[0])).map((run) => ({
        study, run, points: points.filter((point) => point.run_id === run[0] && known(point.predicted) && known(point.observed)),
        words: `${run[1]}: ${study.title}`,
        row: across.find((row) => row.study === study && row.run_id === run[0] && row.population === "pooled")
          || across.find((row) => row.study === study && row.run_id === run[0]),
      }));
    }).filter((option) => option.points.length);
    if (!options.length) return [];
    return choice("Model:", options, ({ study, run, points, row }) => {
      const said = row && known(row.pearson) ? `r = ${estimate(row)}, ${row.population}` : "";
      const words = `${name}, ${run[1]}, ${study.title}: ${points.length} people. ${said}`;
      const xs = points.map((point) => point.predicted), ys = points.map((point) => point.observed);
      return [el("p", {}, `${points.length} people. ${said}`), drawing((full) => {
        const width = Math.min(full, 520), height = Math.round(width * 0.8);
        const axes = plane(width, height, range(xs), range(ys), `Predicted${run[3] ? ` (${run[3]})` : ""}`, `Observed (${study.units})`);
        return [height, [...axes.parts, points.map((point) => svg("circle", { cx: axes.x(point.predicted).toFixed(1), cy: axes.y(point.observed).toFixed(1), r: 3, class: "mark point", fill: paint(run[4]) }))]];
      }, words)];
    });
  }

  function facts(features) {
    const studies = new Set(features.map((row) => row.study.name));
    return Object.entries(FEATURES).flatMap(([title, named]) => {
      const rows = features.filter((row) => row.feature in named);
      const columns = Object.keys(named).filter((name) => rows.some((row) => row.feature === name));
      const lines = groups(rows, (row) => `${row.source}\n${row.study.name}`).map(({ list }) => {
        const source = studies.has(list[0].source) ? "computed here" : list[0].source;
        const cells = columns.map((name) => short((list.find((row) => row.feature === name) || {}).value));
        if (title === "Heritability") cells.push(short(list[0].se), fixed(Math.sqrt(Math.max(0, list[0].value))));
        return [source, ...cells, list[0].study.name];
      });
      const heads = columns.map((name) => named[name]).concat(title === "Heritability" ? ["SE", "Ceiling of r, √max(h², 0)"] : []);
      return rows.length ? [el("h4", {}, title), table(title, ["Source", ...heads, "Study"], together(lines))] : [];
    });
  }

  // Rows that differ in nothing but the study, the last cell, as one.
  function together(rows) {
    const found = new Map();
    for (const row of rows) {
      const key = row.slice(0, -1).join("\n");
      if (found.has(key)) found.get(key).push(`${found.get(key).pop()}, ${row[row.length - 1]}`);
      else found.set(key, row);
    }
    return [...found.values()];
  }

  function references(reference) {
    return [el("p", {}, "What a model predicts from the reference genome, beside the expression level over people."),
      table("Reference predictions", ["Model", "Predicted", "Units", "Observed", "Units", "In the model's", "Study"], together(
        reference.map((row) => [row.run.label, short(row.prediction), row.run.units, short(row.observed_mean), row.study.units, REGIONS[row.region] ? `${REGIONS[row.region]} set` : "", row.study.name])))];
  }

  const groups = (rows, key) => {
    const found = new Map();
    for (const row of rows) found.set(key(row), [...(found.get(key(row)) || []), row]);
    return [...found].map(([words, list]) => ({ words, list }));
  };
  const size = (row) => Math.abs(row.effect || 0);
  const most = (rows, n = 25) => [...rows].sort((a, b) => size(b) - size(a)).slice(0, n);

  function driving(name, drivers) {
    return choice("Model:", groups(drivers, (row) => `${row.run.label}: ${row.study.title}`), ({ words, list }) => {
      const drawn = list.filter((row) => known(row.effect) && known(row.distance));
      const sided = (row) => (known(row.eqtl_slope) && row.eqtl_slope * row.effect !== 0 ? (row.eqtl_slope > 0) === (row.effect > 0) : null);
      const parts = [];
      if (drawn.length) {
        parts.push(el("p", {}, "Disc: the sign of the measured eQTL slope agrees. Triangle: it disagrees. Ring: the main driver."), drawing((width) => {
          const height = 260, axes = plane(width, height, range(drawn.map((row) => row.distance), 0), range(drawn.map((row) => row.effect), 0), "Distance from the TSS, bp", `Effect in ${list[0].run.label}`);
          return [height, [...axes.parts, drawn.map((row) => [
            line(axes.x(row.distance), axes.y(0), axes.x(row.distance), axes.y(row.effect), { class: "faint" }),
            row.is_main ? svg("circle", { cx: axes.x(row.distance), cy: axes.y(row.effect), r: 9, class: "ring" }) : "",
            mark(sided(row) === false ? "lead_snp" : "network", axes.x(row.distance), axes.y(row.effect), sided(row) === false ? "#D55E00" : sided(row) ? "#0072B2" : "#767676"),
          ]).flat()]];
        }, `${name}, ${words}: ${drawn.length} drivers, ${drawn.filter((row) => sided(row) === true).length} with the sign of the eQTL slope.`));
      }
      parts.push(table(`Drivers, ${words}`, ["Variant", "bp from the TSS", "Effect", "eQTL slope", "Gain of r", "Carriers", "Main"],
        most(list).map((row) => [row.variant, short(row.distance), short(row.effect), short(row.eqtl_slope), short(row.gain), short(row.carriers), row.is_main ? "yes" : ""])));
      if (list.length > 25) parts.push(el("p", { class: "note" }, `The 25 largest of ${list.length}; the CSV has all.`));
      return parts;
    });
  }

  function against(name, effects) {
    return choice("Model:", groups(effects, (row) => `${row.run.label}, ${row.source}: ${row.study.title}`), ({ words, list }) => {
      const drawn = list.filter((row) => known(row.effect) && known(row.slope));
      const parts = [];
      if (drawn.length) {
        parts.push(drawing((full) => {
          const width = Math.min(full, 520), height = Math.round(width * 0.75);
          const axes = plane(width, height, range(drawn.map((row) => row.effect), 0), range(drawn.map((row) => row.slope), 0), `Effect in ${list[0].run.label}`, "Measured slope per alternative allele");
          return [height, [...axes.parts, drawn.map((row) => svg("circle", { cx: axes.x(row.effect).toFixed(1), cy: axes.y(row.slope).toFixed(1), r: 3, class: "mark point", fill: list[0].run.colour }))]];
        }, `${name}, ${words}: ${drawn.length} variants with an effect and a slope.`));
      }
      parts.push(el("p", {}, `${list.length} variants with an effect, ${drawn.length} of them with a slope.`));
      parts.push(table(`Effects, ${words}`, ["Variant", "bp from the TSS", "Effect", "Slope", "SE", "p", "PIP", "MAF"],
        most(list).map((row) => [row.variant, short(row.distance), short(row.effect), short(row.slope), short(row.slope_se), short(row.p), short(row.pip), short(row.maf)])));
      if (list.length > 25) parts.push(el("p", { class: "note" }, `The 25 largest of ${list.length}; the CSV has all.`));
      return parts;
    });
  }

  // --- all genes of a study -----------------------------------------------------------------

  const BINS = 40;
  function overview(data, study, list) {
    const runs = new Map(study.runs.map((run) => [run[0], run]));
    const names = list.columns.map(([run, people]) => runs.get(run)[1] + (people === "pooled" ? "" : `, ${people}`));
    const means = list.columns.map((_, c) => list.means[c]);
    const rows = names.map((words, c) => [words, runs.get(list.columns[c][0])[2].replace("_", " "), fixed(means[c][0]), known(means[c][1]) ? `${fixed(means[c][1])} to ${fixed(means[c][2])}` : "",
      short(means[c][3]), short(list.r[c].filter(known).length)]);
    const options = names.map((words, c) => ({ words, c }));
    return [
      el("h2", {}, study.title), el("p", {}, study.reality),
      table("Means over genes", ["Model", "Kind", "Mean r", "95 % interval", "Genes in the mean", "Genes with r"], rows),
      ...choice("Genes by r of:", options, ({ words, c }) => {
        const r = list.r[c], order = [...r.keys()].filter((k) => known(r[k])).sort((a, b) => r[b] - r[a]);
        const counts = Array(BINS).fill(0);
        for (const k of order) counts[Math.min(BINS - 1, Math.floor(((r[k] + 1) / 2) * BINS))] += 1;
        const colour = paint(runs.get(list.columns[c][0])[4]);
        const picture = drawing((width) => {
          const axes = plane(Math.min(width, 620), 210, [-1, 1], [0, Math.max(...counts, 1)], "Pearson r across people", "Genes");
          const bars = counts.map((n, b) => svg("rect", { x: axes.x(-1 + (2 * b) / BINS) + 0.5, width: Math.max(1, axes.x(2 / BINS) - axes.x(0) - 1), y: axes.y(n), height: axes.bottom - axes.y(n), class: "mark", fill: colour }));
          const mean = known(means[c][0]) ? line(axes.x(means[c][0]), 24, axes.x(means[c][0]), axes.bottom, { class: "ceiling" }) : "";
          return [210, [...axes.parts, bars, mean]];
        }, `${order.length} genes by r of ${words}; mean ${fixed(means[c][0])}.`);
        const place = el("div"), state = { shown: 50, order };
        const link = (k) => el("a", { href: `#${data.address(list.genes[k])}` }, data.names[list.genes[k]]);
        const fill = () => place.replaceChildren(table(`Genes by r of ${words}`, ["Gene", "Id", ...names],
          state.order.slice(0, state.shown).map((k) => [link(k), data.ids[list.genes[k]], ...list.r.map((each) => fixed(each[k]))])));
        fill();
        return [picture, el("p", { class: "note" }, "Dashed: the mean."), el("p", {},
          el("button", { type: "button", onclick: () => { state.order = [...state.order].reverse(); fill(); } }, "Highest or lowest first"), " ",
          el("button", { type: "button", onclick: () => { state.shown += 200; fill(); } }, "More genes"), " ",
          download(`${study.name}.r.csv`, "All genes (CSV)", () => csv(["gene_id", "name", ...list.columns.map((each) => each.join("."))],
            list.genes.map((g, k) => [data.ids[g], data.names[g], ...list.r.map((each) => each[k])])))), place];
      }),
    ];
  }

  // --- the page -----------------------------------------------------------------------------

  const shardOf = (data, i) => {
    let low = 0, high = data.shards.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (data.shards[middle] <= i) low = middle;
      else high = middle - 1;
    }
    return low;
  };
  const hit = (data, i, page = "") => el("li", {}, el("a", { href: `${page}#${data.address(i)}` }, data.names[i]), data.names[i] === data.ids[i] ? "" : ` ${data.ids[i]}`);

  async function start(root) {
    const data = await load("names"), title = document.title;
    const input = el("input", { type: "search", id: "howfar-gene", autocomplete: "off", spellcheck: "false" });
    const status = el("p", { role: "status", class: "note" }), list = el("ul", { class: "hits" }), view = el("div", { tabindex: -1, class: "view" });
    const show = (found) => {
      list.replaceChildren(...found.slice(0, 12).map(({ gene: i }) => hit(data, i)));
      status.textContent = !input.value.trim() ? "" : found.length > 12 ? `${found.length.toLocaleString("en")} genes, the nearest 12 below.` : found.length === 1 ? "1 gene." : `${found.length || "No"} genes.`;
    };
    const go = (i) => { location.hash = `#${data.address(i)}`; };
    const form = el("form", { role: "search", class: "ask", "aria-label": "Genes", onsubmit: (event) => {
      event.preventDefault();
      const found = find(data, input.value);
      if (found.length) go(found[0].gene);
    } }, el("label", { for: "howfar-gene" }, `Name or Ensembl id, of ${data.names.length.toLocaleString("en")} genes`), el("div", {}, input, el("button", { type: "submit" }, "Show")));
    input.addEventListener("input", () => show(find(data, input.value)));
    const listed = data.studies.filter((study) => study.listed);
    const studies = el("details", { open: !location.hash && listed.length > 1 }, el("summary", {}, "All genes of a study, by r"),
      el("ul", {}, listed.map((study) => el("li", {}, el("a", { href: `#list-${study.name}` }, study.title)))));

    let turn = 0;
    async function route() {
      const asked = decodeURIComponent(location.hash.slice(1));
      const mine = (turn += 1);
      let parts = [];
      const study = listed.find((each) => `list-${each.name}` === asked);
      try {
        if (study || (!asked && data.studies.length === 1 && listed.length)) {
          const shown = study || listed[0];
          parts = overview(data, shown, await load(`list-${shown.name}`));
        } else if (asked) {
          const found = find(data, asked).filter(({ exact }) => exact);
          if (found.length === 1) parts = gene(data, found[0].gene, await load(String(shardOf(data, found[0].gene))));
          else if (document.getElementById(asked)) return; // a heading of the page
          else {
            input.value = asked;
            show(found.length ? found : find(data, asked));
          }
        }
      } catch (error) {
        parts = [el("p", { role: "alert" }, `The data cannot be read: ${error.message}.`)];
      }
      if (mine !== turn) return; // another gene was asked for meanwhile
      view.replaceChildren(...parts);
      if (parts.length && asked) {
        input.value = "";
        show([]);
        document.title = `${parts[0].textContent}: ${title}`;
        view.scrollIntoView();
        view.focus({ preventScroll: true });
      }
    }
    root.replaceChildren(form, status, list, listed.length > 1 || data.studies.length === 1 ? studies : "", view);
    window.addEventListener("hashchange", route);
    await route();
  }

  // Genes on the book's page of search results, above what the words found.
  async function onSearchPage(results) {
    const asked = new URLSearchParams(location.search).get("q") || "";
    if (!asked.trim()) return;
    const data = await load("names"), found = find(data, asked).filter(({ exact }) => exact || asked.trim().length > 2);
    if (!found.length) return;
    const shown = found.slice(0, found[0].exact ? 5 : 8);
    const page = new URL("../genes.html", base).href;
    results.before(el("section", { class: "howfar-genes", "aria-labelledby": "howfar-found" }, el("h2", { id: "howfar-found" }, found.length === 1 ? "1 gene" : `${found.length.toLocaleString("en")} genes`),
      el("ul", { class: "hits" }, shown.map(({ gene: i }) => hit(data, i, page)), found.length > shown.length ? el("li", {}, el("a", { href: `${page}#${encodeURIComponent(asked.trim())}` }, "all of them")) : "")));
  }

  const begin = () => {
    const root = document.querySelector(".howfar-genes"), results = document.getElementById("search-results");
    if (root) start(root);
    else if (results) onSearchPage(results);
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
