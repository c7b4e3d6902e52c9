// Injected into a page before its own scripts: measures what is visible. Used by test/long/report-page.test.ts.
window.probe = (() => {
  const plots = () => [...document.querySelectorAll('.plot')];
  const all = (element, selector) => [...element.querySelectorAll(selector)];
  const hasArea = (shape) => {
    const { width, height } = shape.getBBox();
    return width > 0 && height > 0;
  };

  const MARKS = '.cell .mark, .field .mark';

  function charts() {
    return plots().map((plot) => ({
      label: plot.getAttribute('aria-label'),
      role: plot.getAttribute('role'),
      width: plot.querySelector('.rows, .plane').getBoundingClientRect().width,
      room: plot.clientWidth,
      marks: all(plot, MARKS).filter(hasArea).length,
      legend: all(plot, '.legend .entry').length,
      fills: all(plot, MARKS).map((shape) => getComputedStyle(shape).fill),
    }));
  }

  // Visible elements with text of their own.
  function textElements() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = new Set();
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (walker.currentNode.data.trim() !== '' && !/^(SCRIPT|STYLE|NOSCRIPT)$/i.test(element.tagName))
        found.add(element);
    }
    return [...found].filter((element) => element.checkVisibility() && element.getBoundingClientRect().width > 0);
  }

  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const isClear = (color) => channels(color)[3] === 0;

  function luminance(color) {
    const [r, g, b] = channels(color).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }

  function backgroundOf(element) {
    for (let one = element; one !== null; one = one.parentElement) {
      const { backgroundColor } = getComputedStyle(one);
      if (!isClear(backgroundColor)) return backgroundColor;
    }
    return 'rgb(255, 255, 255)';
  }

  // WCAG 2.2, contrast ratio.
  function contrast(a, b) {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
  }

  function texts() {
    return textElements().map((element) => {
      const { color, fill, fontSize } = getComputedStyle(element);
      const isDrawn = element.ownerSVGElement != null;
      return {
        text: element.textContent.slice(0, 60),
        size: Number.parseFloat(fontSize),
        contrast: contrast(isDrawn ? fill : color, backgroundOf(element)),
      };
    });
  }

  const LABELS = '.tick, .entry, .axis-title, .figure, .name, .key';

  // Labels of one chart that overlap, or exceed the chart. One pixel is ignored: boxes are taller than letters.
  function collisions() {
    return plots().flatMap((plot) => {
      const frame = plot.getBoundingClientRect();
      const labels = all(plot, LABELS)
        .filter((label) => label.textContent.trim() !== '' && label.checkVisibility())
        .map((label) => ({ text: label.textContent, box: label.getBoundingClientRect() }));
      const outside = labels
        .filter(({ box }) => box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
        .map(({ text }) => `${text} reaches out of ${plot.ariaLabel}`);
      const pairs = labels.flatMap((a, i) => labels.slice(i + 1).map((b) => [a, b]));
      const meet = ([{ box: a }, { box: b }]) =>
        Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
        Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3;
      return [...outside, ...pairs.filter(meet).map(([a, b]) => `${a.text} | ${b.text} in ${plot.ariaLabel}`)];
    });
  }

  const page = () => ({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    background: getComputedStyle(document.body).backgroundColor,
    broken: window.broken ?? null,
    tags: all(document, 'section img, script, section b').length,
  });

  const firstTooltip = () => document.querySelector('.cell g > .mark').parentElement.querySelector('title').textContent;

  // The directive that blocked it.
  const forbidden = (url) =>
    new Promise((resolve) => {
      document.addEventListener('securitypolicyviolation', (event) => resolve(event.effectiveDirective), {
        once: true,
      });
      new Image().src = url;
    });

  return { charts, texts, collisions, page, firstTooltip, forbidden };
})();
