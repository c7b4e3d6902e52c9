/**
 * The colours of the page and its charts, light and dark. test/report.test.ts checks the contrasts of WCAG 2.2: 4.5 to 1 for text, 3 to 1 for
 * lines and bars, and that two series differ for readers who cannot see red or green.
 */

/** The families of system calls, as in src/trace/families.ts; and the calls that no table of paints.ts has. */
export const CALL_FAMILIES = ['wait', 'read', 'write', 'control', 'unknown'] as const;
export type CallFamily = (typeof CALL_FAMILIES)[number];

/** The colours of one scheme. */
export interface Palette {
  readonly background: string;
  /** Boxes on the background. */
  readonly surface: string;
  readonly text: string;
  /** Labels, axes. */
  readonly muted: string;
  readonly rule: string;
  readonly link: string;
  readonly good: string;
  readonly bad: string;
  readonly open: string;
  /** After Okabe and Ito; darker or lighter if too close to the background. */
  readonly series: readonly string[];
  /** Shades of each family: wait is blue, read green, write orange, control violet. */
  readonly calls: Readonly<Record<CallFamily, readonly string[]>>;
}

export type Scheme = 'light' | 'dark';

export const PALETTES: Readonly<Record<Scheme, Palette>> = {
  light: {
    background: '#ffffff',
    surface: '#f4f6f8',
    text: '#1b1f24',
    muted: '#555d66',
    rule: '#d5dae0',
    link: '#005ea8',
    good: '#136c3a',
    bad: '#a8321a',
    open: '#755200',
    series: ['#004f94', '#d86b00', '#00a078', '#b267d6', '#5e3442', '#4a7df0', '#8f2a12', '#7f8b9c'],
    calls: {
      wait: ['#276d9b', '#3f87fd', '#013f8f', '#05007f'],
      read: ['#005b37', '#6c9880', '#496d33', '#0c351c'],
      write: ['#ca721c', '#825c04', '#ba7a5b', '#533400'],
      control: ['#8c3bbc', '#a96fcd', '#7e1f6d', '#3c0054'],
      unknown: ['#7a818d', '#4d5054', '#23272d'],
    },
  },
  dark: {
    background: '#14181d',
    surface: '#1e242b',
    text: '#e8ebee',
    muted: '#a9b2bc',
    rule: '#38414b',
    link: '#7cc0f4',
    good: '#6fd39a',
    bad: '#ff9d84',
    open: '#f0c35c',
    series: ['#5b8cf5', '#ffbb00', '#1fe0a0', '#d06ab8', '#e86c38', '#9fd0fc', '#a8665a', '#d9cfdc'],
    calls: {
      wait: ['#4f8dfd', '#19b9ff', '#3d5ed8', '#baccfe'],
      read: ['#42ae56', '#94da6e', '#87a27e', '#1a8148'],
      write: ['#ed8c19', '#b84a02', '#ffc4a1', '#fee3d4'],
      control: ['#bd7ad6', '#e48ccc', '#a0458e', '#884ab1'],
      unknown: ['#bababa', '#6b6d6f', '#e7effc'],
    },
  },
};
