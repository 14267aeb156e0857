/**
 * Claim (src/request/evaluate/meter.ts): bounding every evaluation costs a few microseconds, since most of what runs ticks in
 * a register or not at all. The same module runs with and without its meter.
 */
import { metered } from '../src/request/evaluate/meter.ts';
import { bareEvaluation, wasm } from './support/bare-evaluation.ts';
import { compare } from './support/measure.ts';

const plain = await bareEvaluation(wasm);
const withMeter = await bareEvaluation(metered(wasm));
if (plain() !== withMeter()) throw new Error('the meter changes an answer');
compare('one evaluation of the database case', { 'without a meter': plain, 'with the meter': withMeter });
