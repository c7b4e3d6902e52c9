/** Formats figures and sentences. */

const FORMAT = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

/** Three significant digits, as in tables: '0.0123', '4.7', '12,300'. */
export const threeDigits = (value: number): string => FORMAT.format(value);

/** Capitalizes the first letter. */
export const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
