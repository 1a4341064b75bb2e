(function () {
  "use strict";
  var specs = JSON.parse(document.getElementById("figure-specs").textContent);
  var config = { displayModeBar: false, responsive: false };
  var drawn = {};

  function draw(id, force) {
    var node = document.getElementById(id);
    var width = node.clientWidth;
    if (!width || (!force && drawn[id] === width)) return;
    drawn[id] = width;
    var spec = specs[id];
    var layout = JSON.parse(JSON.stringify(width < 560 ? spec.narrow : spec.layout));
    layout.width = width;
    node.style.height = layout.height + "px";
    Plotly.react(node, spec.data, layout, config);
  }

  function drawAll() {
    Object.keys(specs).forEach(function (id) { draw(id, false); });
  }

  drawAll();
  var pending = 0;
  window.addEventListener("resize", function () {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(drawAll);
  });
  window.addEventListener("beforeprint", drawAll);
  window.addEventListener("afterprint", drawAll);
})();
