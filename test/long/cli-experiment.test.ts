/** `selectors-native experiment` as a user runs it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { experiments } from '../../src/instruments/experiments/index.js';
import { Bench } from '../support/bench.js';
import { childrenOf, isRunning } from '../support/processes.js';
import { startCli } from '../support/program.js';
import { inTime, until } from '../support/servers.js';

const isLinux = process.platform === 'linux';
const linuxOnly = isLinux ? '' : ' — not here: only Linux lists child processes';

const words = (text: string): string => text.replace(/[│\s]+/g, ' ');

describe('experiment', () => {
  it('lists the experiments within 80 columns: name, claim, source, whether they can run here', async () => {
    const { stdout, stderr, code } = await startCli(['experiment']).ended;
    expect([stderr, code]).toEqual(['', 0]);
    expect(stdout).not.toContain('\u001b[');
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    for (const { name, claim, source, isAvailable, why } of experiments) {
      expect(stdout).toMatch(new RegExp(`^│ ${name} `, 'm'));
      for (const text of [claim, source]) expect(words(stdout)).toContain(words(text).slice(0, 40));
      expect(words(stdout)).toContain(`here: ${isAvailable ? 'yes' : 'no'}: ${why}`.slice(0, 60));
    }
  });

  it('lists them as JSON', async () => {
    const { stdout } = await startCli(['experiment', '--json']).ended;
    const rows = JSON.parse(stdout) as { name: string }[];
    expect(rows.map(({ name }) => name)).toEqual(experiments.map(({ name }) => name));
  });

  it('runs one: claim, source, set-up, table and verdict, within 80 columns, and writes a page', async () => {
    using bench = new Bench();
    const page = join(bench.folder(), 'report.html');
    const { stdout, stderr, code } = await startCli(['experiment', 'wakeups', '--quick', '--html', page]).ended;
    expect([stderr, code], 'no bar where there is no terminal').toEqual(['', 0]);
    for (const line of stdout.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
    const parts = [
      /^Wake-ups coalesce, none is lost$/m,
      /^claim +A thread can end the wait of another/m,
      /^source +post 003, reactor \+ thread pool/m,
    ];
    for (const part of [
      ...parts,
      /^set-up /m,
      /^│ select /m,
      /^✓ holds: 3 of 3 statements hold/m,
      /^ {6}None of \d+ wake-ups was lost/m,
    ])
      expect(stdout).toMatch(part);
    expect(readFileSync(page, 'utf8')).toContain('Wake-ups coalesce, none is lost');
  });

  it('runs several, in order, as JSON: the figures of each round, and a verdict of each', async () => {
    const args = ['experiment', 'wakeups', 'partial-messages', '--quick', '--json'];
    const { stdout, stderr, code } = await startCli(args).ended;
    expect([stderr, code]).toEqual(['', 0]);
    const rows = JSON.parse(stdout) as { name: string; rounds: unknown[]; verdict: unknown }[];
    expect(rows.map(({ name }) => name)).toEqual(['wakeups', 'partial-messages']);
    for (const { name, rounds, verdict } of rows)
      expect(verdict).toEqual(experiments.find((one) => one.name === name)?.verdict(rounds[0]));
  });

  it('an unknown name: lists the known ones, before anything runs', async () => {
    const { stdout, stderr, code } = await startCli(['experiment', 'ordering', 'order']).ended;
    expect(stderr).toMatch(/^error: there is no experiment 'order'; there is: slow-peers, .*, ordering, .*all\n/);
    expect([stdout, code]).toEqual(['', 1]);
  });

  it('an output file that cannot be written is an error before anything runs', async () => {
    using bench = new Bench();
    const page = join(bench.folder(), 'no such folder', 'report.html');
    const { stdout, stderr, code } = await startCli(['experiment', 'all', '--html', page]).ended;
    expect(stderr).toMatch(/^error: option '--html <file>' argument '.*' is invalid\. ENOENT/);
    expect([stdout, code]).toEqual(['', 1]);
  });

  it.skipIf(!isLinux)(`Ctrl-C ends it with all that it has started${linuxOnly}`, async () => {
    using bench = new Bench();
    const program = bench.own(startCli(['experiment', 'thundering-herd']));
    const pid = program.process.pid ?? -1;
    let started: number[] = [];
    await until('a server and its processes', () => {
      started = childrenOf(pid).flatMap((child) => [child, ...childrenOf(child)]);
      return started.length > 3;
    });
    program.process.kill('SIGINT');
    expect(await inTime('its end', program.ended)).toMatchObject({ stderr: '', code: 130, signal: null });
    expect(started.filter(isRunning)).toEqual([]);
  });
});
