// Tested by test/opa/values/text.test.ts.
/**
 * Counts work that grows with what it was asked, so that a call ends whatever it was asked: about one unit for each
 * value made or step taken.
 *
 * @param aheadUs what comes next cannot be looked into, and takes about this many microseconds: not begun where no such
 *   time is left
 * @throws Undecided `policy_budget_spent`
 */
export type Charge = (units: number, aheadUs?: number) => void;
