// Draws the charts of the page with Plotly, and redraws them when the width or the colour scheme changes and for printing.
(() => {
  const { plots, palettes } = JSON.parse(document.getElementById('plots').textContent);
  const elements = [...document.querySelectorAll('[data-plot]')];
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const print = matchMedia('print');
  let isPrinting = false;

  // Width in CSS pixels for print, because the layout changes only after 'beforeprint'. Fits A4 and Letter with the margins of page.css.
  const PAPER = 660;
  const FONT = 12;
  const LEGEND_ROW = 30;
  // Average width of a character, in pixels.
  const CHARACTER = 6.6;
  // Characters of a legend entry that fit at 400 pixels.
  const MAX_ENTRY = 40;
  // They distinguish series without colours, and beyond eight series.
  const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'triangle-down', 'star', 'x'];
  const DASHES = ['solid', 'dash', 'dot', 'dashdot'];
  const HATCHES = ['', '', '', '', '/', '\\', '-', 'x'];

  const shorten = (text, max) => (text.length > max ? `${text.slice(0, max - 1)}…` : text);
  const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

  // Wraps a text into two lines, after a hyphen, colon, slash or space if there is one.
  function wrap(text, max) {
    if (text.length <= max) return escape(text);
    const at = text.slice(0, max).search(/[-:/ _][^-:/ _]*$/) + 1;
    return at === 0
      ? escape(shorten(text, max))
      : `${escape(text.slice(0, at))}<br>${escape(shorten(text.slice(at), max))}`;
  }

  function styled(plot, palette) {
    return plot.traces.map((trace, i) => {
      const color = palette.series[i % palette.series.length];
      const common = {
        ...trace,
        name: escape(shorten(trace.name, MAX_ENTRY)),
        hovertemplate: '%{customdata}<extra></extra>',
      };
      if (plot.kind === 'line') {
        const line = { color, width: 2.5, dash: DASHES[Math.floor(i / palette.series.length) % DASHES.length] };
        const marker = {
          color,
          size: 9,
          symbol: SYMBOLS[i % SYMBOLS.length],
          line: { color: palette.background, width: 1 },
        };
        return { ...common, type: 'scatter', mode: 'lines+markers', line, marker, cliponaxis: false };
      }
      const pattern = {
        bgcolor: color,
        shape: HATCHES[i % HATCHES.length],
        fgcolor: palette.background,
        size: 7,
        solidity: 0.25,
      };
      const marker = { color, pattern, line: { color: palette.background, width: plot.isStacked ? 1 : 0 } };
      return { ...common, type: 'bar', marker, textposition: 'outside', cliponaxis: false, constraintext: 'none' };
    });
  }

  function axisOf({ isNames, ticktext, ...axis }, palette, width) {
    const max = Math.max(12, Math.min(40, Math.floor((0.36 * width) / CHARACTER)));
    const names = isNames ? ticktext.map((name) => wrap(name, max)) : ticktext;
    return {
      automargin: true,
      fixedrange: true,
      zeroline: false,
      nticks: Math.max(4, Math.round(width / 110)),
      gridcolor: palette.rule,
      linecolor: palette.muted,
      showline: true,
      ...axis,
      ...(names === undefined ? {} : { ticktext: names }),
      title: { standoff: 10, font: { size: FONT + 1, color: palette.muted }, ...axis.title },
      ...(axis.minor === undefined ? {} : { minor: { ...axis.minor, gridcolor: palette.surface } }),
    };
  }

  function layoutOf(plot, palette, width, legendHeight) {
    return {
      width,
      height: plot.height + legendHeight,
      barmode: plot.isStacked ? 'stack' : 'group',
      bargap: 0.3,
      bargroupgap: 0.05,
      paper_bgcolor: palette.background,
      plot_bgcolor: palette.background,
      font: { family: getComputedStyle(document.body).fontFamily, size: FONT, color: palette.text },
      separators: '.,',
      margin: { l: 12, r: 24, t: 12 + legendHeight, b: 12, pad: 0 },
      xaxis: axisOf(plot.xaxis, palette, width),
      yaxis: axisOf(plot.yaxis, palette, width),
      showlegend: plot.traces.length > 1,
      // Relative to the whole drawing, so that Plotly leaves the legend out of its computation of margins.
      legend: {
        orientation: 'h',
        xref: 'container',
        x: 0,
        xanchor: 'left',
        yref: 'container',
        y: 1,
        yanchor: 'top',
        traceorder: 'normal',
        font: { size: FONT },
      },
      hoverlabel: {
        bgcolor: palette.surface,
        bordercolor: palette.muted,
        font: { size: FONT + 1, color: palette.text },
      },
      dragmode: false,
    };
  }

  function draw(element) {
    const plot = plots[Number(element.dataset.plot)];
    const isPaper = isPrinting || print.matches;
    const palette = palettes[dark.matches && !isPaper ? 'dark' : 'light'];
    const width = isPaper ? PAPER : element.clientWidth;
    const drawWith = (height) =>
      Plotly.react(element, styled(plot, palette), layoutOf(plot, palette, width, height), { displayModeBar: false });
    // The height of a legend is known only after it is drawn.
    const guess = plot.traces.length > 1 ? LEGEND_ROW : 0;
    drawWith(guess);
    const height = Math.ceil(element.querySelector('.legend .bg')?.getBBox().height ?? 0);
    if (height > guess) drawWith(height);
    element.dataset.width = String(element.clientWidth);
  }

  const drawAll = () => elements.forEach(draw);
  const drawFor = (paper) => () => {
    isPrinting = paper;
    drawAll();
  };
  const widths = new ResizeObserver((entries) => {
    for (const { target } of entries) if (target.dataset.width !== String(target.clientWidth)) draw(target);
  });

  drawAll();
  for (const element of elements) widths.observe(element);
  for (const media of [dark, print]) media.addEventListener('change', drawAll);
  addEventListener('beforeprint', drawFor(true));
  addEventListener('afterprint', drawFor(false));
})();
