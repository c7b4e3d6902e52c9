/** Colour differences, for full and for deficient colour vision. */

const hex = (color: string): readonly number[] =>
  [1, 3, 5].map((at) => Number.parseInt(color.slice(at, at + 2), 16) / 255);

/** Linear light from sRGB. */
const linear = (color: string): readonly number[] =>
  hex(color).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));

const dot = (row: readonly number[], color: readonly number[]): number =>
  row.reduce((sum, factor, i) => sum + factor * (color[i] ?? 0), 0);

const luminance = (color: string): number => dot([0.2126, 0.7152, 0.0722], linear(color));

/** WCAG 2.2 contrast ratio: 1 to 21. */
export function contrast(a: string, b: string): number {
  const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

/** Machado, Oliveira and Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision Deficiency", severity 1. */
const VISIONS = {
  normal: [
    [1, 0, 0],
    [0, 1, 0],
    [0, 0, 1],
  ],
  protanopia: [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
  ],
  deuteranopia: [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.01182, 0.04294, 0.968881],
  ],
  tritanopia: [
    [1.255528, -0.076749, -0.178779],
    [-0.078411, 0.930809, 0.147602],
    [0.004733, 0.691367, 0.3039],
  ],
} as const;

/** CIELAB, D65. */
function lab(color: readonly number[]): readonly number[] {
  const f = (t: number): number => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  const x = f(dot([0.4124, 0.3576, 0.1805], color) / 0.9505);
  const y = f(dot([0.2126, 0.7152, 0.0722], color));
  const z = f(dot([0.0193, 0.1192, 0.9505], color) / 1.089);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

/** CIE76 difference under this colour vision. */
export function difference(a: string, b: string, vision: keyof typeof VISIONS): number {
  const seen = (color: string): readonly number[] =>
    lab(VISIONS[vision].map((row) => Math.min(1, Math.max(0, dot(row, linear(color))))));
  const other = seen(b);
  return Math.hypot(...seen(a).map((part, i) => part - (other[i] ?? 0)));
}
