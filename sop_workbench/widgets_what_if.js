// Levers of the what-if screen: native sliders and pickers with labels. It shows the state that Python sends, and sends what a person
// does; while an answer is awaited further moves of a slider are gathered into one.

const make = (tag, properties = {}, children = []) => {
  const { data, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, data ?? {});
  // JupyterLab's own keys (arrow: to the next heading) must not reach through a control that has the focus.
  if (["input", "select", "button", "summary"].includes(tag)) node.dataset.lmSuppressShortcuts = "true";
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
};
let count = 0;
const field = (label, control) => {
  control.id = `sop-lever-${(count += 1)}`;
  return make("div", { className: "sop-field" }, [make("label", { htmlFor: control.id, textContent: label }), control]);
};
const percent = (value) => (value > 0 ? `+${value} %` : value < 0 ? `−${-value} %` : "as planned");

export default {
  render({ model, el }) {
    const root = make("div", { className: "sop-form sop-levers", data: { lmSuppressShortcuts: "true" } });
    el.append(root);
    const first = model.get("state");
    const options = first.options;

    // One question at a time: what is moved while an answer is awaited is asked when it has come.
    let isAwaited = false;
    let next = null;
    let timer = null;
    const ask = (name, details = {}) => {
      if (isAwaited) { next = [name, details]; return; }
      isAwaited = true;
      root.setAttribute("aria-busy", "true");
      model.send({ name, ...details });
    };
    const button = (words, act, className = "", label = "") => {
      const made = make("button", { type: "button", textContent: words, className });
      if (label) made.setAttribute("aria-label", label);
      made.addEventListener("click", act);
      return made;
    };
    const select = (choices, every, act) => {
      const all = every === null ? choices : [["", every], ...choices];
      const made = make("select", {}, all.map(([value, words]) => make("option", { value, textContent: words })));
      made.addEventListener("change", act);
      return made;
    };

    // ---- ready sliders
    const controls = {};
    const start = select(options.periods, "start of plan", () => move());
    const end = select(options.periods, "end of plan", () => move());
    const places = () => Object.fromEntries(Object.entries(controls).map(([name, { range, picks }]) => [name, {
      percent: Number(range.value), ...Object.fromEntries(picks.map(([column, control]) => [column, control.value])),
    }]));
    const move = () => ask("move", { ready: places(), start: start.value, end: end.value });
    const moveSoon = () => { clearTimeout(timer); timer = setTimeout(move, 90); };

    const sliders = make("div", { className: "sop-sliders" });
    for (const ready of options.ready) {
      const range = make("input", { type: "range", min: -50, max: 50, step: 1, value: 0 });
      const shown = make("output", { textContent: percent(0) });
      const picks = ready.picks.map(([column, words, choices]) => {
        const control = select(choices, `every ${words.toLowerCase()}`, () => move());
        control.setAttribute("aria-label", `${words} for ${ready.words}`);
        return [column, control];
      });
      const hold = button("Hold", () => ask("hold", { ready: ready.name }), "sop-small", `Hold this change of ${ready.words} and set the slider back`);
      range.addEventListener("input", () => { shown.textContent = percent(Number(range.value)); moveSoon(); });
      range.id = `sop-lever-${(count += 1)}`;
      controls[ready.name] = { range, shown, picks, hold };
      sliders.append(make("fieldset", {}, [
        make("legend", {}, [make("label", { htmlFor: range.id, textContent: ready.words })]),
        make("div", { className: "sop-pull" }, [range, shown, hold]),
        make("div", { className: "sop-picks" }, picks.map(([, control]) => control)),
      ]));
    }

    // ---- any lever
    const table = select(options.tables.map((name) => [name, name]), null, () => ask("open_table", { table: table.value }));
    const column = make("select");
    const operation = select([["multiply", "multiply by"], ["add", "add"], ["set", "set to"], ["shift", "shift by periods"], ["remove", "remove rows"]], null,
      () => { value.disabled = column.disabled = operation.value === "remove"; });
    const value = make("input", { type: "text", inputMode: "decimal", className: "sop-number" });
    const filters = make("div", { className: "sop-filters" });
    const from = select(options.periods, "start", () => {});
    const to = select(options.periods, "end", () => {});
    const offered = { name: null };
    const offer = (now) => {
      if (offered.name === now.name) return;
      offered.name = now.name;
      table.value = now.name;
      column.replaceChildren(...now.columns.map((name) => make("option", { value: name, textContent: name })));
      filters.replaceChildren(...now.picks.map(([name, words, values]) => {
        const list = make("datalist", { id: `sop-lever-${(count += 1)}` }, values.map((one) => make("option", { value: one })));
        const input = make("input", { type: "text", placeholder: "all", data: { column: name } });
        input.setAttribute("list", list.id);
        const labelled = field(words, input);
        labelled.append(list);
        return labelled;
      }));
      from.disabled = to.disabled = !now.has_periods;
    };
    const add = button("Pull this lever", () => ask("add", {
      table: table.value, column: column.value, operation: operation.value, value: value.value,
      where: Object.fromEntries([...filters.querySelectorAll("input")].map((input) => [input.dataset.column, input.value.trim()])),
      start: from.disabled ? "" : from.value, end: to.disabled ? "" : to.value,
    }), "sop-primary");
    const anyLever = make("details", {}, [
      make("summary", { textContent: "Any other lever" }),
      make("div", { className: "sop-bar" }, [field("Table", table), field("Column", column), field("Change", operation), field("Value", value)]),
      make("p", { className: "sop-help", textContent: "Only rows where (several values with | between them):" }),
      filters,
      make("div", { className: "sop-bar" }, [field("From", from), field("To", to), add]),
    ]);

    // ---- held levers, undo, keep
    const held = make("ul", { className: "sop-held" });
    const undo = button("Undo", () => ask("undo"));
    const reset = button("Reset all", () => ask("reset"));
    const message = make("div", { className: "sop-message", role: "status", ariaLive: "polite" });
    const notes = make("div", { className: "sop-help" });
    const name = make("input", { type: "text", placeholder: "spring_shift" });
    const title = make("input", { type: "text", className: "sop-wide", placeholder: "one line for the table" });
    const reason = make("input", { type: "text", className: "sop-wide", required: true, placeholder: "what question it answers" });
    const keep = button("Keep as scenario", () => ask("keep", { scenario: name.value, title: title.value, reason: reason.value }), "sop-primary");
    const kept = make("details", {}, [
      make("summary", { textContent: "Keep as a scenario" }),
      make("div", { className: "sop-bar" }, [field("Name", name), field("Title", title), field("Reason", reason), keep]),
    ]);

    // ---- what the chart shows
    const measure = select(options.measures, null, () => ask("look", { measure: measure.value }));
    const family = select(options.families.map((one) => [one, one]), "all families", () => ask("look", { family: family.value }));
    const looked = make("div", { className: "sop-bar" }, [field("Chart shows", measure), field("of", family)]);

    root.append(
      make("div", { className: "sop-bar" }, [undo, reset]), message,
      sliders, make("div", { className: "sop-bar" }, [field("Demand, hours, price and stock from", start), field("to", end)]),
      held, anyLever, kept, looked, notes,
    );

    const show = () => {
      const now = model.get("state");
      isAwaited = false;
      root.removeAttribute("aria-busy");
      root.dataset.answer = now.answer;
      message.dataset.kind = now.message.kind ?? "";
      message.setAttribute("role", now.message.kind === "error" ? "alert" : "status");
      message.replaceChildren(...(now.message.lines ?? []).map((line) => make("div", { textContent: line })));
      undo.disabled = !now.can_undo;
      reset.disabled = !now.can_reset;
      held.replaceChildren(...now.held.map((words, number) => make("li", {}, [
        make("span", { textContent: words }), button("Let go", () => ask("release", { number }), "sop-small", `Let go: ${words}`),
      ])));
      notes.replaceChildren(...now.notes.map((line) => make("div", { textContent: line })));
      offer(now.table);
      [measure.value, family.value] = [now.looked.measure, now.looked.family];
      if (next) { // the person is further than this answer: do not set controls back
        const [act, details] = next;
        next = null;
        ask(act, details);
        return;
      }
      [start.value, end.value] = [now.start, now.end];
      for (const [one, { range, shown, picks, hold }] of Object.entries(controls)) {
        const place = now.ready[one] ?? { percent: 0 };
        range.value = place.percent;
        shown.textContent = percent(Number(place.percent));
        hold.disabled = Number(place.percent) === 0;
        for (const [pick, control] of picks) control.value = place[pick] ?? "";
      }
      if (now.message.kind === "done") name.value = title.value = reason.value = "";
    };
    model.on("change:state", show);
    show();
    return () => model.off("change:state", show);
  },
};
