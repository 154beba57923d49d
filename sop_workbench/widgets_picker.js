// The list of proposed corrections: it shows the state that Python sends, and sends what a person does. It computes nothing.

const make = (tag, properties = {}, children = []) => {
  const { data, ...rest } = properties;
  const node = Object.assign(document.createElement(tag), rest);
  Object.assign(node.dataset, data ?? {});
  node.append(...children.filter((child) => child !== null && child !== ""));
  return node;
};
let count = 0;
const field = (label, control) => {
  control.id = `sop-pick-${(count += 1)}`;
  return make("div", { className: "sop-field" }, [make("label", { htmlFor: control.id, textContent: label }), control]);
};

export default {
  render({ model, el }) {
    const root = make("div", { className: "sop-form sop-picker", data: { lmSuppressShortcuts: "true" } });
    el.append(root);
    const send = (name, details = {}) => model.send({ name, ...details });
    const button = (words, act, className = "") => {
      const made = make("button", { type: "button", textContent: words, className });
      made.addEventListener("click", act);
      return made;
    };
    const choice = (values, chosen, every, act) => {
      const options = [["", every], ...values.map((value) => [value, value])];
      const made = make("select", {}, options.map(([value, words]) => make("option", { value, textContent: words, selected: value === chosen })));
      made.addEventListener("change", act);
      return made;
    };

    const by = make("input", { type: "text", autocomplete: "name", required: true });
    const why = make("input", { type: "text", required: true, className: "sop-wide", placeholder: "what shows it" });
    const message = make("div", { className: "sop-message", role: "status", ariaLive: "polite" });
    const filters = make("div", { className: "sop-bar" });
    const list = make("div", { className: "sop-scroll" });
    const decisions = make("div", { className: "sop-bar" });
    root.append(filters, list, decisions, message);

    const show = () => {
      const now = model.get("state");
      const focused = root.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
      const scrolled = list.scrollTop;
      const look = (more = {}) => send("look", { kind: kind.value, status: status.value, page: 0, ...more });
      const kind = choice(now.kinds, now.kind, "every kind", () => look());
      const status = choice(["proposed", "accepted", "rejected"], now.status, "every status", () => look());
      [kind.dataset.focus, status.dataset.focus] = ["kind", "status"];
      const pages = now.pages > 1 ? make("span", { className: "sop-pages" }, [
        button("‹ Previous", () => look({ page: now.page - 1 })), ` page ${now.page + 1} of ${now.pages} `, button("Next ›", () => look({ page: now.page + 1 })),
      ]) : "";
      if (pages) [pages.firstChild.disabled, pages.lastChild.disabled] = [now.page === 0, now.page === now.pages - 1];
      filters.replaceChildren(field("Kind", kind), field("Status", status), make("span", { textContent: `${now.row_count} shown, largest change first` }), pages);

      const tick = (numbers, isOn) => send("tick", { numbers, is_on: isOn });
      const every = make("input", { type: "checkbox", checked: now.rows.length > 0 && now.rows.every((row) => row.is_ticked), ariaLabel: "Tick the whole page",
        data: { focus: "every" } });
      every.addEventListener("change", () => tick(now.rows.map((row) => row.number), every.checked));
      const cell = (text, className = "") => make("td", { textContent: text, className });
      const rows = now.rows.map((row) => {
        const box = make("input", { type: "checkbox", checked: row.is_ticked, ariaLabel: `Tick ${row.item} ${row.market} ${row.period}`, data: { focus: `tick${row.number}` } });
        box.addEventListener("change", () => tick([row.number], box.checked));
        const see = button(row.item, () => send("see", { number: row.number }));
        see.dataset.focus = `see${row.number}`;
        see.setAttribute("aria-label", `Show ${row.item} ${row.market} ${row.period} in the chart`);
        see.setAttribute("aria-pressed", String(row.is_seen));
        return make("tr", { className: row.is_seen ? "sop-seen" : "" }, [
          make("td", {}, [box]), make("td", { className: "sop-left" }, [see, make("small", { textContent: row.name, className: "sop-under" })]),
          cell(row.market, "sop-left"), cell(row.period), cell(row.kind, "sop-left"), cell(row.booked), cell(row.suggested),
          ...(now.status ? [] : [cell(row.status, "sop-left")]), cell(row.evidence, "sop-evidence"),
        ]);
      });
      const heads = ["Item", "Market", "Period", "Kind", "Booked", "Suggested", ...(now.status ? [] : ["Status"]), "Evidence"];
      list.replaceChildren(make("table", { ariaLabel: "Proposed corrections of history" }, [
        make("thead", {}, [make("tr", {}, [make("th", {}, [every]), ...heads.map((words) => make("th", { scope: "col", textContent: words, className: ["Booked", "Suggested", "Period"].includes(words) ? "" : "sop-left" }))])]),
        make("tbody", {}, rows),
      ]));
      list.scrollTop = scrolled;

      const decide = (decision) => () => send("decide", { decision, by: by.value, why: why.value });
      const accept = button(`Accept ${now.ticked}`, decide("accepted"), "sop-primary");
      const reject = button(`Reject ${now.ticked}`, decide("rejected"));
      [accept.dataset.focus, reject.dataset.focus] = ["accept", "reject"];
      accept.disabled = reject.disabled = now.ticked === 0 || Boolean(now.locked);
      if (!decisions.hasChildNodes()) decisions.append(field("Who", by), field("Reason", why), make("span"));
      decisions.lastChild.replaceChildren(accept, " ", reject);
      if (now.message.kind === "done") why.value = "";
      const told = now.locked ? { kind: "error", lines: [now.locked] } : now.message;
      message.dataset.kind = told.kind ?? "";
      message.replaceChildren(...(told.lines ?? []).map((line) => make("div", { textContent: line })));
      if (focused) root.querySelector(`[data-focus="${focused}"]`)?.focus();
    };
    root.addEventListener("keydown", (event) => event.stopPropagation());
    model.on("change:state", show);
    show();
    return () => model.off("change:state", show);
  },
};
