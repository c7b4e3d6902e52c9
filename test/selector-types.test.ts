/** The types of keys: tsc checks this file (npm run lint), and the runtime shows that they are true. */
import { expect, expectTypeOf, it } from 'vitest';
import type { Socket } from '../src/index.js';
import {
  BaseSelector,
  DefaultSelector,
  EVENT_READ,
  type FileObject,
  PollSelector,
  Reactor,
  type SelectorKey,
  createSelector,
} from '../src/index.js';
import { Bench } from './support/bench.js';
import { throwsCode } from './support/expect.js';

it('a key keeps the type of its file object and of its data', () => {
  using bench = new Bench();
  const [a, b] = bench.pair();
  using selector = new DefaultSelector<string, Socket>();
  expectTypeOf(selector.register(a, EVENT_READ, 'a')).toEqualTypeOf<SelectorKey<string, Socket>>();
  b.send('x');
  for (const [key] of selector.select(5000)) {
    expectTypeOf(key.fileobj).toEqualTypeOf<Socket>();
    expect(key.fileobj.recv(10)?.toString()).toBe('x');
  }
  expectTypeOf(selector.getKey(a.fd).fileobj).toEqualTypeOf<Socket>();
  expectTypeOf(selector.getMap().get(a)?.fileobj).toEqualTypeOf<Socket | undefined>();
  expectTypeOf(selector.unregister(a).fileobj).toEqualTypeOf<Socket>();
  // @ts-expect-error -- a file object has the selector's type
  selector.register(b.fd, EVENT_READ, 'b');
});

it('default type arguments accept every file object', () => {
  using bench = new Bench();
  const [a] = bench.pair();
  using selector = new PollSelector<number>();
  expectTypeOf(selector.register(a.fd, EVENT_READ, 1)).toEqualTypeOf<SelectorKey<number>>();
  expectTypeOf<SelectorKey<number>['fileobj']>().toEqualTypeOf<FileObject>();
  using created = createSelector<number, Socket>();
  expectTypeOf(created).toEqualTypeOf<BaseSelector<number, Socket>>();
  using loop = new Reactor({ selector: new DefaultSelector<unknown, Socket>() });
  expect(loop.selector.getMap().size).toBe(0);
});

it('a subclass of a selector class works, in a loop too; BaseSelector has no constructor', () => {
  class CountingSelector<D, F extends FileObject> extends PollSelector<D, F> {
    registered = 0;

    override register(fileobj: F, events: number, data?: D): SelectorKey<D, F> {
      this.registered++;
      return super.register(fileobj, events, data);
    }
  }
  using bench = new Bench();
  const [a, b] = bench.pair();
  const selector = new CountingSelector<unknown, FileObject>();
  using loop = new Reactor({ selector });
  let readable = 0;
  loop.addReader(a, () => {
    readable++;
    loop.stop();
  });
  b.send('x');
  loop.run();
  expect([selector.registered, readable, selector.getKey(a).fd]).toEqual([1, 1, a.fd]);
  for (const Class of [BaseSelector, class extends (BaseSelector as unknown as typeof PollSelector) {}])
    throwsCode('ERR_ILLEGAL_CONSTRUCTOR', () => Reflect.construct(Class, []) as unknown);
});
