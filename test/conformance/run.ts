import { conformance, knownFailures } from './conformance.ts';

// usage: node test/conformance/run.ts [text that a case's name must hold]
const filter = process.argv[2] ?? '';
const { passed, total, failures, slowest } = await conformance(filter);
const known = knownFailures();
const unexpected = [...failures].filter(([name]) => !known.has(name));
const repaired = [...known].filter((name) => filter === '' && !failures.has(name));
for (const [name, fault] of unexpected) console.log(`FAILED ${name}\n       ${fault.slice(0, 600)}`);
for (const name of repaired) console.log(`PASSES but is listed in failures.yaml: ${name}`);
console.log(`slowest case: ${slowest}`);
console.log(`conformance: ${passed}/${total}`);
if (unexpected.length > 0 || repaired.length > 0) process.exitCode = 1;
