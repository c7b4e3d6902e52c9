/**
 * What distinguishes the series of a chart: a colour, a hatch for areas, a symbol for points. The colours are classes, from palette.ts; a
 * system call has the same one in every chart.
 */
import { type Html, html, Html as Trusted } from './html.js';
import { CALL_FAMILIES, type CallFamily, PALETTES } from './palette.js';

/** The look of one series. */
export interface Paint {
  /** Class that sets the colour. */
  readonly color: string;
  /** Hatch over the colour, from 1. 0: none. */
  readonly hatch: number;
  /** Index of a symbol. */
  readonly symbol: number;
}

const SERIES = PALETTES.light.series.length;

/** Lines of a tile of 6 × 6 pixels, each a hatch. */
const HATCHES = [
  'M-1 1L1 -1M0 6L6 0M5 7L7 5',
  'M-1 5L1 7M0 0L6 6M5 -1L7 1',
  'M0 3H6',
  'M3 0V6',
  'M0 3H6M3 0V6',
  'M-1 1L1 -1M0 6L6 0M5 7L7 5M-1 5L1 7M0 0L6 6M5 -1L7 1',
  'M2 3H4',
  'M0 1.5H6M0 4.5H6',
  'M1.5 0V6M4.5 0V6',
  'M0 3H3M3 0V3',
  'M1 1H3M4 4H6',
];

/** Symbols within a circle of 5 pixels. */
const SYMBOLS = [
  'M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z',
  'M-3.6 -3.6H3.6V3.6H-3.6Z',
  'M0 -5L5 0L0 5L-5 0Z',
  'M0 -5L4.6 3.6H-4.6Z',
  'M-1.5 -4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z',
  'M0 5L-4.6 -3.6H4.6Z',
  'M0 -5.4L1.5 -1.7L5.4 -1.7L2.3 0.8L3.4 4.6L0 2.4L-3.4 4.6L-2.3 0.8L-5.4 -1.7L-1.5 -1.7Z',
  'M-4.5 -2.5L-2.5 -4.5L0 -2L2.5 -4.5L4.5 -2.5L2 0L4.5 2.5L2.5 4.5L0 2L-2.5 4.5L-4.5 2.5L-2 0Z',
];

/** The look of the series number `index`, of a chart whose series are no system calls. */
export const seriesPaint = (index: number): Paint => ({
  color: `series-${index % SERIES}`,
  hatch: Math.floor(index / SERIES) % (HATCHES.length + 1),
  symbol: (index + Math.floor(index / SERIES)) % SYMBOLS.length,
});

/**
 * The calls of each family that have a place of their own, the most frequent first. They do not share a look with any other call: the first
 * ones of a family differ by their shades, the others by hatches too.
 */
const CALLS: Readonly<Record<Exclude<CallFamily, 'unknown'>, readonly string[]>> = {
  wait: [
    ...['epoll_wait', 'io_uring_enter', 'poll', 'select', 'kevent', 'epoll_pwait', 'ppoll', 'pselect6'],
    ...['GetQueuedCompletionStatusEx', 'WSAPoll', 'epoll_pwait2', 'nanosleep', 'clock_nanosleep', 'Sleep'],
    ...['POLL_ADD', 'TIMEOUT'],
  ],
  read: [...['recvfrom', 'read', 'recvmsg', 'recv', 'WSARecv', 'ReadFile', 'WSARecvFrom', 'RECV', 'READ', 'RECVMSG']],
  write: [...['sendto', 'write', 'sendmsg', 'send', 'WSASend', 'WriteFile', 'WSASendTo', 'SEND', 'WRITE', 'SENDMSG']],
  control: [
    ...['futex', 'accept4', 'epoll_ctl', 'close', 'accept', 'flock', 'fcntl', 'clone3', 'clone', 'mmap', 'munmap'],
    ...['setsockopt', 'getsockopt', 'ioctl', 'shutdown', 'wait4', 'madvise', 'mprotect', 'rt_sigprocmask', 'tgkill'],
    ...['kill', 'rt_sigaction', 'sched_yield', 'socket', 'bind', 'listen', 'connect', 'socketpair', 'pipe2'],
    ...['eventfd2', 'epoll_create1', 'io_uring_setup', 'io_uring_register', 'kqueue', 'getsockname', 'getpeername'],
    ...['brk', 'exit', 'AcceptEx', 'CreateIoCompletionPort', 'PostQueuedCompletionStatus', 'CancelIoEx', 'closesocket'],
    ...['DeviceIoControl'],
  ],
};

/** Looks of the calls without a place of their own: neutral shades and hatches. */
const UNKNOWN_SHADES = PALETTES.light.calls.unknown.length;
const UNKNOWN_LOOKS = UNKNOWN_SHADES * (HATCHES.length + 1);

const lookOf = (family: CallFamily, index: number, shades: number): Paint => ({
  color: `${family}-${index % shades}`,
  hatch: Math.floor(index / shades),
  symbol: index % SYMBOLS.length,
});

const knownLooks: ReadonlyMap<string, Paint> = new Map(
  Object.entries(CALLS).flatMap(([family, names]) =>
    names.map((name, i) => {
      const one = family as keyof typeof CALLS;
      return [name, lookOf(one, i, PALETTES.light.calls[one].length)] as const;
    }),
  ),
);

/** The call that waits, of the mechanisms whose name is not that of the call. */
const WAITS_BY: Readonly<Record<string, string>> = {
  epoll: 'epoll_wait',
  io_uring: 'io_uring_enter',
  kqueue: 'kevent',
  devpoll: 'ioctl',
  iocp: 'GetQueuedCompletionStatusEx',
  afd: 'GetQueuedCompletionStatusEx',
};

/** Names of the calls that have a place of their own. */
export const knownCalls: readonly string[] = [...knownLooks.keys()];

/**
 * The looks of system calls. A call has the same one in every chart, except a call that no table here has, if another such call of the same
 * chart has its look: they share 36 looks by the hash of their names.
 */
export function callPaints(names: readonly string[]): readonly Paint[] {
  const taken = new Set<number>();
  return names.map((name) => {
    const known = knownLooks.get(name);
    if (known !== undefined) return known;
    let look = hashOf(name) % UNKNOWN_LOOKS;
    while (taken.has(look) && taken.size < UNKNOWN_LOOKS) look = (look + 1) % UNKNOWN_LOOKS;
    taken.add(look);
    return lookOf('unknown', look, UNKNOWN_SHADES);
  });
}

/** The looks of mechanisms: 'epoll' has that of epoll_wait. */
export const mechanismPaints = (names: readonly string[]): readonly Paint[] =>
  callPaints(names.map((name) => WAITS_BY[name] ?? name));

/** FNV-1a, 32 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

const className = (index: number): string => `hatch-${index}`;

/** The fill of a hatch, over a shape that has the colour. */
export const hatchFill = ({ hatch }: Paint): string => `url(#${className(hatch)})`;

/** A point at the centre of its own drawing. */
export const symbolPath = ({ symbol }: Paint): string => SYMBOLS[symbol] ?? '';

/** The patterns of the page: one invisible drawing. */
export const hatchPatterns = (): Html =>
  html`<svg class="patterns" width="0" height="0" aria-hidden="true">
    <defs>
      ${HATCHES.map(
        (path, i) =>
          html`<pattern id="${className(i + 1)}" width="6" height="6" patternUnits="userSpaceOnUse"
            ><path d="${path}"
          /></pattern>`,
      )}
    </defs>
  </svg>`;

/** CSS: the classes of all colours, and their values in one scheme. */
export const colorClasses = (): Html =>
  new Trusted(
    colorNames()
      .map(([name]) => `.${name} { color: var(--${name}); }`)
      .join('\n'),
  );

/** The colours of the series and the calls: ['series-0', '#004f94']. */
export function colorNames(
  scheme: keyof typeof PALETTES = 'light',
): readonly (readonly [name: string, color: string])[] {
  const { series, calls } = PALETTES[scheme];
  return [
    ...series.map((color, i) => [`series-${i}`, color] as const),
    ...CALL_FAMILIES.flatMap((family) => calls[family].map((color, i) => [`${family}-${i}`, color] as const)),
  ];
}
