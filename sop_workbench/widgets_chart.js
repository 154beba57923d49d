// Draws an Altair chart with the Vega library that the kernel sends once (see `_DrawingLibrary` in widgets.py).
const shared = (globalThis.sopVega ??= {});
shared.ready ??= new Promise((resolve) => { shared.provide = resolve; });

export default {
  async render({ model, el }) {
    const embed = await shared.ready;
    const drawn = () => { el.dataset.drawn = String(Number(el.dataset.drawn ?? 0) + 1); };
    let drawing = null;
    let turn = Promise.resolve(); // changes come faster than drawings: one after the other, in their order
    const inTurn = (change) => () => (turn = turn.then(change));

    const draw = inTurn(async () => {
      drawing?.finalize();
      drawing = await embed(el, model.get("spec"), { actions: false, renderer: "svg" });
      el.setAttribute("role", "img"); // Vega calls every chart the same
      el.setAttribute("aria-label", model.get("label") || "chart");
      for (const name of model.get("signals")) {
        drawing.view.addSignalListener(name, (_, value) => {
          model.set("picked", { ...model.get("picked"), [name]: JSON.parse(JSON.stringify(value)) });
          model.save_changes();
        });
      }
      drawn();
    });
    // Rows alone are changed in place: no new drawing, a few milliseconds.
    const refill = inTurn(async () => {
      const rows = model.get("rows");
      for (const name of Object.keys(rows)) drawing.view.data(name, rows[name]);
      await drawing.view.resize().runAsync();
      drawn();
    });
    model.on("change:spec", draw);
    model.on("change:rows", refill);
    await draw();
    return () => {
      model.off("change:spec", draw);
      model.off("change:rows", refill);
      drawing?.finalize();
    };
  },
};
