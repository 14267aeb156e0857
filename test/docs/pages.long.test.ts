import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { anchorsOf, type Block, blocksOf, linksOf, shows } from './markdown.ts';
import { root, Terminal } from './terminal.ts';

/**
 * Commands on a page stand in `sh` blocks, and every one of them is run here, in order, in one shell for each page, in a
 * clone with `make run` beside it. What a block prints is compared with the `json answer` or `text answer` block that
 * follows it. `console` blocks are the commands that a test cannot run; each is named here with the reason.
 */
const notRun: Readonly<Record<string, string>> = {
  'make test': 'it is what runs this',
  'kubectl create namespace report-bot': 'there is no cluster; test/deploy/ reads the manifest',
  "kubectl -n report-bot exec deploy/report-bot -c postern -- /usr/local/bin/node -e '":
    'there is no cluster; test/deploy/acknowledge.test.ts runs what it hands to Node',
  'make compose-up': 'test/integration/ brings the same composition up',
};

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  ...readdirSync(join(root, 'docs'))
    .filter((name) => name.endsWith('.md'))
    .map((name) => `docs/${name}`),
  'test/faults.md',
];
const textOf = (page: string) => readFileSync(join(root, page), 'utf8');
/** The sidecar runs already, for every page. */
const isMakeRun = ({ text }: Block) => text.trim() === 'make run';
/** A `console` block by its first line, any other by all of it. */
const isNotRun = ({ info, text }: Block) =>
  Object.hasOwn(notRun, info === 'console' ? (text.split('\n')[0] ?? '') : text.trim());

describe.each(pages)('%s', (page) => {
  const blocks = blocksOf(textOf(page));
  const commands = blocks.filter((block) => block.info === 'sh' && !isMakeRun(block) && !isNotRun(block));

  it('links to what is there', () => {
    const broken = linksOf(textOf(page)).filter((link) => {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : relative(root, join(root, dirname(page), path));
      if (!existsSync(join(root, target))) return true;
      return anchor !== undefined && !anchorsOf(textOf(target)).includes(anchor);
    });
    expect(broken).toEqual([]);
  });

  it('leaves no command unrun but those with a reason', () => {
    expect(blocks.filter((block) => block.info === 'console' && !isNotRun(block))).toEqual([]);
    // Any other fence is something to read. One that looks like a command is one that escaped.
    const escaped = blocks.filter(
      ({ info, text }) =>
        !['sh', 'console'].includes(info) && /^(?:\$ |(?:make|curl|postern|docker|kubectl) )/m.test(text),
    );
    expect(escaped).toEqual([]);
  });

  it('shows an answer only after the command that gives it', () => {
    const orphans = blocks.filter(({ info }, index) => info.endsWith(' answer') && blocks[index - 1]?.info !== 'sh');
    expect(orphans).toEqual([]);
  });

  if (commands.length > 0) {
    describe('read from top to bottom, next to make run', () => {
      let terminal: Terminal;
      beforeAll(async () => {
        terminal = await Terminal.open();
      }, 90_000);
      afterAll(() => terminal?.close());

      it.each(commands.map((block) => [`line ${block.line}: ${block.text.split('\n')[0]}`, block] as const))(
        '%s',
        async (_name, block) => {
          const { code, out, err } = await terminal.shell.run(terminal.here(block.text));
          expect({ code, err: code === 0 ? '' : err }).toEqual({ code: 0, err: '' });
          const next = blocks[blocks.indexOf(block) + 1];
          if (next?.info.endsWith(' answer') !== true) return;
          const shown = terminal.here(next.text);
          const kind = next.info.slice(0, -' answer'.length);
          // The texts, when they differ, are what one wants to see.
          if (!shows(kind, shown, out)) expect(out).toBe(shown);
        },
        120_000,
      );
    });
  }
});

describe('the pages that a reader is sent to', () => {
  it('are all there', () => {
    expect(pages).toEqual(
      expect.arrayContaining([
        'docs/agent-developer.md',
        'docs/architecture.md',
        'docs/auditor.md',
        'docs/builtins.md',
        'docs/configuration.md',
        'docs/decision.md',
        'docs/errors.md',
        'docs/platform-engineer.md',
        'docs/policy-author.md',
      ]),
    );
  });
});
