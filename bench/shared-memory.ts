/**
 * Claim (src/request/evaluate/shared-memory.ts): an evaluation on memory that another thread has filled costs what it costs on
 * memory of its own.
 */
import { withSharedMemory } from '../src/request/evaluate/shared-memory.ts';
import { bareEvaluation, wasm } from './support/bare-evaluation.ts';
import { compare } from './support/measure.ts';

const own = await bareEvaluation(wasm);
const shared = await bareEvaluation(withSharedMemory(wasm).wasm, true);
if (own() !== shared()) throw new Error('shared memory changes an answer');
compare('one evaluation of the database case', { 'memory of its own': own, 'shared memory': shared });
