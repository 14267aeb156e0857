import type { Control } from '../control.ts';
import type { Play } from '../play.ts';
import type { RunningSidecar } from '../sidecar-process.ts';

/** What every case plays on. */
export interface Stage {
  readonly play: Play;
  readonly sidecar: RunningSidecar;
  /** Speaks for whoever reports and asks for rights. */
  readonly control: Control;
  /** The operator, who approves. */
  readonly approver: Control;
  /** A folder of the demo's own. */
  readonly folder: string;
  readonly root: string;
}
