// Draws one ECharts option as SVG text inside QuickJS; functions that JSON cannot carry are bound here by name.
"use strict";
var SCALES = {
  "zh-Hans": [[1e12, "万亿"], [1e8, "亿"], [1e4, "万"]],
  "zh-Hant": [[1e12, "萬億"], [1e8, "億"], [1e4, "萬"]],
  "en": [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e4, "K"]]
};

function scaleOf(size, language) {
  for (var scale of SCALES[language])
    if (Math.abs(size) >= scale[0]) return scale[1] === "K" ? [1e3, "K"] : scale;
  return [1, ""];
}

function decimalsOf(value, width) {
  var byWidth = width > 0 && isFinite(width) ? 1 - Math.floor(Math.log10(width)) : 1;
  var byValue = 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 1e-12)));
  return Math.max(0, Math.min(byWidth, byValue, 4));
}

// Python rounds exact ties to even, toFixed does not; toFixed(60) is exact for every tie at up to 4 decimals.
function fixed(size, decimals) {
  var exact = size.toFixed(60), cut = exact.indexOf(".") + 1 + decimals;
  if (!/^50*$/.test(exact.slice(cut))) return size.toFixed(decimals);
  var down = exact.slice(0, decimals ? cut : cut - 1);
  return "02468".includes(down.slice(-1)) ? down : size.toFixed(decimals);
}

function signed(value, decimals) {
  var digits = fixed(Math.abs(value), decimals), parts = digits.split(".");
  parts[0] = parts[0].replace(/\B(?=(\d{3})+$)/g, ",");
  return (value < 0 && Number(digits) !== 0 ? "\u2212" : "") + parts.join(".");
}

function join(digits, word, language) {
  return language === "en" || !word ? digits + word : digits + " " + word;
}

// The twin of vocabulary.numbers.number; tests/report/number_vectors.json holds both to the same words.
function number(value, language, width) {
  var scale = scaleOf(value, language), scaled = value / scale[0], decimals = 0;
  if (isFinite(width) && width > 0) decimals = decimalsOf(scaled, width / scale[0]);
  else if ((scale[1] || Math.abs(value) < 100) && !Number.isInteger(scaled))
    decimals = decimalsOf(scaled, scaled === 0 ? 0 : Math.abs(scaled) / 10);
  return join(signed(scaled, decimals), scale[1], language);
}

function bar(x, y, width, height, given) {
  return {type: "rect", silent: true, shape: {x: x, y: y, width: width, height: height, r: given.thick / 2},
          style: {fill: given.fill, opacity: given.opacity}};
}

// Decimals that print every multiple of a step exactly: 2.5 needs one.
function decimalsOfStep(step, most) {
  for (var decimals = 0; decimals < most; decimals++) {
    var shifted = step * Math.pow(10, decimals);
    if (Math.abs(shifted - Math.round(shifted)) < 1e-6 * shifted) return decimals;
  }
  return most;
}

var BOUND = {
  // Ticks of one axis share one scale and one number of decimals.
  axisNumber: function (given) {
    var scale = scaleOf(given.size, given.language);
    var decimals = decimalsOfStep(given.step / scale[0], 4);
    return function (value) {
      return value === 0 ? "0" : join(signed(value / scale[0], decimals), scale[1], given.language);
    };
  },
  axisPercent: function (given) {
    var decimals = decimalsOfStep(100 * given.step, 3);
    return function (value) { return signed(100 * value, decimals) + "%"; };
  },
  // Words for given positions; text is handed over as it is, never as a template.
  words: function (given) {
    return function (value) { return given.words[String(value)] || ""; };
  },
  word: function (given) {
    return function () { return given.word; };
  },
  // The area between two lines: [x, low, high] in the coordinates of the axes.
  band: function (given) {
    return function (_, api) {
      var upper = given.points.map(function (p) { return api.coord([p[0], p[2]]); });
      var lower = given.points.map(function (p) { return api.coord([p[0], p[1]]); }).reverse();
      return {type: "polygon", silent: true, shape: {points: upper.concat(lower)},
              style: {fill: given.fill, opacity: given.opacity}};
    };
  },
  // One row of a timeline: its words, and under them a bar, or a mark when it is one day.
  span: function (given) {
    return function (params, api) {
      var a = api.coord([given.from, given.row]), b = api.coord([given.to, given.row]), y = a[1] + 8;
      var words = {type: "text", silent: true, style: {text: given.words, x: params.coordSys.x, y: a[1] - 6, fill: given.ink,
        fontSize: given.size, fontFamily: "inherit", verticalAlign: "middle", stroke: given.paper, lineWidth: 3}};
      var mark = given.from === given.to
        ? {type: "circle", silent: true, shape: {cx: a[0], cy: y, r: 4.5}, style: {fill: given.fill}}
        : {type: "rect", silent: true, shape: {x: a[0], y: y - 3.5, width: Math.max(b[0] - a[0], 3), height: 7, r: 2},
           style: {fill: given.fill}};
      return {type: "group", silent: true, children: [mark, words]};
    };
  },
  // An interval lying in one row of a dot plot, thick for its inner part.
  whisker: function (given) {
    return function (_, api) {
      var a = api.coord([given.low, given.row]), b = api.coord([given.high, given.row]);
      return bar(a[0], a[1] - given.thick / 2, b[0] - a[0], given.thick, given);
    };
  },
  // The same standing over one period.
  column: function (given) {
    return function (_, api) {
      var a = api.coord([given.at, given.high]), b = api.coord([given.at, given.low]);
      return bar(a[0] - given.thick / 2, a[1], given.thick, b[1] - a[1], given);
    };
  }
};

function bind(node) {
  if (Array.isArray(node)) return node.map(bind);
  if (node === null || typeof node !== "object") return node;
  if (typeof node.$bound === "string") return BOUND[node.$bound](node);
  var made = {};
  for (var key of Object.keys(node)) made[key] = bind(node[key]);
  return made;
}

// QuickJS hands ropes to Python as unknown values; splitting and joining makes one flat string.
function draw(optionJson, width, height) {
  var chart = echarts.init(null, null, {renderer: "svg", ssr: true, width: width, height: height});
  try {
    chart.setOption(bind(JSON.parse(optionJson)));
    return chart.renderToSVGString({useViewBox: true}).split("").join("");
  } finally {
    chart.dispose();
  }
}

function numberFlat(value, language, width) {
  return number(value, language, width).split("").join("");
}
