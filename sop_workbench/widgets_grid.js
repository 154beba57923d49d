// The grid of adjustments: it shows the state that Python sends, and sends what a person does. It computes nothing.

const make = (tag, properties = {}, children = []) => {
  const { data, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, data ?? {});
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
};
let count = 0;
const field = (label, control) => {
  control.id = `sop-field-${(count += 1)}`;
  return make("div", { className: "sop-field" }, [make("label", { htmlFor: control.id, textContent: label }), control]);
};
const choice = (values, chosen, every) => {
  const options = [...(every ? [["", every]] : []), ...values.map((value) => [value, value])];
  return make("select", {}, options.map(([value, words]) => make("option", { value, textContent: words, selected: value === chosen })));
};

export default {
  render({ model, el }) {
    const root = make("div", { className: "sop-form sop-grid", data: { lmSuppressShortcuts: "true" } });
    el.append(root);
    const send = (name, details = {}) => model.send({ name, ...details });
    const state = () => model.get("state");
    let layout = "";
    let parts = {};

    // ---------------------------------------------------------------- built once per level, filter and page
    const build = (now) => {
      const level = choice(now.levels, now.level);
      level.addEventListener("change", () => { send("change_level", { level: level.value }); level.value = state().level; });
      const look = (more) => send("look", { family: family.value, region: region?.value ?? "", search: search.value, page: 0, ...more });
      const family = choice(now.families, now.family, "all families");
      const region = now.regions.length ? choice(now.regions, now.region, "all regions") : null;
      const search = make("input", { type: "search", value: now.search, placeholder: "part of a name" });
      for (const control of [family, region, search]) control?.addEventListener("change", () => look());
      const button = (words, act, className = "") => {
        const made = make("button", { type: "button", textContent: words, className });
        made.addEventListener("click", act);
        return made;
      };
      const by = make("input", { type: "text", value: now.signed.by, autocomplete: "name", required: true });
      const why = make("input", { type: "text", value: now.signed.why, required: true, className: "sop-wide", placeholder: "what makes it change" });
      const assumption = make("input", { type: "text", value: now.signed.assumption, className: "sop-wide", placeholder: "optional: what must hold" });
      const keys = now.keys.map((key) => make("input", { type: "text", size: 10, ariaLabel: `New row: ${key}`, placeholder: key }));
      parts = {
        by, why, assumption,
        message: make("div", { className: "sop-message", role: "status", ariaLive: "polite" }),
        count: make("span", { className: "sop-count" }),
        undo: button("Undo", () => send("undo")),
        check: button("Save …", () => send("check", { by: by.value, why: why.value, assumption: assumption.value }), "sop-primary"),
        body: make("tbody"), totals: make("tbody"), diff: make("div"), table: make("div", { className: "sop-scroll" }),
      };
      const head = (left, right = []) => make("thead", {}, [make("tr", {}, [
        ...left.map((words) => make("th", { scope: "col", textContent: words, className: "sop-key" })),
        ...right.map((words) => make("th", { scope: "col", textContent: words })),
        ...now.periods.map((words) => make("th", { scope: "col", textContent: words })),
      ])]);
      const help = make("p", { className: "sop-help", textContent:
        "A cell takes a quantity (120), a change (+50, -50) or a percentage (+10 %). Enter and arrows move, Escape takes back what is being typed, " +
        "Ctrl+Z undoes; a block copied in Excel is pasted from the cell on." });
      const isNamed = now.rows.some((row) => row.name !== "");
      const grid = make("table", { ariaLabel: `Consensus by ${now.level}, units` }, [
        head([...now.keys, ...(isNamed ? ["Name"] : [])]), parts.body,
      ]);
      const totals = make("table", { className: "sop-totals", ariaLabel: "Totals by family" }, [head(["Family"], ["Units", now.currency]), parts.totals]);
      parts.table.append(grid);
      const last = now.pages - 1;
      const pages = now.pages > 1 ? make("span", { className: "sop-pages" }, [
        button("‹ Previous", () => look({ page: now.page - 1 })), ` page ${now.page + 1} of ${now.pages} `, button("Next ›", () => look({ page: now.page + 1 })),
      ]) : "";
      if (pages) [pages.firstChild.disabled, pages.lastChild.disabled] = [now.page === 0, now.page === last];
      const pair = now.keys.length > 1 ? make("details", {}, [
        make("summary", { textContent: "A row that is not there" }), ...keys, button("Add the row", () => send("add_row", { keys: keys.map((key) => key.value) })),
      ]) : "";
      root.replaceChildren(
        make("div", { className: "sop-bar" }, [field("Level", level), field("Family", family), region && field("Region", region), field("Search", search), pages]),
        help, parts.table, pair,
        make("p", { className: "sop-help", textContent: "Totals of the rows chosen above; below a number, what the changes add." }),
        make("div", { className: "sop-scroll sop-short" }, [totals]),
        make("div", { className: "sop-bar" }, [field("Who", by), field("Reason", why), field("Assumption", assumption), parts.undo, parts.check, parts.count]),
        parts.message, parts.diff,
      );
      parts.body.replaceChildren(...now.rows.map((row, number) => make("tr", {}, [
        ...row.keys.map((key) => make("th", { scope: "row", textContent: key, className: "sop-key" })),
        isNamed ? make("td", { textContent: row.name, className: "sop-name", title: row.name }) : "",
        ...row.cells.map((_, period) => make("td", {}, [make("input", {
          type: "text", inputMode: "decimal", autocomplete: "off", ariaLabel: `${row.keys.join(" ")} ${now.periods[period]}`,
          data: { row: number, period }, readOnly: Boolean(now.locked),
        })])),
      ])));
    };

    // ---------------------------------------------------------------- filled at every answer; the cell being typed in is left alone
    const fill = (now) => {
      const typed = document.activeElement;
      for (const input of parts.body.querySelectorAll("input")) {
        const cell = now.rows[input.dataset.row].cells[input.dataset.period];
        const isTyping = input === typed && input.value !== input.dataset.shown;
        input.dataset.shown = cell.shown;
        if (!isTyping) input.value = cell.shown;
        input.parentNode.classList.toggle("sop-changed", cell.entry !== "" && cell.fault === "");
        input.setAttribute("aria-invalid", String(cell.fault !== ""));
        input.title = cell.fault || (cell.entry ? `was ${cell.was || "nothing"}, entered ${cell.entry}` : "");
      }
      const number = ({ value, change }) => make("td", {}, [value, change ? make("small", { textContent: change, className: "sop-moved" }) : ""]);
      parts.totals.replaceChildren(...now.totals.map((total) => make("tr", {}, [
        make("th", { scope: "row", textContent: total.name, className: "sop-key" }), number(total.units), number(total.money), ...total.cells.map(number),
      ])));
      parts.undo.disabled = !now.can_undo;
      parts.check.disabled = Boolean(now.locked);
      parts.count.textContent = `${now.change_count} changed` + (now.fault_count ? `, ${now.fault_count} cannot be read` : "");
      if (now.message.kind === "done") { parts.why.value = ""; parts.assumption.value = ""; }
      const message = now.locked ? { kind: "error", lines: [now.locked] } : now.message;
      parts.message.dataset.kind = message.kind ?? "";
      parts.message.replaceChildren(...(message.lines ?? []).map((line) => make("div", { textContent: line })));
      showDiff(now);
    };

    const showDiff = (now) => {
      if (!now.diff) return parts.diff.replaceChildren();
      const row = (tag, words) => make("tr", {}, words.map((text) => make(tag, { textContent: text })));
      const record = make("button", { type: "button", textContent: `Record ${now.diff.length} adjustment${now.diff.length === 1 ? "" : "s"}`, className: "sop-primary" });
      const back = make("button", { type: "button", textContent: "Back to the grid" });
      record.addEventListener("click", () => { record.disabled = true; send("record"); });
      back.addEventListener("click", () => send("back"));
      parts.diff.replaceChildren(make("section", { className: "sop-diff", ariaLabel: "Changes to confirm" }, [
        make("strong", { textContent: `Record these changes? ${now.signed.by}: ${now.signed.why}` }),
        make("div", { className: "sop-scroll sop-short" }, [make("table", {}, [
          make("thead", {}, [row("th", ["What", "Period", "Old", "New", "How"])]),
          make("tbody", {}, now.diff.map((line) => row("td", [line.what, line.period, line.old || "none", line.new, line.how]))),
        ])]),
        make("div", { className: "sop-bar" }, [record, back]),
      ]));
      record.focus();
    };

    const show = () => {
      const now = state();
      const wanted = JSON.stringify([now.level, now.family, now.region, now.search, now.page, now.locked, now.rows.map((row) => row.keys)]);
      if (wanted !== layout) {
        const focused = root.contains(document.activeElement) ? document.activeElement.previousSibling?.textContent : null;
        const kept = parts.by ? { by: parts.by.value, why: parts.why.value, assumption: parts.assumption.value } : null;
        build(kept ? { ...now, signed: kept } : now);
        layout = wanted;
        if (focused) [...root.querySelectorAll("label")].find((label) => label.textContent === focused)?.nextSibling.focus();
      }
      fill(now);
    };

    // ---------------------------------------------------------------- typing, moving, pasting
    const at = (row, period) => parts.body.querySelector(`input[data-row="${row}"][data-period="${period}"]`);
    const place = (input) => [Number(input.dataset.row), Number(input.dataset.period)];
    const isCell = (node) => node?.dataset?.period !== undefined && node.tagName === "INPUT";
    const enter = (input) => {
      if (input.value === input.dataset.shown) return;
      const [row, period] = place(input);
      input.dataset.shown = input.value; // the answer may overwrite it: it is no longer being typed in
      send("enter", { cells: [[state().rows[row].keys, period, input.value]] });
    };
    root.addEventListener("change", (event) => isCell(event.target) && enter(event.target));
    root.addEventListener("focusin", (event) => isCell(event.target) && event.target.select());
    root.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (!isCell(event.target)) return;
      const input = event.target;
      const [row, period] = place(input);
      const isWhole = input.selectionEnd - input.selectionStart === input.value.length;
      const moves = {
        ArrowUp: [-1, 0], ArrowDown: [1, 0], Enter: [event.shiftKey ? -1 : 1, 0],
        ...(isWhole || input.selectionStart === 0 ? { ArrowLeft: [0, -1] } : {}),
        ...(isWhole || input.selectionEnd === input.value.length ? { ArrowRight: [0, 1] } : {}),
      };
      if (event.key === "Escape") { input.value = input.dataset.shown; input.select(); event.preventDefault(); }
      if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey) && input.value === input.dataset.shown) {
        event.preventDefault();
        send("undo");
      }
      const move = moves[event.key];
      if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      enter(input);
      at(row + move[0], period + move[1])?.focus();
    });
    root.addEventListener("paste", (event) => {
      const text = event.clipboardData.getData("text");
      if (!isCell(event.target) || !/[\t\n]/.test(text) || state().locked) return;
      event.preventDefault();
      const [first, start] = place(event.target);
      const block = text.replaceAll("\r", "").replace(/\n$/, "").split("\n").map((line) => line.split("\t"));
      const cells = block.flatMap((line, down) => line.map((value, right) => [first + down, start + right, value]));
      const inside = cells.filter(([row, period]) => at(row, period));
      send("enter", { cells: inside.map(([row, period, value]) => [state().rows[row].keys, period, value]), beyond: cells.length - inside.length });
    });

    model.on("change:state", show);
    show();
    return () => model.off("change:state", show);
  },
};
