// The browser of instances. Data are parsed once; pictures are made for the page of cards that is shown.
const PAGE = 48, EDGE = 68, WIDE = 184;

function startBrowser() {
  const data = JSON.parse(byId("instances-data").textContent);
  const names = data.tokenizers, all = data.instances;
  if (!all || !all.length) return;
  const measures = new Map(data.measures.map((measure) => [measure.name, measure]));
  const control = Object.fromEntries(["kind", "judge", "measure", "of", "sort", "verdict", "group", "pictures", "column", "value", "search"].map((name) => [name, byId(`by-${name}`)]));
  const cards = byId("cards"), status = byId("shown"), dialog = byId("large");
  const blocks = new Map();
  let found = [], page = 0, focus = 0;

  function crop(number) {
    const block = Math.floor(number / data.block);
    if (!blocks.has(block)) blocks.set(block, byId(`crops-${block}`).textContent.trim().split("\n"));
    return `data:image/webp;base64,${blocks.get(block)[number % data.block]}`;
  }

  function picture(number, alt, zoomed) {
    if (number < 0) return element("span", "absent", "no picture kept");
    const image = element("img");
    image.alt = alt;
    image.decoding = "async";
    image.addEventListener("load", () => {
      if (zoomed) return;
      const zoom = Math.max(1, Math.min(6, Math.floor(EDGE / image.naturalHeight), Math.floor(WIDE / image.naturalWidth)));
      image.width = image.naturalWidth * zoom;
      image.height = image.naturalHeight * zoom;
    });
    image.src = crop(number);
    return image;
  }

  const unique = (values) => [...new Set(values)];
  function fill(select, options, label) {
    const before = select.value;
    select.replaceChildren(...options.map(([value, text]) => Object.assign(element("option", "", text), { value })));
    if (options.some(([value]) => String(value) === before)) select.value = before;
    (label || select.closest("label")).hidden = options.length < 2;
  }

  const pictured = (one) => one.crops.some((number) => number >= 0);
  const ofKind = () => all.filter((one) => one.kind === control.kind.value);
  const said = (one) => one.said.find((each) => each.judge === control.judge.value) || one.said[0];
  const values = (one) => said(one)?.values[control.measure.value] || [];
  const asNumber = (value) => value === "∞" ? Infinity : value === "-∞" ? -Infinity : value;

  function text(value, name) {
    if (value === null || value === undefined) return "–";
    if (typeof value === "string") return value;
    const measure = measures.get(name), share = measure.unit === "%";
    return `${(share ? 100 * value : value).toFixed(share ? 1 : measure.unit === "dB" ? 2 : 3)}${share ? "%" : measure.unit ? ` ${measure.unit}` : ""}`;
  }

  function choices() {
    const some = ofKind();
    fill(control.judge, unique(some.flatMap((one) => one.said.map((each) => each.judge))).map((judge) => [judge, judge || "nobody"]));
    const spread = (name) => new Set(some.flatMap((one) => said(one)?.values[name] || [])).size;
    const known = unique(some.flatMap((one) => Object.keys(said(one)?.values || {})));
    fill(control.measure, known.sort((a, b) => spread(b) - spread(a)).map((name) => [name, measures.get(name).title]));
    fill(control.group, [["", "all sizes"], ...["small", "medium", "large"].filter((group) => some.some((one) => one.group === group)).map((group) => [group, group])]);
    fill(control.column, [["", "any"], ...unique(some.flatMap((one) => Object.keys(one.columns))).map((name) => [name, name])]);
    const kept = some.filter(pictured).length;
    if (!kept) control.pictures.value = "";
    control.pictures.closest("label").hidden = !kept || kept === some.length;
    const reads = some.some((one) => said(one)?.read.some((read) => read !== null));
    control.verdict.closest("label").hidden = !reads;
    if (!reads) control.verdict.value = "";
    columnValues();
  }

  function columnValues() {
    const name = control.column.value;
    const known = name ? unique(ofKind().map((one) => one.columns[name]).filter((value) => value !== undefined)).sort() : [];
    fill(control.value, [["", "all"], ...known.map((value) => [`=${value}`, value || "(empty)"])]);
  }

  const verdicts = {
    "": () => true,
    some: (right) => right.some(Boolean) && !right.every(Boolean),
    none: (right) => right.length && !right.some(Boolean),
    every: (right) => right.length && right.every(Boolean),
    unjudged: (_, one) => said(one)?.problem.some(Boolean),
  };
  function passes(one) {
    const saying = said(one), wanted = control.search.value.toLowerCase();
    const right = saying ? saying.read.filter((read) => read !== null).map((read) => read === saying.truth) : [];
    if (!verdicts[control.verdict.value](right, one)) return false;
    if (control.pictures.value && !pictured(one)) return false;
    if (control.group.value && one.group !== control.group.value) return false;
    if (control.column.value && control.value.value && `=${one.columns[control.column.value]}` !== control.value.value) return false;
    if (!wanted) return true;
    return [one.key, one.owner, ...one.said.flatMap((each) => [each.truth, each.original, ...each.read])].some((each) => each && each.toLowerCase().includes(wanted));
  }

  function rate(one) {
    const numbers = values(one).map(asNumber).filter((value) => typeof value === "number");
    if (!numbers.length) return null;
    if (control.sort.value === "difference") return Math.max(...numbers) === Math.min(...numbers) ? 0 : Math.max(...numbers) - Math.min(...numbers);
    if (control.of.value === "") return numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
    const one_ = asNumber(values(one)[Number(control.of.value)]);
    return typeof one_ === "number" ? one_ : null;
  }

  function search() {
    found = ofKind().filter(passes);
    const order = control.sort.value;
    if (order !== "data") {
      const higher = measures.get(control.measure.value)?.higher ?? true;
      const falling = order === "difference" || (order === "best") === higher;
      const rated = found.map((one) => [rate(one), one]);
      const known = rated.filter(([value]) => value !== null).sort(([a], [b]) => a === b ? 0 : falling === a > b ? -1 : 1);
      found = [...known, ...rated.filter(([value]) => value === null)].map(([, one]) => one);
    }
    control.of.closest("label").hidden = order === "difference" || order === "data" || names.length < 2;
    turn(0);
  }

  const dot = (place) => element("i", `dot p${place % 8}`);
  const called = (one) => one.owner || one.key;
  const title = (one) => said(one)?.truth ?? one.said.find((each) => each.truth)?.truth ?? called(one);

  function line(one, place) {
    const saying = said(one), words = element("div"), name = place < 0 ? "original" : names[place].name;
    const who = element("span", "who", ...(place < 0 ? [] : [dot(place)]), name);
    words.append(who);
    const value = place < 0 ? undefined : values(one)[place];
    if (value !== null && value !== undefined) who.append(" ", element("span", "value", text(value, control.measure.value)));
    const read = reading(saying?.truth, place < 0 ? saying?.original : saying?.read[place]);
    if (read) words.append(read);
    if (place >= 0 && saying?.problem[place]) words.append(element("span", "absent", saying.problem[place]));
    return element("div", "line", words, picture(place < 0 ? one.target : one.crops[place], `${title(one)}: ${name}`));
  }

  const has = (one) => names.map((_, place) => place).filter((place) => one.crops[place] >= 0 || one.said.some((each) => each.problem[place] || each.read[place] !== null || Object.values(each.values).some((row) => row[place] !== null)));

  const isWide = ({ box: [x1, y1, x2, y2] }) => x2 - x1 > 1.3 * (y2 - y1);

  function card(one, index) {
    const meta = [one.group, one.size === null || one.size >= 1 ? "" : `${Number((100 * one.size).toPrecision(2))}% of the side`, title(one) === called(one) ? "" : called(one)].filter(Boolean).join(" · ");
    const made = element("li", isWide(one) ? "card" : "card side", element("h4", "", title(one)), element("div", "meta", meta));
    const lines = [-1, ...has(one)].map((place) => line(one, place));
    made.style.setProperty("--tiles", Math.min(4, lines.length));
    made.append(element("div", "lines", ...lines));
    made.tabIndex = index === focus ? 0 : -1;
    made.setAttribute("aria-label", `${title(one)}, ${index + 1} of ${Math.min(PAGE, found.length - page * PAGE)} on this page. Enter for a large view.`);
    made.addEventListener("click", () => { select(index); open(); });
    return made;
  }

  function turn(to, at = 0) {
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(Math.max(to, 0), last);
    focus = at;
    const shown = found.slice(page * PAGE, (page + 1) * PAGE);
    cards.replaceChildren(...shown.map(card));
    status.textContent = found.length
      ? `${(page * PAGE + 1).toLocaleString("en")} to ${(page * PAGE + shown.length).toLocaleString("en")} of ${found.length.toLocaleString("en")} instance${found.length === 1 ? "" : "s"}`
      : "no instances: choose less";
    document.querySelectorAll("[data-turn]").forEach((button) => {
      button.disabled = Number(button.dataset.turn) < 0 ? page === 0 : page === last;
    });
  }

  function select(index, take = true) {
    const count = cards.children.length;
    if (index < 0 && page > 0) turn(page - 1, PAGE - 1);
    else if (index >= count && (page + 1) * PAGE < found.length) turn(page + 1);
    else focus = Math.min(Math.max(index, 0), count - 1);
    [...cards.children].forEach((each, place) => { each.tabIndex = place === focus ? 0 : -1; });
    if (take && cards.children[focus]) {
      cards.children[focus].focus({ preventScroll: true });
      cards.children[focus].scrollIntoView({ block: "nearest" });
    }
  }

  function open() {
    const one = found[page * PAGE + focus];
    if (!one) return;
    const views = element("div", "views"), places = [-1, ...has(one)];
    for (const place of places) {
      const name = place < 0 ? "original" : names[place].name;
      const shown = picture(place < 0 ? one.target : one.crops[place], `${title(one)}: ${name}`, true);
      if (place >= 0 && shown.src && one.target >= 0) shown.dataset.crops = `${one.crops[place]} ${one.target}`;
      views.append(element("figure", "", element("figcaption", "", ...(place < 0 ? [] : [dot(place)]), name), shown));
    }
    views.style.setProperty("--across", !isWide(one) ? Math.min(4, places.length) : places.length === 4 ? 2 : Math.min(3, places.length));
    const rows = one.said.flatMap((saying) => [-1, ...has(one)].map((place) => {
      const read = reading(saying.truth, place < 0 ? saying.original : saying.read[place]);
      const numbers = place < 0 ? "" : Object.keys(saying.values).map((name) => `${measures.get(name).title} ${text(saying.values[name][place], name)}`).join(", ");
      return place < 0 && !read ? null : element("tr", "", element("th", "", ...(place < 0 ? ["original"] : [dot(place), names[place].name])), element("td", "", saying.judge || "–", saying.guessed && place < 0 ? element("small", "", "not transcribed: what it reads here counts as the truth") : ""), element("td", "", read || "", place < 0 ? "" : saying.problem[place]), element("td", "", numbers));
    })).filter(Boolean);
    const facts = [one.kind, called(one), called(one) === one.key ? "" : one.key, `instance ${one.number}`, one.box.length ? `box ${one.box.join(", ")}` : "", ...Object.entries(one.columns).map((pair) => pair.join(": "))].filter(Boolean).join(" · ");
    const head = element("tr", "", ...["", "judge", "read", "values"].map((name) => element("th", "", name)));
    byId("large-title").textContent = title(one);
    byId("large-facts").textContent = `${facts} · ${(page * PAGE + focus + 1).toLocaleString("en")} of ${found.length.toLocaleString("en")}`;
    const table = element("div", "scroll", element("table", "", element("thead", "", head), element("tbody", "", ...rows)));
    table.tabIndex = 0;
    byId("large-body").replaceChildren(views, ...(rows.length ? [table] : []));
    if (!dialog.open) dialog.showModal();
  }

  // In place of each reconstruction its original, and back: what moves has changed.
  function flip() {
    dialog.querySelectorAll("[data-crops]").forEach((image) => {
      image.dataset.crops = image.dataset.crops.split(" ").reverse().join(" ");
      image.src = crop(Number(image.dataset.crops.split(" ")[0]));
      image.closest("figure").classList.toggle("flipped");
    });
  }

  const across = () => Math.max(1, getComputedStyle(cards).gridTemplateColumns.split(" ").length);
  const moves = { ArrowRight: () => 1, j: () => 1, ArrowLeft: () => -1, k: () => -1, ArrowDown: across, ArrowUp: () => -across() };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName || "");
    if (event.key === "Escape" && typing) event.target.blur();
    if (typing) return;
    const onCard = cards.contains(document.activeElement), letter = event.key === "j" || event.key === "k";
    if (event.key === "/") {
      event.preventDefault();
      if (dialog.open) dialog.close();
      control.search.focus();
      control.search.select();
    } else if (moves[event.key] && (onCard || letter || dialog.open)) {
      event.preventDefault();
      const large = dialog.open;
      select(onCard || large ? focus + (large && event.key.startsWith("Arrow") ? Math.sign(moves[event.key]()) : moves[event.key]()) : focus, !large);
      if (large) open();
    } else if (event.key === "f" && dialog.open) {
      flip();
    } else if (event.key === "Enter" && onCard) {
      event.preventDefault();
      open();
    }
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => select(focus));
  byId("large-flip").addEventListener("click", flip);
  byId("large-close").addEventListener("click", () => dialog.close());
  document.querySelectorAll("[data-step]").forEach((button) => button.addEventListener("click", () => { select(focus + Number(button.dataset.step), false); open(); }));
  document.querySelectorAll("[data-turn]").forEach((button) => button.addEventListener("click", () => { turn(page + Number(button.dataset.turn)); byId("instances").scrollIntoView(); }));

  const counts = new Map();
  all.forEach((one) => counts.set(one.kind, (counts.get(one.kind) || 0) + 1));
  fill(control.kind, [...counts].map(([kind, count]) => [kind, `${kind} (${count.toLocaleString("en")})`]));
  fill(control.of, [["", "all tokenizers, mean"], ...names.map((one, place) => [place, one.name])]);
  if (names.length < 2) control.sort.querySelector("[value=difference]").remove();
  for (const name of ["kind", "judge", "column"]) control[name].addEventListener("change", () => { name === "column" ? columnValues() : choices(); search(); });
  for (const name of ["measure", "of", "sort", "verdict", "group", "pictures", "value"]) control[name].addEventListener("change", search);
  let waiting;
  control.search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 120); });
  choices();
  search();
  byId("browser").hidden = false;
}

document.addEventListener("DOMContentLoaded", () => { if (byId("instances-data")) startBrowser(); });
