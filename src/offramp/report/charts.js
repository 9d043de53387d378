// Charts that answer: the point next to the pointer is told, and a name in the legend shows and hides its series.
// With the keyboard: Tab to a chart, arrows from point to point; Tab to a name, Enter or Space.
// Without this script the drawings are whole.
"use strict";

for (const figure of document.querySelectorAll("figure.chart")) {
  const svg = figure.querySelector("svg");
  const all = JSON.parse(figure.querySelector("script").textContent).filter((series) => series.points.length);
  const hidden = new Set();
  const shown = () => all.filter((series) => !hidden.has(series.series));
  let at = null; // series and number of the point that is told

  const ring = svg.appendChild(document.createElementNS(svg.namespaceURI, "circle"));
  ring.setAttribute("class", "ring");
  ring.setAttribute("r", 7);
  const tip = figure.appendChild(document.createElement("div"));
  tip.className = "tip";
  tip.setAttribute("role", "status");

  function tell(found) {
    at = found;
    ring.style.display = tip.style.display = found ? "block" : "none";
    if (!found) return;
    const [x, y, where, value] = found.series.points[found.number];
    ring.setAttribute("cx", x);
    ring.setAttribute("cy", y);
    tip.replaceChildren();
    for (const [kind, text] of [["b", value], ["span", found.series.panel], ["span", `${found.series.name}, ${where}`]]) {
      tip.appendChild(document.createElement(kind)).textContent = text;
    }
    const place = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
    const frame = figure.getBoundingClientRect();
    const left = place.x - frame.left + 14;
    tip.style.left = `${Math.max(4, Math.min(left, frame.width - tip.offsetWidth - 4))}px`;
    tip.style.top = `${place.y - frame.top - tip.offsetHeight - 12}px`;
  }

  svg.addEventListener("pointermove", (event) => {
    const pointer = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let nearest = null;
    let least = 22;
    for (const series of shown()) {
      series.points.forEach(([x, y], number) => {
        const distance = Math.hypot(x - pointer.x, 0.35 * (y - pointer.y)); // a bar answers below its top, too
        if (distance < least) [least, nearest] = [distance, { series, number }];
      });
    }
    tell(nearest);
  });
  svg.addEventListener("pointerleave", () => tell(null));

  svg.setAttribute("tabindex", 0);
  svg.addEventListener("blur", () => tell(null));
  svg.addEventListener("keydown", (event) => {
    const [along, across] = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key] || [];
    const visible = shown();
    if (event.key === "Escape") tell(null);
    if (along === undefined || event.target !== svg || !visible.length) return;
    event.preventDefault();
    if (!at) return tell({ series: visible[0], number: 0 });
    const turn = (value, size) => (value + size) % size;
    const series = visible[turn(visible.indexOf(at.series) + across, visible.length)];
    tell({ series, number: turn(Math.min(at.number, series.points.length - 1) + along, series.points.length) });
  });

  function toggle(number) {
    hidden.has(number) ? hidden.delete(number) : hidden.add(number);
    const off = hidden.has(number);
    for (const part of svg.querySelectorAll(`[data-series="${number}"]`)) part.style.display = off ? "none" : "";
    for (const part of svg.querySelectorAll(`[data-legend="${number}"]`)) {
      part.classList.toggle("off", off);
      if (part.hasAttribute("role")) part.setAttribute("aria-pressed", !off);
    }
    tell(null);
  }
  for (const part of svg.querySelectorAll("[data-legend]")) {
    const number = Number(part.dataset.legend);
    part.addEventListener("click", () => toggle(number));
    if (!part.querySelector("text")) continue;
    part.setAttribute("role", "button");
    part.setAttribute("tabindex", 0);
    part.setAttribute("aria-pressed", true);
    part.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      toggle(number);
    });
  }
}
