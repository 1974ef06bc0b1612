"use strict";
// Data of the file is only ever shown as text: it never becomes markup or code.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const at = (id) => document.getElementById(id);
  const PAGE = 200; // children listed at a time
  const MOST = 300; // search results listed
  const COLOURS = ["#4c9ed9", "#e0924c", "#5fb07a", "#a884c9", "#c96a6a", "#8c8c8c"];

  // The items, in the order of the tree ------------------------------------------------

  const items = data.items.map((row) => ({
    label: row.l, type: data.types[row.t || 0], value: row.v, isStatic: !!row.s,
    arrays: row.a || 0, numbers: row.n || 0, bytes: row.b || 0, isLiteral: !!row.k,
    statistics: row.x, picture: row.d, parent: null, path: row.u, below: [],
    row: null, element: null,
  }));
  data.items.forEach((row, index) => {
    if (row.p === undefined) return;
    const item = items[index];
    item.parent = items[row.p];
    item.parent.below.push(item);
    const above = item.parent.path; // a long path is cut, and ends in "…"
    const step = item.label.startsWith("[") ? item.label : "." + item.label;
    if (item.path === undefined) item.path = above.endsWith("…") ? above : above + step;
  });
  const root = items[0];
  const arrays = items.filter((item) => item.arrays === 1 && !item.below.length && item.bytes);

  // Elements of the page ---------------------------------------------------------------

  const make = (name, kind, text) => {
    const element = document.createElement(name);
    if (kind) element.className = kind;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const draw = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    return element;
  };
  const size = (bytes) => {
    if (bytes < 1000) return bytes + " B";
    for (const unit of ["kB", "MB", "GB", "TB"]) {
      bytes /= 1000;
      if (bytes < 999.5 || unit === "TB") return Number(bytes.toPrecision(3)) + " " + unit;
    }
  };
  const number = (value) => {
    if (value === null || value === undefined) return "none";
    const short = Number(value.toPrecision(4));
    return String(short).length > 9 ? value.toExponential(3) : String(short);
  };
  const grouped = (value) => value.toLocaleString("en-GB"); // 1,200
  const count = (value, word) => grouped(value) + " " + word + (value === 1 ? "" : "s");

  const nameOf = (type) => type.slice(type.lastIndexOf(":") + 1);
  const moduleOf = (type) => type.slice(0, Math.max(type.lastIndexOf(":"), 0));

  function curve(values, kind) {
    const picture = draw("svg", {
      viewBox: "-0.02 -0.06 1.04 1.12", preserveAspectRatio: "none", class: kind || "",
    });
    const known = values.filter((value) => value !== null);
    const least = Math.min(...known), span = Math.max(...known) - least;
    const height = (value) => (span > 0 ? 1 - (value - least) / span : 0.5);
    let path = "", joined = false;
    values.forEach((value, i) => {
      if (value === null) { joined = false; return; }
      const x = i / Math.max(values.length - 1, 1);
      path += (joined ? "L" : "M") + x.toFixed(4) + " " + height(value).toFixed(4);
      joined = true;
    });
    if (least < 0 && least + span > 0)
      picture.append(draw("line", { class: "zero", x1: 0, x2: 1, y1: height(0), y2: height(0) }));
    picture.append(draw("path", { class: "curve", d: path }));
    return picture;
  }

  function histogram(counts) {
    const most = Math.max(...counts), wide = counts.length;
    const picture = draw("svg", { viewBox: `0 0 ${wide} 1`, preserveAspectRatio: "none" });
    counts.forEach((value, i) => {
      const high = value / most;
      picture.append(draw("rect", {
        class: "bars", x: i + 0.06, y: 1 - high, width: 0.88, height: high,
      }));
    });
    return picture;
  }

  function image(picture, kind) {
    const element = make("img", kind);
    element.alt = "";
    element.src = "data:image/png;base64," + picture.i;
    return element;
  }

  function thumbnail(item) {
    const picture = item.picture;
    if (picture && picture.i) return image(picture, "thumb");
    if (picture && picture.c && picture.c.some((value) => value !== null))
      return curve(picture.c, "thumb");
    return null;
  }

  // A row of the tree, and its children or details -------------------------------------

  function marked(text, kind, query) {
    const element = make("span", kind);
    const where = query ? text.toLowerCase().indexOf(query) : -1;
    if (where < 0) { element.textContent = text; return element; }
    element.append(text.slice(0, where), make("mark", "", text.slice(where, where + query.length)),
      text.slice(where + query.length));
    return element;
  }

  function rowOf(item, label, query) {
    const row = make("div", "row");
    const words = make("span", "words");
    const opens = item.below.length || item.statistics;
    if (opens) row.classList.add("opens");
    row.append(make("span", "twist"), words);
    words.append(marked(label, "label", query));
    if (item.isLiteral) {
      words.append(make("span", "faint", " = "), marked(item.value, "value", query));
    } else {
      words.append(make("span", "faint", ": "), marked(nameOf(item.type), "type", query));
      if (item.value !== undefined) words.append(make("span", "value", " " + item.value));
      const module = moduleOf(item.type);
      if (module) words.append(make("span", "faint", "  " + module));
    }
    if (item.numbers === 1 && item.statistics && item.statistics.mean !== null)
      words.append(make("span", "value", "  " + number(item.statistics.least)));
    if (typeof item.statistics === "string")
      words.append(make("span", "warning", "  " + item.statistics));
    else if (item.statistics && (item.statistics.nans || item.statistics.infinities))
      words.append(make("span", "warning", "  " + notFinite(item.statistics)));
    words.title = item.path;
    if (item.isStatic) row.append(make("span", "tag", "static"));
    const small = thumbnail(item);
    if (small) row.append(small);
    const bytes = make("span", "size");
    if (item.bytes) {
      const bar = make("i");
      bar.style.width = (100 * item.bytes / root.bytes).toFixed(2) + "%";
      bytes.append(bar, make("span", "", size(item.bytes)));
    }
    row.append(bytes);
    return row;
  }

  const notFinite = ({ nans, infinities }) => [
    nans ? grouped(nans) + " nan" : "",
    infinities ? grouped(infinities) + " inf" : "",
  ].filter(Boolean).join(", ");

  function detailsOf(item) {
    const box = make("div", "details");
    box.append(make("div", "path", item.path));
    const statistics = item.statistics, picture = item.picture;
    if (typeof statistics === "string") {
      box.append(make("span", "", statistics));
      return box;
    }
    const table = make("table");
    const line = (name, value) => {
      const row = table.insertRow();
      row.append(make("td", "", name), make("td", "", value));
    };
    line("type", item.type);
    line("numbers", grouped(item.numbers));
    line("bytes", grouped(item.bytes));
    for (const name of ["least", "greatest", "mean", "deviation"])
      line(name, number(statistics[name]));
    line("zeros", grouped(statistics.zeros));
    line("nan", grouped(statistics.nans));
    line("infinite", grouped(statistics.infinities));
    box.append(table);
    const figure = (drawing, left, middle, right) => {
      const frame = make("figure"), caption = make("figcaption");
      for (const text of [left, middle, right]) caption.append(make("span", "", text));
      frame.append(drawing, caption);
      box.append(frame);
    };
    if (picture && picture.i) {
      const signed = statistics.least < 0 && statistics.greatest > 0;
      const text = signed ? "blue below zero, red above" : "dark is low, bright is high";
      figure(image(picture), picture.w ? `${picture.w}; ${text}` : text, "", "");
    } else if (thumbnail(item)) {
      figure(curve(picture.c), "first", "in order", "last");
    }
    if (picture && picture.h)
      figure(histogram(picture.h), number(statistics.least), "histogram",
        number(statistics.greatest));
    return box;
  }

  function elementOf(item, label) {
    const element = make("li");
    element.setAttribute("role", "treeitem");
    const row = rowOf(item, label);
    row.tabIndex = -1;
    element.append(row);
    row.onclick = () => { toggle(item); focusOn(item); };
    row.onkeydown = (event) => onKey(event, item);
    if (row.classList.contains("opens")) element.setAttribute("aria-expanded", "false");
    itemOfRow.set(row, item);
    item.row = row;
    item.element = element;
    return element;
  }

  const isOpen = (item) =>
    item.element && item.element.getAttribute("aria-expanded") === "true";

  function open(item) {
    if (!item.element || isOpen(item) || !item.row.classList.contains("opens")) return;
    item.element.setAttribute("aria-expanded", "true");
    if (item.element.children.length > 1) { item.element.lastChild.hidden = false; return; }
    if (!item.below.length) { item.element.append(detailsOf(item)); return; }
    const list = make("ul");
    list.setAttribute("role", "group");
    item.element.append(list);
    fill(item, 0);
  }

  // List a range of the children, with buttons for more of those above and below it.
  function fill(item, from, to = from + PAGE) {
    const list = item.element.lastChild;
    from = Math.max(from, 0);
    to = Math.min(to, item.below.length);
    const button = (left, where, begin, end) => {
      const line = make("li"), press = make("button", "more");
      const more = Math.min(PAGE, left), all = grouped(left);
      press.textContent = `${more} more of ${all} ${where}`;
      press.type = "button";
      press.onclick = () => fill(item, begin, end);
      line.append(press);
      return line;
    };
    list.replaceChildren();
    if (from > 0) list.append(button(from, "above", from - PAGE, to));
    for (const child of item.below.slice(from, to))
      list.append(child.element || elementOf(child, child.label));
    const left = item.below.length - to;
    if (left > 0) list.append(button(left, "below", from, to + PAGE));
  }

  function close(item) {
    if (!isOpen(item)) return;
    item.element.setAttribute("aria-expanded", "false");
    item.element.lastChild.hidden = true;
  }

  const toggle = (item) => (isOpen(item) ? close(item) : open(item));

  // The keyboard -----------------------------------------------------------------------

  const itemOfRow = new WeakMap();
  let focused = root;
  function focusOn(item) {
    focused.row.tabIndex = -1;
    focused = item;
    item.row.tabIndex = 0;
    item.row.focus();
  }

  function onKey(event, item) {
    const rows = () => [...at("tree").querySelectorAll(".row")].filter((row) => row.offsetParent);
    const step = (by) => {
      const all = rows(), row = all[all.indexOf(item.row) + by];
      if (row) focusOn(itemOfRow.get(row));
    };
    if (event.key === "ArrowDown") step(1);
    else if (event.key === "ArrowUp") step(-1);
    else if (event.key === "ArrowRight") isOpen(item) ? step(1) : open(item);
    else if (event.key === "ArrowLeft")
      isOpen(item) ? close(item) : item.parent && focusOn(item.parent);
    else if (event.key === "Enter" || event.key === " ") toggle(item);
    else return;
    event.preventDefault();
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== at("find")) {
      event.preventDefault();
      at("find").focus();
    } else if (event.key === "Escape" && document.activeElement === at("find")) {
      at("find").value = "";
      search();
    }
  });

  // Search -----------------------------------------------------------------------------

  // A glob matches a whole path, with or without the root, as everywhere in zodiax_io:
  // `*` and `?` match characters of one step, `**` any number of steps. Each step is a
  // pair of "name", "key" or "item" and its text. The result is null if it is no path.
  function stepsOf(text) {
    const steps = [];
    const token = /(\.)?(?:([^.[\]]+)|\[('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]|\[([^[\]]+)\])/y;
    while (token.lastIndex < text.length) {
      const found = token.exec(text);
      if (!found || (steps.length && found[2] !== undefined && !found[1])) return null;
      if (found[2] !== undefined) steps.push(["name", found[2]]);
      else if (found[3] !== undefined)
        steps.push(["key", found[3].slice(1, -1).replace(/\\(.)/g, "$1")]);
      else steps.push(["item", found[4]]);
    }
    return steps;
  }

  // With two pointers: a regular expression of many stars takes exponential time.
  function globFits(glob, text) {
    let at = 0, here = 0, star = -1, from = 0;
    while (here < text.length) {
      if (glob[at] === "*") { star = at++; from = here; }
      else if (glob[at] === "?" || (at < glob.length && glob[at] === text[here])) {
        at++; here++;
      } else if (star >= 0) { at = star + 1; here = ++from; }
      else return false;
    }
    while (glob[at] === "*") at++;
    return at === glob.length;
  }

  function stepFits([kind, glob], [what, text]) {
    if (kind === "key") return what === "key" && glob === text;
    if (!/[*?]/.test(glob)) {
      const written = kind === "item" ? what === "item" : what !== "item" || /^\d+$/.test(glob);
      return written && glob === text;
    }
    return (what !== "name" || kind !== "item") && globFits(glob, text);
  }

  // `reached[i]`: the first i steps of the glob match the path so far. One pass over the
  // path, for any number of stars.
  function pathFits(glob, path) {
    const isDeep = glob.map(([kind, text]) => kind !== "key" && text === "**");
    const skip = (reached) => {
      for (let i = 0; i < glob.length; i++) if (reached[i] && isDeep[i]) reached[i + 1] = true;
      return reached;
    };
    let reached = skip([true]);
    for (const step of path) {
      const next = [];
      for (let i = 0; i < glob.length; i++) {
        if (reached[i] && isDeep[i]) next[i] = true;
        else if (reached[i] && stepFits(glob[i], step)) next[i + 1] = true;
      }
      reached = skip(next);
    }
    return Boolean(reached[glob.length]);
  }

  // `**` never matches the root: `**.model` finds nodes of that name, not the whole tree.
  function globFitsPath(glob, path) {
    const below = path.slice(1);
    const isDeep = glob[0][0] !== "key" && glob[0][1] === "**";
    return pathFits(glob, below)
      || (!isDeep && stepFits(glob[0], path[0]) && pathFits(glob.slice(1), below));
  }

  function fits(query) {
    const glob = /[*?]/.test(query) ? stepsOf(query) : null;
    if (glob) {
      return (item) => {
        const path = stepsOf(item.path);
        return path !== null && globFitsPath(glob, path);
      };
    }
    const wanted = query.toLowerCase();
    return (item) => item.path.toLowerCase().includes(wanted)
      || item.type.toLowerCase().includes(wanted)
      || (item.value !== undefined && item.value.toLowerCase().includes(wanted));
  }

  const dtypeOf = (item) => item.type.slice(0, item.type.indexOf("["));

  function search() {
    const query = at("find").value.trim(), dtype = at("dtype").value;
    const searching = query !== "" || dtype !== "";
    at("tree").hidden = searching;
    at("found").hidden = at("count").hidden = !searching;
    at("found").replaceChildren();
    try { // fails without a history, and for half of a surrogate pair
      const address = query ? "#find=" + encodeURIComponent(query) : location.pathname;
      history.replaceState(null, "", address);
    } catch { /* the page works without the link */ }
    if (!searching) return;
    const fitting = fits(query);
    const among = dtype ? arrays.filter((item) => dtypeOf(item) === dtype) : items;
    const found = query ? among.filter(fitting) : among;
    const inFound = new Set(found);
    const outermost = found.filter((item) => {
      for (let up = item.parent; up; up = up.parent) if (inFound.has(up)) return false;
      return true;
    });
    const bytes = outermost.reduce((sum, item) => sum + item.bytes, 0);
    at("count").textContent = found.length
      ? `${count(found.length, "result")}, arrays of ${size(bytes)}`
        + (found.length > MOST ? `; the first ${MOST} are listed` : "")
      : "Nothing matches.";
    const plain = /[*?]/.test(query) ? "" : query.toLowerCase();
    for (const item of found.slice(0, MOST)) {
      const line = make("li"), row = rowOf(item, item.path, plain);
      row.classList.add("opens");
      row.tabIndex = 0;
      row.onclick = () => reveal(item);
      row.onkeydown = (event) => { if (event.key === "Enter") reveal(item); };
      line.append(row);
      at("found").append(line);
    }
  }

  function reveal(item) {
    at("find").value = at("dtype").value = "";
    search();
    const above = [];
    for (let up = item.parent; up; up = up.parent) above.unshift(up);
    for (const up of above) {
      open(up);
      const next = above[above.indexOf(up) + 1] || item;
      const where = up.below.indexOf(next);
      if (!next.element || !next.element.isConnected) fill(up, where - (where % PAGE));
    }
    if (!item.below.length) open(item);
    focusOn(item);
    item.row.scrollIntoView({ block: "center" });
    item.row.classList.add("flash");
    setTimeout(() => item.row.classList.remove("flash"), 1600);
  }

  // The header and the column beside the tree ------------------------------------------

  at("facts").textContent = data.facts.join(" · ");
  const totals = [["arrays", grouped(root.arrays)], ["numbers", grouped(root.numbers)],
    ["in memory", size(root.bytes)]];
  for (const [name, value] of totals) {
    const pair = make("div");
    pair.append(make("dt", "", name), make("dd", "", value));
    at("totals").append(pair);
  }

  const dtypes = new Map();
  for (const item of arrays)
    dtypes.set(dtypeOf(item), (dtypes.get(dtypeOf(item)) || 0) + item.bytes);
  const ranked = [...dtypes].sort((a, b) => b[1] - a[1]);
  ranked.forEach(([name, bytes], i) => {
    const text = `${name} ${size(bytes)}`, wide = bytes / root.bytes > 0.08;
    const share = make("div", "", wide ? text : "\u00a0");
    share.style.flexGrow = bytes / root.bytes;
    share.style.flexBasis = "0";
    share.style.setProperty("--colour", COLOURS[Math.min(i, COLOURS.length - 1)]);
    share.title = text;
    at("shares").append(share);
  });
  at("dtype").append(new Option("every dtype", ""));
  for (const [name] of ranked) at("dtype").append(new Option(name, name));

  const largest = [...arrays].sort((a, b) => b.bytes - a.bytes).slice(0, 8);
  for (const item of largest) {
    const line = make("li"), link = make("a", "", "\u200e" + item.path);
    link.href = "#at=" + encodeURIComponent(item.path);
    link.title = item.path;
    link.onclick = (event) => { event.preventDefault(); reveal(item); };
    line.append(link, make("span", "", size(item.bytes)));
    at("largest").querySelector("ol").append(line);
  }
  at("largest").hidden = !largest.length;

  for (const [level, label, text] of data.metadata) {
    const line = make("li", "plain");
    line.style.paddingLeft = level + "rem";
    line.append(make("span", "label", label), make("span", "", text));
    at("metadata").querySelector("ul").append(line);
  }
  at("metadata").hidden = !data.metadata.length;

  for (const [name, version, here] of data.packages) {
    const row = at("packages").querySelector("table").insertRow();
    if (here) row.className = "differs";
    row.append(make("td", "", name), make("td", "", here ? `${version} (${here} here)` : version));
  }
  at("packages").hidden = !data.packages.length;

  // Begin ------------------------------------------------------------------------------

  at("tree").append(elementOf(root, root.path));
  root.row.tabIndex = 0;
  let listed = 1;
  for (const item of items) { // parents first, about a screen
    if (!item.element || item.isLiteral || !item.below.length) continue;
    if (listed + item.below.length > 40) continue;
    if (item !== root && item.below.length > 12) continue;
    open(item);
    listed += item.below.length;
  }
  open(root);
  at("unfold").onclick = () => {
    let shown = 0;
    for (const item of items)
      if (item.element && item.below.length && (shown += item.below.length) < 2000) open(item);
  };
  at("fold").onclick = () => { for (const item of root.below) close(item); };
  let waiting;
  at("find").oninput = () => { clearTimeout(waiting); waiting = setTimeout(search, 120); };
  at("dtype").onchange = search;

  function follow() {
    const hash = location.hash.slice(1), equals = hash.indexOf("=");
    const what = hash.slice(0, equals);
    let text = hash.slice(equals + 1);
    try { text = decodeURIComponent(text); } catch { /* not encoded */ }
    if (what === "find" && text) { at("find").value = text; search(); }
    const item = what === "at" && items.find((other) => other.path === text);
    if (item) reveal(item);
  }
  window.onhashchange = follow;
  follow();
})();
