// Lays out what Python says (see `screen.Screen`): header, menu, sections, blocks. Draws charts with the Vega library that the kernel
// sends once. Decides nothing: what a person does goes back by name (`data-act`), with the fields of its form.
const shared = (globalThis.sopVega ??= {});
shared.ready ??= new Promise((resolve) => { shared.provide = resolve; });

const make = (tag, properties = {}, children = []) => {
  const { data, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, data ?? {});
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
};
const kept = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
const keep = (name, value) => { try { localStorage.setItem(name, value); } catch { /* private window: the choice lasts as long as the page */ } };

export default {
  render({ model, el }) {
    const shell = model.get("shell");
    const isAlone = !document.querySelector(".jp-NotebookPanel"); // a page of its own, not a cell of JupyterLab
    const root = make("div", { className: "sop-page", lang: "en" });
    root.dataset.lmSuppressShortcuts = "true";
    if (isAlone) {
      document.documentElement.classList.add("sop-alone");
      document.documentElement.lang = "en";
      document.title = `${shell.title} · ${shell.company}`;
    }
    root.style.setProperty("--brand", shell.brand);
    root.style.setProperty("--on-brand", shell.on_brand);
    root.style.setProperty("--accent", shell.accent);

    // ---- asking: one question at a time; of those that come meanwhile the newest of each name is asked next
    let isAwaited = false;
    let isOver = false; // nobody answers any more: the kernel died, rested too long, or the tab is being left
    let asked = 0;
    const waiting = new Map();
    const bar = make("div", { className: "sop-progress", hidden: true });
    const atRest = () => {
      isAwaited = false;
      root.removeAttribute("aria-busy");
      bar.hidden = true;
    };
    const ended = () => {
      isOver = true;
      waiting.clear();
      atRest();
      message.dataset.kind = "error";
      message.setAttribute("role", "alert");
      message.replaceChildren(make("p", { textContent: "This page is no longer connected. Reload it to go on." }));
    };
    window.addEventListener("sop-page-ended", ended); // from the site around it, which asks the server now and then
    const ask = (name, details = {}) => {
      if (isOver) { ended(); return; }
      if (isAwaited) { waiting.set(name + (details.block ?? ""), [name, details]); return; }
      isAwaited = true;
      asked = performance.now();
      root.setAttribute("aria-busy", "true");
      bar.hidden = false;
      try {
        model.send({ name, ...details });
      } catch {
        ended();
      }
    };

    // ---- theme
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const theme = make("button", { type: "button", className: "sop-ghost" });
    const setTheme = (chosen) => {
      const is = chosen || (dark.matches ? "dark" : "light");
      root.dataset.theme = is;
      if (isAlone) document.documentElement.dataset.sopTheme = is;
      theme.textContent = is === "dark" ? "☀ Light" : "☾ Dark";
      theme.setAttribute("aria-label", is === "dark" ? "Switch to the light look" : "Switch to the dark look");
    };
    theme.addEventListener("click", () => {
      const next = root.dataset.theme === "dark" ? "light" : "dark";
      keep("sop-theme", next);
      setTheme(next);
    });
    const followSystem = () => setTheme(kept("sop-theme"));
    dark.addEventListener("change", followSystem);
    followSystem();

    // ---- header
    const pages = make("nav", { className: "sop-pages", ariaLabel: "Pages" });
    const spot = location.pathname.split("/").findLast((part) => part.includes(shell.page));
    if (isAlone && spot) {
      for (const [name, words] of shell.pages) {
        const link = make("a", { textContent: words, href: spot.replace(shell.page, name) + location.search });
        if (name === shell.page) link.setAttribute("aria-current", "page");
        pages.append(link);
      }
    }
    const picker = (label, name, choices, chosen) => {
      const control = make("select", { id: `sop-pick-${name}` }, choices.map(([value, words]) => make("option", { value, textContent: words })));
      control.value = chosen;
      control.addEventListener("change", () => {
        const query = new URLSearchParams(isAlone ? location.search : "");
        query.set(name, control.value);
        if (name === "cycle") query.delete("scenario");
        if (isAlone) location.search = query.toString(); else ask("turn", { query: query.toString() });
      });
      return make("div", { className: "sop-pick" }, [make("label", { htmlFor: control.id, textContent: label }), control]);
    };
    const print = make("button", { type: "button", className: "sop-ghost", textContent: "Print" });
    print.addEventListener("click", async () => { // paper does not scroll: what nobody came near yet is computed first
      print.disabled = true;
      print.textContent = "Preparing …";
      for (const { holder, block } of Object.values(holders)) {
        if (!isWaiting(holder)) continue;
        near.unobserve(holder);
        ask("reach", { block: block.id });
      }
      while (isAwaited || waiting.size) await new Promise((done) => setTimeout(done, 60));
      await Promise.all(Object.values(holders).map((place) => place.turn));
      print.disabled = false;
      print.textContent = "Print";
      if (isOver && Object.values(holders).some((place) => isWaiting(place.holder))) return; // half a page is no report
      window.print();
    });
    // Printed from the browser's menu, what is not computed stays away, with the heading over it.
    const isWaiting = (holder) => Boolean(holder.querySelector(".sop-busy"));
    const beforePrint = () => {
      for (const section of root.querySelectorAll(".sop-section")) {
        section.classList.toggle("sop-unseen", [...section.querySelectorAll(".sop-block")].every(isWaiting));
      }
    };
    window.addEventListener("beforeprint", beforePrint);
    const header = make("header", { className: "sop-header" }, [
      make("div", { className: "sop-brand" }, [
        make("p", { className: "sop-company", textContent: shell.company }),
        make("h1", { textContent: shell.title }),
      ]),
      pages,
      make("div", { className: "sop-tools" }, [
        ...shell.pickers.map(([label, name, choices, chosen]) => picker(label, name, choices, chosen)),
        theme, print,
      ]),
      make("p", { className: "sop-state" }, shell.state.map(([words, kind]) => make("span", { textContent: words, className: `sop-badge sop-${kind}` }))),
    ]);

    // ---- message
    const message = make("div", { className: "sop-message", role: "status" });
    message.setAttribute("aria-live", "polite");

    // ---- sections and blocks
    const menu = make("nav", { className: "sop-menu", ariaLabel: "On this page" });
    const main = make(document.querySelector("main") ? "div" : "main", { id: "sop-main", className: "sop-main", tabIndex: -1 });
    const holders = {};
    for (const section of shell.sections) {
      const heading = make("h2", { textContent: section.title, id: `sop-${section.id}-title` });
      const grid = make("div", { className: "sop-grid" });
      const place = make("section", { className: "sop-section", id: `sop-${section.id}` }, [
        section.title ? heading : null, section.lead ? make("p", { className: "sop-lead", textContent: section.lead }) : null, grid]);
      if (section.title) {
        place.setAttribute("aria-labelledby", heading.id);
        menu.append(make("a", { href: `#sop-${section.id}`, textContent: section.menu || section.title }));
      }
      for (const block of section.blocks) {
        const holder = make("div", { className: `sop-block${block.is_open ? " sop-open" : ""}`, data: { block: block.id } });
        holder.style.setProperty("--span", block.span);
        holder.style.setProperty("--rows", block.rows);
        holders[block.id] = { holder, block, drawing: null, shows: "", turn: Promise.resolve() };
        grid.append(holder);
      }
      main.append(place);
    }
    menu.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link) return;
      event.preventDefault(); // the address keeps its query; focus follows, so that the keyboard goes on from there
      const target = root.querySelector(link.getAttribute("href"));
      target.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
      target.setAttribute("tabindex", "-1");
      target.focus({ preventScroll: true });
    });

    const caption = (place, content) => {
      const title = content.title || place.block.title;
      const parts = [];
      if (title) parts.push(make("h3", { textContent: title }));
      if (content.note || content.source) {
        const said = [];
        if (content.note) said.push(make("p", {}, [make("b", { textContent: "How: " }), content.note]));
        if (content.source) said.push(make("p", {}, [make("b", { textContent: "From: " }), content.source]));
        const summary = make("summary", { textContent: "i" });
        summary.setAttribute("aria-label", `How this is computed: ${title}`);
        parts.push(make("details", { className: "sop-about" }, [summary, make("div", {}, said)]));
      }
      return parts.length ? make("div", { className: "sop-caption" }, parts) : null;
    };
    const below = (content) => {
      const holder = make("div", { className: "sop-below" });
      holder.innerHTML = content.below ?? "";
      return content.below ? holder : null;
    };
    const counted = (place) => { place.holder.dataset.drawn = String(Number(place.holder.dataset.drawn ?? 0) + 1); };

    const draw = async (place, content) => {
      if (content.rows && place.drawing && place.shows === content.shows) {
        place.drawing.view.data(place.named, content.rows);
        await place.drawing.view.resize().runAsync(); // labels may be longer now
        place.holder.querySelector(".sop-caption")?.replaceWith(caption(place, content) ?? "");
        const words = place.holder.querySelector(".sop-below");
        if (words) words.innerHTML = content.below ?? "";
        place.holder.querySelector(".sop-chart > div")?.setAttribute("aria-label", content.label || "chart");
        counted(place);
        return;
      }
      if (content.rows) return; // rows of a drawing this window never had: `open` brings it whole
      if (content.widget) {
        const child = await model.widget_manager.get_model(content.widget);
        const view = await model.widget_manager.create_view(child);
        place.holder.replaceChildren(...[caption(place, content), view.el].filter(Boolean));
        counted(place);
        return;
      }
      const active = place.holder.contains(document.activeElement) ? document.activeElement.id : "";
      if (!content.spec) {
        place.drawing?.finalize();
        place.drawing = null;
        const body = make("div", { className: "sop-body" });
        if (content.busy) {
          body.className = "sop-busy";
          body.textContent = content.busy;
        } else body.innerHTML = content.html ?? "";
        const head = content.busy ? caption(place, {}) : caption(place, content);
        place.holder.replaceChildren(...[head, body, below(content)].filter(Boolean));
        for (const wide of body.querySelectorAll(".sop-table")) {
          wide.tabIndex = 0;
          wide.setAttribute("role", "group");
          wide.setAttribute("aria-label", `Table: ${content.title || place.block.title || "figures"}`);
        }
        if (active) root.querySelector(`#${CSS.escape(active)}`)?.focus({ preventScroll: true });
        counted(place);
        return;
      }
      const embed = await shared.ready;
      const figure = make("figure", { className: "sop-chart", tabIndex: 0 });
      const held = make("div", {});
      const drawing = await embed(held, content.spec, { actions: false, renderer: "svg", tooltip: { theme: root.dataset.theme } });
      held.setAttribute("role", "img"); // Vega calls every chart the same
      held.setAttribute("aria-label", content.label || "chart");
      held.removeAttribute("aria-roledescription");
      held.querySelector("svg")?.setAttribute("aria-hidden", "true"); // its parts have no names of their own; the label says what is drawn
      figure.setAttribute("aria-label", `Chart: ${content.title || place.block.title || "figures"}`);
      figure.append(held);
      place.drawing?.finalize();
      place.drawing = drawing;
      place.shows = content.shows;
      [place.named] = Object.keys(content.spec.datasets ?? { none: [] });
      const above = make("div", {});
      above.innerHTML = content.above ?? "";
      place.holder.replaceChildren(...[caption(place, content), content.above ? above : null, figure, below(content)].filter(Boolean));
      if (active) root.querySelector(`#${CSS.escape(active)}`)?.focus({ preventScroll: true });
      counted(place);
    };
    const drawings = [];
    for (const [id, place] of Object.entries(holders)) {
      const show = () => {
        const content = model.get(`block_${id}`);
        if (content && Object.keys(content).length) place.turn = place.turn.then(() => draw(place, content)).catch((fault) => console.error(fault));
      };
      model.on(`change:block_${id}`, show);
      drawings.push([`change:block_${id}`, show]);
      show();
    }

    // ---- what a person does
    const fields = (form) => Object.fromEntries([...form.elements].filter((one) => one.name && (one.type !== "radio" || one.checked))
      .map((one) => [one.name, one.type === "checkbox" ? one.checked : one.type === "range" ? Number(one.value) : one.value]));
    const detailsOf = (node) => {
      const { act, ...rest } = node.dataset;
      delete rest.lmSuppressShortcuts;
      return rest;
    };
    const click = (event) => {
      const button = event.target.closest("button[data-act]");
      if (button && button.getAttribute("aria-disabled") !== "true") ask(button.dataset.act, detailsOf(button));
    };
    const submit = (event) => {
      const form = event.target.closest("form[data-act]");
      if (!form) return;
      event.preventDefault();
      const pressed = form.querySelector("button[type=submit]");
      if (pressed?.getAttribute("aria-disabled") === "true") return;
      ask(form.dataset.act, { ...detailsOf(form), fields: fields(form) });
    };
    const change = (event) => {
      const control = event.target.closest("select[data-act], input[type=checkbox][data-act]");
      if (control) { ask(control.dataset.act, { ...detailsOf(control), value: control.type === "checkbox" ? control.checked : control.value }); return; }
      const live = event.target.closest("form[data-live]");
      if (live && event.target.type !== "range") ask(live.dataset.live, { fields: fields(live) });
    };
    const input = (event) => {
      const range = event.target.closest("input[type=range]");
      if (!range) return;
      const shown = range.form?.querySelector(`output[for="${range.id}"]`);
      if (shown) shown.textContent = written(range);
      range.setAttribute("aria-valuetext", shown?.textContent ?? range.value);
      const live = range.closest("form[data-live]");
      if (live) ask(live.dataset.live, { fields: fields(live) }); // while an answer is awaited, only the newest place is kept
    };
    // How a slider's place is written: {+} is the number with its sign, {} without; `data-zero` is said at nought.
    const written = (range) => {
      const value = Number(range.value);
      if (value === 0) return range.dataset.zero ?? "0";
      const size = Math.abs(value).toLocaleString(undefined);
      return (range.dataset.words ?? "{}").replace("{+}", (value > 0 ? "+" : "−") + size).replace("{}", size);
    };
    const oneOpen = (event) => { // one explanation at a time
      for (const open of root.querySelectorAll("details.sop-about[open]")) if (!open.contains(event.target)) open.open = false;
    };
    const escape = (event) => { if (event.key === "Escape") for (const open of root.querySelectorAll("details.sop-about[open]")) { open.open = false; open.querySelector("summary").focus(); } };
    for (const [name, listener] of [["click", click], ["click", oneOpen], ["submit", submit], ["change", change], ["input", input], ["keydown", escape]]) {
      root.addEventListener(name, listener);
    }

    // ---- answers
    const answered = () => {
      const now = model.get("answer");
      if (!now.number) return;
      atRest();
      root.dataset.answer = String(now.number);
      const lines = (now.lines ?? []).map((line) => make("p", { textContent: line }));
      if (lines.length || !["open", "reach", "fit"].includes(now.act)) {
        message.dataset.kind = now.kind ?? "";
        message.setAttribute("role", now.kind === "error" ? "alert" : "status");
        message.replaceChildren(...lines);
      }
      if (lines.length && isAlone) message.scrollIntoView({ block: "nearest" });
      // What the person waited for, by part: the kernel's own time and, once drawn, the whole way.
      const since = asked;
      Promise.all(Object.values(holders).map((place) => place.turn)).then(() => {
        root.dataset.waited = String(Math.round(performance.now() - since));
        root.dataset.kernel = String(now.milliseconds);
        root.dataset.settled = String(now.number);
      });
      const next = waiting.entries().next();
      if (!next.done) {
        const [key, [name, details]] = next.value;
        waiting.delete(key);
        ask(name, details);
      }
    };
    model.on("change:answer", answered);

    // ---- late blocks are asked for when a person comes near them
    const near = new IntersectionObserver((seen) => {
      for (const one of seen) {
        if (!one.isIntersecting) continue;
        near.unobserve(one.target);
        ask("reach", { block: one.target.dataset.block });
      }
    }, { rootMargin: "400px" });

    const skip = make("a", { className: "sop-skip", href: "#sop-main", textContent: "Skip to the figures" });
    skip.addEventListener("click", (event) => { event.preventDefault(); main.focus(); main.scrollIntoView(); });
    const foot = make("footer", { className: "sop-foot", textContent: shell.foot });
    root.append(skip, bar, header, menu.children.length > 1 ? menu : "", message, main, foot);
    el.append(root);

    let width = 0;
    const inner = () => main.getBoundingClientRect().width || root.getBoundingClientRect().width;
    const resized = new ResizeObserver(() => {
      const now = inner();
      if (!now || Math.abs(now - width) < 60) return;
      const isFirst = width === 0;
      width = now;
      clearTimeout(resized.timer);
      resized.timer = setTimeout(() => {
        ask(isFirst ? "open" : "fit", { width: Math.round(inner()) });
        if (isFirst) for (const { holder, block } of Object.values(holders)) if (block.is_late) near.observe(holder);
      }, isFirst ? 0 : 250);
    });
    resized.observe(main);

    return () => {
      for (const [name, show] of drawings) model.off(name, show);
      model.off("change:answer", answered);
      dark.removeEventListener("change", followSystem);
      window.removeEventListener("beforeprint", beforePrint);
      window.removeEventListener("sop-page-ended", ended);
      near.disconnect();
      resized.disconnect();
      for (const place of Object.values(holders)) place.drawing?.finalize();
    };
  },
};
