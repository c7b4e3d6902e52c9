// Draws the charts of the page with Plotly: anew when the width changes, when light turns to dark, and for the printer.
(() => {
  const { plots, palettes } = JSON.parse(document.getElementById('plots').textContent);
  const elements = [...document.querySelectorAll('[data-plot]')];
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const print = matchMedia('print');
  let isPrinting = false;

  // The layout changes only after 'beforeprint': this fits on A4 and on Letter with the margins of page.css.
  const PAPER = 660;
  const FONT = 12;
  const LEGEND_ROW = 30;
  // Of an average character.
  const CHARACTER = 6.6;
  // In the legend, where it is to fit beside its sign at 400 pixels.
  const LONGEST_ENTRY = 40;
  // Beside the colours, for who sees none, and after eight series.
  const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'cross', 'triangle-down', 'star', 'x'];
  const DASHES = ['solid', 'dash', 'dot', 'dashdot'];
  const HATCHES = ['', '', '', '', '/', '\\', '-', 'x'];

  const shorten = (text, longest) => (text.length > longest ? `${text.slice(0, longest - 1)}…` : text);
  const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

  // Into two lines, behind a hyphen, a colon, a slash or a space, if there is one.
  function fold(text, longest) {
    if (text.length <= longest) return escape(text);
    const at = text.slice(0, longest).search(/[-:/ _][^-:/ _]*$/) + 1;
    return at === 0
      ? escape(shorten(text, longest))
      : `${escape(text.slice(0, at))}<br>${escape(shorten(text.slice(at), longest))}`;
  }

  function styled(plot, palette) {
    return plot.traces.map((trace, i) => {
      const color = palette.series[i % palette.series.length];
      const common = {
        ...trace,
        name: escape(shorten(trace.name, LONGEST_ENTRY)),
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
    const longest = Math.max(12, Math.min(40, Math.floor((0.36 * width) / CHARACTER)));
    const names = isNames ? ticktext.map((name) => fold(name, longest)) : ticktext;
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
      // Of the whole drawing, not of what is within the axes: it then takes no part in Plotly's reckoning of the margins.
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
    // How high a legend is, is known when it has been drawn.
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
