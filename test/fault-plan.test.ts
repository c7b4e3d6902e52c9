/** The syntax of fault plans: valid plans, and the error messages for invalid ones. */
import { readFileSync, readdirSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FAULT_CALLS, faultCall } from '../src/faults/calls.js';
import { parseFaultPlan } from '../src/faults/plan.js';
import { injectFaults } from '../src/trace.js';
import { throwsCode } from './support/expect.js';
import { root } from './support/program.js';

const isWindows = process.platform === 'win32';
const { errno } = constants as { readonly errno: Readonly<Record<string, number | undefined>> };
const EIO = isWindows ? 'EACCES' : 'EIO';
/** [kind, value, first, last, every, probability] of the plan's only rule. */
const numbersOf = (plan: string): readonly number[] => [...parseFaultPlan(plan).numbers];

/** The message of the ERR_INVALID_ARG_VALUE that the call throws. */
function messageOf(call: () => unknown): string {
  try {
    call();
  } catch (error) {
    expect(error).toMatchObject({ code: 'ERR_INVALID_ARG_VALUE' });
    return (error as Error).message;
  }
  throw new Error('it is taken for a plan');
}

describe('a plan', () => {
  it.each([
    ['recv:EAGAIN@3', [1, 'error', 3, 3, 1, 1]],
    ['recv:EINTR@5..9', [1, 'error', 5, 9, 1, 1]],
    ['recv:EAGAIN@5..', [1, 'error', 5, Infinity, 1, 1]],
    ['send:short=1@every2', [2, 1, 1, Infinity, 2, 1]],
    ['epoll_wait:slow=0.5@p=0.1', [3, 0.5, 1, Infinity, 1, 0.1]],
    [' accept : EMFILE @ 2 ', [1, 'error', 2, 2, 1, 1]],
    ['recv.completion:short=7', [2, 7, 1, Infinity, 1, 1]],
  ])('%s', (plan, expected) => {
    const numbers = numbersOf(plan);
    const error = /E[A-Z]+/.exec(plan)?.[0] ?? '';
    const number = errno[isWindows ? `WSA${error === 'EAGAIN' ? 'EWOULDBLOCK' : error}` : error];
    expect(numbers).toEqual(expected.map((one) => (one === 'error' ? number : one)));
  });

  it('has a rule between commas, and a seed anywhere', () => {
    const plan = parseFaultPlan('recv:EINTR@3, seed=7,send:short=1@every2 , accept:EMFILE@5..9');
    expect(plan.rules).toEqual(['recv:EINTR@3', 'send:short=1@every2', 'accept:EMFILE@5..9']);
    expect(plan.seed).toBe(7);
    expect(plan.names.split('\n').map((names) => names.split(',')[0])).toEqual(['recvfrom', 'sendto', 'accept4']);
  });

  it('means the same as its rules as objects', () => {
    const text = parseFaultPlan('recv:EINTR@5..9, send:short=2@every3, connect:slow=1.5@p=0.25, seed=9');
    const objects = parseFaultPlan(
      [
        { call: 'recv', error: 'EINTR', first: 5, last: 9 },
        { call: 'send', short: 2, every: 3 },
        { call: 'connect', slow: 1.5, probability: 0.25 },
      ],
      9,
    );
    expect(objects).toEqual(text);
  });

  it('names a family, which covers the calls of all systems, or one call', () => {
    const names = (name: string) => faultCall(name)?.names;
    expect(names('recv')).toEqual(['recvfrom', 'recv', 'recvmsg', 'WSARecv', 'WSARecvFrom']);
    expect(names('recvmsg')).toEqual(['recvmsg']);
    expect(names('accept')).toEqual(['accept4', 'accept', 'AcceptEx']);
    expect(names('recv.completion')).toEqual(['recv.completion']);
  });

  it('can name each call that the addon makes', () => {
    const sources = readdirSync(join(root, 'native'), { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.(cc|h)$/.test(path))
      .map((path) => readFileSync(join(root, 'native', path), 'utf8'));
    const named = sources.flatMap((text) =>
      Array.from(
        text.matchAll(/SystemCall kSystemCall<[^>]+>\{\s*"(\w+)"|const char\* k\w+Call = "(\w+)"/g),
        ([, name, constant]) => name ?? constant,
      ),
    );
    expect(named.length).toBeGreaterThan(80);
    expect(named.filter((name) => name === undefined || !FAULT_CALLS.includes(name))).toEqual([]);
  });

  it('names errors by the numbers of this system, of Win32 for Win32 calls', () => {
    expect(numbersOf('recv:EBADF@1')[1]).toBe(isWindows ? errno.WSAEBADF : errno.EBADF);
    expect(numbersOf('CloseHandle:EBADF')[1]).toBe(isWindows ? 6 : errno.EBADF);
    expect(numbersOf('recv:ECANCELED')[1]).toBe(isWindows ? 995 : errno.ECANCELED);
    if (!isWindows) expect(numbersOf('recv:EWOULDBLOCK')[1]).toBe(errno.EAGAIN);
  });
});

describe('an invalid plan', () => {
  it.each([
    ['', /at least one rule/],
    ['seed=3', /at least one rule/],
    ['recv', /position 1, 'recv': a rule is CALL:FAULT or CALL:FAULT@WHEN/],
    ['recv:', /a rule is/],
    [':EINTR', /a rule is/],
    [`recv:${EIO},,send:${EIO}`, /position \d+, '': a rule is/],
    [`recv:${EIO}@`, /a rule is/],
    [`send:${EIO}, rcv:EINTR@1`, new RegExp(`position ${9 + EIO.length - 1}, 'rcv:EINTR@1': .* did you mean recv\\?`)],
    ['epol_wait:EINTR@1', /did you mean epoll_wait\?/],
    ['recv:EINTRR@1', /this system has no error 'EINTRR'; did you mean EINTR\?/],
    ['recv:EAI_NONAME', /has no error/],
    ['recv:0', /has no error/],
    ['recv:EINTR', /retries recv after EINTR, and it would never return/],
    ['epoll_wait:EINTR@1..', /would never return/],
    ['recv:EINTR@every1', /would never return/],
    ['recv:EINTR@p=1', /would never return/],
    ['recv:EINTR@5..3', /the last call, 3, comes before the first, 5/],
    ['recv:EINTR@0', /the first call is a whole number, 1 or more/],
    ['recv:EINTR@every0', /every is a whole number, 1 or more/],
    ['recv:EINTR@..3', /must be @N/],
    ['recv:EINTR@x', /must be @N/],
    ['recv:EINTR@1@2', /must be @N/],
    ['recv:EINTR@p=0', /a probability is more than 0/],
    ['recv:EINTR@p=1.5', /a probability is more than 0/],
    ['recv:EINTR@p=.', /a probability is more than 0/],
    ['recv:short=0', /short is a whole number, 1 or more/],
    ['recv:short=1.5', /short is a whole number/],
    ['recv:short=', /short is a whole number/],
    ['recv:short=1=2', /short is a whole number/],
    ['accept:short=1', /accept has no length/],
    ['read:short=1', /read has no length/],
    ['accept.completion:short=1', /has no length/],
    ['recv:slow=0', /slow is a number of milliseconds/],
    ['recv:slow=3000000000', /at most 2147483647/],
    ['recv.completion:slow=4', /a completion cannot be slow/],
    ['recv:fast=1', /unknown fault 'fast'; expected an error such as EINTR, short=BYTES or slow=MILLISECONDS/],
    ['recv:EAGAIN, seed=1, seed=2', /position 22, 'seed=2': the plan has another seed/],
    ['recv:EAGAIN, seed=-1', /a seed is a whole number, 0 to 4294967295/],
  ])('%s', (plan, message) => {
    expect(messageOf(() => injectFaults(plan))).toMatch(message);
  });

  it.each([
    ['io_uring_enter:EAGAIN', /retries io_uring_enter after EAGAIN/],
    ['io_uring_enter:ENOMEM', /retries io_uring_enter after ENOMEM/],
  ])('%s on POSIX', (plan, message) => {
    if (!isWindows) expect(messageOf(() => injectFaults(plan))).toMatch(message);
  });

  it.each<[string, unknown, string]>([
    ['a number', 3, 'ERR_INVALID_ARG_TYPE'],
    ['null', null, 'ERR_INVALID_ARG_TYPE'],
    ['no array', { call: 'recv', error: 'EAGAIN' }, 'ERR_INVALID_ARG_TYPE'],
    ['an empty array', [], 'ERR_INVALID_ARG_VALUE'],
    ['an array of text', ['recv:EAGAIN'], 'ERR_INVALID_ARG_TYPE'],
    ['a rule without a call', [{ error: 'EAGAIN' }], 'ERR_INVALID_ARG_TYPE'],
    ['a rule without a fault', [{ call: 'recv' }], 'ERR_INVALID_ARG_VALUE'],
    ['a rule with two', [{ call: 'recv', error: 'EAGAIN', slow: 3 }], 'ERR_INVALID_ARG_VALUE'],
    ['an error by its number', [{ call: 'recv', error: 4 }], 'ERR_INVALID_ARG_TYPE'],
    ['a length as text', [{ call: 'recv', short: '4' }], 'ERR_INVALID_ARG_TYPE'],
    ['a length that is NaN', [{ call: 'recv', short: NaN }], 'ERR_INVALID_ARG_VALUE'],
    ['a first call that is negative', [{ call: 'recv', short: 1, first: -1 }], 'ERR_INVALID_ARG_VALUE'],
    [
      'a getter that throws',
      [
        {
          call: 'recv',
          get error(): string {
            throw new Error('no');
          },
        },
      ],
      'ERR_INVALID_ARG_VALUE',
    ],
  ])('%s', (_, plan, code) => {
    throwsCode(code, () => injectFaults(plan as string));
  });

  it.each<[unknown, string]>([
    [null, 'ERR_INVALID_ARG_TYPE'],
    [{ scope: 'system' }, 'ERR_INVALID_ARG_VALUE'],
    [{ scope: 3 }, 'ERR_INVALID_ARG_VALUE'],
    [{ seed: -1 }, 'ERR_OUT_OF_RANGE'],
    [{ seed: '1' }, 'ERR_INVALID_ARG_TYPE'],
  ])('options %j', (options, code) => {
    throwsCode(code, () => injectFaults('recv:EAGAIN', options as object));
  });

  it('1001 rules', () => {
    const plan = Array.from({ length: 1001 }, () => 'recv:EAGAIN').join();
    expect(messageOf(() => injectFaults(plan))).toMatch(/at most 1000 rules/);
  });

  it('a seed in the text and another in the options', () => {
    expect(messageOf(() => injectFaults('recv:EAGAIN, seed=1', { seed: 1 }))).toMatch(/another seed/);
  });
});
