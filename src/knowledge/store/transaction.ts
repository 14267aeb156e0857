// Tested by test/knowledge/store/durable-store.test.ts.
import type { Change } from './backing.ts';

/** A participant of a transaction: a collection, which keeps what the transaction stages in it. */
export interface Participant {
  growth(tx: Transaction): number;
  handOver(tx: Transaction, batch: Transaction): void;
  changes(tx: Transaction): Change[];
  apply(tx: Transaction): void;
}

/** The staged changes of one job, or of its batch. The transaction's reads see them, memory does not yet. */
export class Transaction {
  /** The batch a job is run in: it sees what the jobs before it staged. */
  readonly batch: Transaction | undefined;
  readonly touched = new Set<Participant>();

  constructor(batch?: Transaction) {
    this.batch = batch;
  }

  isEmpty(): boolean {
    return this.touched.size === 0;
  }

  /** Bytes that the store would grow by. */
  growth(): number {
    let bytes = 0;
    for (const participant of this.touched) bytes += participant.growth(this);
    return bytes;
  }

  handOver(batch: Transaction): void {
    for (const participant of this.touched) participant.handOver(this, batch);
  }

  changes(): Change[] {
    return [...this.touched].flatMap((participant) => participant.changes(this));
  }

  apply(): void {
    for (const participant of this.touched) participant.apply(this);
  }
}
